"""The timer role: periodic looks at what is due. APScheduler drives, decisions decide.

Any number of timers may run: each step is a guarded command that takes effect once, whoever wins.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from broker.directory import Directory
from broker.errors import Overloaded, Unavailable
from broker.reactors.classes import retire_empty
from broker.reactors.purge import purge_removed
from broker.reactors.requeue import Requeuer
from broker.store import EventStore

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Runs the reactors at their intervals."""

    store: EventStore
    directory: Directory
    requeuer: Requeuer

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Put the reactors on a scheduler; a run that is late is not made up for."""
        for work, seconds in ((self.requeue, 1), (self.purge, 5), (self.retire, 30)):
            scheduler.add_job(  # pyright: ignore[reportUnknownMemberType] - APScheduler 3 is untyped
                patiently(work), "interval", seconds=seconds, coalesce=True, max_instances=1
            )

    async def requeue(self) -> None:
        """Queue again what executors held that left."""
        for colony in await self.directory.every():
            await self.requeuer.all_leaving(colony)

    async def purge(self) -> None:
        """Delete what removed colonies left behind."""
        deleted = await purge_removed(self.store)
        if deleted:
            _log.info("purged", keys=deleted)

    async def retire(self) -> None:
        """Forget requirement classes in which nothing waits."""
        for colony in await self.directory.every():
            await retire_empty(self.store, self.directory, colony)


def patiently(work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """The same work, which leaves a store that is away for the next time."""

    async def run() -> None:
        try:
            await work()
        except (Unavailable, Overloaded) as error:
            _log.warning("postponed", work=getattr(work, "__name__", ""), error=str(error))

    return run
