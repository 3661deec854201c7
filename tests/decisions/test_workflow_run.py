"""What the end of a process means for its workflow: release, progress, failure."""

import pytest

from broker.aggregates.colony import RequirementClassRetired
from broker.aggregates.process import OutputSet, ProcessClosed, ProcessReleased, State
from broker.aggregates.process_end import WORKFLOW_FAILED
from broker.aggregates.process_retry import RAN_TOO_LONG, WAITED_TOO_LONG
from broker.aggregates.succession import MOST_PASSED_ON, joined
from broker.aggregates.workflow import WorkflowAdvanced, WorkflowEnded, WorkflowRow
from broker.clock import SECOND_NS
from broker.errors import Invalid
from broker.matching import Requirement
from broker.packing import packed
from tests.facts import CLI, EXECUTOR, LATER, T0, class_added
from tests.scenario import World, given
from tests.workflows import (
    DIAMOND,
    GRAPH,
    A,
    B,
    C,
    D,
    Story,
    add_child,
    after,
    assigned,
    cancel,
    close,
    command,
    done,
    expire,
    kin,
    node,
    present,
    queued_as,
    remove,
    running,
    started,
    submitted,
    sweep,
    workflow_row,
)

GPU = Requirement(executor_type="gpu")
JOIN = (node("a"), node("b"), node("c", "b", "a"))
TWO = (node("a"), node("b"))


def closed(
    process_id: str, out: bytes | None = None, outcome: State = State.SUCCESS
) -> ProcessClosed:
    return ProcessClosed(
        subject=process_id,
        actor=EXECUTOR,
        at_ns=LATER,
        outcome=int(outcome),
        out=out,
        errors=["it broke"] if outcome is State.FAILED else [],
        function="echo",
        executor_name="worker",
        waited_ns=5,
        ran_ns=LATER - T0 - 5,
        timed=False,
    )


def advanced(process_id: str, *awaited: str) -> WorkflowAdvanced:
    return WorkflowAdvanced(
        subject=GRAPH, actor=EXECUTOR, at_ns=LATER, process=process_id, awaited=list(awaited)
    )


def released(process_id: str, given_input: bytes) -> ProcessReleased:
    return ProcessReleased(
        subject=process_id,
        actor=EXECUTOR,
        at_ns=LATER,
        class_key=CLI.class_key,
        queued_as=queued_as(process_id),
        input=given_input,
    )


def ended(
    outcome: State, sweeps: int = -1, *, was: State = State.RUNNING, actor: str = EXECUTOR
) -> WorkflowEnded:
    return WorkflowEnded(
        subject=GRAPH,
        actor=actor,
        at_ns=LATER,
        submitted_us=T0 // 1_000,
        was=int(was),
        outcome=int(outcome),
        sweeps=sweeps,
    )


def because(text: str) -> bytes:
    return packed([text])


def graph(story: Story) -> WorkflowRow:
    row = workflow_row(World(story))
    assert row is not None
    return row


# -------------------------------------------------------------------- success


def test_child_of_one_parent_is_released_with_its_output() -> None:
    given(*running((node("a"), node("b", "a")))).when(close(A, b"[1, 2]")).then(
        closed(A, b"[1, 2]"), advanced(A), released(B, b"[1, 2]")
    ).wakes(CLI.class_key)


def test_fan_out_releases_every_child_and_wakes_as_many_executors() -> None:
    nodes = (node("a"), node("b", "a"), node("c", "a"), node("d", "a"))

    given(*running(nodes)).when(close(A, b'["x"]')).then(
        closed(A, b'["x"]'), advanced(A), *(released(i, b'["x"]') for i in (B, C, D))
    ).wakes(*[CLI.class_key] * 3)


def test_child_that_waits_for_another_parent_is_counted_down() -> None:
    story = running(JOIN, A, B)

    given(*story).when(close(A, b"[1]")).then(closed(A, b"[1]"), advanced(A, C)).wakes()

    assert present(World(after(story, close(A, b"[1]"))), C).pending == 1


def test_last_parent_releases_the_child_with_the_outputs_in_dependency_order() -> None:
    story = after(running(JOIN, A, B), close(A, b"[1, 2]"))

    given(*story).when(close(B, b'["b"]')).then(
        closed(B, b'["b"]'), advanced(B), released(C, b'["b",1, 2]')
    )


def test_parents_that_close_at_the_same_instant_do_not_both_leave_the_release_to_the_other() -> (
    None
):
    story = running(JOIN, A, B)

    given(*story).when(close(A)).unless(*after(story, close(B))[len(story) :])


