"""The timer role: periodic looks at what is due. APScheduler drives, decisions decide.

Any number of timers may run: each step is a guarded command that takes effect once, whoever wins.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from broker.directory import Colony, Directory
from broker.errors import Overloaded, Unavailable
from broker.reactors.classes import retire_empty
from broker.reactors.deadlines import Deadlines
from broker.reactors.purge import purge_removed
from broker.reactors.requeue import Requeuer
from broker.reactors.stale import StaleExecutors
from broker.store import EventStore

DEADLINE_S = 0.05
"""How often deadlines are looked at; a bound on how late they are met on a server at rest."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Timer:
    """Runs the reactors at their intervals."""

    store: EventStore
    directory: Directory
    requeuer: Requeuer
    deadlines: Deadlines
    stale: StaleExecutors
    stale_every_s: int
    _colonies: list[Colony] = field(default_factory=list[Colony])

    def schedule(self, scheduler: AsyncIOScheduler) -> None:
        """Put the reactors on a scheduler; a run that is late is not made up for."""
        for work, seconds in (
            (self.expire, DEADLINE_S),
            (self.requeue, 1),
            (self.purge, 5),
            (self.retire, 30),
            (self.unregister, self.stale_every_s),
        ):
            scheduler.add_job(  # pyright: ignore[reportUnknownMemberType] - APScheduler 3 is untyped
                patiently(work), "interval", seconds=seconds, coalesce=True, max_instances=1
            )

    async def expire(self) -> None:
        """Fail or retry what ran out of time, in the colonies of the last look at the directory."""
        await self.deadlines.all_due(self._colonies)

    async def unregister(self) -> None:
        """Unregister executors that have been silent for too long."""
        for colony in await self.directory.every():
            await self.stale.unregister(colony)

    async def requeue(self) -> None:
        """Queue again what executors held that left."""
        self._colonies = await self.directory.every()
        for colony in self._colonies:
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
