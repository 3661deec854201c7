"""What happens is in the archive exactly once, whatever happens to archivers and to PostgreSQL."""

import asyncio
import random
import re
import secrets
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from broker import archived, keys
from broker.aggregates.server import ColonyUnregistered
from broker.archived import EVENTS, LINES
from broker.decision import Decision
from broker.envelope import position_of
from broker.errors import Unavailable
from broker.keys import SERVER
from broker.logs import Retention, trim
from broker.position import START
from broker.reactors.purge import purge_removed
from broker.settings import Limits, Role
from broker.store import BY_SERVER, Claimed, Signed
from projections.archive.archive import Archive
from projections.archive.archiver import Archiver
from projections.archive.entries import Owner
from tests.acceptance.conftest import settings_on
from tests.acceptance.processes import Server, launched, started
from tests.archive.conftest import (
    END,
    Colony,
    archive_of,
    eventually_whole,
    is_whole,
    plain,
    store_at,
)
from tests.facts import COLONY, LATER, OWNER, SUFFIX, TAG, USER, closed, server_founded, submitted
from tests.postgres import Postgres, running_postgres
from tests.relay import relay_to
from tests.store.ground import append, claim

pytestmark = pytest.mark.real
DOCUMENT = Path(__file__).parents[2] / "docs" / "archive.md"
KILLS = 4
PATIENCE_S = 60
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


async def test_archiver_goes_on_behind_an_assignment_as_the_script_wrote_it(
    colony: Colony, archive: Archive
) -> None:
    """Its fields are in another order than those of all other events."""
    await append(colony.store, submitted())
    given = await colony.store.claim(TAG, claim(epoch=1), BY_SERVER)
    assert isinstance(given, Claimed)
    await caught_up(colony, archive)
    await append(colony.store, closed(given.process_id))

    await caught_up(colony, archive)

    assert await archived.is_whole(colony.store, TAG)


async def test_function_with_a_name_too_long_for_an_index_is_archived(
    colony: Colony, archive: Archive
) -> None:
    """Whoever may submit chooses it, and one that compresses badly is what an index refuses."""
    await append(colony.store, replace(submitted(), function=secrets.token_hex(4_000)))

    await caught_up(colony, archive)

    assert await is_whole(colony, archive)


async def test_entry_that_the_archive_has_beyond_its_position_stops_no_other_log(
    colony: Colony, archive: Archive, archive_url: str
) -> None:
    """A backup that was not taken in one piece is such an archive."""
    await caught_up(colony, archive)
    async with await psycopg.AsyncConnection.connect(archive_url) as connection:
        await connection.execute("DELETE FROM colonies.positions WHERE tag = %s", [TAG.text])
    await append(colony.store, replace(server_founded(), at_ns=LATER), tag=SERVER)

    await caught_up(colony, archive)

    assert len(await archive_of(archive, SERVER)) == len(await colony.entries(SERVER))
    said = await archived.state(colony.store)
    assert said is not None
    assert "does not take" in said.why


async def test_page_that_another_archiver_copied_is_not_copied_again(
    colony: Colony, archive: Archive
) -> None:
    page, owner = await colony.entries(), Owner(COLONY, TAG.text)

    answers = [await archive.copy(owner, EVENTS, START, page) for _ in range(2)]

    assert answers == [True, False]
    assert plain(await archive_of(archive)) == plain(page)


