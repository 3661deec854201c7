"""The archive of a store, opened for whoever looks after it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from projections.archiving import archive_at

if TYPE_CHECKING:
    from projections.archive.archive import Archive


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
