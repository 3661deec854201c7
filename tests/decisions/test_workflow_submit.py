"""Submitting a workflow: what begins, what waits, and what cannot run is refused by name."""

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.planning import check, spawn
from broker.aggregates.process import HELD, NodeSubmitted, State
from broker.aggregates.user import UserRemoved
from broker.aggregates.workflow import Node, WorkflowSubmitted
from broker.errors import Denied, Invalid
from broker.matching import Requirement
from tests.facts import (
    CLI,
    COLONY,
    LATER,
    OWNER,
    STRANGER,
    T0,
    USER,
    class_added,
    executor_added,
    founded,
    inhabited,
)
from tests.scenario import World, given
from tests.workflows import (
    DIAMOND,
    GRAPH,
    A,
    B,
    C,
    D,
    command,
    node,
    nodes_of,
    present,
    submit,
    submitted,
    workflow_row,
)

GPU = Requirement(executor_type="gpu")
PEOPLE = (*inhabited(), class_added())
USER_GONE = UserRemoved(subject=USER, actor=OWNER, at_ns=LATER, name="alice")
DANGLING = (
    "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not"
    " exits?"
)


def waits(
    name: str, order: int, parents: list[str], children: list[str], process_id: str
) -> NodeSubmitted:
    return NodeSubmitted(
        subject=process_id,
        actor=USER,
        at_ns=T0,
        spec=b"{}",
        initiator_name="alice",
        function="echo",
        label="",
        priority_time=T0 + "abcd".index(name),
        wait_deadline_ns=0,
        max_wait_s=-1,
        max_exec_s=-1,
        max_retries=0,
        requires=CLI.pack(),
        env={},
        graph=GRAPH,
        node=name,
        order=order,
        parents=parents,
        children=children,
        input=b"",
    )


def queue(world: World, name: str) -> set[str]:
    members = world.values.get(keys.queue(name), set[bytes]())
    return {keys.queued_process(member.decode()) for member in members}


def test_workflow_is_submitted_with_all_its_processes_at_once() -> None:
    given(*PEOPLE).when(submit(*DIAMOND)).then(
        waits("a", 0, [], [B, C], A),
        waits("b", 1, [A], [D], B),
        waits("c", 3, [A], [D], C),
        waits("d", 2, [B, C], [], D),
        WorkflowSubmitted(
            subject=GRAPH,
            actor=USER,
            at_ns=T0,
            initiator_name="alice",
            roots=[A],
            processes=[A, B, C, D],
        ),
    ).unless(USER_GONE).wakes(CLI.class_key)


def test_roots_are_queued_and_the_others_held() -> None:
    world = World(submitted())

    assert queue(world, CLI.class_key) == {A}
    assert queue(world, HELD) == {B, C, D}
    assert [present(world, i).pending for i in (A, B, C, D)] == [0, 1, 1, 2]


def test_processes_are_ordered_depth_first_from_the_roots() -> None:
    assert nodes_of(World(submitted())) == [A, B, D, C]


def test_nothing_has_begun_yet() -> None:
    row = workflow_row(World(submitted()))

    assert row is not None
    assert (row.state, row.left, row.size, row.roots) == (State.WAITING, 4, 4, [A])
    assert (row.submitted_ns, row.started_ns, row.ended_ns) == (T0, 0, 0)


def test_nodes_may_be_named_before_those_they_depend_on() -> None:
    story = submitted([node("d", "b", "c"), node("c", "a"), node("b", "a"), node("a")])

    assert nodes_of(World(story)) == [A, C, D, B]


def test_first_workflow_with_a_requirement_brings_its_class() -> None:
    given(*inhabited()).when(submit(node("a"), known=())).then(
        replace(class_added(), actor=""),
        waits("a", 0, [], [], A),
        WorkflowSubmitted(
            subject=GRAPH, actor=USER, at_ns=T0, initiator_name="alice", roots=[A], processes=[A]
        ),
    ).unless(class_added())


def test_class_of_a_held_process_comes_when_it_is_released() -> None:
    later = node("b", "a", more=command(B, requirement=GPU))

    decision = submit(node("a"), later)(World(PEOPLE))

    assert [event.TYPE for event in decision.events] == ["NodeSubmitted"] * 2 + [
        "WorkflowSubmitted"
    ]


def test_as_many_executors_are_woken_as_processes_are_queued() -> None:
    given(*PEOPLE).when(submit(node("a"), node("b"), node("c", "a"))).wakes(
        CLI.class_key, CLI.class_key
    )