def test_only_one_of_two_parents_releases_the_child() -> None:
    story = after(running(JOIN, A, B), close(A))

    given(*story).when(close(B)).unless(*after(story, close(B))[len(story) :])


def test_parent_that_is_listed_twice_gives_its_output_twice() -> None:
    given(*running((node("a"), node("b", "a", "a")))).when(close(A, b"[1]")).then(
        closed(A, b"[1]"), advanced(A), released(B, b"[1,1]")
    )


def test_output_that_was_set_before_is_passed_on_by_a_close_without_one() -> None:
    given_before = OutputSet(subject=A, actor=EXECUTOR, at_ns=LATER, out=b"[7]")
    story = (*running((node("a"), node("b", "a"))), given_before)

    given(*story).when(close(A)).then(closed(A), advanced(A), released(B, b"[7]"))


def test_close_without_output_notices_one_that_is_set_meanwhile() -> None:
    meanwhile = OutputSet(subject=A, actor=EXECUTOR, at_ns=LATER, out=b"[7]")

    given(*running((node("a"), node("b", "a")))).when(close(A)).unless(meanwhile)


def test_class_that_nothing_waited_for_comes_back_with_the_release() -> None:
    nodes = (node("a"), node("b", "a", more=command(B, requirement=GPU)))

    decision = close(A)(World(running(nodes)))

    assert [event.TYPE for event in decision.events] == [
        "ProcessClosed",
        "WorkflowAdvanced",
        "RequirementClassAdded",
        "ProcessReleased",
    ]
    assert decision.wakes == (GPU.class_key,)


def test_class_that_is_retired_before_the_release_is_noticed() -> None:
    retired = RequirementClassRetired(subject=CLI.class_key, actor="", at_ns=LATER)

    given(*running((node("a"), node("b", "a")))).when(close(A)).unless(retired)


def test_last_success_ends_the_workflow() -> None:
    given(*running((node("a"),))).when(close(A)).then(closed(A), advanced(A), ended(State.SUCCESS))


def test_two_that_are_last_at_the_same_instant_do_not_both_leave_the_end_to_the_other() -> None:
    story = running(TWO, A, B)

    given(*story).when(close(A)).unless(*after(story, close(B))[len(story) :])


def test_workflow_that_ended_shows_when() -> None:
    row = graph(after(running((node("a"),)), close(A)))

    assert (row.state, row.left, row.started_ns, row.ended_ns) == (
        State.SUCCESS,
        0,
        T0 + 5,
        LATER,
    )


