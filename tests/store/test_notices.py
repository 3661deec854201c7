"""Hearing that work arrived, over a real server, also after the connection was lost."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest

from broker.errors import Unavailable
from broker.notices import RedisNotices
from broker.pipeline import Pipeline
from tests.patience import PATIENCE_S, until_answer
from tests.store.servers import Mortal, mortal_server

pytestmark = pytest.mark.real


class Ear:
    """What was heard, and how often something may have been missed."""

    def __init__(self, url: str) -> None:
        self.heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.missed: asyncio.Queue[None] = asyncio.Queue()
        self.notices = RedisNotices(url, self.hear, lambda: self.missed.put_nowait(None))

    def hear(self, channel: str, text: str) -> None:
        """Note it."""
        self.heard.put_nowait((channel, text))

    async def next(self) -> tuple[str, str]:
        """The next notice."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.heard.get()


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[Ear]:
    ear = Ear(url)
    await ear.notices.start()
    try:
        yield ear
    finally:
        await ear.notices.close()


@pytest.fixture
async def ear(redis_url: str) -> AsyncGenerator[Ear]:
    async with listening(redis_url) as ear:
        yield ear


@pytest.fixture
async def say(redis_url: str) -> AsyncGenerator[Pipeline]:
    pipeline = Pipeline(redis_url, 64)
    await pipeline.start()
    yield pipeline
    await pipeline.close()


@pytest.fixture
def server() -> Iterator[Mortal]:
    with mortal_server() as server:
        yield server


async def test_nothing_is_missed_once_listen_has_returned(ear: Ear, say: Pipeline) -> None:
    await ear.notices.listen("a")
    await say.call("PUBLISH", "a", "x")

    assert await ear.next() == ("a", "x")


async def test_listening_twice_hears_once(ear: Ear, say: Pipeline) -> None:
    await asyncio.gather(ear.notices.listen("a"), ear.notices.listen("a"))

    assert await say.call("PUBLISH", "a", "x") == 1


async def test_channels_are_apart(ear: Ear, say: Pipeline) -> None:
    await ear.notices.listen("a")
    await ear.notices.listen("b")
    await say.call("PUBLISH", "c", "x")
    await say.call("PUBLISH", "b", "y")

    assert await ear.next() == ("b", "y")


async def test_channel_that_was_left_is_given_up(
    ear: Ear, say: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.notices._LINGER_S", 0.0)
    await ear.notices.listen("a")

    ear.notices.leave("a")

    await until_answer(lambda: say.call("PUBSUB", "NUMSUB", "a"), [b"a", 0])


async def test_channel_that_was_left_only_for_a_moment_is_kept(ear: Ear, say: Pipeline) -> None:
    await ear.notices.listen("a")
    ear.notices.leave("a")
    await ear.notices.listen("a")

    await say.call("PUBLISH", "a", "x")

    assert await ear.next() == ("a", "x")


async def test_channel_can_be_heard_again_after_it_was_given_up(
    ear: Ear, say: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.notices._LINGER_S", 0.0)
    await ear.notices.listen("a")
    ear.notices.leave("a")
    await until_answer(lambda: say.call("PUBSUB", "NUMSUB", "a"), [b"a", 0])

    await ear.notices.listen("a")
    await say.call("PUBLISH", "a", "x")

    assert await ear.next() == ("a", "x")


@pytest.mark.parametrize("channels", [1, 3])
async def test_all_channels_are_heard_again_after_the_server_came_back(
    server: Mortal, channels: int
) -> None:
    names = [f"c{n}" for n in range(channels)]
    async with listening(server.url) as ear:
        for name in names:
            await ear.notices.listen(name)
        server.kill()
        server.start()
        async with asyncio.timeout(PATIENCE_S):
            await ear.missed.get()

        say = Pipeline(server.url, 64)
        await say.start()
        for name in names:
            await say.call("PUBLISH", name, "x")

        assert [await ear.next() for _ in names] == [(name, "x") for name in names]
        assert ear.missed.empty()
        await say.close()


async def test_nobody_believes_to_hear_a_channel_whose_subscription_failed(
    server: Mortal,
) -> None:
    async with listening(server.url) as ear:
        server.signal(signal.SIGSTOP)
        tries = [asyncio.create_task(ear.notices.listen("a")) for _ in range(3)]
        await asyncio.sleep(0)
        server.kill()

        outcomes = await asyncio.gather(*tries, return_exceptions=True)

        assert {type(each) for each in outcomes} == {Unavailable}


async def test_listener_that_is_cancelled_does_not_hold_up_the_next(server: Mortal) -> None:
    async with listening(server.url) as ear:
        server.signal(signal.SIGSTOP)
        first = asyncio.create_task(ear.notices.listen("a"))
        second = asyncio.create_task(ear.notices.listen("a"))
        await asyncio.sleep(0)
        first.cancel()
        server.signal(signal.SIGCONT)

        async with asyncio.timeout(PATIENCE_S):
            await second
