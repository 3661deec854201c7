"""Growing a workflow while it runs, over the handlers: where a child is put, and what it gets."""

import msgspec
import pytest

from api import wire, wire_process, wire_user
from api.handlers import user
from api.specs import MOST_ENVIRONMENT
from api.wire_workflow import ProcessGraph
from broker.aggregates.process import State
from broker.errors import Denied, Invalid, Malformed, NotFound
from broker.store import EventStore
from tests.facts import COLONY, EXECUTOR, OTHER, USER
from tests.graphs import DIAMOND, Spec, add_child, close, fail, given, look, named, spec, submit
from tests.stage import Stage
from tests.store.ground import types

UNKNOWN = "0" * 64
ELSEWHERE = "elsewhere"
THEIR_OWNER = "a1" * 32


@pytest.fixture
async def stage(store: EventStore) -> Stage:
    stage = Stage(store)
    await stage.found()
    return stage


async def begun(stage: Stage, *specs: Spec) -> tuple[ProcessGraph, wire_process.Process]:
    """The diamond, or another workflow, and its first process, which runs."""
    graph = await submit(stage, *(specs or DIAMOND))
    return graph, await stage.assign()


async def run(stage: Stage, graph: ProcessGraph) -> dict[str, object]:
    """Run a workflow to its end, each process giving its name; what each got."""
    inputs: dict[str, object] = {}
    while (await look(stage, graph)).state != State.SUCCESS:
        running = await stage.assign()
        inputs[named(running)] = given(running)
        await close(stage, running, named(running))
    return inputs


# -------------------------------------------------------------------- where it is put


async def test_child_of_a_leaf_runs_behind_it_with_its_output(stage: Stage) -> None:
    graph, leaf = await begun(stage, spec("a"))

    child = await add_child(stage, leaf)

    assert (child.state, child.waitforparents, child.processgraphid) == (
        *(State.WAITING, True),
        graph.processgraphid,
    )
    assert (child.parents, child.children) == ([leaf.processid], [])
    await close(stage, leaf, 1, 2)
    assert await run(stage, graph) == {"new": [1, 2]}


async def test_child_beside_the_others_changes_nothing_for_them(stage: Stage) -> None:
    graph, first = await begun(stage)

    child = await add_child(stage, first)

    present = await stage.look(first.processid)
    assert set(present.children) == {*first.children, child.processid}
    await close(stage, first, "a")
    assert await run(stage, graph) == {"b": ["a"], "c": ["a"], "new": ["a"], "d": ["b", "c"]}


async def test_child_in_front_of_another_is_one_parent_more(stage: Stage) -> None:
    graph, first = await begun(stage)
    last = graph.processids[3]

    child = await add_child(stage, first, childprocessid=last)

    assert (child.parents, child.children) == ([first.processid], [last])
    assert (await stage.look(last)).parents == [*graph.processids[1:3], child.processid]
    await close(stage, first, "a")
    inputs = await run(stage, graph)
    assert inputs == {"b": ["a"], "c": ["a"], "new": ["a"], "d": ["b", "c", "new"]}


async def test_inserted_child_stands_between_its_parent_and_all_its_children(stage: Stage) -> None:
    graph, first = await begun(stage)

    child = await add_child(stage, first, insert=True)

    assert set(child.children) == set(graph.processids[1:3])
    assert (await stage.look(first.processid)).children == [child.processid]
    for process_id in graph.processids[1:3]:
        assert (await stage.look(process_id)).parents == [child.processid]
    await close(stage, first, "a")
    inputs = await run(stage, graph)
    assert inputs == {"new": ["a"], "b": ["new"], "c": ["new"], "d": ["b", "c"]}


async def test_inserted_child_is_the_last_parent_of_what_has_others(stage: Stage) -> None:
    graph, first = await begun(stage, spec("a"), spec("b"), spec("c", "a", "b"))

    child = await add_child(stage, first, insert=True)

    second, third = graph.processids[1:]
    assert (await stage.look(third)).parents == [second, child.processid]
    await close(stage, first, "a")
    assert await run(stage, graph) == {"b": [], "new": ["a"], "c": ["b", "new"]}


