"""Cancelling, removing and sweeping a workflow, and letting it grow while it runs."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates import dissolution
from broker.aggregates.dissolution import leave
from broker.aggregates.executor import ExecutorRemoved
from broker.aggregates.process import (
    NodeSubmitted,
    ProcessAssigned,
    ProcessCancelled,
    ProcessFailed,
    ProcessRemoved,
    State,
)
from broker.aggregates.user import UserRemoved
from broker.aggregates.workflow import (
    REMOVING,
    WorkflowEnded,
    WorkflowGrew,
    WorkflowLeft,
    WorkflowRemoved,
    WorkflowRow,
    WorkflowSwept,
)
from broker.clock import SECOND_NS
from broker.decision import Decision
from broker.errors import Denied, Invalid, Missing, NotFound, Rejected
from broker.registry import pack
from projections.core import fold
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OTHER,
    OWNER,
    PROCESS,
    STRANGER,
    T0,
    USER,
    approved,
    executor_added,
)
from tests.facts import submitted as process_submitted
from tests.scenario import Decide, World, given
from tests.workflows import (
    DIAMOND,
    GRAPH,
    MOST_NODES,
    NEW,
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
    node,
    present,
    queued_as,
    remove,
    running,
    submitted,
    sweep,
    swept,
    workflow_row,
)

FAIL, CANCEL = int(State.FAILED), int(State.CANCELLED)
CHAIN = (node("a"), node("b", "a"), node("c", "b"))
USER_GONE = UserRemoved(subject=USER, actor=OWNER, at_ns=LATER, name="alice")
EXECUTOR_GONE = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
NOT_A_MEMBER = f"Access denied, not a member of Colony with name <{COLONY}>"
NO_GRAPH = "graph is nil"
ANOTHER = node("another", process_id="7" * 56 + A[56:])
DIGITS_MORE = 2
"""Bytes that the place of the 500th process in its workflow takes more than that of the first."""


def row_of(story: Story) -> WorkflowRow:
    row = workflow_row(World(story))
    assert row is not None
    return row


def since(story: Story, *decides: Decide) -> Story:
    return after(story, *decides)[len(story) :]


def ended(was: State, outcome: State = State.CANCELLED) -> WorkflowEnded:
    return WorkflowEnded(
        subject=GRAPH,
        actor=USER,
        at_ns=LATER,
        submitted_us=T0 // 1_000,
        was=int(was),
        outcome=int(outcome),
        sweeps=int(State.CANCELLED),
    )


FINISHED = after((*submitted([node("a")]), assigned(A)), close(A))
LEAF_FAILED = after(running((node("a"), node("b")), A, B), close(A, failed=True))

# -------------------------------------------------------------------- cancel


@pytest.mark.parametrize(
    ("story", "was"), [(submitted(), State.WAITING), (running(), State.RUNNING)]
)
def test_member_cancels_what_has_not_ended(story: Story, was: State) -> None:
    given(*story).when(cancel()).then(ended(was)).unless(USER_GONE)


def test_workflow_that_failed_stays_failed_and_its_rest_is_cancelled() -> None:
    given(*LEAF_FAILED).when(cancel()).then(ended(State.FAILED, State.FAILED))


def test_cancel_of_what_failed_notices_that_its_last_process_ended() -> None:
    given(*LEAF_FAILED).when(cancel()).unless(*since(LEAF_FAILED, close(B)))


OVER = after(LEAF_FAILED, close(B))
"""It failed, and all of its processes have ended."""


@pytest.mark.parametrize(
    "story", [FINISHED, OVER, after(submitted(), cancel()), after(running(), close(A, failed=True))]
)
def test_what_has_ended_or_is_being_ended_stays_as_it_is(story: Story) -> None:
    given(*story).when(cancel()).then().unless(USER_GONE)


def test_cancelling_again_when_all_is_cancelled_changes_nothing() -> None:
    given(*after(submitted(), cancel(), sweep(A, B, C, D, aimed=CANCEL), swept(CANCEL))).when(
        cancel()
    ).then()


def test_cancel_notices_that_all_is_being_failed_already() -> None:
    story = after(running((*DIAMOND, node("e", process_id=NEW)), A, NEW), close(NEW, failed=True))

    given(*story).when(cancel()).unless(*since(story, close(A, failed=True)))
    given(*story).when(close(A, failed=True)).unless(*since(story, cancel()))


def test_cancel_notices_that_the_workflow_ended() -> None:
    story = (*submitted([node("a")]), assigned(A))

    given(*story).when(cancel()).unless(*since(story, close(A)))


@pytest.mark.parametrize("caller", [STRANGER, OWNER])
@pytest.mark.parametrize("command", [cancel, remove])
def test_only_members_end_workflows(command: Callable[[str], Decide], caller: str) -> None:
    given(*submitted()).when(command(caller)).rejected(Denied, NOT_A_MEMBER)


def test_cancel_of_nothing_is_refused() -> None:
    given().when(cancel()).rejected(Missing, f"Failed to cancel processgraph, {NO_GRAPH}")


# -------------------------------------------------------------------- remove


@pytest.mark.parametrize(
    ("story", "was"),
    [
        (submitted(), State.WAITING),
        (FINISHED, State.SUCCESS),
        (LEAF_FAILED, State.FAILED),
        (after(submitted(), cancel()), State.CANCELLED),
    ],
)
def test_member_removes_what_is_not_running(story: Story, was: State) -> None:
    left = WorkflowLeft(subject=GRAPH, actor=USER, at_ns=LATER, was=int(was))

    given(*story).when(remove()).then(left).unless(USER_GONE)


def test_removed_workflow_is_not_there_any_more() -> None:
    story = after(submitted(), remove())

    assert workflow_row(World(story)) is None
    given(*story).when(remove()).rejected(Missing, f"Failed to remove processgraph, {NO_GRAPH}")


def test_running_workflow_is_not_removed() -> None:
    given(*running()).when(remove()).rejected(
        Invalid, "Failed to remove processgraph, cannot remove a running processgraph"
    )


def test_remove_notices_that_the_workflow_began_to_run() -> None:
    given(*submitted()).when(remove()).unless(*running()[len(submitted()) :])


def test_owner_removes_also_what_is_running() -> None:
    def decide(world: World) -> Decision:
        return leave((), workflow_row(world), OWNER, LATER)

    left = WorkflowLeft(subject=GRAPH, actor=OWNER, at_ns=LATER, was=int(State.RUNNING))
    given(*running()).when(decide).then(left)
    given().when(decide).then()


# -------------------------------------------------------------------- sweep


def cancelled(process_id: str, was: State, class_key: str, holder: str = "") -> ProcessCancelled:
    return ProcessCancelled(
        subject=process_id,
        actor="",
        at_ns=LATER,
        was=int(was),
        class_key=class_key,
        queued_as=queued_as(process_id),
        holder=holder,
    )


def removed(process_id: str, was: State, class_key: str) -> ProcessRemoved:
    return ProcessRemoved(
        subject=process_id,
        actor="",
        at_ns=LATER,
        was=int(was),
        class_key=class_key,
        queued_as=queued_as(process_id),
        attributes=[],
        channels=[],
    )


def test_sweep_of_a_cancelled_workflow_cancels_what_has_not_ended() -> None:
    story = (*done(submitted(), A), assigned(B))

    given(*after(story, cancel())).when(sweep(A, B, C, D, aimed=CANCEL)).then(
        cancelled(B, State.RUNNING, CLI.class_key, EXECUTOR),
        cancelled(C, State.WAITING, CLI.class_key),
        cancelled(D, State.WAITING, "held"),
    )


def test_sweep_of_a_failed_workflow_says_why_its_processes_failed() -> None:
    story = after((*done(submitted(), A), assigned(B)), close(B, failed=True))
    events = sweep(A, B, C, D, aimed=FAIL)(World(story)).events

    assert [(type(e), e.subject, e.cause) for e in events] == [
        (ProcessFailed, C, "workflow"),
        (ProcessFailed, D, "workflow"),
    ]


def test_sweep_of_a_removed_workflow_removes_whatever_is_there() -> None:
    story = after(submitted(), remove())
    story = (*story, assigned(A))

    given(*story).when(sweep(A, B, aimed=REMOVING)).then(
        cancelled(A, State.RUNNING, CLI.class_key, EXECUTOR),
        removed(A, State.CANCELLED, CLI.class_key),
        removed(B, State.WAITING, "held"),
    )


@pytest.mark.parametrize("aimed", [REMOVING, FAIL, CANCEL])
@pytest.mark.parametrize("story", [submitted(), running(), FINISHED, LEAF_FAILED, ()])
def test_workflow_that_goes_on_is_not_swept(story: Story, aimed: int) -> None:
    given(*story).when(sweep(A, B, aimed=aimed)).then()
    given(*story).when(swept(aimed)).then()


@pytest.mark.parametrize(
    ("story", "aim"),
    [
        (submitted(), None),
        (LEAF_FAILED, None),
        ((), None),
        (after(submitted(), cancel()), CANCEL),
        (after(running(), close(A, failed=True)), FAIL),
        (after(LEAF_FAILED, cancel()), CANCEL),
        (after(submitted(), cancel(), remove()), REMOVING),
    ],
)
def test_aim_of_a_sweep_is_what_happened_last(story: Story, aim: int | None) -> None:
    assert dissolution.aim(World(story).hash(keys.workflow(GRAPH))) == aim


@pytest.mark.parametrize(
    ("begun", "overtaken"), [(CANCEL, cancel()), (FAIL, close(A, failed=True))]
)
def test_walk_of_a_sweep_that_was_overtaken_by_a_removal_goes_no_further(
    begun: int, overtaken: Decide
) -> None:
    story = after(running(), overtaken, remove())

    given(*story).when(sweep(B, aimed=begun)).then()
    given(*story).when(swept(begun)).then()


def test_sweep_notices_that_a_process_was_assigned() -> None:
    given(*after(submitted(), cancel())).when(sweep(A, aimed=CANCEL)).unless(assigned(A))


def test_sweep_notices_that_a_process_was_released() -> None:
    story = after(running(), cancel())

    given(*story).when(sweep(B, aimed=CANCEL)).unless(*since(story, close(A)))


def test_sweep_notices_that_the_workflow_is_being_removed() -> None:
    story = after(submitted(), cancel())

    given(*story).when(sweep(A, aimed=CANCEL)).unless(*since(story, remove()))
    given(*story).when(swept(CANCEL)).unless(*since(story, remove()))


def test_sweep_that_is_over_leaves_nothing_due() -> None:
    story = after(submitted(), cancel(), sweep(A, B, C, D, aimed=CANCEL))

    given(*story).when(swept(CANCEL)).then(WorkflowSwept(subject=GRAPH, actor="", at_ns=LATER))
    world = World(after(story, swept(CANCEL)))
    assert keys.DUE not in world.values
    assert row_of(after(story, swept(CANCEL))).sweeps is None


def test_removal_that_is_over_leaves_no_key() -> None:
    story = after(submitted(), remove(), sweep(A, B, C, D, aimed=REMOVING))
    assert World(story).hash(keys.workflow(GRAPH))[b"state"] == b"%d" % REMOVING

    given(*story).when(swept(REMOVING)).then(WorkflowRemoved(subject=GRAPH, actor="", at_ns=LATER))
    left = World(after(story, swept(REMOVING))).values
    assert not [key for key in left if key.startswith(("w", "n:", "p:", "q:", "i:", "due"))]


# -------------------------------------------------------------------- growing


def grew(*followers: str, inserted: bool = False) -> WorkflowGrew:
    return WorkflowGrew(
        subject=GRAPH,
        actor=EXECUTOR,
        at_ns=LATER,
        parent=A,
        child=NEW,
        followers=list(followers),
        inserted=inserted,
    )


def relatives(story: Story, process_id: str) -> tuple[list[str], list[str]]:
    """The parents and the children of a process."""
    row = present(World(story), process_id)
    return row.parents, row.children


def new(children: list[str], order: int) -> NodeSubmitted:
    return NodeSubmitted(
        subject=NEW,
        actor=EXECUTOR,
        at_ns=LATER,
        spec=b"{}",
        initiator_name="worker",
        function="echo",
        label="",
        priority_time=LATER,
        wait_deadline_ns=0,
        max_wait_s=-1,
        max_exec_s=-1,
        max_retries=0,
        requires=CLI.pack(),
        env={},
        graph=GRAPH,
        node="new",
        order=order,
        parents=[A],
        children=children,
        input=b"",
    )


def test_child_of_a_leaf_is_put_behind_it() -> None:
    story = running((node("a"),))

    given(*story).when(add_child()).then(grew(), new([], 1)).unless(EXECUTOR_GONE)
    row = row_of(after(story, add_child()))
    assert (row.left, row.size) == (2, 2)
    assert relatives(after(story, add_child()), A) == ([], [NEW])


def test_child_is_put_beside_the_others() -> None:
    story = running(CHAIN)

    given(*story).when(add_child()).then(grew(), new([], 3))
    assert relatives(after(story, add_child()), A) == ([], [B, NEW])


def test_child_is_put_between_its_parent_and_one_that_waits_for_it_too() -> None:
    story = running(CHAIN)

    given(*story).when(add_child(before=C)).then(grew(C), new([C], 3))
    follower = present(World(after(story, add_child(before=C))), C)
    assert (follower.pending, follower.parents) == (2, [B, NEW])


def test_child_is_put_in_front_of_a_sibling() -> None:
    story = running(CHAIN)

    given(*story).when(add_child(before=B)).then(grew(B), new([B], 3))
    assert relatives(after(story, add_child(before=B)), B) == ([A, NEW], [C])


def test_child_is_inserted_in_front_of_all_children() -> None:
    story = running(DIAMOND)

    given(*story).when(add_child(insert=True)).then(grew(B, C, inserted=True), new([B, C], 4))
    assert relatives(after(story, add_child(insert=True)), A) == ([], [NEW])
    assert relatives(after(story, add_child(insert=True)), C) == ([NEW], [D])
    world = World(after(story, add_child(insert=True)))
    assert [present(world, i).pending for i in (NEW, B, C, D)] == [1, 1, 1, 2]


def test_insert_keeps_the_other_parents_of_a_child_and_comes_behind_them() -> None:
    nodes = (node("a"), node("b"), node("c", "a", "b"))

    story = running(nodes)

    given(*story).when(add_child(insert=True)).then(grew(C, inserted=True), new([C], 3))
    assert relatives(after(story, add_child(insert=True)), C) == ([B, NEW], [])


def test_insert_takes_a_parent_that_is_listed_twice_out_twice() -> None:
    story = running((node("a"), node("b", "a", "a")))

    given(*story).when(add_child(insert=True)).then(grew(B, inserted=True), new([B], 2))
    assert relatives(after(story, add_child(insert=True)), B) == ([NEW], [])


def test_insert_without_children_puts_behind() -> None:
    given(*running((node("a"),))).when(add_child(insert=True)).then(grew(inserted=True), new([], 1))


def test_insert_does_not_look_at_who_is_named() -> None:
    given(*running(CHAIN)).when(add_child(insert=True, before=PROCESS)).then(
        grew(B, inserted=True), new([B], 3)
    )


def test_child_need_not_name_its_workflow() -> None:
    given(*running((node("a"),))).when(add_child(graph="")).then(grew(), new([], 1))


def test_inserted_child_passes_its_output_on() -> None:
    story = after(running(CHAIN), add_child(insert=True), close(A, b"[1]"))
    taken = story_with(story, NEW)

    story = after(taken, close(NEW, b"[2]"))

    assert present(World(story), B).row[b"in"] == b"[2]"
    assert present(World(story), NEW).row[b"in"] == b"[1]"


def story_with(story: Story, process_id: str) -> Story:
    row = present(World(story), process_id)
    taken = ProcessAssigned(
        subject=process_id,
        actor=EXECUTOR,
        at_ns=LATER,
        class_key=row.class_key,
        queued_as=row.queued_as,
        max_exec_s="0" * 10,
    )
    return (*story, taken)


MEANWHILE: dict[str, Story] = {
    "closed": since(running(CHAIN), close(A)),
    "failed": since(running(CHAIN), close(A, failed=True)),
    "cancelled": since(running(CHAIN), cancel()),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("where", [{}, {"before": C}, {"insert": True}])
def test_growing_notices_what_happens_meanwhile(meanwhile: str, where: dict[str, str]) -> None:
    decide = add_child(before=where.get("before", ""), insert=bool(where.get("insert")))

    given(*running(CHAIN)).when(decide).unless(*MEANWHILE[meanwhile])


def test_putting_in_front_notices_that_the_follower_is_released() -> None:
    nodes = (node("a"), node("b"), node("c", "b"))
    story = running(nodes, A, B)

    given(*story).when(add_child(before=C)).unless(*since(story, close(B)))


def test_release_notices_that_something_is_put_in_front() -> None:
    nodes = (node("a"), node("b"), node("c", "b"))
    story = running(nodes, A, B)

    given(*story).when(close(B)).unless(*since(story, add_child(before=C)))


@pytest.mark.parametrize("meanwhile", [{}, {"before": C}, {"insert": True}])
@pytest.mark.parametrize("before", ["", B, C])
def test_children_of_one_parent_are_added_at_the_same_time(
    before: str, meanwhile: dict[str, str]
) -> None:
    story = running(CHAIN)
    decision = add_child(before=before)(World(story))
    there = add_child(
        before=meanwhile.get("before", ""), insert=bool(meanwhile.get("insert")), child=ANOTHER
    )

    grown = after(story, there)

    assert World(grown).failed(decision) == []
    assert NEW in relatives((*grown, *decision.events), A)[1]
    assert ANOTHER.process.process_id in relatives((*grown, *decision.events), A)[1]


def test_insert_notices_a_child_that_was_added_meanwhile() -> None:
    story = running(CHAIN)

    for there in (add_child(child=ANOTHER), add_child(child=ANOTHER, insert=True)):
        given(*story).when(add_child(insert=True)).unless(*since(story, there))


def test_close_notices_a_child_that_was_added_meanwhile() -> None:
    story = running(CHAIN)

    given(*story).when(close(A)).unless(*since(story, add_child()))


def test_failure_of_a_leaf_notices_a_child_that_was_added_meanwhile() -> None:
    story = running((node("a"),))

    given(*story).when(close(A, failed=True)).unless(*since(story, add_child()))


def test_failure_of_one_with_children_does_not_ask_how_many() -> None:
    story = running(CHAIN)
    decision = close(A, failed=True)(World(story))

    assert World(after(story, add_child())).failed(decision) == []


def test_last_place_is_given_away_once() -> None:
    story = running(CHAIN)
    decide = add_child(most_nodes=4)

    given(*story).when(decide).unless(*since(story, add_child(child=ANOTHER)))


def test_child_costs_the_same_however_many_there_are() -> None:
    ids = (f"{at:056d}{A[56:]}" for at in range(500))
    many = (*running(CHAIN), *(replace(grew(), child=i) for i in ids))
    decide = add_child(most_nodes=1_000)

    few, more = (decide(World(story)) for story in (running(CHAIN), many))

    assert len(more.expects) == len(few.expects)
    sizes = [sum(len(pack(event)) for event in decision.events) for decision in (few, more)]
    assert sizes[1] - sizes[0] <= DIGITS_MORE
    writes = [sum(1 for event in d.events for _ in fold(event)) for d in (few, more)]
    assert writes[0] == writes[1]


def test_what_goes_on_in_a_workflow_that_failed_still_grows() -> None:
    child = replace(new([], 2), parents=[B])

    given(*LEAF_FAILED).when(add_child(B)).then(replace(grew(), parent=B), child)
    assert row_of(after(LEAF_FAILED, add_child(B))).state is State.FAILED


def test_insert_leaves_a_child_that_failed_where_it_is() -> None:
    nodes = (node("a"), node("b", "a", more=command(B, max_wait_s=1)), node("c", "a"))
    story = after(running(nodes), expire(B, T0 + SECOND_NS))

    given(*story).when(add_child(insert=True)).then(grew(C, inserted=True), new([C], 3))
    grown = after(story, add_child(insert=True))
    assert relatives(grown, A) == ([], [B, NEW])
    assert relatives(grown, B) == ([A], [])


def test_growing_notices_that_a_sibling_failed() -> None:
    story = running((node("a"), node("b")), A, B)

    given(*story).when(add_child()).unless(*since(story, close(B, failed=True)))


REFUSALS: list[tuple[str, Story, Decide, type[Rejected], str]] = [
    (
        "unknown parent",
        running(),
        add_child(PROCESS),
        NotFound,
        f"Process with Id {PROCESS} not found",
    ),
    (
        "waiting parent",
        submitted(),
        add_child(),
        Invalid,
        f"Process with Id {A} is not running",
    ),
    (
        "held parent",
        running(),
        add_child(B),
        Invalid,
        f"Process with Id {B} is not running",
    ),
    (
        "finished parent",
        FINISHED,
        add_child(),
        Invalid,
        f"Process with Id {A} is not running",
    ),
    (
        "parent of another",
        (*running(), executor_added(OTHER, "other"), approved(OTHER)),
        add_child(caller=OTHER),
        Invalid,
        f"Process with Id {A} is not assigned to executor with Id {OTHER}",
    ),
    (
        "user",
        running(),
        add_child(caller=USER),
        Invalid,
        f"Process with Id {A} is not assigned to executor with Id {USER}",
    ),
    ("stranger", running(), add_child(caller=STRANGER), Denied, NOT_A_MEMBER),
    (
        "parent in no workflow",
        (*running(), process_submitted(), assigned()),
        add_child(PROCESS, graph=""),
        Invalid,
        f"Process with Id {PROCESS} does not belong to a processgraph",
    ),
    (
        "parent in another workflow",
        running(),
        add_child(graph="8" * 64),
        Invalid,
        f"Process with Id {A} does not belong to a processgraph",
    ),
    (
        "workflow that is being cancelled",
        after(running(), cancel()),
        add_child(),
        Invalid,
        f"the processgraph of process with Id {A} has ended",
    ),
    (
        "workflow that is being removed",
        (*after(submitted(), remove()), assigned(A)),
        add_child(),
        Invalid,
        f"the processgraph of process with Id {A} has ended",
    ),
    (
        "full workflow",
        running(CHAIN),
        add_child(most_nodes=3),
        Invalid,
        "the processgraph has as many processes as allowed, 3",
    ),
    (
        "unknown follower",
        running(),
        add_child(before=PROCESS),
        NotFound,
        f"Process with Id {PROCESS} not found",
    ),
    (
        "follower in no workflow",
        (*running(), process_submitted()),
        add_child(before=PROCESS),
        Invalid,
        f"Process with Id {PROCESS} does not wait for its parents",
    ),
    (
        "itself as follower",
        running(),
        add_child(before=A),
        Invalid,
        f"Process with Id {A} does not wait for its parents",
    ),
    (
        "follower that was released",
        (*done(submitted(), A), assigned(B)),
        add_child(B, before=C),
        Invalid,
        f"Process with Id {C} does not wait for its parents",
    ),
    (
        "follower that failed",
        after(
            running((node("a"), node("b", "a", more=command(B, max_wait_s=1)))),
            expire(B, T0 + SECOND_NS),
        ),
        add_child(before=B),
        Invalid,
        f"Process with Id {B} does not wait for its parents",
    ),
    (
        "priority out of range",
        running(),
        add_child(child=node("new", more=command(NEW, priority=2**63 - 1))),
        Invalid,
        "Failed to submit function spec, priority outside range [-50000, 50000] (nodename new)",
    ),
]


@pytest.mark.parametrize(
    ("story", "decide", "kind", "text"),
    [pytest.param(*rest, id=name) for name, *rest in REFUSALS],
)
def test_growing_is_refused(story: Story, decide: Decide, kind: type[Rejected], text: str) -> None:
    given(*story).when(decide).rejected(kind, text)


def test_workflow_may_grow_up_to_its_limit() -> None:
    story = running(CHAIN)
    for at in range(MOST_NODES - 3):
        child = node(f"n{at}", process_id=f"{at:064x}")
        story = after(story, add_child(child=child))

    given(*story).when(add_child()).rejected(
        Invalid, f"the processgraph has as many processes as allowed, {MOST_NODES}"
    )
