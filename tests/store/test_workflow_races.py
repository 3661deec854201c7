"""Workflows on two API processes at once: everything happens exactly once, whoever is first."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import msgspec
import pytest

from broker.aggregates.process import ProcessReleased, State
from broker.clock import StoreClock
from broker.errors import NothingAvailable, Rejected, Unavailable
from broker.pipeline import Pipeline
from broker.store import EventStore
from projections.core import fold
from tests.facts import EXECUTOR
from tests.patience import PATIENCE_S
from tests.workshop import DIAMOND, Workshop, assignments, name_of, spec

JOIN = (spec("a"), spec("b"), spec("c", "a", "b"))
TICKS = range(-9, 10, 2)
"""By how many turns of the loop one comes later than the other: more than a request has."""
CHILDREN, EXECUTORS = 1_000, 16
SUCCESS = State.SUCCESS

Shops = tuple[Workshop, Workshop]


@pytest.fixture
async def shops(store: EventStore) -> AsyncGenerator[Shops]:
    """Two API processes on one store."""
    shops = Workshop(store), Workshop(store)
    await shops[0].found()
    yield shops
    await shops[0].is_sound()


async def later(ticks: int, work: Awaitable[Any]) -> Any:  # noqa: ANN401 - what the work gives
    """Let others go first, for so many turns."""
    for _ in range(ticks):
        await asyncio.sleep(0)
    return await work


async def together(ticks: int, first: Awaitable[Any], second: Awaitable[Any]) -> tuple[Any, Any]:
    """Both at once, the second so many turns later (or earlier)."""
    return await asyncio.gather(
        later(max(-ticks, 0), first), later(max(ticks, 0), second), return_exceptions=True
    )


# -------------------------------------------------------------------- two at once


async def test_two_parents_at_the_same_instant_release_their_child_once(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        for _ in range(2):
            begun = await here.begin(*JOIN)
            taken = await here.take()

            await together(ticks, here.finish(taken["a"], "a"), there.finish(taken["b"], "b"))

            child = await here.assign()
            assert (child.processid, msgspec.json.decode(child.input)) == (
                begun.processids[2],
                ["a", "b"],
            )
            await there.finish(child.processid)
            assert (await here.graph(begun.processgraphid)).state == SUCCESS


async def test_success_and_failure_at_the_same_instant_fail_the_workflow(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(*JOIN)
        taken = await here.take()

        await together(ticks, here.finish(taken["a"]), there.fail(taken["b"]))

        assert (await here.graph(begun.processgraphid)).state == State.FAILED
        a, b, c = await here.states(*begun.processids)
        assert (a in {SUCCESS, State.FAILED}, b, c) == (True, State.FAILED, State.FAILED)


async def test_two_failures_at_the_same_instant_leave_nothing_open(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(*JOIN)
        taken = await here.take()

        await together(ticks, here.fail(taken["a"]), there.fail(taken["b"]))

        assert await here.states(*begun.processids) == [State.FAILED] * 3


async def test_child_that_is_added_at_the_instant_of_the_close_runs_or_is_refused(
    shops: Shops,
) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(spec("a"), spec("b", "a"))
        given = await here.assign()

        grown, _ = await together(
            ticks,
            here.grow(given.processid, spec("new"), before=begun.processids[1]),
            there.finish(given.processid, "a"),
        )

        expected = 1 if isinstance(grown, Rejected) else 2
        assert await here.work() == expected
        assert (await here.graph(begun.processgraphid)).state == SUCCESS


async def test_two_children_that_are_added_at_the_same_instant_are_both_there(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(spec("a"), spec("b"))
        taken = await here.take()

        await together(
            ticks, here.grow(taken["a"], spec("c")), there.grow(taken["b"], spec("d"), insert=True)
        )

        assert len((await here.graph(begun.processgraphid)).processids) == 4
        await together(ticks, here.finish(taken["a"]), there.finish(taken["b"]))
        assert await here.work() == 2


async def test_removal_while_a_cancelled_workflow_is_swept_leaves_nothing(shops: Shops) -> None:
    here, there = shops
    for ticks in range(-30, 31, 12):
        begun = await here.begin(spec("root"), *(spec(f"n{at}", "root") for at in range(101)))

        await together(ticks, here.cancel(begun.processgraphid), there.remove(begun.processgraphid))

        await here.look_at_due()
        here.pass_time(1)
        await here.look_at_due()
        await here.nothing_is_left()


async def test_assignment_at_the_instant_of_the_removal_leaves_nothing(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(*DIAMOND)

        given, removed = await together(ticks, here.assign(), there.remove(begun.processgraphid))

        if isinstance(removed, Rejected):
            await here.finish(given.processid)
            assert await here.work() == 3
            await here.remove(begun.processgraphid)
        await here.nothing_is_left()


async def test_close_at_the_instant_of_the_cancel_leaves_nothing_open(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(*DIAMOND)
        given = await here.assign()

        await together(ticks, here.finish(given.processid), there.cancel(begun.processgraphid))

        assert await here.take() == {}
        assert (await here.graph(begun.processgraphid)).state == State.CANCELLED


async def test_deadline_at_the_instant_of_the_close_counts_or_does_not(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(spec("a", maxexectime=5), spec("b", "a", maxwaittime=5))
        given = await here.assign()
        here.pass_time(6)

        await together(ticks, here.finish(given.processid), there.look_at_due())
        here.pass_time(1)
        await here.look_at_due()

        states = await here.states(*begun.processids)
        assert states in ([State.FAILED] * 2, [SUCCESS, State.FAILED])
        assert (await here.graph(begun.processgraphid)).state == State.FAILED


async def test_close_at_the_instant_its_executor_is_removed_happens_once(shops: Shops) -> None:
    here, there = shops
    for ticks in TICKS:
        begun = await here.begin(*DIAMOND)
        given = await here.assign()

        await together(ticks, here.finish(given.processid), there.remove_executor())
        await there.settle()
        await here.add_executor()

        assert await here.work() in {3, 4}
        assert (await here.graph(begun.processgraphid)).state == SUCCESS


# -------------------------------------------------------------------- many at once


@pytest.mark.parametrize("count", [2, EXECUTORS])
async def test_executors_that_wait_are_woken_for_every_root_and_every_released_child(
    shops: Shops, count: int
) -> None:
    here, _ = shops
    for at in range(count):
        await here.add_executor(f"{at:064x}", f"e{at}")
    polls = [asyncio.create_task(here.assign(f"{at:064x}", 60)) for at in range(count)]
    await here.waiting(count)
    roots = [f"r{at}" for at in range(count)]

    await here.begin(*(spec(name) for name in roots), spec("join", *roots))

    async with asyncio.timeout(PATIENCE_S):
        given = await asyncio.gather(*polls)
    assert sorted(name_of(each) for each in given) == sorted(roots)


async def test_executors_that_wait_are_woken_for_every_released_child(shops: Shops) -> None:
    here, _ = shops
    names = [f"n{at}" for at in range(8)]
    await here.begin(spec("a"), *(spec(name, "a") for name in names))
    root = await here.assign()
    for at in range(8):
        await here.add_executor(f"{at:064x}", f"e{at}")
    polls = [asyncio.create_task(here.assign(f"{at:064x}", 60)) for at in range(8)]
    await here.waiting(8)

    await here.finish(root.processid)

    async with asyncio.timeout(PATIENCE_S):
        given = await asyncio.gather(*polls)
    assert sorted(name_of(each) for each in given) == names


async def _fan(shops: Shops, children: int) -> None:
    here, _ = shops
    names = [f"n{at}" for at in range(children)]
    for at in range(EXECUTORS):
        await here.add_executor(f"{at:064x}", f"e{at}")
    begun = await here.begin(
        spec("source"), *(spec(name, "source") for name in names), spec("join", *names)
    )
    left = len(begun.processids)

    async def work(shop: Workshop, executor_id: str) -> None:
        nonlocal left
        while left:
            try:
                given = await shop.assign(executor_id)
            except NothingAvailable:
                await asyncio.sleep(0)
                continue
            await shop.finish(given.processid, name_of(given), caller=executor_id)
            left -= 1

    await asyncio.gather(*(work(shops[at % 2], f"{at:064x}") for at in range(EXECUTORS)))

    join = await here.look(begun.processids[-1])
    assert msgspec.json.decode(join.input) == names
    assert sorted(assignments(await here.log())) == sorted(begun.processids)


@pytest.mark.real
async def test_fan_out_and_in_runs_every_node_once(redis_shops: Shops) -> None:
    await _fan(redis_shops, CHILDREN)

    assert redis_shops[0].store.conflicts < CHILDREN // 2


@pytest.fixture
async def redis_shops(redis_url: str) -> AsyncGenerator[Shops]:
    """Two API processes on one real store, each with a connection of its own."""
    pipes = [Pipeline(redis_url, 4096) for _ in range(2)]
    for pipe in pipes:
        await pipe.start()
    here, there = (Workshop(EventStore(pipe, fold, StoreClock())) for pipe in pipes)
    await here.found()
    yield here, there
    await here.is_sound()
    for pipe in pipes:
        await pipe.close()


@pytest.mark.parametrize("count", [64])
async def test_many_executors_let_a_workflow_grow_at_the_same_time(
    shops: Shops, count: int
) -> None:
    here, _ = shops
    roots = [f"r{at}" for at in range(count)]
    begun = await here.begin(*(spec(name) for name in roots))
    taken = await here.take()

    growing = (shops[at % 2].grow(taken[name], spec(f"c{at}")) for at, name in enumerate(roots))
    grown = await asyncio.gather(*growing, return_exceptions=True)

    assert [each for each in grown if isinstance(each, BaseException)] == []
    assert len((await here.graph(begun.processgraphid)).processids) == 2 * count


# -------------------------------------------------------------------- anything at once


@pytest.mark.parametrize("seed", range(6))
async def test_anything_at_once_leaves_nothing_open(shops: Shops, seed: int) -> None:
    here, _ = shops
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated
    begun = [await here.begin(*DIAMOND, spec("e", "d", "a")) for _ in range(4)]

    def anybody() -> Workshop:
        return chance.choice(shops)

    async def run() -> None:
        try:
            given = await anybody().assign()
        except NothingAvailable:
            return
        await later(chance.randrange(6), asyncio.sleep(0))
        if chance.random() < 0.3:
            await anybody().grow(given.processid, spec("x"), insert=chance.random() < 0.5)
        await (anybody().fail if chance.random() < 0.1 else anybody().finish)(given.processid)

    for _ in range(12):
        works = [run() for _ in range(5)]
        graph = chance.choice(begun).processgraphid
        if chance.random() < 0.3:
            works.append(anybody().cancel(graph))
        if chance.random() < 0.3:
            works.append(anybody().remove(graph))
        done = await asyncio.gather(
            *(later(chance.randrange(9), work) for work in works), return_exceptions=True
        )
        odd = [e for e in done if e is not None and not isinstance(e, Rejected | Unavailable)]
        assert odd == []
    here.pass_time(1)
    await here.look_at_due()

    await here.work()
    released = Counter(e.subject for e in await here.log() if isinstance(e, ProcessReleased))
    assert set(released.values()) <= {1}
    running = [p for p in await here.processes(State.RUNNING) if p.assignedexecutorid == EXECUTOR]
    assert running == []