async def test_insert_does_not_ask_who_else_is_named(stage: Stage) -> None:
    graph, first = await begun(stage)

    child = await add_child(stage, first, insert=True, childprocessid=UNKNOWN)

    assert set(child.children) == set(graph.processids[1:3])


async def test_drawing_shows_what_was_added(stage: Stage) -> None:
    graph, first = await begun(stage)

    child = await add_child(stage, first, insert=True)

    shown = await look(stage, graph)
    placed = {node.id: node.position.y for node in shown.nodes}
    a, b, c, d = graph.processids
    assert placed == {a: 0, child.processid: 80, b: 160, c: 160, d: 240}
    assert {(edge.source, edge.target) for edge in shown.edges} == {
        *((a, child.processid), (child.processid, b), (child.processid, c)),
        *((b, d), (c, d)),
    }


# -------------------------------------------------------------------- what it is like


async def test_child_tells_who_added_it(stage: Stage) -> None:
    _, first = await begun(stage)

    child = await add_child(stage, first)

    assert (child.initiatorid, child.initiatorname) == (EXECUTOR, "worker")


async def test_child_without_a_limit_of_time_has_none(stage: Stage) -> None:
    _, first = await begun(stage, spec("a"))

    child = await add_child(stage, first, spec("new", maxexectime=0))

    assert msgspec.json.decode(child.spec)["maxexectime"] == -1
    await close(stage, first)
    assert (await stage.assign()).execdeadline == wire.NO_TIME


async def test_child_may_have_the_name_of_another(stage: Stage) -> None:
    _, first = await begun(stage)

    assert named(await add_child(stage, first, spec("b"))) == "b"


async def test_child_fails_with_its_parent(stage: Stage) -> None:
    graph, first = await begun(stage, spec("a"))
    child = await add_child(stage, first)

    await fail(stage, first)

    assert (await stage.look(child.processid)).state == State.FAILED
    assert (await look(stage, graph)).state == State.FAILED


# -------------------------------------------------------------------- what is refused


async def refused(
    stage: Stage,
    kind: type[Exception],
    text: str,
    parent: wire_process.Process,
    child: Spec | None = None,
    *,
    caller: str = EXECUTOR,
    **fields: object,
) -> None:
    """See that a child is refused in these words, and nothing has happened."""
    tag = await stage.tag()
    before = await types(stage.store, tag)

    with pytest.raises(kind) as caught:
        await add_child(stage, parent, child, caller=caller, **fields)

    assert str(caught.value) == text
    assert await types(stage.store, tag) == before


async def test_unknown_parent_is_refused(stage: Stage) -> None:
    _, first = await begun(stage)

    text = f"Process with Id {UNKNOWN} not found"
    await refused(stage, NotFound, text, first, parentprocessid=UNKNOWN)


async def test_unknown_process_to_wait_is_refused(stage: Stage) -> None:
    _, first = await begun(stage)

    text = f"Process with Id {UNKNOWN} not found"
    await refused(stage, NotFound, text, first, childprocessid=UNKNOWN)


async def test_unknown_workflow_is_refused(stage: Stage) -> None:
    _, first = await begun(stage)

    text = f"Process with Id {first.processid} does not belong to a processgraph"
    await refused(stage, Invalid, text, first, processgraphid=UNKNOWN)


async def test_workflow_of_others_is_refused(stage: Stage) -> None:
    other, _ = await begun(stage, spec("a"))
    _, first = await begun(stage)

    text = f"Process with Id {first.processid} does not belong to a processgraph"
    await refused(stage, Invalid, text, first, processgraphid=other.processgraphid)


async def test_process_of_another_workflow_cannot_be_made_to_wait(stage: Stage) -> None:
    _, first = await begun(stage)
    other = await submit(stage, *DIAMOND)

    waiting = other.processids[3]
    text = f"Process with Id {waiting} does not wait for its parents"
    await refused(stage, Invalid, text, first, childprocessid=waiting)


