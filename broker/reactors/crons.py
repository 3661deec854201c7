"""Crons: start their workflows when their time has come."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import tzinfo

import structlog

from broker import keys
from broker.aggregates.cron import CronSkipped, Draft, Occasion, is_unfinished, tick
from broker.aggregates.workflow import WorkflowRow
from broker.decision import Decision
from broker.directory import Colony, Directory
from broker.keys import Tag
from broker.occasion import occasion_of
from broker.reactors.reactor import Reactor

Full = Callable[[Colony], Awaitable[bool]]
"""Whether as many processes wait in a colony as may."""
_Rows = tuple[Occasion, Draft | None]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crons(Reactor):
    """Does it, and tells what happened. ``zone`` is that of expressions that name none."""

    directory: Directory
    full: Full
    zone: tzinfo

    async def tick(self, colony: Colony, cron_id: str) -> None:
        """See what the passing of time means for one cron."""

        async def read(fresh: bool) -> _Rows:  # noqa: FBT001 - run's own shape
            return await self.occasion(colony, cron_id, fresh=fresh)

        def decide(rows: _Rows, now_ns: int) -> Decision:
            occasion, draft = rows
            return tick(occasion, draft, self.zone, now_ns) if draft else Decision()

        for event in await self.act(colony, read, decide):
            if isinstance(event, CronSkipped):
                _log.warning("cron_skipped", colony=colony.name, cron=cron_id, reason=event.reason)

    async def occasion(self, colony: Colony, cron_id: str, *, fresh: bool) -> _Rows:
        """What its firing is judged by."""
        occasion, draft = await occasion_of(
            self.store, self.directory, colony, cron_id, fresh=fresh
        )
        return replace(occasion, full=await self.full(colony)), draft

    async def look_at_held(self, colony: Colony) -> None:
        """Start what waited for a workflow that has ended meanwhile."""
        ids = await self.store.send("SMEMBERS", colony.tag.key(keys.HELD_CRONS))
        for cron_id in (i.decode() for i in ids):
            if not await self._waits(colony.tag, cron_id):
                await self.tick(colony, cron_id)

    async def _waits(self, tag: Tag, cron_id: str) -> bool:
        workflow_id = await self.store.send("HGET", tag.key(keys.cron(cron_id)), "prev")
        if workflow_id is None:
            return False
        name = workflow_id.decode()
        row = (await self.store.hashes(tag, keys.workflow(name)))[0]
        return is_unfinished(WorkflowRow.read(name, row))
