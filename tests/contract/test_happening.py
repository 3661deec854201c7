"""Whoever waits for something to happen hears of a change of a stream, and of nothing else."""

import asyncio

import pytest

from broker.pipeline import Pipeline
from tests.contract.happening import changes_of
from tests.patience import PATIENCE_S

IN_FLIGHT = 16


@pytest.mark.real
@pytest.mark.parametrize(
    "change",
    [("XADD", "{a}:events", "*", "k", "v"), ("XTRIM", "{a}:logs", "MAXLEN", "0")],
    ids=["an event", "a line forgotten"],
)
async def test_a_change_of_a_stream_ends_the_waiting(
    redis_url: str, change: tuple[str, ...]
) -> None:
    pipeline = Pipeline(redis_url, IN_FLIGHT)
    await pipeline.start()
    await pipeline.call("XADD", "{a}:logs", "*", "k", "v")
    async with changes_of(redis_url) as changes:
        before = changes.so_far
        waiting = asyncio.create_task(changes.more_than(before, PATIENCE_S))
        await pipeline.call(*change)
        assert await waiting
        assert await changes.more_than(before, PATIENCE_S), "what has happened is not waited for"
    await pipeline.close()


@pytest.mark.real
async def test_without_a_change_the_waiting_ends_in_time(redis_url: str) -> None:
    pipeline = Pipeline(redis_url, IN_FLIGHT)
    await pipeline.start()
    async with changes_of(redis_url) as changes:
        await pipeline.call("HSET", "{a}:events-not", "k", "v")
        assert not await changes.more_than(changes.so_far, 0.01)
    await pipeline.close()
