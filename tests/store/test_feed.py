"""Following streams as they grow, over a real server, also while it is away."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from broker import keys
from broker.aggregates.location import LocationAdded
from broker.aggregates.server import ColonyUnregistered
from broker.clock import StoreClock
from broker.feed import COLONY_GONE, MISSED, Entry, Feed, Follower, glance
from broker.keys import SERVER, Tag, colony_tag
from broker.pipeline import Pipeline
from broker.position import Position
from broker.store import EventStore
from projections.core import fold
from tests.facts import T0, TAG
from tests.patience import PATIENCE_S, until_answer
from tests.store.ground import append
from tests.store.servers import Mortal, mortal_server

pytestmark = pytest.mark.real
OTHER = Tag("other.00000002")
MOST = 20


@dataclass
class Ground:
    """A store, and a feed that reads it over a connection of its own."""

    store: EventStore
    feed: Feed
    reads: Pipeline

    async def happen(self, *names: str, tag: Tag = TAG) -> None:
        """Something happens, so many times, each time in an append of its own."""
        for name in names:
            await append(self.store, happening(name), tag=tag)


def happening(name: str) -> LocationAdded:
    return LocationAdded(
        subject=name, actor="", at_ns=T0, location_id="l", description="", long=0, lat=0
    )


@asynccontextmanager
async def following(url: str) -> AsyncGenerator[Ground]:
    talks, reads = Pipeline(url, 4_096), Pipeline(url, 64)
    await talks.start()
    await reads.start()
    store = EventStore(talks, fold, StoreClock())
    feed = Feed(store, EventStore(reads, fold, store.clock), MOST)
    running = asyncio.create_task(feed.run())
    try:
        yield Ground(store, feed, reads)
    finally:
        feed.close()
        await reads.close()
        await asyncio.gather(running, return_exceptions=True)
        await talks.close()


@pytest.fixture
async def ground(redis_url: str) -> AsyncGenerator[Ground]:
    async with following(redis_url) as ground:
        yield ground


@pytest.fixture
def server() -> Iterator[Mortal]:
    with mortal_server() as server:
        yield server


async def heard(follower: Follower[Entry], count: int) -> list[str]:
    """The subjects of the next entries."""
    return [entry.subject for entry in await entries(follower, count)]


async def entries(follower: Follower[Entry], count: int) -> list[Entry]:
    found: list[Entry] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            page = await follower.next()
            assert page, follower.ended
            found += page
    return found


async def test_what_happens_after_follow_was_called_is_heard(ground: Ground) -> None:
    await ground.happen("before")
    follower = await ground.feed.follow(TAG)
    await ground.happen("a", "b")

    assert await heard(follower, 2) == ["a", "b"]


async def test_everybody_hears_everything(ground: Ground) -> None:
    followers = [await ground.feed.follow(TAG) for _ in range(50)]
    await ground.happen("a", "b")

    assert [await heard(follower, 2) for follower in followers] == [["a", "b"]] * 50


async def test_an_entry_is_unpacked_once_and_when_wanted(ground: Ground) -> None:
    one, two = [await ground.feed.follow(TAG) for _ in range(2)]
    await ground.happen("a")

    (mine,), (yours,) = await entries(one, 1), await entries(two, 1)

    assert mine is yours
    assert (mine.type, mine.subject, mine.actor) == ("LocationAdded", "a", "")
    assert mine.event is yours.event


async def test_new_colony_is_heard_while_another_is_silent(server: Mortal) -> None:
    async with following(server.url) as ground:
        await ground.feed.follow(OTHER)
        await blocked(ground)
        follower = await ground.feed.follow(TAG)
        await ground.happen("a")

        assert await heard(follower, 1) == ["a"]


async def test_many_colonies_at_once_are_all_heard(ground: Ground) -> None:
    tags = [Tag(f"c{n}.{n:08x}") for n in range(30)]
    followers = await asyncio.gather(*(ground.feed.follow(tag) for tag in tags))
    await asyncio.gather(*(ground.happen(tag.text, tag=tag) for tag in tags))

    assert [await heard(each, 1) for each in followers] == [[tag.text] for tag in tags]


async def test_colony_nobody_follows_any_more_is_read_no_more(ground: Ground) -> None:
    follower = await ground.feed.follow(TAG)
    staying = await ground.feed.follow(OTHER)
    ground.feed.leave(follower)
    await ground.happen("a")
    again = await ground.feed.follow(TAG)
    await ground.happen("b")

    assert await heard(again, 1) == ["b"]
    assert len(ground.feed) == 2
    assert not staying.ended


async def test_slow_follower_is_ended_and_nobody_else(ground: Ground) -> None:
    slow, quick = [await ground.feed.follow(TAG) for _ in range(2)]
    names = [str(n) for n in range(MOST + 2)]
    for name in names:
        await ground.happen(name)
        assert await heard(quick, 1) == [name]

    assert await slow.next() == []
    assert slow.ended == f"too slow: {MOST} events were waiting to be taken"


async def test_removed_colony_is_told_even_when_its_stream_is_gone(ground: Ground) -> None:
    tag = colony_tag("gone", "0000000a")
    follower = await ground.feed.follow(tag)
    gone = ColonyUnregistered(
        subject="gone", actor="", at_ns=T0, suffix="0000000a", colony_ids=["id"]
    )
    await append(ground.store, gone, tag=SERVER)

    async with asyncio.timeout(PATIENCE_S):
        assert await follower.next() == []
    assert follower.ended == COLONY_GONE


async def test_store_that_was_lost_and_came_back_skips_nothing(server: Mortal) -> None:
    async with following(server.url) as ground:
        follower = await ground.feed.follow(TAG)
        await ground.happen("a")
        assert await heard(follower, 1) == ["a"]
        server.kill()
        server.start()
        await until_answer(lambda: ground.store.send("PING"), b"PONG")
        await ground.happen("b", "c")

        assert await heard(follower, 2) == ["b", "c"]


async def test_read_that_was_cut_off_is_repeated(server: Mortal) -> None:
    async with following(server.url) as ground:
        follower = await ground.feed.follow(TAG)
        await blocked(ground)
        await ground.store.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await ground.happen("a", "b")

        assert await heard(follower, 2) == ["a", "b"]


async def test_store_that_does_not_answer_loses_nothing(server: Mortal) -> None:
    async with following(server.url) as ground:
        follower = await ground.feed.follow(TAG)
        server.signal(signal.SIGSTOP)
        happening_now = asyncio.create_task(ground.happen("a", "b"))
        late = asyncio.create_task(ground.feed.follow(OTHER))
        await asyncio.sleep(0)
        server.signal(signal.SIGCONT)
        await happening_now

        assert await heard(follower, 2) == ["a", "b"]
        await ground.happen("c", tag=OTHER)
        assert await heard(await late, 1) == ["c"]


async def test_close_ends_everybody(ground: Ground) -> None:
    follower = await ground.feed.follow(TAG)
    waiting = asyncio.create_task(follower.next())
    await asyncio.sleep(0)
    ground.feed.close()

    assert await waiting == []
    assert follower.ended == "the server stops"


async def test_glance_shows_a_row_with_its_position(ground: Ground) -> None:
    assert await glance(ground.store, TAG, keys.LOCATIONS) == (Position(0, 0), {})
    done = await append(ground.store, happening("a"))

    position, row = await glance(ground.store, TAG, keys.LOCATIONS)

    assert position == Position.parse(done.last)
    assert list(row) == [b"a"]


async def blocked(ground: Ground) -> None:
    """Until the feed's read blocks, on a server that nobody else uses."""

    async def blocks() -> bool:
        said: bytes = await ground.store.send("INFO", "clients")
        return b"blocked_clients:1" in said

    await until_answer(blocks, wanted=True)


async def test_follower_that_may_have_missed_what_was_trimmed_is_ended(ground: Ground) -> None:
    """Nobody read for long, and what came meanwhile is gone: it is not passed over in silence."""
    await ground.happen("before")
    follower = await ground.feed.follow(TAG)
    await ground.happen("seen")
    assert await heard(follower, 1) == ["seen"]
    (last,) = await ground.store.send("XREVRANGE", TAG.key(keys.EVENTS), "+", "-", "COUNT", 1)
    beyond = Position(Position.parse(last[0]).ms, 2**53)
    await ground.store.send("HSET", TAG.key(keys.ARCHIVED), "trimmed", str(beyond))
    ground.feed._answered -= 60  # pyright: ignore[reportPrivateUsage] - a minute of silence

    await ground.happen("after")

    async with asyncio.timeout(PATIENCE_S):
        assert await follower.next() == []
    assert follower.ended == MISSED
