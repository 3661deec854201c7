"""With retention on, what a store holds does not grow with how much has been done in it."""

import time
from collections.abc import AsyncGenerator

import pytest

from bench.past import PER_PROCESS, Past
from broker.clock import StoreClock
from broker.directory import Colony
from broker.pipeline import Pipeline
from broker.position import Position
from broker.reactors import retention
from broker.reactors.retention import Keep
from broker.store import EventStore
from projections.core import fold
from tests.facts import EXECUTOR, USER
from tests.holding import Held, held
from tests.store.test_retention import Keeper

STEPS, LIVES = 5, 10_000
ROOM = 4_096
"""For a checkpoint that has become longer, and the like: less than a tenth of a byte a life."""
MOST_REST = 1024**2
"""Buckets of the table of keys, and what estimates of a log of 67 MB leave open."""
_AGE_MS = 10_000_000


@pytest.fixture
async def keeper(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Keeper]:
    """A colony on a real store, in which nobody else has to be let through."""

    async def at_once(_began: float) -> None:
        pass

    monkeypatch.setattr(retention, "rest", at_once)
    pipeline = Pipeline(redis_url, 4_096)
    await pipeline.start()
    keeper = Keeper(EventStore(pipeline, fold, StoreClock()))
    await keeper.found()
    yield keeper
    await pipeline.close()


async def lived(keeper: Keeper, place: Colony, last: Position, lives: int) -> tuple[Position, int]:
    """Processes come, run, end and are removed; where the last event is, and how many went."""
    past = Past(colony=place, executor_id=EXECUTOR, user_id=USER, processes=lives, last=last)
    await past.append(keeper.store, lives * PER_PROCESS)
    assert past.closed == lives
    removed = 0
    while count := await keeper.purge(Keep(success_s=1)):
        removed += count
    return past.last, removed


async def here(keeper: Keeper) -> tuple[Colony, Position]:
    """The colony, and a position that is old enough for what ends there to be removed."""
    (known,) = await keeper.context.directory.every()
    last = Position(time.time_ns() // 1_000_000 - _AGE_MS, 0)
    return Colony(known.name, known.suffix, known.tag), last


async def test_rows_stay_as_they_are_over_fifty_thousand_lives(keeper: Keeper) -> None:
    """The log grows, until it is trimmed behind an archive; all else is as after the first step."""
    place, last = await here(keeper)
    seen, removed = list[Held](), 0
    for _ in range(STEPS):
        last, count = await lived(keeper, place, last, LIVES)
        removed += count
        seen.append(await held(keeper.store, place.tag))

    assert removed == STEPS * LIVES
    first, *_, last_seen = seen
    assert max(each.rows for each in seen) <= first.rows + ROOM, seen
    assert max(each.rest for each in seen) <= first.rest + MOST_REST, seen
    assert last_seen.log > (STEPS - 1) * first.log, "the lives left no events"
