"""The archive in hypertables, where a database with TimescaleDB is at hand.

COLONIES_TEST_TIMESCALE_URL names one. What is in its schema ``colonies`` is deleted.
"""

import os
from collections.abc import AsyncGenerator

import psycopg
import pytest

from broker import archived
from broker.archived import EVENTS, LINES
from broker.errors import Unavailable
from broker.position import START
from projections.archive.archive import Archive
from projections.archive.archiver import Archiver
from projections.archive.entries import Owner
from projections.archive.older import Older
from projections.archive.restore import Restore
from projections.archive.trimming import trim
from projections.core import fold
from projections.landmarks import Surveyor
from projections.replay import verify
from tests.archive.conftest import END, Colony, archive_of, is_whole, plain
from tests.facts import COLONY, TAG

WHERE = "COLONIES_TEST_TIMESCALE_URL"
URL = os.environ.get(WHERE, "")
BOTH = ["001_tables.sql", "001_hypertables.sql"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not URL, reason=f"{WHERE} names no database with TimescaleDB"),
]


@pytest.fixture
async def archive() -> AsyncGenerator[Archive]:
    """An empty archive of hypertables."""
    found = Archive(URL, timescaledb=True)
    await found.tables.drop()
    assert await found.create() == BOTH
    yield found
    await found.tables.drop()
    await found.close()


async def caught_up(colony: Colony, archive: Archive, lines_ms: int = 0) -> None:
    """One archiver copies all there is."""
    archiver = Archiver(colony.store, colony.store, archive, lines_ms=lines_ms)
    await archiver.catch_up(await archiver.logs())


async def test_tables_are_hypertables_of_an_extension_that_is_elsewhere(archive: Archive) -> None:
    """A user named as our schema has that first in its path."""
    assert await archive.create() == []

    async with await psycopg.AsyncConnection.connect(URL) as connection:
        found = await connection.execute(
            "SELECT hypertable_name::text, (SELECT extnamespace::regnamespace::text"
            " FROM pg_extension WHERE extname = 'timescaledb') = 'colonies'"
            " FROM timescaledb_information.hypertables"
            " WHERE hypertable_schema = 'colonies' ORDER BY 1"
        )
        assert await found.fetchall() == [("events", False), ("lines", False)]


async def test_archive_is_begun_anew_on_one_connection(archive: Archive) -> None:
    assert await archive.tables.drop()

    assert await archive.create() == BOTH


async def test_store_is_read_through_and_comes_back(colony: Colony, archive: Archive) -> None:
    await colony.live(100)
    await caught_up(colony, archive)
    assert await is_whole(colony, archive)
    before = plain(await colony.entries())

    await Surveyor(colony.store, fold, every=10).survey()
    assert await trim(colony.store, TAG, END, 0, []) > 0
    assert (await archived.marks(colony.store, TAG)).trimmed > START
    colony.store.older = Older(archive)
    assert (await verify(colony.store, TAG, fold)).differences == ()
    colony.store.older = None

    await colony.store.send("FLUSHALL")
    done = await Restore(colony.store, archive, fold).run()
    assert [(one.colony, one.lines) for one in done] == [(COLONY, 100), ("", 0)]
    assert plain(await colony.entries()) == before


async def test_lines_leave_the_archive_by_whole_chunks(colony: Colony, archive: Archive) -> None:
    await colony.live(3)
    old = (b"1700000000000-1", [b"p", b"", b"e", b"worker", b"m", b"long ago"])
    assert await archive.copy(Owner(COLONY, TAG.text), LINES, START, [old])

    await caught_up(colony, archive, lines_ms=86_400_000)

    left = plain(await archive_of(archive, TAG, LINES))
    assert left == plain(await colony.entries(TAG, LINES))


async def test_archiver_learns_that_tables_were_made_anew_in_another_way(
    colony: Colony, archive: Archive
) -> None:
    await colony.live(1)
    page, owner = await colony.entries(), Owner(COLONY, TAG.text)
    other = Archive(URL, timescaledb=False)
    await other.tables.drop()
    assert await other.create() == BOTH[:1]
    with pytest.raises(Unavailable):
        await archive.copy(owner, EVENTS, START, page)

    archive.tables.forget()

    assert await archive.copy(owner, EVENTS, START, page)
    await other.close()
