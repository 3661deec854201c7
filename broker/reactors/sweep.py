"""End or remove the processes of a workflow that has failed, was cancelled or is being removed.

The event that begins it also puts it into keys.DUE. Whoever is first does the work, in bounded
steps, each an ordinary guarded command; when all processes have been seen to, the entry is taken
off. A server that dies half-way leaves the entry for the next, which begins anew and finds nothing
to do where it has been.
"""

from dataclasses import dataclass

from broker import keys
from broker.access import Hash
from broker.aggregates import dissolution
from broker.aggregates.process_row import ProcessRow
from broker.decision import Decision
from broker.directory import Colony
from broker.reactors.reactor import Reactor
from broker.standing import workflow_fields

_STEP = 100

_Rows = tuple[Hash, list[ProcessRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper(Reactor):
    """Does it, and tells what happened."""

    async def sweep(self, colony: Colony, workflow_id: str) -> None:
        """See to every process of a workflow."""
        aimed = dissolution.aim(await self._row(colony, workflow_id))
        if aimed is None:
            return
        nodes, first = colony.tag.key(keys.nodes(workflow_id)), 0
        while page := await self.store.send("ZRANGE", nodes, first, first + _STEP - 1):
            await self._step(colony, workflow_id, aimed, [i.decode() for i in page])
            first += _STEP
        row, now_ns = await self._row(colony, workflow_id), self.store.clock.now_ns()
        finished = dissolution.swept(workflow_id, row, aimed, now_ns)
        await self.append(colony, finished)

    async def _row(self, colony: Colony, workflow_id: str) -> Hash:
        return await workflow_fields(self.store, colony.tag, workflow_id)

    async def _step(self, colony: Colony, workflow_id: str, aimed: int, ids: list[str]) -> None:
        async def read(_fresh: bool) -> _Rows:  # noqa: FBT001 - run's own shape
            row = await self._row(colony, workflow_id)
            hashes = await self.store.hashes(colony.tag, *(keys.process(i) for i in ids))
            found = (ProcessRow.read(i, h) for i, h in zip(ids, hashes, strict=True))
            return row, [process for process in found if process is not None]

        def decide(rows: _Rows, now_ns: int) -> Decision:
            return dissolution.sweep(workflow_id, rows[0], aimed, rows[1], now_ns)

        await self.act(colony, read, decide)
