"""The archive of a store, opened for whoever looks after it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from broker.clock import MS_NS
from broker.position import START, Position
from broker.store import EventStore
from projections.archiving import archive_at, restore_from

if TYPE_CHECKING:
    from projections.archive.archive import Archive
    from projections.archive.restore import Restored


@asynccontextmanager
async def opened(url: str, *, timescaledb: bool | None = None) -> "AsyncGenerator[Archive]":
    """The archive at an address, whether it is there or not.

    Raises:
        Malformed: the address is none, or the driver is not installed.
    """
    archive = archive_at(url, timescaledb=timescaledb)
    try:
        yield archive
    finally:
        await archive.close()


async def restored(store: EventStore, url: str, lines_s: int) -> "list[Restored]":
    """Bring an empty store back from its archive; log lines up to an age in seconds, 0 for all.

    Raises:
        Clash, NotFound, Corrupt, Unavailable, Malformed: see ``projections.archive.restore``.
    """
    await store.look_at_clock()
    now_ms = store.clock.now_ns() // MS_NS
    since = Position(max(0, now_ms - lines_s * 1_000), 0) if lines_s else START
    async with opened(url) as archive:
        return await restore_from(archive, store, since).run()
