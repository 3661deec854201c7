"""A colony as it was: its log folded up to a position, and read like the live rows."""

from collections import Counter
from collections.abc import Callable

from api import wire_colony, wire_process
from api.census import Census, statistics
from api.history.log import History, Log
from api.present import shown_process
from broker import keys
from broker.access import EXECUTOR, MemberState, number_in
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.envelope import RawEntry, position_of, read_event
from broker.keys import Key
from broker.position import START, Position
from projections.core import fold
from projections.replay import pages
from projections.rows import Rows

_QUEUES = "q:"


class Past:
    """A colony at one moment."""

    def __init__(self, history: History, log: Log, until: Position) -> None:
        self._history = history
        self._log = log
        self._until = until
        self.position = START
        """The last event of that moment."""

    async def process(self, process_id: str) -> wire_process.Process | None:
        """A process as it was then, None when it was not there.

        A fold reads nothing, so whatever changes a row names it: other events are passed over.
        """
        row, name = keys.process(process_id), process_id.encode()
        rows = await self._folded(lambda raw: _names(raw, name), lambda key: key == row)
        found = ProcessRow.read(process_id, rows.hash(row))
        return shown_process(found, self._log.name) if found else None

    async def queue(self) -> list[wire_process.Process]:
        """The processes that waited then, in the order in which they would have been taken."""
        rows = await self._folded(lambda _: True, lambda key: key.startswith((_QUEUES, "p:")))
        waiting = sorted(
            member.decode()
            for key in rows.values()
            if key.startswith(_QUEUES)
            for member in rows.members(key)
        )
        ids = [keys.queued_process(member) for member in waiting]
        found = [ProcessRow.read(i, rows.hash(keys.process(i))) for i in ids]
        return [shown_process(row, self._log.name) for row in found if row is not None]

    async def statistics(self) -> wire_colony.Statistics:
        """How many of what there were."""
        counted = [*map(keys.workflows, range(len(State))), *map(keys.listing, range(len(State)))]
        wanted = {keys.NAMES, *counted}
        rows = await self._folded(
            lambda _: True, lambda key: key in wanted or key.startswith(("m:", _QUEUES))
        )
        size = Counter({key: len(rows.members(key)) for key in counted})
        waiting = sum(len(rows.members(k)) for k in rows.values() if k.startswith(_QUEUES))
        processes = {state: size[keys.listing(int(state))] for state in State}
        census = Census(
            members=_executors(rows),
            processes=processes | {State.WAITING: waiting},
            workflows={state: size[keys.workflows(int(state))] for state in State},
        )
        return statistics([census])

    async def _folded(
        self, reads: Callable[[RawEntry], bool], keeps: Callable[[Key], bool]
    ) -> Rows:
        """Fold the events that may matter into the rows that do."""
        rows = Rows()
        async for page in pages(self._history.store, self._log.tag, START, self._until):
            for raw in page:
                if reads(raw):
                    for write in fold(read_event(raw)):
                        if keeps(write[1]):
                            rows.apply(write)
            self.position = position_of(page[-1])
        return rows


def _names(raw: RawEntry, text: bytes) -> bool:
    return any(text in value for value in raw[1])


def _executors(rows: Rows) -> list[MemberState]:
    prefix = f"{EXECUTOR}/".encode()
    ids = [v.decode() for name, v in rows.hash(keys.NAMES).items() if name.startswith(prefix)]
    members = [rows.hash(keys.member(i)) for i in ids]
    return [MemberState(number_in(row, b"state")) for row in members if row]
