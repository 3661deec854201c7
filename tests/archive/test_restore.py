"""An empty store and the archive give the colony back, killed or not, and no half is served."""

import asyncio
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from broker import keys
from broker.archived import LINES
from broker.decision import Decision
from broker.envelope import position_of
from broker.errors import Clash, Corrupt, NotFound
from broker.keys import SERVER
from broker.store import Signed
from projections.archive.archive import Archive
from projections.archive.archiver import Archiver
from projections.archive.restore import _MOST as BATCH  # pyright: ignore[reportPrivateUsage]
from projections.archive.restore import Restore
from projections.core import fold
from projections.replay import verify
from tests.acceptance.asking import eventually
from tests.acceptance.conftest import settings_on
from tests.acceptance.processes import launched, started
from tests.archive.conftest import Colony, eventually_whole
from tests.cli.conftest import Shell
from tests.facts import COLONY, SECOND, T0, TAG, USER, submitted
from tests.patience import PATIENCE_S
from tests.stepwise import Stepwise
from tests.store.ground import append, everything

pytestmark = pytest.mark.real
LIVES = 400


async def archived_and_lost(colony: Colony, archive: Archive) -> dict[bytes, Any]:
    """Everything that the store had when it was archived and lost, but what is not history."""
    await append(colony.store, replace(submitted(), priority_time=T0 - 1))
    archiver = Archiver(colony.store, colony.store, archive)
    await archiver.catch_up(await archiver.logs())
    before = await history_in(colony)
    await colony.store.send("FLUSHALL")
    return before


async def history_in(colony: Colony) -> dict[bytes, Any]:
    """All keys that come back."""
    found = await everything(colony.store._link)  # pyright: ignore[reportPrivateUsage] - it takes links
    return {name: value for name, value in found.items() if b":v:" not in name}


async def test_store_is_as_it_was(colony: Colony, archive: Archive) -> None:
    await colony.live(20)
    before = await archived_and_lost(colony, archive)

    done = await Restore(colony.store, archive, fold).run()

    assert await history_in(colony) == before
    assert [(one.colony, one.events, one.lines) for one in done] == [(COLONY, 66, 20), ("", 2, 0)]
    with pytest.raises(Clash):
        await Restore(colony.store, archive, fold).run()
    assert await history_in(colony) == before


async def test_requests_that_are_kept_come_back(colony: Colony, archive: Archive) -> None:
    asked = Signed(caller=USER, proof=b"p" * 97, request=b"e30=" * 10_000)
    await colony.store.append(TAG, Decision(events=(submitted(), submitted(SECOND))), asked)
    carried = [each.signed async for each in colony.store.events(TAG)]
    await archived_and_lost(colony, archive)

    await Restore(colony.store, archive, fold).run()

    back = [each.signed async for each in colony.store.events(TAG)]
    assert back[:-1] == carried
    assert carried[-2:] == [asked.proof + asked.request, asked.proof]


async def test_colony_that_is_there_is_not_written_over(colony: Colony, archive: Archive) -> None:
    await archived_and_lost(colony, archive)
    await append(colony.store, submitted())
    before = await history_in(colony)

    with pytest.raises(Clash, match="already"):
        await Restore(colony.store, archive, fold).run()

    assert await history_in(colony) == before
    assert await colony.store.send("EXISTS", SERVER.key(keys.RESTORING)) == 0


async def test_log_lines_come_back_up_to_an_age(colony: Colony, archive: Archive) -> None:
    await colony.live(10)
    middle = position_of((await colony.entries(TAG, LINES))[4])
    await archived_and_lost(colony, archive)

    done = await Restore(colony.store, archive, fold, middle).run()

    assert [one.lines for one in done] == [5, 0]
    assert position_of((await colony.entries(TAG, LINES))[0]) > middle


def test_restore_without_an_archive_says_what_to_set() -> None:
    ran = Shell({"COLONIES_REDIS_URL": "unix:///none"})("history restore")

    assert (ran.code, "COLONIES_ARCHIVE_URL" in ran.err) == (2, True)


async def test_empty_archive_restores_nothing(colony: Colony, archive: Archive) -> None:
    await colony.store.send("FLUSHALL")

    with pytest.raises(NotFound):
        await Restore(colony.store, archive, fold).run()

    assert await everything(colony.store._link) == {}  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "change",
    [
        "events SET exact = '\\x05'",
        "events SET exact = '\\x9100'",
        "events SET body = '\\xc1'",
        "events SET type = 'Unheard'",
        "lines SET process = 'no hex', exact = NULL",
        "lines SET exact = '\\x9100'",
    ],
)
async def test_archive_that_was_tampered_with_leaves_a_store_that_serves_nobody(
    colony: Colony, archive: Archive, archive_url: str, change: str
) -> None:
    await colony.live(3)
    await archived_and_lost(colony, archive)
    async with await psycopg.AsyncConnection.connect(archive_url) as connection:
        await connection.execute(f"UPDATE colonies.{change}".encode())

    with pytest.raises(Corrupt):
        await Restore(colony.store, archive, fold).run()

    assert await colony.store.send("EXISTS", SERVER.key(keys.EVENTS)) == 0


async def test_killed_restore_is_gone_on_with_and_serves_nobody_before(
    colony: Colony, archive: Archive, archive_url: str, redis_url: str
) -> None:
    await colony.live(LIVES)
    before = await archived_and_lost(colony, archive)
    environ = {"COLONIES_REDIS_URL": redis_url, "COLONIES_ARCHIVE_URL": archive_url}
    reached = [0]
    for batches in (2, 5):
        run, wanted = restoring(environ), reached[-1] + batches * BATCH
        try:
            run.step(batches)
            await eventually(lambda wanted=wanted: _has(colony, wanted), "events are back")
        finally:
            run.kill()
        reached.append(int(await colony.store.send("XLEN", TAG.key(keys.EVENTS))))
        assert await colony.store.send("EXISTS", SERVER.key(keys.EVENTS)) == 0
        assert (await verify(colony.store, TAG, fold)).differences == ()
    assert reached == sorted(set(reached)), "none went on where the one before it was killed"
    with launched(settings_on(redis_url, archive_url=archive_url)) as refused:
        assert "being restored" in refused.log.entry("cannot_start").error
        assert await asyncio.to_thread(refused.ended) == 1

    assert restoring(environ).finish(PATIENCE_S) == 0

    assert await history_in(colony) == before
    with started(settings_on(redis_url, archive_url=archive_url)) as server:
        await colony.live(1)
        await eventually_whole(colony, archive)
        assert server.stop() == 0
    assert (await verify(colony.store, TAG, fold)).differences == ()


async def _has(colony: Colony, events: int) -> bool:
    return int(await colony.store.send("XLEN", TAG.key(keys.EVENTS))) >= events


def restoring(environ: dict[str, str]) -> Stepwise:
    """The command, begun; a step brings a batch of events back."""
    return Stepwise("restore", ("history", "restore"), environ)
