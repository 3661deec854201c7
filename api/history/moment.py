"""A colony as it was at a position of its log, read like the live rows.

Landmarks (``projections/landmarks.py``) tell what the events before them changed; only the events
that are left, and those that name what is asked for, are folded.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest

from api import wire_colony, wire_process
from api.census import Census, statistics
from api.history.log import History, Log
from api.present import shown_process
from broker import keys
from broker.access import EXECUTOR, MemberState
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.envelope import RawEntry, position_of, read_event
from broker.keys import Key
from broker.position import START, Position
from projections.core import fold
from projections.landmarks import Leg, Part, legs
from projections.replay import pages
from projections.rows import Rows, encoded
from projections.stretch import QUEUES, Stretch, Turn, ids_in, mark_of, time_of, turn_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The first of those that waited, and how many did in all."""

    first: list[wire_process.Process]
    waiting: int


class Past:
    """A colony at one moment."""

    def __init__(self, history: History, log: Log, until: Position) -> None:
        self._store = history.store
        self._log = log
        self._until = until

    async def process(self, process_id: str) -> wire_process.Process | None:
        """A process as it was then, None when it was not there."""
        found = await self._processes([process_id])
        return found[0] if found else None

    async def queue(self, count: int) -> Queue:
        """The first ``count`` that waited then, in the order in which they would be taken."""
        way = [leg async for leg in self._all_legs("queue")]
        # Backwards: who came waits, unless it went on a leg that was seen before.
        waiting, gone = dict[Turn, tuple[Leg, int]](), set[Turn]()
        for leg in reversed(way):
            stretch = leg.tell()
            for turn in stretch.joined.keys() - gone:
                waiting[turn] = (leg, stretch.joined[turn])
            gone |= stretch.left
        members = await self._members(waiting, count)
        ids = [keys.queued_process(member) for member in members]
        return Queue(first=await self._processes(ids), waiting=len(waiting))

    async def statistics(self) -> wire_colony.Statistics:
        """How many of what there were."""
        counts, members = Counter[Key](), dict[str, bytes | None]()
        async for leg in self._all_legs("counts"):
            stretch = leg.tell()
            counts.update(stretch.counts)
            members |= stretch.members
        processes = {state: counts[keys.listing(int(state))] for state in State}
        census = Census(
            members=_executors(members),
            processes=processes | {State.WAITING: counts[QUEUES]},
            workflows={state: counts[keys.workflows(int(state))] for state in State},
        )
        return statistics([census])

    async def _all_legs(self, part: Part) -> AsyncIterator[Leg]:
        """The whole way: from landmark to landmark, and then a page of events at a time."""
        last = START
        async for leg in legs(self._store, self._log.tag, part, self._until):
            yield leg
            last = leg.until
        async for page in self._pages(last, self._until):
            stretch = Stretch()
            for raw in page:
                stretch.add(self._log.tag, raw, fold)
            yield Leg(last, position_of(page[-1]), partial(_same, stretch))
            last = position_of(page[-1])

    async def _members(self, waiting: dict[Turn, tuple[Leg, int]], count: int) -> list[str]:
        """The members of queues of the first of them, in order."""
        first = nsmallest(count, waiting)
        if not first:
            return []
        # Those of one time are told apart by their ids, which a turn does not have.
        last = time_of(first[-1])
        places = dict[tuple[Position, Position], dict[int, Turn]]()
        for turn, (leg, place) in waiting.items():
            if time_of(turn) <= last:
                places.setdefault((leg.after, leg.until), {})[place] = turn
        found: list[str] = []
        for (after, until), turns in places.items():
            place = 0
            async for page in self._pages(after, until):
                for raw in page:
                    if place in turns:
                        found.append(_queued(raw, turns[place]))
                    place += 1
        return sorted(found)[:count]

    async def _processes(self, ids: Collection[str]) -> list[wire_process.Process]:
        """Those of some processes that were there.

        A fold reads nothing, so whatever changes a row names it: other events are passed over.
        """
        rows = Rows()
        wanted = {identifier.encode() for identifier in ids}
        marks, kept = set(map(mark_of, wanted)), {keys.process(each) for each in ids}
        last = START
        async for leg in legs(self._store, self._log.tag, "names", self._until):
            if not marks.isdisjoint(leg.tell().named):
                await self._fold(rows, leg.after, leg.until, wanted, kept)
            last = leg.until
        await self._fold(rows, last, self._until, wanted, kept)
        found = [ProcessRow.read(each, rows.hash(keys.process(each))) for each in ids]
        return [shown_process(row, self._log.name) for row in found if row is not None]

    async def _fold(
        self,
        rows: Rows,
        after: Position,
        until: Position,
        wanted: Collection[bytes],
        kept: Collection[Key],
    ) -> None:
        """Go on with some rows: fold the events between two positions that name them."""
        async for page in self._pages(after, until):
            for raw in page:
                if any(each in wanted for each in ids_in(self._log.tag, raw)):
                    for write in fold(read_event(raw)):
                        if write[1] in kept:
                            rows.apply(write)

    def _pages(self, after: Position, until: Position) -> AsyncIterator[Sequence[RawEntry]]:
        return pages(self._store, self._log.tag, after, until)


def _same(stretch: Stretch) -> Stretch:
    """What a leg tells that is not kept."""
    return stretch


def _queued(raw: RawEntry, turn: Turn) -> str:
    """The queue member that an event added."""
    writes = fold(read_event(raw))
    members = (encoded(args[-1]) for command, key, args in writes if _queues(command, key))
    return next(member for member in members if turn_of(member) == turn).decode()


def _queues(command: str, key: Key) -> bool:
    return command == "ZADD" and key.startswith(keys.queue(""))


def _executors(members: dict[str, bytes | None]) -> list[MemberState]:
    """The state of every executor that has a name and a row."""
    named = (value for name, value in members.items() if name.startswith(f"{EXECUTOR}/") and value)
    states = (members.get(keys.member(each.decode())) for each in named)
    return [MemberState(int(state)) for state in states if state is not None]
