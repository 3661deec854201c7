"""Log lines as they arrive: told to those who follow their process or executor, nobody else."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from api.handlers import log
from api.lines import Lines, Listener
from api.wire_log import AddExecutorLogMsg, AddLogsMsg
from broker.clock import StoreClock
from broker.feed import Feed
from broker.keys import Tag
from broker.pipeline import Pipeline
from broker.store import EventStore
from projections.core import fold
from tests.facts import COLONY, EXECUTOR
from tests.patience import PATIENCE_S
from tests.stage import Stage

pytestmark = pytest.mark.real
MOST = 5


@dataclass
class Ground:
    """A stage, with everybody who follows what is said on it."""

    stage: Stage
    lines: Lines
    feed: Feed
    tag: Tag

    async def running(self) -> str:
        """A process that EXECUTOR runs."""
        await self.stage.submit()
        return (await self.stage.assign()).processid

    async def say(self, process_id: str, *texts: str) -> None:
        """Say lines in one request."""
        message = AddLogsMsg(processid=process_id, messages=list(texts))
        await self.stage.say(log.add_many, EXECUTOR, message)


@pytest.fixture
async def ground(redis_url: str) -> AsyncGenerator[Ground]:
    talks, reads = Pipeline(redis_url, 4_096), Pipeline(redis_url, 64)
    await talks.start()
    await reads.start()
    store = EventStore(talks, fold, StoreClock())
    feed = Feed(store, EventStore(reads, fold, store.clock), 1_000)
    running = asyncio.create_task(feed.run())
    stage = Stage(store)
    await stage.found()
    try:
        yield Ground(stage, Lines(feed, MOST), feed, await stage.tag())
    finally:
        feed.close()
        await reads.close()
        await asyncio.gather(running, return_exceptions=True)
        await talks.close()


async def texts(listener: Listener, count: int) -> list[str]:
    """The next lines."""
    found: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += [line.text for line in await listener.next()]
    return found


async def test_a_line_is_told_to_those_who_follow_its_process_or_its_executor(
    ground: Ground,
) -> None:
    process, another = await ground.running(), await ground.running()
    async with (
        ground.lines.followed(ground.tag, process_id=process) as one,
        ground.lines.followed(ground.tag, process_id=process) as two,
        ground.lines.followed(ground.tag, process_id=another) as other,
        ground.lines.followed(ground.tag, executor="worker") as all_of_it,
    ):
        await ground.say(process, "a", "b")
        await ground.say(another, "c")
        message = AddExecutorLogMsg(colonyname=COLONY, executorname="worker", message="d")
        await ground.stage.say(log.add_of_executor, EXECUTOR, message)

        assert await texts(one, 2) == await texts(two, 2) == ["a", "b"]
        assert await texts(other, 1) == ["c"]
        assert await texts(all_of_it, 4) == ["a", "b", "c", "d"]


async def test_who_does_not_take_its_lines_has_to_read_them(ground: Ground) -> None:
    process = await ground.running()
    async with (
        ground.lines.followed(ground.tag, process_id=process) as slow,
        ground.lines.followed(ground.tag, process_id=process) as quick,
    ):
        said = [str(number) for number in range(MOST + 1)]
        for text in said:
            await ground.say(process, text)
            assert await texts(quick, 1) == [text]
        assert await slow.next() == []

        await ground.say(process, "later")
        assert await texts(slow, 1) == ["later"]


async def test_nothing_is_read_once_nobody_follows(ground: Ground) -> None:
    process = await ground.running()
    assert len(ground.feed) == 0
    async with ground.lines.followed(ground.tag, process_id=process):
        async with ground.lines.followed(ground.tag, executor="worker"):
            assert len(ground.feed) == 1
        assert len(ground.feed) == 1
    assert len(ground.feed) == 0


async def test_the_end_of_the_feed_ends_its_listeners(ground: Ground) -> None:
    async with ground.lines.followed(ground.tag, executor="worker") as listener:
        ground.feed.close()

        async with asyncio.timeout(PATIENCE_S):
            assert await listener.next() == []
        assert listener.ended == "the server stops"
