"""Generators: start workflows with what has waited long enough.

Those that are full need nobody: the pack that fills one starts its workflow.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from broker.aggregates.generator import Batch, GeneratorPostponed, GeneratorRow, flush
from broker.decision import Decision
from broker.directory import Colony, Directory
from broker.occasion import batch_of, generator_row
from broker.reactors.reactor import Reactor

Full = Callable[[Colony], Awaitable[bool]]
"""Whether as many processes wait in a colony as may."""
_Rows = tuple[GeneratorRow | None, Batch | None]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generators(Reactor):
    """Does it, and tells what happened."""

    directory: Directory
    full: Full

    async def flush(self, colony: Colony, generator_id: str) -> None:
        """See what the passing of time means for one generator."""

        async def read(_fresh: bool) -> _Rows:  # noqa: FBT001 - run's own shape
            row = await generator_row(self.store, colony.tag, generator_id)
            return row, await self.batch(colony, row) if row else None

        def decide(rows: _Rows, now_ns: int) -> Decision:
            row, batch = rows
            return flush(row, batch, now_ns) if batch else Decision()

        for event in await self.act(colony, read, decide):
            if isinstance(event, GeneratorPostponed):
                told = {"generator": generator_id, "reason": event.reason}
                _log.warning("generator_postponed", colony=colony.name, **told)

    async def batch(self, colony: Colony, row: GeneratorRow) -> Batch:
        """What a workflow would be started with now."""
        full = await self.full(colony)
        return await batch_of(self.store, self.directory, colony, row, full=full)
