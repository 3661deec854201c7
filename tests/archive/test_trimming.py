"""Trimming passes neither the archive nor a checkpoint, and no reader misses what is gone."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from api.history.log import History, Log
from api.history.moment import Past
from api.telling import Filter
from broker import archived, keys
from broker.aggregates.server import ColonyRegistered
from broker.archived import EVENTS
from broker.directory import Colony as Place
from broker.envelope import position_of
from broker.errors import Trimmed, Unavailable
from broker.keys import SERVER, Tag
from broker.pipeline import Reply
from broker.position import START, Position
from broker.reading import Link
from broker.settings import Role
from broker.store import EventStore
from projections import builds
from projections.archive.archive import Archive
from projections.archive.archiver import Archiver
from projections.archive.older import Older
from projections.archive.trimming import trim
from projections.core import fold
from projections.functions import FUNCTIONS, read
from projections.landmarks import Surveyor
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.replay import verify
from tests.acceptance.asking import Api, eventually, opened
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import tag_of
from tests.acceptance.processes import started
from tests.acceptance.sockets import asked_for_events, events_of
from tests.acceptance.tenants import found
from tests.archive.conftest import END, Colony, archive_of, plain, store_at
from tests.facts import COLONY, SERVER_OWNER, SUFFIX, T0, TAG
from tests.postgres import Postgres
from tests.store.ground import append

pytestmark = pytest.mark.real
LIVES = 120
LOG = Log(COLONY, TAG)
PAIRS = [("worker", "echo")]
STRETCH = 10
"""Events between two landmarks."""
LATE = 0
"""Nothing is kept for its age."""


async def project(colony: Colony) -> None:
    """Apply everything."""
    here = Place(COLONY, SUFFIX, TAG)
    await Projector(colony.store, colony.store, [FUNCTIONS]).catch_up(here)
    await Surveyor(colony.store, fold, every=STRETCH).advance(here)


@pytest.fixture
async def lived(colony: Colony, archive: Archive) -> AsyncGenerator[Colony]:
    """A colony whose events are archived and applied."""
    await colony.live(LIVES)
    archiver = Archiver(colony.store, colony.store, archive)
    await archiver.catch_up(await archiver.logs())
    await project(colony)
    yield colony
    # Another connection may still be at it.
    colony.store.older = None


async def trimmed(colony: Colony, archived_to: Position = END) -> int:
    """Trim as far as that goes; how many events went."""
    return await trim(colony.store, TAG, archived_to, LATE, [FUNCTIONS])


async def first_of(colony: Colony) -> Position:
    """Where the stream begins."""
    return position_of((await colony.entries())[0])


async def test_no_event_goes_that_is_not_archived(lived: Colony, archive: Archive) -> None:
    middle = position_of((await lived.entries())[100])

    assert await trimmed(lived, middle) > 0
    assert START < (await archived.marks(lived.store, TAG)).trimmed <= middle
    left = await lived.entries()
    assert position_of(left[0]) > (await archived.marks(lived.store, TAG)).trimmed
    assert len(left) > 3 * LIVES - 100
    assert await trimmed(lived, middle) == 0
    whole = await archive_of(archive)
    assert plain(left) == plain(whole[-len(left) :])


async def test_no_event_goes_that_a_projection_has_yet_to_apply(colony: Colony) -> None:
    await colony.live(10)
    assert await trimmed(colony) == 0

    await project(colony)
    seen = position_of((await colony.entries())[-1])
    await colony.live(10)
    assert await trimmed(colony) > 0
    assert await first_of(colony) <= seen

    await builds.begin(colony.store, TAG, FUNCTIONS)
    await project(colony)
    assert await trimmed(colony) == 0


async def test_last_event_stays_whatever_it_is(lived: Colony) -> None:
    last = (await lived.entries())[-1]
    for _ in range(3):
        await trimmed(lived)

    assert plain(await lived.entries())[-1] == (last[0], list(last[1]))
    with pytest.raises(Trimmed, match="COLONIES_ARCHIVE_URL"):
        await verify(lived.store, TAG, fold)
    assert await lived.store.page(TAG, await first_of(lived), 10) is not None


async def test_event_is_kept_until_it_is_old_enough(lived: Colony) -> None:
    assert await trim(lived.store, TAG, END, 3_600_000, [FUNCTIONS]) == 0


class Overtaken(Archive):
    """An archive whose first answer arrives when others have gone on."""

    overtake: Callable[[], Awaitable[None]] | None = None

    async def position(self, tag: Tag, log: str) -> Position | None:
        """As it was a while ago."""
        found = await super().position(tag, log)
        if (tag, log) == (TAG, EVENTS) and self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            await overtake()
        return found


@pytest.mark.parametrize("copied_before", [False, True])
async def test_archiver_that_another_one_overtakes_goes_on(
    colony: Colony, archive: Archive, archive_url: str, *, copied_before: bool
) -> None:
    """The other one copies and trims while this one learns how far the archive is."""
    quick = Archiver(colony.store, colony.store, archive)
    slow = Overtaken(archive_url)
    late = Archiver(colony.store, colony.store, slow)
    if copied_before:
        await quick.catch_up(await quick.logs())

    async def overtake() -> None:
        await colony.live(LIVES)
        await quick.catch_up(await quick.logs())
        await project(colony)
        assert await trimmed(colony) > 0

    slow.overtake = overtake
    await late.catch_up(await late.logs())

    said = await archived.state(colony.store)
    assert said is not None
    assert not said.why
    await slow.close()


async def test_what_the_archive_has_lost_is_copied_again_and_not_trimmed(
    lived: Colony, archive: Archive
) -> None:
    archiver = Archiver(lived.store, lived.store, archive, projections=[FUNCTIONS], keep_ms=1)
    archiver._around_at = math.inf  # pyright: ignore[reportPrivateUsage] - not before it is lost
    await archiver.catch_up(await archiver.logs())
    before = plain(await lived.entries())
    await archive.tables.drop()
    await archive.create()

    archiver._around_at = 0.0  # pyright: ignore[reportPrivateUsage] - now, not in 5 s
    await archiver.catch_up([])
    assert plain(await lived.entries()) == before
    await archiver.catch_up(await archiver._news())  # pyright: ignore[reportPrivateUsage]

    assert plain(await archive_of(archive)) == before


class ShardAway:
    """A way to a store of which the shard of one colony is away."""

    def __init__(self, link: Link, tag: Tag) -> None:
        self._link = link
        self._prefix = tag.prefix

    async def call(self, *args: Any) -> Reply:  # noqa: ANN401 - what Redis takes
        """Send one command, if it is about another colony."""
        if any(isinstance(arg, str) and arg.startswith(self._prefix) for arg in args):
            raise Unavailable("the shard of this colony cannot be reached")
        return await self._link.call(*args)


async def test_shard_that_is_away_delays_no_trimming_on_others(
    lived: Colony, archive: Archive
) -> None:
    other = ColonyRegistered(
        subject="other", actor=SERVER_OWNER, at_ns=T0, suffix="0000000b", colony_id="0b" * 32
    )
    await append(lived.store, other, tag=SERVER)
    link = ShardAway(lived.store._link, keys.colony_tag(other.subject, other.suffix))  # pyright: ignore[reportPrivateUsage] - it takes links
    store = EventStore(link, fold, lived.store.clock)
    archiver = Archiver(store, store, archive, projections=[FUNCTIONS], keep_ms=1)

    with pytest.raises(Unavailable, match="shard"):
        await archiver.catch_up(await archiver.logs())

    assert (await archived.marks(lived.store, TAG)).trimmed > START


async def told(colony: Colony) -> dict[str, object]:
    """What the history of a colony says, in every way it can be asked."""
    history = History(colony.store, colony.store)
    verdict = await history.verified(LOG)
    lines: list[str] = []
    sealer = await history.exported(LOG, lines.append)
    process = f"{LIVES // 2:056d}{SUFFIX}"
    shown = [e async for e in history.events(LOG, Filter(process=process))]
    past = Past(history, LOG, shown[1].position)
    return {
        "verdict": (verdict.events, verdict.keys, verdict.differences, verdict.position),
        "export": ("".join(lines), sealer.seal),
        "shown": shown,
        "then": await past.process(process),
        "stats": await past.statistics(),
        "queue": await past.queue(10),
    }


async def test_history_is_the_same_after_trimming(lived: Colony, archive: Archive) -> None:
    before = await told(lived)
    counted = await read(lived.store, TAG, PAIRS)
    assert await trimmed(lived) > 300

    lived.store.older = Older(archive)

    assert await told(lived) == before
    await rebuild(lived.store, TAG, FUNCTIONS)
    assert await read(lived.store, TAG, PAIRS) == counted


async def last(colony: Colony, count: int, wanted: Filter | None = None) -> list[Position]:
    """Where the last events are, as the history of a colony says."""
    history, chosen = History(colony.store, colony.store), wanted or Filter()
    after, until = await history.last(LOG, chosen, count)
    return [e.position async for e in history.events(LOG, chosen, after, until)]


async def test_last_events_are_the_same_after_trimming(lived: Colony, archive: Archive) -> None:
    counts = (1, 2, 100, 1_000)
    closes = Filter(types=["ProcessClosed"])
    before = [(await last(lived, n), await last(lived, n, closes)) for n in counts]
    assert [len(shown) for shown, _ in before[:3]] == [1, 2, 100]
    await trimmed(lived)
    assert len(await lived.entries()) < 100

    lived.store.older = Older(archive)

    assert [(await last(lived, n), await last(lived, n, closes)) for n in counts] == before


async def test_last_events_that_the_store_has_need_no_archive(lived: Colony) -> None:
    await trimmed(lived)
    left = [position_of(raw) for raw in await lived.entries()]

    assert await last(lived, 1) == left[-1:]
    assert await last(lived, len(left)) == left
    with pytest.raises(Trimmed, match="COLONIES_ARCHIVE_URL"):
        await last(lived, len(left) + 1)


async def test_rows_are_verified_while_others_write_archive_and_trim(
    lived: Colony, archive: Archive, redis_url: str
) -> None:
    lived.store.older = Older(archive)
    done = asyncio.Event()

    async def go_on() -> None:
        async with store_at(redis_url) as store:
            lively = Colony(store, lived.number)
            archiver = Archiver(store, store, archive, projections=[FUNCTIONS], keep_ms=1)
            while not done.is_set():
                await lively.live(5)
                archiver._around_at = 0.0  # pyright: ignore[reportPrivateUsage] - now, not in 5 s
                await archiver.catch_up(await archiver.logs())
                await project(lively)

    going = asyncio.create_task(go_on())
    try:
        for _ in range(6):
            mark = (await archived.marks(lived.store, TAG)).trimmed
            assert (await verify(lived.store, TAG, fold)).differences == ()
            await eventually(lambda mark=mark: _beyond(lived, mark), "more was trimmed")
    finally:
        done.set()
        await going
    assert (await verify(lived.store, SERVER, fold)).differences == ()


async def _beyond(colony: Colony, mark: Position) -> bool:
    return (await archived.marks(colony.store, TAG)).trimmed > mark


async def test_archive_of_another_store_is_not_read(
    lived: Colony, archive: Archive, postgres: Postgres
) -> None:
    await trimmed(lived)
    other = Archive(postgres.database())
    await other.create()
    lived.store.older = Older(other)

    with pytest.raises(Unavailable, match="not its archive"):
        await verify(lived.store, TAG, fold)

    archiver = Archiver(lived.store, lived.store, other)
    await archiver.catch_up(await archiver.logs())
    assert await archive_of(other) == []
    assert len(await archive_of(archive)) > len(await lived.entries())
    await other.close()


async def test_nothing_is_passed_over_that_the_archive_has_lost(
    lived: Colony, archive: Archive
) -> None:
    await trimmed(lived)
    lived.store.older = Older(archive)
    assert (await verify(lived.store, TAG, fold)).differences == ()
    await archive.tables.drop()
    await archive.create()

    with pytest.raises(Unavailable, match="no events"):
        await lived.store.raw_page(TAG, START, 10)


async def test_feed_resumes_from_what_was_trimmed(redis_url: str, archive_url: str) -> None:
    """With the archive it reads on from there, without it says so at once."""
    archiving = settings_on(redis_url, archive_url=archive_url)
    api_only = settings_on(redis_url, roles=frozenset({Role.API}))
    with started(archiving) as server, started(api_only) as bare:
        async with Api(server.url) as api:
            tenant = await found(api, OWNER)
            worker = await tenant.executor(api)
            for _ in range(30):
                await tenant.submit(api)
                given = (await worker.assign(api, 1)).ok["processid"]
                await worker.close(api, given)
        async with store_at(redis_url) as store:
            tag = await tag_of(store, tenant.name)
            await eventually(lambda: archived.is_whole(store, tag), "all is archived")
            everything = await store.page(tag, START, 200)
            await Surveyor(store, fold, every=STRETCH).survey()
            ends = (await archived.marks(store, tag)).events
            await eventually(lambda: trim(store, tag, ends, LATE, [FUNCTIONS]), "some was trimmed")
        async with events_of(server, tenant.user, tenant.name, after="0-0") as feed:
            resumed = [(await feed.next()).id for _ in everything]
        async with asked_for_events(bare, tenant.user, tenant.name, after="0-0") as refused:
            answer = opened(refused.status_code, await refused.aread())

    assert resumed == [str(recorded.position) for recorded in everything]
    assert (answer.status, "COLONIES_ARCHIVE_URL" in answer.message) == (404, True)