def test_dependency_that_is_named_twice_is_one_parent_that_is_listed_twice() -> None:
    row = present(World(submitted([node("a"), node("b", "a", "a")])), B)

    assert (row.parents, row.pending) == ([A, A], 1)


def test_roots_of_a_spawned_workflow_get_its_input() -> None:
    by = workflow_row(World(submitted()))
    assert by is not None

    events = spawn(GRAPH, DIAMOND, by.initiator, {CLI.class_key}, T0, root_input=b"[1]").events

    rows = World((*PEOPLE, *events))
    assert [present(rows, i).row.get(b"in") for i in (A, B, C, D)] == [b"[1]", None, None, None]


@pytest.mark.parametrize("caller", [STRANGER, OWNER])
def test_only_members_submit_workflows(caller: str) -> None:
    given(*PEOPLE).when(submit(*DIAMOND, caller=caller)).rejected(
        Denied, f"Access denied, not a member of Colony with name <{COLONY}>"
    )


def test_pending_executor_submits_no_workflow() -> None:
    executor = executor_added()
    given(founded(), executor).when(submit(*DIAMOND, caller=executor.subject)).rejected(
        Denied, f"Access denied, not a member of Colony with name <{COLONY}>"
    )


# -------------------------------------------------------------------- what cannot run


def refused(*nodes: Node, most: int = 10) -> str:
    with pytest.raises(Invalid) as caught:
        check(nodes, most)
    return str(caught.value)


@pytest.mark.parametrize(
    "nodes",
    [
        DIAMOND,
        (node("a"),),
        (node("a"), node("b", "a", "a")),
        (node("b", "a"), node("a")),
        (node("a", more=command(A, priority=50_000)),),
        (node(A, process_id=B), node(B, A, process_id=A)),
        (node(" ", process_id=A), node("\x00\n", " ", process_id=B)),
    ],
)
def test_workflow_that_can_run_is_accepted(nodes: tuple[Node, ...]) -> None:
    check(nodes, 10)


def test_empty_workflow_is_refused() -> None:
    assert refused() == "Failed to submit workflow, it has no function specs"


def test_more_nodes_than_the_limit_are_refused() -> None:
    text = refused(*(node(str(at), process_id=A) for at in range(11)))

    assert text == (
        "Failed to submit workflow, it has 11 function specs, more than the limit of 10"
    )


def test_node_without_a_name_is_refused_by_its_place() -> None:
    assert refused(node("a"), node("", process_id=B)) == (
        "Nodename is missing, check function spec for errors (functionspecs[1])"
    )


def test_name_that_is_there_twice_is_refused() -> None:
    assert refused(node("a"), node("b"), node("a")) == "Duplicate nodename: a"


def test_dependency_on_nobody_is_refused_by_both_names() -> None:
    assert refused(node("a"), node("b", "a", "x")) == f"{DANGLING} <b> depends on <x>"


@pytest.mark.parametrize(
    ("nodes", "circle"),
    [
        ((node("a", "a"),), "<a> -> <a>"),
        ((node("a", "b"), node("b", "a")), "<a> -> <b> -> <a>"),
        ((node("a"), node("b", "a", "c"), node("c", "b")), "<b> -> <c> -> <b>"),
    ],
)
def test_circle_is_refused_with_the_names_on_it(nodes: tuple[Node, ...], circle: str) -> None:
    assert refused(*nodes) == (
        f"Failed to submit workflow, its dependencies go in a circle: {circle}"
    )


def test_long_circle_is_told_in_a_few_names() -> None:
    size = 1_000
    nodes = [node(str(at), str((at + 1) % size), process_id=A) for at in range(size)]

    text = refused(*nodes, most=size)

    assert text.startswith(
        "Failed to submit workflow, its dependencies go in a circle: <0> -> <1> -> "
    )
    assert text.endswith(" -> ... -> <999> -> <0> (1000 nodes)")
    assert len(text) < 300


def test_more_dependencies_than_the_limit_are_refused() -> None:
    wide = [node(str(at), process_id=A) for at in range(5)]
    names = [each.name for each in wide]
    many = [node(f"n{at}", *(names * 5), process_id=A) for at in range(5)]

    assert refused(*wide, *many) == (
        "Failed to submit workflow, it has 125 dependencies, more than the limit of 100"
    )


@pytest.mark.parametrize("priority", [-50_001, 50_001, 2**63 - 1])
def test_priority_out_of_range_is_refused_by_the_name_of_the_node(priority: int) -> None:
    assert refused(node("a"), node("b", more=command(B, priority=priority))) == (
        "Failed to submit function spec, priority outside range [-50000, 50000] (nodename b)"
    )
