"""What a handler works with: the call, and the few ways to read and write on its behalf."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from api.packing import Packing
from api.said import Said
from broker import keys
from broker.access import EXECUTOR, ColonyRow, Gate, Hash, MemberRow
from broker.aggregates import colony as colony_aggregate
from broker.aggregates.colony import RESUMED, RequirementClassAdded
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.decision import Decision, Event, tallied
from broker.directory import Colony, Directory
from broker.errors import Denied, Overloaded, Unavailable
from broker.keys import SERVER, Key, Tag
from broker.presence import Presence
from broker.reactors.crons import Crons
from broker.reactors.deadlines import Deadlines
from broker.reactors.due import Due
from broker.reactors.generators import Generators
from broker.reactors.requeue import Requeuer
from broker.reactors.sweep import Sweeper
from broker.settings import Settings
from broker.store import BY_SERVER, Conflict, Done, EventStore, Signed
from broker.waiting import WaitingRoom
from broker.zones import zone_named
from projections.core import listings
from projections.progress import Progress

Rows = TypeVar("Rows")
Wish = TypeVar("Wish")
NOWHERE = Tag("nowhere")
"""The tag of a decision about a colony that does not exist; such a decision always refuses."""

_MOST_ASSIGNED = 10_000
_LARGEST_ASSIGNED = 8_192
_COUNT_EVERY_NS = 1_000_000_000
_log = structlog.get_logger("events")


class Line(Protocol):
    """The other end of a request."""

    gone: bool
    undelivered: Callable[[], None] | None
    """To be called when the reply turns out not to have reached the client."""

    def watch(self, listener: Callable[[], None] | None = None) -> None:
        """Notice from now on when the client goes away, and tell ``listener``."""
        ...


class Call(Struct, frozen=True, kw_only=True):
    """One verified request."""

    caller: str
    signed: Signed
    payload: bytes
    line: Line

    def watch(self) -> None:
        """Notice from now on when the client goes away."""
        self.line.watch()

    def on_gone(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the client goes away."""
        self.line.watch(listener)

    def on_undelivered(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` if the reply turns out not to have reached the client."""
        self.line.undelivered = callback

    def is_gone(self) -> bool:
        """Whether the client, once watched, has gone away."""
        return self.line.gone

    def unmarked(self) -> "Call":
        """The same without its nonce, for a step that is not the last of a command."""
        return replace(self, signed=replace(self.signed, nonce=""))


class MemberRows(Struct, frozen=True):
    """Who asks, and the members that have a name and an id now."""

    gate: Gate
    named: MemberRow | None
    with_id: MemberRow | None


@dataclass(slots=True, kw_only=True)
class Context:
    """Everything one API process shares between requests."""

    settings: Settings
    store: EventStore
    directory: Directory
    waiting: WaitingRoom
    presence: Presence
    requeuer: Requeuer = field(init=False)
    sweeper: Sweeper = field(init=False)
    crons: Crons = field(init=False)
    generators: Generators = field(init=False)
    zone: tzinfo = field(init=False)
    """What cron expressions mean that name no zone."""
    progress: Progress
    said: Said
    listen: Callable[[str], Awaitable[None]]
    """Hear notices of a channel; returns when nothing can be missed any more."""
    assigned: dict[str, ProcessRow] = field(default_factory=dict[str, ProcessRow])
    """Processes given out here, as their rows were then: a close decides on them."""
    packing: Packing = field(default_factory=Packing)
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    observers: list[Callable[[Colony | None, Event], None]] = field(
        default_factory=list[Callable[[Colony | None, Event], None]]
    )

    def __post_init__(self) -> None:
        self.requeuer = Requeuer(store=self.store, directory=self.directory, happened=self.happened)
        self.sweeper = Sweeper(store=self.store, happened=self.happened)
        self.zone = zone_named(self.settings.timezone) or UTC
        self.crons = Crons(
            store=self.store,
            directory=self.directory,
            happened=self.happened,
            full=self.is_full,
            zone=self.zone,
        )
        self.generators = Generators(
            store=self.store,
            directory=self.directory,
            happened=self.happened,
            full=self.is_full,
        )

    def due(self) -> Due:
        """Who does what when it is due; the kinds are those of ``keys.due_…``."""
        deadlines = Deadlines(store=self.store, directory=self.directory, happened=self.happened)
        meets = {
            "wait": deadlines.expire,
            "exec": deadlines.expire,
            "ready": deadlines.offer,
            "sweep": self.sweeper.sweep,
            "cron": self.crons.tick,
            "flush": self.generators.flush,
        }
        return Due(store=self.store, meets=meets)

    # ------------------------------------------------------------ rows

    async def gate(
        self, call: Call, name: str, *, fresh: bool = True
    ) -> tuple[Colony | None, Gate]:
        """The colony named and what authorisation looks at."""
        colony = self.directory.remembered(name) or await self.directory.named(name)
        return await self._pass(call, name, colony, fresh=fresh)

    async def gate_of(
        self, call: Call, identifier: str, *, fresh: bool = True
    ) -> tuple[Colony | None, Gate]:
        """The same for the colony in which an id was made."""
        colony = await self.directory.of_id(identifier)
        return await self._pass(call, colony.name if colony else "", colony, fresh=fresh)

    async def _pass(
        self, call: Call, name: str, colony: Colony | None, *, fresh: bool
    ) -> tuple[Colony | None, Gate]:
        if colony is None:
            return None, Gate(caller=call.caller, colony_name=name, colony=None, member=None)
        gate = None if fresh else self.directory.remembered_gate(call.caller, colony)
        if gate is not None and not self._lacks_nonce(call, gate):
            self._note_presence(call, colony, gate)
            return colony, gate
        gate = await self.directory.gate(call.caller, colony, fresh=True)
        if gate.colony is None:
            colony = await self._again(colony)
            if colony is None:
                return None, gate
            gate = await self.directory.gate(call.caller, colony, fresh=True)
        self._note_presence(call, colony, gate)
        if self._lacks_nonce(call, gate):
            raise Denied(
                f"Colony with name <{colony.name}> requires a nonce and issuedat in requests"
            )
        return colony, gate

    async def _again(self, colony: Colony) -> Colony | None:
        """The colony of a name whose row is missing: removed, added anew, or half added."""
        found = await self.directory.named(colony.name, fresh=True)
        if found is None:
            return None
        ids = await self.store.hashes(SERVER, keys.COLONY_IDS)
        owner = next((i.decode() for i, n in ids[0].items() if n.decode() == found.name), "")
        now_ns = self.store.clock.now_ns()
        founding = colony_aggregate.establish(found.name, found.suffix, owner, "", now_ns)
        await self.store.append(found.tag, founding, BY_SERVER)
        return found

    def _note_presence(self, call: Call, colony: Colony, gate: Gate) -> None:
        if gate.member is not None and gate.member.kind == EXECUTOR:
            self.presence.heard(colony.tag, call.caller)

    @staticmethod
    def _lacks_nonce(call: Call, gate: Gate) -> bool:
        row: ColonyRow | None = gate.colony
        return row is not None and row.require_nonce and not call.signed.nonce

    async def rows(self, colony: Colony | None, *names: Key) -> list[Hash]:
        """Whole hashes of a colony; without a colony they are all empty."""
        if colony is None:
            return [{} for _ in names]
        return await self.store.hashes(colony.tag, *names)

    async def id_named(self, colony: Colony, names: Key, name: str) -> str | None:
        """The id that has a name in a hash of names."""
        found = await self.store.send("HGET", colony.tag.key(names), name)
        return found.decode() if found is not None else None

    async def first_ids(self, colony: Colony | None, listing: Key, count: int) -> list[str]:
        """The first members of a sorted set."""
        if colony is None or count == 0:
            return []
        found = await self.store.send("ZRANGE", colony.tag.key(listing), 0, count - 1)
        return [member.decode() for member in found]

    async def member_named(self, colony: Colony | None, name_field: str) -> MemberRow | None:
        """A member by its field in keys.NAMES."""
        if colony is None:
            return None
        member_id = await self.store.send("HGET", colony.tag.key(keys.NAMES), name_field)
        return await self.member_with_id(colony, member_id.decode()) if member_id else None

    async def member_rows(
        self, call: Call, colony_name: str, name_field: str, member_id: str, *, fresh: bool
    ) -> tuple[Colony | None, MemberRows]:
        """What commands about members look at; ``name_field`` in keys.NAMES and id may be ""."""
        colony, gate = await self.gate(call, colony_name, fresh=fresh)
        named = await self.member_named(colony, name_field) if name_field else None
        with_id = await self.member_with_id(colony, member_id) if member_id else None
        return colony, MemberRows(gate, named, with_id)

    async def members(self, colony: Colony | None, kind: str) -> list[MemberRow]:
        """All executors or all users of a colony, by name."""
        names = (await self.rows(colony, keys.NAMES))[0]
        prefix = f"{kind}/".encode()
        pairs = sorted((n, i.decode()) for n, i in names.items() if n.startswith(prefix))
        hashes = await self.rows(colony, *(keys.member(i) for _, i in pairs)) if pairs else []
        rows = (MemberRow.read(i, h) for (_, i), h in zip(pairs, hashes, strict=True))
        return [row for row in rows if row is not None]

    async def candidates(self, colony_name: str) -> list[Colony]:
        """All colonies, the one named first."""
        every = await self.directory.every()
        return sorted(every, key=lambda colony: colony.name != colony_name)

    async def candidates_of_id(self, identifier: str) -> list[Colony]:
        """The colony an id of ours was made in; all of them for an id that a client chose."""
        colony = await self.directory.of_id(identifier)
        return [colony] if colony else await self.directory.every()

    async def member_with_id(self, colony: Colony | None, member_id: str) -> MemberRow | None:
        """A member by its id."""
        row = (await self.rows(colony, keys.member(member_id)))[0]
        return MemberRow.read(member_id, row)

    # ------------------------------------------------------------ writing

    async def write(
        self,
        call: Call,
        read: Callable[[bool], Awaitable[tuple[Colony | None, Rows]]],
        decide: Callable[[Rows, int], Decision],
        *,
        attempts: int | None = None,
    ) -> Event | None:
        """Decide and append in a colony; the last event, of this or of the first such request."""
        used: list[Colony | None] = []

        async def located(fresh: bool) -> tuple[Tag, Rows]:  # noqa: FBT001 - run's own shape
            colony, rows = await read(fresh)
            used[:] = [colony]
            return colony.tag if colony else NOWHERE, rows

        outcome = await self.store.run(located, decide, call.signed, attempts=attempts)
        colony = used[0]
        if isinstance(outcome, Done):
            self.happened(colony, outcome)
            return outcome.events[-1] if outcome.events else None
        if not outcome.last or colony is None:
            return None
        return await self.store.event_at(colony.tag, outcome.last)

    async def say(
        self,
        call: Call,
        read: Callable[[bool], Awaitable[tuple[Colony | None, Rows]]],
        decide: Callable[[Rows, int], Wish],
        write: Callable[[EventStore, Tag, Wish, Signed], Awaitable[Conflict | None]],
    ) -> None:
        """Decide and write in a colony what is no event, as ``EventStore.settle`` does it."""

        async def located(fresh: bool) -> tuple[Tag, Rows]:  # noqa: FBT001 - settle's own shape
            colony, rows = await read(fresh)
            return colony.tag if colony else NOWHERE, rows

        await self.store.settle(located, decide, partial(write, self.store), call.signed)

    async def write_server(
        self,
        call: Call,
        read: Callable[[bool], Awaitable[Rows]],
        decide: Callable[[Rows, int], Decision],
    ) -> Event | None:
        """The same on the server's own stream."""

        async def located(fresh: bool) -> tuple[Tag, Rows]:  # noqa: FBT001
            return SERVER, await read(fresh)

        outcome = await self.store.run(located, decide, call.signed)
        if isinstance(outcome, Done):
            self.happened(None, outcome)
            return outcome.events[-1] if outcome.events else None
        return await self.store.event_at(SERVER, outcome.last) if outcome.last else None

    async def took_effect(self, call: Call, tag: Tag) -> bool:
        """Whether this very request was completed before; for commands of several steps."""
        return await self.store.repeated(tag, call.signed) is not None

    async def sweep(self, colony: Colony, workflow_id: str) -> None:
        """End or remove the processes of a workflow now, as far as the store allows."""
        try:
            await self.sweeper.sweep(colony, workflow_id)
        except (Unavailable, Overloaded) as error:
            _log.info("sweep_postponed", workflow=workflow_id, error=str(error))

    def happened(self, colony: Colony | None, done: Done) -> None:
        """Tell observers, and wake local waiters; other processes hear it from the store."""
        self.published(colony, done.events)
        if colony is not None:
            for event in done.events:
                if isinstance(event, RequirementClassAdded):
                    colony.classes = None
            if done.wakes and len(self.waiting):
                for text, count in tallied(done.wakes):
                    self.notice(colony, text, count)

    def published(self, colony: Colony | None, events: tuple[Event, ...]) -> None:
        """Tell whoever observes this process."""
        for observer in self.observers:
            for event in events:
                observer(colony, event)

    def notice(self, colony: Colony, text: str, count: int) -> None:
        """A class got so many processes, or the colony resumed: wake who can take them."""
        channel = keys.wake_channel(colony.tag)
        if channel not in self.waiting:
            return
        known = colony.classes.by_key.get(text) if colony.classes else None
        if known is not None or text == RESUMED:
            self.waiting.notice(channel, text, known, count)
        else:
            self.spawn(self._notice_new_class(colony, channel, text, count))

    async def _notice_new_class(self, colony: Colony, channel: str, text: str, count: int) -> None:
        try:
            classes = await self.directory.classes(colony, fresh=True)
        except (Unavailable, Overloaded):
            classes = None
        asked = classes.by_key.get(text) if classes else None
        self.waiting.notice(channel, text, asked, count)

    async def count_waiting(self, colony: Colony) -> None:
        """See that ``colony.waiting`` is at most a second old."""
        now_ns = self.store.clock.now_ns()
        if now_ns - colony.counted_ns > _COUNT_EVERY_NS:
            colony.counted_ns = now_ns
            classes = await self.directory.classes(colony, fresh=True)
            colony.waiting = (await listings.counts(self.store, colony.tag, classes))[State.WAITING]

    async def is_full(self, colony: Colony) -> bool:
        """Whether as many processes wait in a colony as the settings allow."""
        await self.count_waiting(colony)
        return colony.waiting >= self.settings.limits.max_waiting

    def check_queue(self, colony: Colony) -> None:
        """Refuse more work for a colony in which too much waits.

        The count is up to a second old, so the limit is a bound on growth, not an exact number.

        Raises:
            Overloaded: as many processes wait as the settings allow.
        """
        if colony.waiting >= self.settings.limits.max_waiting:
            raise Overloaded(
                f"{colony.waiting} processes wait in colony <{colony.name}>, as many as the server"
                " allows; try again later"
            )

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; it is awaited at shutdown."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def remember_assigned(self, row: ProcessRow) -> None:
        """Keep a row for the close that will come; the oldest is forgotten first."""
        if len(row.row[b"given"]) > _LARGEST_ASSIGNED:
            return
        if len(self.assigned) >= _MOST_ASSIGNED:
            del self.assigned[next(iter(self.assigned))]
        self.assigned[row.id] = row


def narrate(colony: Colony | None, event: Event) -> None:
    """One line an event, for ``-v``."""
    fields: dict[str, Any] = {"subject": event.subject}
    if colony is not None:
        fields["colony"] = colony.name
    if event.actor:
        fields["by"] = event.actor
    _log.info(event.TYPE, **fields)
