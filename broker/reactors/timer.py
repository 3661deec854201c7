"""The timer role: periodic looks at what is due.

Any number of timers may run: each step is a guarded command that takes effect once, whoever wins.
"""

from dataclasses import dataclass, field
from functools import partial

import structlog

from broker.clock import MS_NS
from broker.directory import Colony, Directory
from broker.keys import Tag
from broker.reactors.classes import retire_empty
from broker.reactors.crons import Crons
from broker.reactors.due import AGAIN_MS, AHEAD_MS, RETRY_MS, Due
from broker.reactors.forget import Forgetter
from broker.reactors.log_retention import LogRetention
from broker.reactors.old_revisions import OldRevisions
from broker.reactors.periodic import Periodic
from broker.reactors.purge import purge_removed
from broker.reactors.reactor import each
from broker.reactors.requeue import Requeuer
from broker.reactors.retention import Retirement
from broker.reactors.stale import StaleExecutors
from broker.store import EventStore

_log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Timer:
    """Runs the reactors at their intervals."""

    store: EventStore
    directory: Directory
    requeuer: Requeuer
    due: Due
    stale: StaleExecutors
    log_retention: LogRetention
    retirement: Retirement
    stale_every_s: int
    crons: Crons
    crons_every_s: float
    forgetter: Forgetter
    old_revisions: OldRevisions
    has_archive: bool = False
    _colonies: list[Colony] = field(default_factory=list[Colony])
    _looks: dict[Tag, int] = field(default_factory=dict[Tag, int])
    """When (Unix ms) to look again at what is due in a colony."""

    def schedule(self, periodic: Periodic) -> None:
        """Put the reactors on their intervals."""
        periodic.every(RETRY_MS / 1_000, self.meet_due)
        periodic.every(1, self.requeue)
        periodic.every(self.crons_every_s, self.look_at_held_crons)
        periodic.every(1, self.forget)
        periodic.every(5, self.purge)
        periodic.every(5, self.trim_logs)
        periodic.every(5, self.purge_finished)
        periodic.every(30, self.retire)
        periodic.every(30, self.remove_old_revisions)
        periodic.every(self.stale_every_s, self.unregister)

    async def meet_due(self) -> float:
        """Do whatever is due, in the colonies of the last look at the directory.

        The result says in how many seconds the next of it is.
        """
        now_ms = self.store.clock.now_ns() // MS_NS
        # Further ahead than anybody looks is from before the store's clock was set back.
        waits = {t for t, ms in self._looks.items() if now_ms < ms <= now_ms + AHEAD_MS + 1}
        near = [colony for colony in self._colonies if colony.tag not in waits]
        looks = await self.due.all_due(near)
        self._looks = {tag: self._looks[tag] for tag in waits}
        self._looks |= {colony.tag: ms for colony, ms in zip(near, looks, strict=True)}
        now_ms = self.store.clock.now_ns() // MS_NS
        soonest_ms = min(self._looks.values(), default=now_ms + AHEAD_MS)
        return max(soonest_ms - now_ms, AGAIN_MS) / 1_000

    async def look_at_held_crons(self) -> None:
        """Start what waited for a workflow that has ended meanwhile."""
        await each(self._colonies, self.crons.look_at_held)

    async def unregister(self) -> None:
        """Unregister executors that have been silent for too long."""
        await each(await self.directory.every(), self.stale.unregister)

    async def requeue(self) -> None:
        """Queue again what executors held that left."""
        self._colonies = await self.directory.every()
        await each(self._colonies, self.requeuer.all_leaving)

    async def forget(self) -> None:
        """Forget removed files that no snapshot names any more."""
        await each(self._colonies, self.forgetter.forget)

    async def purge(self) -> None:
        """Delete what removed colonies left behind."""
        deleted = await purge_removed(self.store, has_archive=self.has_archive)
        if deleted:
            _log.info("purged", keys=deleted)

    async def trim_logs(self) -> None:
        """Forget log lines that are too old or too many."""
        await each(await self.directory.every(), self.log_retention.trim)

    async def purge_finished(self) -> None:
        """Remove finished processes and workflows that are older than they are to be kept."""
        await self.retirement.purge_all(await self.directory.every())

    async def remove_old_revisions(self) -> None:
        """Remove revisions of files that are older, or more, than are to be kept."""
        await self.old_revisions.remove_all(await self.directory.every())

    async def retire(self) -> None:
        """Forget requirement classes in which nothing waits, beyond those that are kept."""
        await each(await self.directory.every(), partial(retire_empty, self.store, self.directory))
