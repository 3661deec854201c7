"""What happens is in the archive exactly once, whatever happens to archivers and to PostgreSQL."""

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from broker import archived
from broker.archived import EVENTS, LINES
from broker.keys import SERVER
from broker.logs import Retention, trim
from broker.position import START
from broker.settings import Role
from projections.archive.archive import Archive
from projections.archive.archiver import Archiver
from projections.archive.entries import Owner
from tests.acceptance.conftest import settings_on
from tests.acceptance.processes import Server, started
from tests.archive.conftest import (
    Colony,
    archive_of,
    eventually_whole,
    is_whole,
    plain,
    store_at,
)
from tests.facts import COLONY, TAG, submitted
from tests.postgres import Postgres, running_postgres
from tests.store.ground import append

pytestmark = pytest.mark.real
KILLS = 4
ONLY = frozenset({Role.ARCHIVER})


async def caught_up(colony: Colony, archive: Archive) -> None:
    """One archiver copies all there is."""
    archiver = Archiver(colony.store, colony.store, archive)
    await archiver.catch_up(await archiver.logs())


async def test_every_entry_is_archived_as_it_was(colony: Colony, archive: Archive) -> None:
    await colony.live(20)

    await caught_up(colony, archive)

    assert await is_whole(colony, archive)
    counts = {(one.owner.tag, one.log): one.count for one in await archive.positions()}
    assert counts == {(SERVER.text, EVENTS): 2, (TAG.text, EVENTS): 65, (TAG.text, LINES): 20}
    assert await archived.is_whole(colony.store, TAG)


async def test_page_that_another_archiver_copied_is_not_copied_again(
    colony: Colony, archive: Archive
) -> None:
    page, owner = await colony.entries(), Owner(COLONY, TAG.text)

    answers = [await archive.copy(owner, EVENTS, START, page) for _ in range(2)]

    assert answers == [True, False]
    assert plain(await archive_of(archive)) == plain(page)


async def test_killed_archivers_leave_nothing_out_and_nothing_twice(
    colony: Colony, archive: Archive, archive_url: str, redis_url: str
) -> None:
    """Of two at a time one is killed at a random moment while the colony lives."""
    environ = settings_on(redis_url, roles=ONLY, archive_url=archive_url)
    drawn = random.Random(7)  # noqa: S311 - when to kill is no secret
    done = asyncio.Event()
    living = asyncio.create_task(live_until(done, redis_url))
    with ExitStack() as stack:
        two = deque(stack.enter_context(started(environ)) for _ in range(2))
        for _ in range(KILLS):
            await asyncio.wait([living], timeout=drawn.uniform(0.0, 0.6))
            two.popleft().kill()
            two.append(await asyncio.to_thread(stack.enter_context, started(environ)))
        done.set()
        await living
        await eventually_whole(colony, archive)
        assert [server.stop() for server in two] == [0, 0]
    counts = {(one.owner.tag, one.log): one.count for one in await archive.positions()}
    assert counts[TAG.text, EVENTS] == len(await colony.entries())


async def live_until(done: asyncio.Event, redis_url: str) -> None:
    """Processes come and go all the while."""
    async with store_at(redis_url) as store:
        lively = Colony(store)
        while not done.is_set():
            await lively.live(1)


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A PostgreSQL of one's own."""
    with running_postgres() as server:
        yield server


async def said_of_archive(server: Server) -> tuple[int, str, str]:
    """Whether it is ready, what it says of the archive, and its metrics."""
    async with httpx.AsyncClient() as client:
        ready = await client.get(f"{server.url}/health/ready")
        metrics = await client.get(f"{server.url}/metrics")
    return ready.status_code, ready.json()["archive"], metrics.text


async def test_archive_that_is_away_delays_deletion_and_nothing_else(
    colony: Colony, mortal: Postgres, redis_url: str
) -> None:
    url = mortal.database()
    archive = Archive(url)
    await archive.create()
    keep = Retention(age_s=0, size=1)
    with started(settings_on(redis_url, archive_url=url)) as server:
        await eventually_whole(colony, archive)
        await archive.close()
        mortal.stop()
        await colony.live(5)
        server.log.entry("archive_postponed")

        status, said, metrics = await said_of_archive(server)
        assert (status, "does not answer" in said) == (200, True), said
        assert "colonies_archive_up 0.0" in metrics
        assert f'colonies_archive_lag_seconds{{colony="{COLONY}"}}' in metrics
        done = (await archived.marks(colony.store, TAG)).lines
        assert await trim(colony.store, TAG, keep, until=done) == 0
        assert len(await colony.entries(TAG, LINES)) == 5

        mortal.start()
        await eventually_whole(colony, archive)
        await until_up(server)
        done = (await archived.marks(colony.store, TAG)).lines
        assert await trim(colony.store, TAG, keep, until=done) == 5
    await archive.close()


async def until_up(server: Server) -> None:
    async with asyncio.timeout(30):
        while (await said_of_archive(server))[1] != "ok":  # noqa: ASYNC110 - another process' doing
            await asyncio.sleep(0.05)


async def test_archive_of_another_store_is_left_alone(colony: Colony, archive: Archive) -> None:
    await caught_up(colony, archive)
    before = plain(await archive_of(archive))
    await colony.store.send("DEL", TAG.key("events"))
    await append(colony.store, submitted())
    archiver = Archiver(colony.store, colony.store, archive)

    await archiver.catch_up(await archiver.logs())

    assert plain(await archive_of(archive)) == before
    said = await archived.state(colony.store)
    assert said is not None
    assert "another" in said.why


async def test_event_that_cannot_be_read_stops_its_log_and_no_other(
    colony: Colony, archive: Archive
) -> None:
    await caught_up(colony, archive)
    await colony.store.send("XADD", TAG.key("events"), "*", "type", "Unheard", "v", "1")
    await colony.live(1)
    await caught_up(colony, archive)

    assert plain(await archive_of(archive, TAG, LINES)) == plain(await colony.entries(TAG, LINES))
    assert len(await archive_of(archive)) == len(await colony.entries()) - 4
    assert not await archived.is_whole(colony.store, TAG)
