"""Which process is in which state now: told to whoever wishes to hear it, once for all of them.

One follower of a colony's events serves every subscription of this process to that colony. An event
that nobody wished for costs a look at its type; one that somebody did, one reading of the row and
one encoding, however many hear it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from api import wire, wire_process
from api.present import shown_process
from api.rpc import failure
from broker import keys
from broker.aggregates.executor import ExecutorIdChanged, ExecutorRejected, ExecutorRemoved
from broker.aggregates.process import (
    NodeSubmitted,
    ProcessAssigned,
    ProcessCancelled,
    ProcessClosed,
    ProcessFailed,
    ProcessReady,
    ProcessReleased,
    ProcessRemoved,
    ProcessRequeued,
    ProcessRetried,
    ProcessSubmitted,
    State,
)
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.user import UserIdChanged, UserRemoved
from broker.directory import Colony
from broker.errors import Overloaded, Unavailable
from broker.feed import Entry, Feed, Follower, glance
from broker.position import Position
from broker.store import EventStore

_log = structlog.get_logger(__name__)
_AT_ONCE = 100
_AWAY_S = 0.1
NO_MEMBER = "not a member of the colony any more"
LEAVING = frozenset(
    kind.TYPE
    for kind in (
        ExecutorRemoved,
        ExecutorRejected,
        ExecutorIdChanged,
        UserRemoved,
        UserIdChanged,
    )
)
"""Events after which somebody may not be a member any more."""
_STATES = {
    ProcessSubmitted.TYPE: State.WAITING,
    ProcessReleased.TYPE: State.WAITING,
    ProcessRequeued.TYPE: State.WAITING,
    ProcessRetried.TYPE: State.WAITING,
    ProcessReady.TYPE: State.WAITING,
    ProcessAssigned.TYPE: State.RUNNING,
    ProcessFailed.TYPE: State.FAILED,
    ProcessCancelled.TYPE: State.CANCELLED,
}
_FORBIDDEN = 403
_REPLY = "subscribeprocessmsg"
_NOTHING = msgspec.Raw(b"[]")


def signalled(entry: Entry) -> State | None:
    """The state an event puts its process in; None when it puts it in none that can be heard."""
    if entry.type == ProcessClosed.TYPE:
        event = entry.event
        return State(event.outcome) if isinstance(event, ProcessClosed) else None
    if entry.type == NodeSubmitted.TYPE:
        event = entry.event
        waits = isinstance(event, NodeSubmitted) and bool(event.parents)
        return None if waits else State.WAITING
    return _STATES.get(entry.type)


def leavers(entry: Entry) -> set[str]:
    """The identities that may not be members any more."""
    if entry.type not in LEAVING:
        return set()
    event = entry.event
    old = event.old_id if isinstance(event, ExecutorIdChanged | UserIdChanged) else ""
    return {entry.subject, old}


def frame_of(process: wire_process.Process) -> bytes:
    """A frame about a process."""
    reply = wire.Success(payloadtype=_REPLY, payload=wire.encode(process))
    return wire.encode(reply)


def unknown(process_id: str) -> bytes:
    """A frame about a process that is not, or no longer, there."""
    return failure(_FORBIDDEN, f"Invalid process with Id {process_id}")


@dataclass(eq=False, slots=True, kw_only=True)
class Wish:
    """One subscription: to a process, or ("") to all for one executor type, in some states.

    One to a process hears of its removal, too. One in no state hears of nothing but its end.
    """

    caller: str
    process_id: str = ""
    executor_type: str = ""
    states: frozenset[int] = frozenset()
    hear: Callable[[bytes], None]
    end: Callable[[str], None]
    expel: Callable[[str], None]
    since: Position | None = None
    """Up to where nothing new is told; None while that is not known, then frames are kept."""
    early: list[tuple[Position, bytes]] = field(default_factory=list[tuple[Position, bytes]])

    def wants(self, row: ProcessRow) -> bool:
        """Whether a process is one of those meant."""
        needed = row.requirement.executor_type
        if self.process_id:
            return row.id == self.process_id and self.executor_type in {"", needed}
        return self.executor_type == needed

    def tell(self, position: Position, frame: bytes) -> None:
        """One of those meant is in one of the states, or gone."""
        if self.since is None:
            self.early.append((position, frame))
        elif position > self.since:
            self.hear(frame)

    def begin(self, since: Position) -> None:
        """Tell what is newer than this, from now on."""
        self.since = since
        early, self.early = self.early, []
        for position, frame in early:
            self.tell(position, frame)


class Signals:
    """The subscriptions of this process."""

    def __init__(self, store: EventStore, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._boards: dict[str, _Board] = {}

    async def add(self, colony: Colony, wish: Wish) -> Callable[[], None]:
        """Register a wish, told nothing before it has begun; the result forgets it.

        Raises:
            Unavailable: the store is away.
        """
        follower = await self._feed.follow(colony.tag)
        board = self._boards.get(colony.tag.text)
        if board is None:
            board = self._boards[colony.tag.text] = _Board(self._store, colony, follower)
            board.task = asyncio.get_running_loop().create_task(self._run(board))
        else:
            self._feed.leave(follower)
        board.add(wish)
        return lambda: self._remove(board, wish)

    def _remove(self, board: "_Board", wish: Wish) -> None:
        board.remove(wish)
        if not board.wishes:
            self._drop(board)

    def _drop(self, board: "_Board") -> None:
        if self._boards.get(board.colony.tag.text) is board:
            del self._boards[board.colony.tag.text]
        self._feed.leave(board.follower)

    async def _run(self, board: "_Board") -> None:
        """Pass on what arrives, until nothing will."""
        why = "internal error; the server's log says more"
        try:
            while entries := await board.follower.next():
                await board.pass_on(entries)
            why = board.follower.ended
        except Exception:  # noqa: BLE001 - subscribers hear of a bug, too
            _log.exception("bug")
        finally:
            self._drop(board)
            for wish in list(board.wishes):
                wish.end(why)

    async def row(self, colony: Colony, process_id: str) -> tuple[Position, ProcessRow | None]:
        """A process, and up to where the events are in it."""
        position, row = await glance(self._store, colony.tag, keys.process(process_id))
        return position, ProcessRow.read(process_id, row)

    async def now(self, colony: Colony) -> Position:
        """Where the events of a colony end."""
        return (await glance(self._store, colony.tag, keys.COLONY))[0]


class _Board:
    """Who wishes to hear what in one colony."""

    task: asyncio.Task[None]

    def __init__(self, store: EventStore, colony: Colony, follower: Follower[Entry]) -> None:
        self.colony = colony
        self.follower = follower
        self.wishes: set[Wish] = set()
        self._store = store
        self._by_process: dict[tuple[str, int | None], set[Wish]] = {}
        """By process id ("" for all) and state; None stands for its removal."""

    def add(self, wish: Wish) -> None:
        self.wishes.add(wish)
        for key in _keys(wish):
            self._by_process.setdefault(key, set()).add(wish)

    def remove(self, wish: Wish) -> None:
        self.wishes.discard(wish)
        for key in _keys(wish):
            wishes = self._by_process.get(key, set())
            wishes.discard(wish)
            if not wishes:
                self._by_process.pop(key, None)

    async def pass_on(self, entries: list[Entry]) -> None:
        """Tell whoever wished for it, in the order of the events."""
        for first in range(0, len(entries), _AT_ONCE):
            page = entries[first : first + _AT_ONCE]
            states = [self._wanted(entry) for entry in page]
            ids = {e.subject for e, s in zip(page, states, strict=True) if s is not None}
            rows = await self._rows(list(ids)) if ids else {}
            for entry, state in zip(page, states, strict=True):
                if state is not None and (row := rows.get(entry.subject)) is not None:
                    self._tell(entry, state, row)
                elif entry.type == ProcessRemoved.TYPE:
                    self._tell_removed(entry)
                elif gone := leavers(entry):
                    self._end(gone)

    def _wanted(self, entry: Entry) -> State | None:
        """The state an event is about, if anybody may wish to hear it."""
        state = signalled(entry)
        if state is None:
            return None
        wished = (entry.subject, state) in self._by_process or ("", state) in self._by_process
        return state if wished else None

    async def _rows(self, ids: list[str]) -> dict[str, ProcessRow]:
        """The processes as they are now; a store that is away is waited for."""
        names = [keys.process(i) for i in ids]
        while True:
            try:
                hashes = await self._store.hashes(self.colony.tag, *names)
            except (Unavailable, Overloaded) as error:
                if self.follower.ended:
                    raise
                _log.info("signals_postponed", error=str(error))
                await asyncio.sleep(_AWAY_S)
                continue
            found = (ProcessRow.read(i, h) for i, h in zip(ids, hashes, strict=True))
            return {row.id: row for row in found if row is not None}

    def _tell(self, entry: Entry, state: State, row: ProcessRow) -> None:
        wishes = (
            *self._by_process.get((entry.subject, state), ()),
            *self._by_process.get(("", state), ()),
        )
        meant = [wish for wish in wishes if wish.wants(row)]
        if meant:
            frame = frame_of(_as_signalled(entry, state, row, self.colony.name))
            for wish in meant:
                wish.tell(entry.position, frame)

    def _tell_removed(self, entry: Entry) -> None:
        frame = unknown(entry.subject)
        for wish in tuple(self._by_process.get((entry.subject, None), ())):
            wish.tell(entry.position, frame)

    def _end(self, gone: set[str]) -> None:
        for wish in [wish for wish in self.wishes if wish.caller in gone]:
            wish.expel(NO_MEMBER)


def _keys(wish: Wish) -> set[tuple[str, int | None]]:
    heard: set[int | None] = {*wish.states, *([None] if wish.process_id else [])}
    return {(wish.process_id, what) for what in heard}


def _as_signalled(
    entry: Entry, state: State, row: ProcessRow, colony_name: str
) -> wire_process.Process:
    """A process in the state that is told, though it may have gone on meanwhile."""
    process = shown_process(row, colony_name)
    if row.state is state:
        return process
    process.state = int(state)
    process.endtime = wire.NO_TIME
    process.output, process.errors = _NOTHING, []
    running = state is State.RUNNING
    process.isassigned = running
    process.assignedexecutorid = entry.actor if running else ""
    if not running:
        process.starttime = process.execdeadline = wire.NO_TIME
    return process
