"""As many processes as a workflow may have, and one more."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from api.handlers import workflow as handler
from broker.aggregates.process import State
from broker.clock import StoreClock
from broker.errors import Invalid
from broker.pipeline import Pipeline
from broker.settings import Limits
from broker.store import EventStore
from projections.core import fold
from tests.workshop import Workshop, spec

MOST = Limits().max_workflow_nodes
LAYER = 100
LONG = 1_000
pytestmark = pytest.mark.real

Specs = list[dict[str, Any]]


def chain(size: int) -> Specs:
    """One after the other."""
    return [spec("n0"), *(spec(f"n{at}", f"n{at - 1}") for at in range(1, size))]


def fan_out(size: int) -> Specs:
    """All after the first."""
    return [spec("n0"), *(spec(f"n{at}", "n0") for at in range(1, size))]


def layers(size: int) -> Specs:
    """Each after five of the layer before."""
    return [
        spec(f"n{at}", *(f"n{at - LAYER - at % LAYER + (at + by) % LAYER}" for by in range(5)))
        if at >= LAYER
        else spec(f"n{at}")
        for at in range(size)
    ]


@pytest.fixture
async def shop(redis_url: str) -> AsyncGenerator[Workshop]:
    pipeline = Pipeline(redis_url, 4096)
    await pipeline.start()
    shop = Workshop(EventStore(pipeline, fold, StoreClock()))
    await shop.found()
    yield shop
    await pipeline.close()


@pytest.mark.parametrize("shape", [chain, layers])
async def test_workflow_of_the_greatest_size_is_accepted(
    shop: Workshop, shape: Callable[[int], Specs]
) -> None:
    begun = await shop.begin(*shape(MOST))

    assert len(set(begun.processids)) == MOST
    assert (await shop.statistics()).waitingprocesses == MOST


async def test_workflow_beyond_the_greatest_size_is_refused_with_the_limit(
    shop: Workshop,
) -> None:
    with pytest.raises(Invalid, match=f"has {MOST + 1} function specs.* limit of {MOST}"):
        await shop.begin(*fan_out(MOST + 1))

    assert (await shop.statistics()).waitingprocesses == 0


async def test_greatest_fan_out_is_released_at_once_and_grows_no_more(shop: Workshop) -> None:
    begun = await shop.begin(*fan_out(MOST))
    given = await shop.assign()
    with pytest.raises(Invalid, match=f"as many processes as allowed, {MOST}"):
        await shop.grow(given.processid, spec("more"))

    await shop.finish(given.processid, "out")

    assert not (await shop.look(begun.processids[-1])).waitforparents
    assert (await shop.statistics()).waitingprocesses == MOST - 1


async def test_failure_reaches_the_end_of_a_long_chain(shop: Workshop) -> None:
    begun = await shop.begin(*chain(LONG))

    await shop.fail((await shop.assign()).processid)

    assert (await shop.statistics()).failedprocesses == LONG
    assert await shop.states(begun.processids[-1]) == [State.FAILED]
    await shop.is_sound()


async def test_list_that_names_too_many_processes_is_refused_and_a_shorter_one_is_not(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "MOST_SHOWN", 2 * LAYER)
    begun = [(await shop.begin(*fan_out(LAYER))).processgraphid for _ in range(3)]

    with pytest.raises(Invalid, match=f"these 3 have {3 * LAYER} .* limit of {2 * LAYER}"):
        await shop.listed(State.WAITING)

    assert await shop.listed(State.WAITING, count=2) == [begun[2], begun[1]]