async def test_page_goes_on_over_years_in_which_nothing_was_said(archive: Archive) -> None:
    days = (0, 3, 5, 40, 400, 4_000, 4_001)
    said = [b"p", b"", b"e", b"worker", b"m", b"a line"]
    page = [(b"%d-0" % (1_300_000_000_000 + day * 86_400_000), said) for day in days]
    assert await archive.copy(Owner(COLONY, TAG.text), LINES, START, page)

    for count in (1, 2, 3, 10):
        found = list[tuple[bytes, list[bytes]]]()
        after = START
        while got := await archive.page(TAG, after, END, count, LINES):
            found += plain(got)
            after = position_of(got[-1])
        assert found == plain(page)


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
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
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
        # It lets everybody know only after that.
        await until_said(server, "does not answer")

        status, said, metrics = await said_of_archive(server)
        assert (status, "does not answer" in said) == (200, True), said
        assert "colonies_archive_up 0.0" in metrics
        assert f'colonies_archive_lag_seconds{{colony="{COLONY}"}}' in metrics
        done = (await archived.marks(colony.store, TAG)).lines
        assert await trim(colony.store, TAG, keep, until=done) == 0
        assert len(await colony.entries(TAG, LINES)) == 5

        mortal.start()
        await eventually_whole(colony, archive)
        await until_said(server, "ok")
        done = (await archived.marks(colony.store, TAG)).lines
        assert await trim(colony.store, TAG, keep, until=done) == 5
    await archive.close()


async def test_archive_that_hangs_is_given_up_and_asked_again(
    postgres: Postgres, archive: Archive, archive_url: str
) -> None:
    impatient = Archive(archive_url, patience_s=2)
    assert await archive.positions() == await impatient.positions() == []
    with postgres.hanging(archive_url), pytest.raises(Unavailable, match="does not answer"):
        await impatient.positions()

    assert await impatient.positions() == []
    await impatient.close()


async def test_archive_that_may_not_be_written_to_is_asked_anew(
    colony: Colony, archive: Archive, archive_url: str
) -> None:
    """As a replica that takes over, or one that the name of the primary led to for a while."""
    await archive.close()
    async with await psycopg.AsyncConnection.connect(archive_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        only = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
        await connection.execute(only.format(name, sql.Literal("on")))
        with pytest.raises(Unavailable, match="read-only"):
            await caught_up(colony, archive)
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(only.format(name, sql.Literal("off")))

    await caught_up(colony, archive)

    assert await is_whole(colony, archive)


async def blocked(colony: Colony) -> set[str]:
    """The connections on which somebody waits for streams."""
    lines = (await colony.store.send("CLIENT", "LIST")).decode().splitlines()
    return {line.split()[0] for line in lines if " flags=b" in line}


async def test_archiver_goes_on_when_its_way_to_the_store_died_without_a_word(
    colony: Colony, archive: Archive, archive_url: str, redis_url: str
) -> None:
    limits = Limits(store_timeout_ms=1_000)
    others = await blocked(colony)
    async with relay_to(redis_url) as relay:
        environ = settings_on(relay.url, roles=ONLY, archive_url=archive_url, limits=limits)
        with ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, started(environ))
            await eventually_whole(colony, archive)
            async with asyncio.timeout(PATIENCE_S):
                while await blocked(colony) <= others:  # noqa: ASYNC110 - another process' doing
                    await asyncio.sleep(0)

            relay.fall_silent()
            await colony.live(1)

            await eventually_whole(colony, archive)


async def test_server_ends_while_the_archive_hangs(
    colony: Colony, mortal: Postgres, redis_url: str
) -> None:
    url = mortal.database()
    archive = Archive(url)
    await archive.create()
    with started(settings_on(redis_url, archive_url=url)) as server:
        await eventually_whole(colony, archive)
        await archive.close()
        with mortal.hanging(url):
            await colony.live(1)

            assert await asyncio.to_thread(server.stop) == 0


