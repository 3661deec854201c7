"""Deadlines: fail, or queue once more, what ran out of time; offer again what was delayed."""

from collections.abc import Callable
from dataclasses import dataclass

from broker import keys
from broker.aggregates.process_retry import expire, offer
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.succession import Kin, follow
from broker.decision import Decision
from broker.directory import Classes, Colony, Directory
from broker.kinship import kin_of
from broker.reactors.reactor import Reactor

_Rows = tuple[ProcessRow | None, Kin, Classes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines(Reactor):
    """Meets deadlines, and tells what happened."""

    directory: Directory

    async def expire(self, colony: Colony, process_id: str) -> None:
        """See what the passing of time means for one process."""
        await self._decided(colony, process_id, _decide_to_expire)

    async def offer(self, colony: Colony, process_id: str) -> None:
        """Offer one process again that was delayed."""
        await self._decided(colony, process_id, _decide_to_offer)

    async def _decided(
        self, colony: Colony, process_id: str, decide: Callable[[_Rows, int], Decision]
    ) -> None:
        async def read(fresh: bool) -> _Rows:  # noqa: FBT001 - run's own shape
            stored = (await self.store.hashes(colony.tag, keys.process(process_id)))[0]
            row = ProcessRow.read(process_id, stored)
            kin = (
                await kin_of(self.store, colony.tag, row, succeeds=False)
                if row
                else Kin(workflow=None)
            )
            classes = await self.directory.classes(colony, fresh=fresh)
            return row, kin, classes

        await self.act(colony, read, decide)


def _decide_to_offer(rows: _Rows, now_ns: int) -> Decision:
    return offer(rows[0], rows[2].by_key, now_ns)


def _decide_to_expire(rows: _Rows, now_ns: int) -> Decision:
    row, kin, classes = rows
    decided = expire(row, classes.by_key, now_ns)
    return follow(decided, row, kin, classes.by_key) if row is not None else decided