async def test_root_cannot_be_made_to_wait(stage: Stage) -> None:
    graph, first = await begun(stage, spec("a"), spec("b"))

    waiting = graph.processids[1]
    text = f"Process with Id {waiting} does not wait for its parents"
    await refused(stage, Invalid, text, first, childprocessid=waiting)


async def test_parent_cannot_be_made_to_wait_for_its_child(stage: Stage) -> None:
    _, first = await begun(stage)

    text = f"Process with Id {first.processid} does not wait for its parents"
    await refused(stage, Invalid, text, first, childprocessid=first.processid)


async def test_child_in_a_colony_of_others_is_refused(stage: Stage) -> None:
    await stage.add_colony(ELSEWHERE, THEIR_OWNER)
    _, first = await begun(stage)

    text = f"Access denied, not a member of Colony with name <{ELSEWHERE}>"
    await refused(stage, Denied, text, first, spec("new", colony=ELSEWHERE))


async def test_parent_in_another_colony_is_not_found(stage: Stage) -> None:
    _, first = await begun(stage)
    await stage.add_colony(ELSEWHERE, THEIR_OWNER)
    bob = wire_user.User(colonyname=ELSEWHERE, userid=OTHER, name="bob")
    await stage.say(user.add, THEIR_OWNER, wire_user.AddUserMsg(user=bob))

    text = f"Process with Id {first.processid} not found"
    await refused(stage, NotFound, text, first, spec("new", colony=ELSEWHERE), caller=OTHER)


async def test_only_a_member_adds_a_child(stage: Stage) -> None:
    _, first = await begun(stage)

    text = f"Access denied, not a member of Colony with name <{COLONY}>"
    await refused(stage, Denied, text, first, caller=OTHER)


@pytest.mark.parametrize(
    "fields",
    [{"args": {}}, {"kwargs": []}, {"env": {f"e{at}": "" for at in range(MOST_ENVIRONMENT + 1)}}],
    ids=["args", "kwargs", "environment"],
)
@pytest.mark.parametrize("parent", [None, UNKNOWN])
async def test_outsider_learns_nothing_of_what_is_wrong(
    stage: Stage, fields: dict[str, object], parent: str | None
) -> None:
    _, first = await begun(stage)

    text = f"Access denied, not a member of Colony with name <{COLONY}>"
    named = {"parentprocessid": parent} if parent else {}
    await refused(stage, Denied, text, first, {**spec("new"), **fields}, caller=OTHER, **named)


@pytest.mark.parametrize(
    "fields", [{"args": {}}, {"kwargs": []}, {"fs": []}, {"conditions": []}], ids=str
)
async def test_child_that_cannot_be_read_is_refused(
    stage: Stage, fields: dict[str, object]
) -> None:
    _, first = await begun(stage)

    text = "Failed to add child to processgraph, invalid JSON"
    await refused(stage, Malformed, text, first, {**spec("new"), **fields})


async def test_only_who_holds_the_parent_adds_a_child(stage: Stage) -> None:
    _, first = await begun(stage)

    text = f"Process with Id {first.processid} is not assigned to executor with Id {USER}"
    await refused(stage, Invalid, text, first, caller=USER)


async def test_parent_that_does_not_run_is_refused(stage: Stage) -> None:
    graph, first = await begun(stage)

    waiting = graph.processids[1]
    text = f"Process with Id {waiting} is not running"
    await refused(stage, Invalid, text, first, parentprocessid=waiting)


async def test_parent_outside_of_workflows_is_refused(stage: Stage) -> None:
    await stage.submit()
    alone = await stage.assign()

    text = f"Process with Id {alone.processid} does not belong to a processgraph"
    await refused(stage, Invalid, text, alone)


async def test_child_without_a_spec_is_refused(stage: Stage) -> None:
    _, first = await begun(stage)

    text = "Failed to add child to processgraph, msg.FunctionSpec is nil"
    await refused(stage, Invalid, text, first, spec=None)