async def until_said(server: Server, text: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while text not in (await said_of_archive(server))[1]:  # noqa: ASYNC110 - another process' doing
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


async def test_removed_colony_is_deleted_once_it_is_archived(
    colony: Colony, archive: Archive
) -> None:
    await colony.live(2)
    gone = ColonyUnregistered(
        subject=COLONY, actor=OWNER, at_ns=LATER, suffix=SUFFIX, colony_ids=[OWNER]
    )
    await append(colony.store, gone, tag=SERVER)
    assert await purge_removed(colony.store, has_archive=True) == 0
    events = len(await colony.entries())

    await caught_up(colony, archive)

    assert await purge_removed(colony.store, has_archive=True) > 0
    assert await colony.entries() == []
    assert len(await archive_of(archive)) == events
    assert (await archive_of(archive))[-1][1][1] == b"ColonyDissolved"
    await caught_up(colony, archive)
    assert await colony.store.send("KEYS", TAG.key("*")) == []


async def test_lines_leave_the_archive_by_whole_months(colony: Colony, archive: Archive) -> None:
    await colony.live(3)
    old = (b"1700000000000-1", [b"p", b"", b"e", b"worker", b"m", b"long ago"])
    owner = Owner(COLONY, TAG.text)
    assert await archive.copy(owner, LINES, START, [old])
    archiver = Archiver(colony.store, colony.store, archive, lines_ms=86_400_000)

    await archiver.catch_up(await archiver.logs())

    left = plain(await archive_of(archive, TAG, LINES))
    assert left == plain(await colony.entries(TAG, LINES))


async def test_log_of_which_the_archive_has_forgotten_the_last_line_is_gone_on_with(
    colony: Colony, archive: Archive
) -> None:
    """The store may keep lines for longer than the archive, and nothing is said for months."""
    said = ("p", b"", "e", "worker", "m", "long ago")
    await colony.store.send("XADD", TAG.key(keys.LOGS), "1700000000000-1", *said)
    archiver = Archiver(colony.store, colony.store, archive, lines_ms=86_400_000)
    await archiver.catch_up(await archiver.logs())
    assert await archive_of(archive, TAG, LINES) == []
    await colony.live(1)

    await caught_up(colony, archive)

    left = plain(await archive_of(archive, TAG, LINES))
    assert left == plain(await colony.entries(TAG, LINES))[1:]


async def test_tables_are_made_once_whoever_is_at_it(archive_url: str) -> None:
    several = [Archive(archive_url) for _ in range(4)]

    applied = await asyncio.gather(*(one.create() for one in several))

    assert sorted(applied) == [[], [], [], ["001_tables.sql"]]
    for one in several:
        await one.close()


def test_archiver_says_what_it_made(archive_url: str, redis_url: str) -> None:
    with launched(settings_on(redis_url, roles=ONLY, archive_url=archive_url)) as server:
        said = server.log.until(lambda line: "archive_made" in line)

    assert "001_tables.sql" in said


async def test_timescaledb_that_the_server_has_not_loaded_is_none(archive_url: str) -> None:
    """As where its package is installed and nothing else was done: creating it hangs up."""
    async with await psycopg.AsyncConnection.connect(archive_url, autocommit=True) as connection:
        named = "CREATE VIEW pg_available_extensions AS SELECT 'timescaledb'::name AS name"
        await connection.execute(named)
        name = sql.Identifier(connection.info.dbname)
        shown = sql.SQL("ALTER DATABASE {} SET search_path = public, pg_catalog")
        await connection.execute(shown.format(name))
    insisting, content = Archive(archive_url, timescaledb=True), Archive(archive_url)

    with pytest.raises(Unavailable, match="timescaledb"):
        await insisting.create()

    assert await content.create() == ["001_tables.sql"]
    for one in (insisting, content):
        await one.close()


@pytest.mark.parametrize("text", re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL))
async def test_question_of_the_docs_has_an_answer(
    colony: Colony, archive: Archive, archive_url: str, text: str
) -> None:
    await colony.live(3)
    asked = Signed(caller=USER, proof=b"p" * 97, request=b64encode(b'{"msgtype":"x"}'))
    await colony.store.append(TAG, Decision(events=(submitted(),)), asked)
    await caught_up(colony, archive)

    async with await psycopg.AsyncConnection.connect(archive_url) as connection:
        found = await (await connection.execute(text.encode())).fetchall()

    assert found
