"""The archiver of a server process, started and stopped with it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from broker.cluster import way_to_wait
from broker.settings import Settings
from broker.store import EventStore
from projections.archiving import archive_at, archiver_of, older_in
from projections.core import fold

_log = structlog.get_logger(__name__)
_GRACE_S = 5.0
"""For the page that is under way; an archive that hangs keeps no server from ending."""


async def archiving(settings: Settings, store: EventStore) -> Callable[[], Awaitable[None]]:
    """Copy to the archive from now on, whether it is there or not; the result ends that.

    Raises:
        Malformed: the driver is not installed, or the address is none.
    """
    archive = archive_at(settings.archive_url, timescaledb=settings.timescaledb)
    limits = settings.limits
    patience_s = limits.store_timeout_ms / 1_000
    waits = way_to_wait(settings.redis_url, limits.max_in_flight, patience_s)
    await waits.start()
    archiver = archiver_of(store, EventStore(waits, fold, store.clock), archive, settings)
    task = asyncio.get_running_loop().create_task(archiver.run())
    task.add_done_callback(_stopped)

    async def stop() -> None:
        archiver.stop()
        await waits.close()
        await asyncio.wait([task], timeout=_GRACE_S)
        archive.end()
        await asyncio.gather(task, return_exceptions=True)
        await archive.close()

    return stop


def _stopped(task: asyncio.Task[None]) -> None:
    """An archiver that meets a bug stops, loudly; requests are still answered."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("archiver_stopped", error=str(error), kind=type(error).__name__)


def reading_through(settings: Settings, store: EventStore) -> Callable[[], Awaitable[None]]:
    """Read from the archive what was trimmed, when somebody asks for that; the result hangs up.

    Raises:
        Malformed: the driver is not installed, or the address is none.
    """
    archive = archive_at(settings.archive_url)
    store.older = older_in(archive)
    return archive.close