def test_outputs_beyond_the_limit_are_refused_and_not_passed_on() -> None:
    nodes = (node("a"), *(node(name, "a") for name in "bcd"))
    out = b'["' + b"x" * (MOST_PASSED_ON // 3) + b'"]'

    given(*running(nodes)).when(close(A, out)).rejected(
        Invalid,
        f"the output would be passed on to 3 processes with {3 * len(out)} bytes in all, more than"
        f" the limit of {MOST_PASSED_ON}; pass on where it is kept instead",
    )


@pytest.mark.parametrize(
    ("outputs", "one"),
    [
        ([], b"[]"),
        ([b"[]", b"[ ]"], b"[]"),
        ([b"[1]", b"[]", b"[ 2 , 3 ]"], b"[1,2 , 3]"),
        ([b"[[]]", b"[null]"], b"[[],null]"),
    ],
)
def test_lists_are_joined_one_level_deep(outputs: list[bytes], one: bytes) -> None:
    assert joined(outputs) == one


# -------------------------------------------------------------------- failure


def test_failed_leaf_fails_the_workflow_and_nothing_else() -> None:
    given(*running(TWO, A, B)).when(close(A, failed=True)).then(
        closed(A, outcome=State.FAILED), ended(State.FAILED)
    )


def test_siblings_of_a_failed_leaf_go_on_and_the_workflow_stays_failed() -> None:
    story = after(running(TWO, A, B), close(A, failed=True), close(B))

    assert (graph(story).state, graph(story).left) == (State.FAILED, 1)
    assert present(World(story), B).state is State.SUCCESS


def test_failure_with_children_takes_the_other_processes_along() -> None:
    given(*running()).when(close(A, failed=True)).then(
        closed(A, outcome=State.FAILED), ended(State.FAILED, int(State.FAILED))
    )


def test_child_that_is_added_meanwhile_is_noticed_by_a_failure() -> None:
    story = running((node("a"),))

    given(*story).when(close(A, failed=True)).unless(*after(story, add_child())[len(story) :])


def test_child_that_is_added_meanwhile_is_noticed_by_a_success() -> None:
    story = running((node("a"),))

    given(*story).when(close(A)).unless(*after(story, add_child())[len(story) :])


def test_failure_notices_that_the_workflow_was_cancelled() -> None:
    story = running()

    given(*story).when(close(A, failed=True)).unless(*after(story, cancel())[len(story) :])


def test_failure_while_all_are_being_cancelled_makes_the_workflow_failed() -> None:
    story = after(running(), cancel())

    given(*story).when(close(A, failed=True)).then(
        closed(A, outcome=State.FAILED), ended(State.FAILED, was=State.CANCELLED)
    )
    assert graph(after(story, close(A, failed=True))).sweeps == int(State.CANCELLED)


def test_success_while_all_are_being_cancelled_releases_what_was_not_reached_yet() -> None:
    story = after(running(), cancel(), sweep(B, aimed=int(State.CANCELLED)))

    decision = close(A)(World(story))

    assert [(e.TYPE, e.subject) for e in decision.events] == [
        ("ProcessClosed", A),
        ("WorkflowAdvanced", GRAPH),
        ("ProcessReleased", C),
    ]


def test_last_success_does_not_end_what_has_failed_as_a_success() -> None:
    story = after(running(TWO, A, B), close(A, failed=True))

    given(*story).when(close(B)).then(closed(B), advanced(B))


def test_second_failure_counts_once() -> None:
    story = after(running(TWO, A, B), close(A, failed=True))

    given(*story).when(close(B, failed=True)).then(
        closed(B, outcome=State.FAILED), ended(State.FAILED, was=State.FAILED)
    )


def test_end_of_a_process_whose_workflow_is_being_removed_is_its_own() -> None:
    story = (*after(submitted(), remove()), assigned(A))

    given(*story).when(close(A)).then(closed(A))


# -------------------------------------------------------------------- time


def timed(max_wait_s: int) -> Story:
    nodes = (node("a"), node("b", "a", more=command(B, max_wait_s=max_wait_s)), node("c", "b"))
    return submitted(nodes)


def test_process_that_waits_too_long_for_its_parents_fails_with_its_workflow() -> None:
    story = after(timed(max_wait_s=5), expire(B, T0 + 5 * SECOND_NS))
    row = present(World(story), B)

    assert (row.state, row.row[b"errors"]) == (State.FAILED, because(WAITED_TOO_LONG))
    assert (graph(story).state, graph(story).sweeps) == (State.FAILED, int(State.FAILED))


def test_wait_deadline_notices_that_the_process_was_released() -> None:
    story = (*timed(max_wait_s=5), assigned(A), started())

    given(*story).when(expire(B, T0 + 5 * SECOND_NS)).unless(*after(story, close(A))[len(story) :])


def test_process_that_runs_too_long_without_retries_fails_its_workflow() -> None:
    nodes = (node("a", more=command(A, max_exec_s=5)), node("b", "a"))
    story = after(running(nodes), expire(A, T0 + 6 * SECOND_NS))

    assert present(World(story), A).row[b"errors"] == because(RAN_TOO_LONG)
    assert (graph(story).state, graph(story).sweeps) == (State.FAILED, int(State.FAILED))


def test_retry_keeps_the_workflow_running() -> None:
    nodes = (node("a", more=command(A, max_exec_s=5, max_retries=1)), node("b", "a"))
    story = after(running(nodes), expire(A, T0 + 6 * SECOND_NS))

    assert (graph(story).state, graph(story).left) == (State.RUNNING, 2)
    assert present(World(story), A).state is State.WAITING


def test_processes_that_are_taken_along_say_why() -> None:
    story = after(running(), close(A, failed=True), sweep(A, B, C, D, aimed=int(State.FAILED)))
    world = World(story)

    assert [present(world, i).state for i in (A, B, C, D)] == [State.FAILED] * 4
    assert present(world, B).row[b"errors"] == because(WORKFLOW_FAILED)
    assert kin(world, present(world, A)).children[0].state is State.FAILED


def test_diamond_runs_to_its_end() -> None:
    story = (*running(), class_added(GPU))
    story = after(story, close(A, b"[0]"))
    for process_id, out in ((C, b'["c"]'), (B, b'["b"]')):
        story = done(story, process_id, out)

    assert present(World(story), D).row[b"in"] == b'["b","c"]'
    assert graph(done(story, D)).state is State.SUCCESS
    assert len(DIAMOND) == graph(story).size
