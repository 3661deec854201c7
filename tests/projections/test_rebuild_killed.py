"""kill -9 in the middle of a rebuild changes nothing, and the next one goes on."""

from collections.abc import AsyncGenerator

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.server import ColonyRegistered
from broker.clock import StoreClock
from broker.directory import Colony
from broker.keys import SERVER
from broker.pipeline import Pipeline
from broker.position import START
from broker.store import EventStore
from projections import builds, checkpoint
from projections.core import fold
from projections.functions import FUNCTIONS, read
from projections.projector import PAGE, Projector
from tests.conftest import IN_FLIGHT
from tests.facts import COLONY, OWNER, SUFFIX, T0, TAG, closed, inhabited
from tests.patience import PATIENCE_S, until_answer
from tests.stepwise import Stepwise
from tests.store.ground import append

EVENTS = 20 * PAGE
PAIRS = [("worker", "echo")]

pytestmark = pytest.mark.real


@pytest.fixture
async def counted(redis_url: str) -> AsyncGenerator[EventStore]:
    """A real store with many closes that were counted."""
    pipeline = Pipeline(redis_url, IN_FLIGHT)
    await pipeline.start()
    store = EventStore(pipeline, fold, StoreClock())
    registered = ColonyRegistered(
        subject=COLONY, actor=OWNER, at_ns=T0, suffix=SUFFIX, colony_id=OWNER
    )
    await append(store, registered, tag=SERVER)
    await append(store, *inhabited())
    ends = [replace(closed(), subject=f"{n:056d}{SUFFIX}", ran_ns=n) for n in range(EVENTS)]
    for first in range(0, EVENTS, 100):
        await append(store, *ends[first : first + 100])
    await Projector(store, store, [FUNCTIONS]).catch_up(Colony(COLONY, SUFFIX, TAG))
    yield store
    await pipeline.close()


async def test_killed_rebuild_changes_nothing_and_is_gone_on_with(
    counted: EventStore, redis_url: str
) -> None:
    before = await read(counted, TAG, PAIRS)
    reached = [0]
    for batches in (1, 4, 9):
        await _killed_after(counted, redis_url, batches)
        came = await checkpoint.of_build(counted, TAG, FUNCTIONS, 1)
        page = await counted.raw_page(TAG, START, EVENTS * 2, until=came)
        reached.append(len(page))
        assert await builds.served(counted, TAG, FUNCTIONS) == 0
        assert await read(counted, TAG, PAIRS) == before
    assert reached == sorted(set(reached)), "none went on where the one before it was killed"

    assert _rebuild(redis_url).finish(PATIENCE_S) == 0

    assert await builds.served(counted, TAG, FUNCTIONS) == 1
    assert await read(counted, TAG, PAIRS) == before


async def _killed_after(store: EventStore, redis_url: str, batches: int) -> None:
    """Kill a rebuild once it has counted so many more batches than there were."""
    sums = builds.place(FUNCTIONS, 1, keys.projected("functions", 1, "sums:worker/echo"))
    had = int(await store.send("HGET", TAG.key(sums), "count") or 0)
    run = _rebuild(redis_url)

    async def further() -> bool:
        now = int(await store.send("HGET", TAG.key(sums), "count") or 0)
        return now >= had + batches * PAGE - PAGE // 2

    try:
        run.step(batches)
        await until_answer(further, wanted=True)
    finally:
        run.kill()


def _rebuild(redis_url: str) -> Stepwise:
    environ = {"COLONIES_REDIS_URL": redis_url}
    return Stepwise("project", ("history", "rebuild", "functions"), environ)
