"""Workflows over the handlers: nothing half-done is left, and nobody else's is touched."""

import pytest

from broker.aggregates.process import State
from broker.errors import Denied, Invalid
from broker.store import EventStore
from tests.facts import COLONY, USER
from tests.graphs import (
    DIAMOND,
    Spec,
    cancel,
    close,
    fail,
    given,
    listed,
    look,
    named,
    remove_all,
    spec,
    submit,
)
from tests.stage import Stage
from tests.store.ground import types

STATES = tuple(State)


@pytest.fixture
async def stage(store: EventStore) -> Stage:
    stage = Stage(store)
    await stage.found()
    return stage


# -------------------------------------------------------------------- submitting


async def test_equally_urgent_processes_are_assigned_in_the_order_of_their_specs(
    stage: Stage,
) -> None:
    names = [f"node {number}" for number in range(20)]
    await submit(stage, *(spec(name) for name in names))

    assert [named(await stage.assign()) for _ in names] == names


async def test_more_urgent_process_is_assigned_first(stage: Stage) -> None:
    await submit(stage, spec("a"), spec("b", priority=1), spec("c"))

    assert [named(await stage.assign()) for _ in range(3)] == ["b", "a", "c"]


async def test_later_workflow_comes_after_an_earlier_one(stage: Stage) -> None:
    await submit(stage, spec("a"), spec("b"))
    await submit(stage, spec("c"), spec("d"))

    assert [named(await stage.assign()) for _ in range(4)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "specs",
    [
        pytest.param((), id="empty"),
        pytest.param((spec("a"), spec("")), id="no name"),
        pytest.param((spec("a"), spec("a")), id="the same name twice"),
        pytest.param((spec("a"), spec("b", "unknown")), id="unknown dependency"),
        pytest.param((spec("a"), spec("b", "c"), spec("c", "b")), id="circle"),
        pytest.param((spec("a"), spec("b", "b")), id="self"),
        pytest.param((spec("a"), spec("b", priority=2_000_000)), id="priority"),
    ],
)
async def test_refused_workflow_leaves_nothing(stage: Stage, specs: tuple[Spec, ...]) -> None:
    tag = await stage.tag()
    before = await types(stage.store, tag)

    with pytest.raises(Invalid):
        await submit(stage, *specs)

    assert await types(stage.store, tag) == before
    assert await listed(stage, State.WAITING) == []


async def test_workflow_is_not_submitted_to_a_colony_of_others(stage: Stage) -> None:
    await stage.add_colony("elsewhere", "a1" * 32)

    with pytest.raises(Denied, match="not a member of Colony with name <elsewhere>"):
        await submit(stage, spec("a"), colony="elsewhere", caller=USER)


async def test_node_is_in_the_colony_of_its_workflow_whatever_it_says(stage: Stage) -> None:
    await stage.add_colony("elsewhere", "a1" * 32)

    graph = await submit(stage, spec("a", colony="elsewhere"))

    assert (graph.colonyname, named(await stage.assign())) == (COLONY, "a")


# -------------------------------------------------------------------- removing all


async def test_removing_the_successful_spares_what_succeeded_in_a_running_one(
    stage: Stage,
) -> None:
    done = await submit(stage, spec("a"))
    await close(stage, await stage.assign())
    graph = await submit(stage, *DIAMOND)
    await close(stage, await stage.assign(), "a")

    await remove_all(stage, State.SUCCESS)

    assert await listed(stage, State.SUCCESS) == []
    assert set((await look(stage, graph)).processids) == set(graph.processids)
    assert given(await stage.assign()) == ["a"]
    assert done.processgraphid not in await listed(stage, State.RUNNING)


async def test_removing_the_waiting_spares_what_waits_in_a_running_one(stage: Stage) -> None:
    graph = await submit(stage, *DIAMOND)
    first = await stage.assign()
    await submit(stage, spec("x"), spec("y", "x"))

    await remove_all(stage, State.WAITING)

    assert await listed(stage, State.WAITING) == []
    assert set((await look(stage, graph)).processids) == set(graph.processids)
    await close(stage, first, "a")
    assert [named(await stage.assign()) for _ in range(2)] == ["b", "c"]


async def test_removing_the_failed_spares_processes_outside_of_workflows(stage: Stage) -> None:
    alone = await stage.submit()
    await fail(stage, await stage.assign())
    graph = await submit(stage, spec("a"))
    await fail(stage, await stage.assign())

    await remove_all(stage, State.FAILED)

    assert (await stage.look(alone.processid)).state == State.FAILED
    assert graph.processgraphid not in await listed(stage, State.FAILED)


async def test_removing_the_cancelled_spares_the_others(stage: Stage) -> None:
    cancelled = await submit(stage, *DIAMOND)
    await cancel(stage, cancelled)
    waiting = await submit(stage, *DIAMOND)

    await remove_all(stage, State.CANCELLED)

    assert await listed(stage, State.CANCELLED) == []
    assert await listed(stage, State.WAITING) == [waiting.processgraphid]


async def test_removing_all_removes_also_what_runs(stage: Stage) -> None:
    for _ in range(2):
        await submit(stage, *DIAMOND)
    await stage.assign()

    await remove_all(stage, -1)

    assert [await listed(stage, state) for state in STATES] == [[], [], [], [], []]
