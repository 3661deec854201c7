"""Processes: who may submit, close, cancel and remove them, and in which words they are refused."""

from collections.abc import Callable

import pytest

from broker import keys
from broker.aggregates import process_close, process_end, process_retry, process_submit
from broker.aggregates.colony import (
    ColonyDissolved,
    ColonyOwnerChanged,
    RequirementClassAdded,
    RequirementClassRetired,
)
from broker.aggregates.executor import ExecutorRejected, ExecutorRemoved
from broker.aggregates.process import (
    OutputSet,
    ProcessCancelled,
    ProcessClosed,
    ProcessRemoved,
    ProcessRequeued,
    ProcessSubmitted,
    State,
)
from broker.aggregates.process_close import CloseProcess
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.process_submit import MOST_EXEC_S, SubmitProcess
from broker.aggregates.user import UserRemoved
from broker.clock import DAY_NS, LAST_NS
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid, Missing
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OTHER,
    OWNER,
    PROCESS,
    SECOND,
    STRANGER,
    T0,
    USER,
    approved,
    assigned,
    class_added,
    closed,
    executor_added,
    founded,
    inhabited,
    submitted,
)
from tests.scenario import Decide, World, given

NOT_A_MEMBER = f"Access denied, not a member of Colony with name <{COLONY}>"
WAITING = (*inhabited(), class_added(), submitted(env={"A": "1"}))
RUNNING = (*WAITING, assigned())
SUCCESSFUL = (*RUNNING, closed())
FAILED = (*RUNNING, closed(outcome=State.FAILED))
REQUEUED = ProcessRequeued(
    subject=PROCESS,
    actor="",
    at_ns=LATER,
    reason="gone",
    holder=EXECUTOR,
    class_key=CLI.class_key,
    queued_as=keys.queue_member(T0, PROCESS),
    wait_deadline_ns=0,
)
REMOVED = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
REJECTED = ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER)
USER_GONE = UserRemoved(subject=USER, actor=OWNER, at_ns=LATER, name="alice")
SOLD = ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner=STRANGER)
DISSOLVED = ColonyDissolved(subject=COLONY, actor=OWNER, at_ns=LATER)


def cancelled(was: State, holder: str = "") -> ProcessCancelled:
    return ProcessCancelled(
        subject=PROCESS,
        actor=USER,
        at_ns=LATER,
        was=int(was),
        class_key=CLI.class_key,
        queued_as=keys.queue_member(T0, PROCESS),
        holder=holder,
    )


def removed(was: State, actor: str = USER) -> ProcessRemoved:
    return ProcessRemoved(
        subject=PROCESS,
        actor=actor,
        at_ns=LATER,
        was=int(was),
        class_key=CLI.class_key,
        queued_as=keys.queue_member(T0, PROCESS),
        attributes=[keys.attribute_id(PROCESS, "A", keys.ENV)],
        channels=[],
    )


CANCELLED = (*RUNNING, cancelled(State.RUNNING, EXECUTOR))

# ---------------------------------------------------------------- submit


def submit(caller: str = USER, *, known: bool = True, priority: int = 0, **more: int) -> Decide:
    seconds = {"max_wait_s": -1, "max_exec_s": -1, "max_retries": 0} | more
    command = SubmitProcess(
        process_id=PROCESS,
        spec=b"{}",
        requires=CLI.pack(),
        function="echo",
        label="",
        priority=priority,
        env={},
        max_wait_s=seconds["max_wait_s"],
        max_exec_s=seconds["max_exec_s"],
        max_retries=seconds["max_retries"],
    )
    return lambda world: process_submit.submit(world.gate(caller), command, T0, class_known=known)


def test_member_submits() -> None:
    given(*inhabited(), class_added()).when(submit()).then(submitted()).unless(USER_GONE).wakes(
        CLI.class_key
    )


@pytest.mark.parametrize("meanwhile", [USER_GONE, SOLD, DISSOLVED], ids=lambda event: event.TYPE)
def test_submit_depends_on_who_is_there(meanwhile: Event) -> None:
    given(*inhabited(), class_added()).when(submit()).unless(meanwhile)


def test_first_process_of_its_kind_brings_its_class() -> None:
    given(*inhabited()).when(submit(known=False)).then(class_added(), submitted()).unless(
        class_added()
    )


def test_class_that_is_retired_meanwhile_is_noticed() -> None:
    retired = RequirementClassRetired(subject=CLI.class_key, actor="", at_ns=LATER)

    given(*inhabited(), class_added()).when(submit()).unless(retired)


@pytest.mark.parametrize("priority", [-50_000, -1, 1, 50_000])
def test_priority_is_worth_days_of_waiting(priority: int) -> None:
    expected = submitted(priority_time=T0 - priority * DAY_NS)

    given(*inhabited(), class_added()).when(submit(priority=priority)).then(expected)


@pytest.mark.parametrize(
    ("seconds", "deadline_ns"), [(-1, 0), (0, 0), (1, T0 + 10**9), (2**62, LAST_NS)]
)
def test_wait_deadline_follows_from_the_limit(seconds: int, deadline_ns: int) -> None:
    decision = submit(max_wait_s=seconds)(World((*inhabited(), class_added())))

    event = decision.events[0]
    assert isinstance(event, ProcessSubmitted)
    assert (event.wait_deadline_ns, event.max_wait_s) == (deadline_ns, seconds)


@pytest.mark.parametrize(("seconds", "kept"), [(-5, -5), (60, 60), (2**62, MOST_EXEC_S)])
def test_execution_limit_fits_its_ten_digits(seconds: int, kept: int) -> None:
    decision = submit(max_exec_s=seconds)(World((*inhabited(), class_added())))

    event = decision.events[0]
    assert isinstance(event, ProcessSubmitted)
    assert event.max_exec_s == kept


@pytest.mark.parametrize("priority", [-50_001, 50_001, 2**63 - 1])
def test_priority_out_of_range_is_refused(priority: int) -> None:
    given(*inhabited()).when(submit(priority=priority)).rejected(
        Invalid, "Failed to submit function spec, priority outside range [-50000, 50000]"
    )


@pytest.mark.parametrize("caller", [STRANGER, OWNER])
def test_only_members_submit(caller: str) -> None:
    given(*inhabited()).when(submit(caller)).rejected(Denied, NOT_A_MEMBER)


def test_pending_executor_does_not_submit() -> None:
    given(founded(), executor_added()).when(submit(EXECUTOR)).rejected(Denied, NOT_A_MEMBER)


def test_submit_to_an_unknown_colony_is_refused() -> None:
    given().when(submit()).rejected(Denied, f"Colony with name <{COLONY}> does not exists")


# ---------------------------------------------------------------- close


def close(caller: str = EXECUTOR, outcome: State = State.SUCCESS) -> Decide:
    command = CloseProcess(
        process_id=PROCESS,
        outcome=outcome,
        out=b'["done"]' if outcome is State.SUCCESS else None,
        errors=[] if outcome is State.SUCCESS else ["it broke"],
    )
    return lambda world: process_close.close(
        world.gate(caller), command, world.process(PROCESS), T0 + 9
    )


@pytest.mark.parametrize("outcome", [State.SUCCESS, State.FAILED])
def test_holder_closes(outcome: State) -> None:
    given(*RUNNING).when(close(outcome=outcome)).then(closed(outcome=outcome))


@pytest.mark.parametrize(
    "meanwhile",
    [closed(), cancelled(State.RUNNING, EXECUTOR), REQUEUED, REMOVED, REJECTED, SOLD, DISSOLVED],
    ids=lambda event: event.TYPE,
)
def test_close_depends_on_the_hold_and_the_holder(meanwhile: Event) -> None:
    given(*RUNNING).when(close()).unless(meanwhile)


def test_close_of_an_earlier_hold_is_not_mistaken_for_the_present_one() -> None:
    given(*RUNNING).when(close()).unless(REQUEUED, assigned(at_ns=LATER))


TEXTS = {State.SUCCESS: "successful", State.FAILED: "failed"}


@pytest.mark.parametrize("outcome", TEXTS)
def test_unknown_process_is_not_closed(outcome: State) -> None:
    given(*inhabited()).when(close(outcome=outcome)).rejected(
        Missing, f"Failed to close process as {TEXTS[outcome]}, process is nil"
    )


@pytest.mark.parametrize("outcome", TEXTS)
def test_process_nobody_holds_is_not_closed(outcome: State) -> None:
    text = f"Failed to close process as {TEXTS[outcome]}, process is not assigned"

    given(*WAITING).when(close(outcome=outcome)).rejected(Denied, text)
    given(*RUNNING, REQUEUED).when(close(outcome=outcome)).rejected(Denied, text)


@pytest.mark.parametrize("outcome", TEXTS)
def test_process_of_another_is_not_closed(outcome: State) -> None:
    text = TEXTS[outcome]

    given(*RUNNING, executor_added(OTHER, "other"), approved(OTHER)).when(
        close(OTHER, outcome)
    ).rejected(Denied, f"Failed to close process as {text}, not allowed to close process as {text}")


@pytest.mark.parametrize(
    ("facts", "was"),
    [(SUCCESSFUL, "successful"), (FAILED, "failed"), (CANCELLED, "cancelled")],
    ids=["successful", "failed", "cancelled"],
)
@pytest.mark.parametrize("outcome", TEXTS)
def test_ended_process_is_not_closed(facts: tuple[Event, ...], was: str, outcome: State) -> None:
    given(*facts).when(close(outcome=outcome)).rejected(
        Invalid, f"Tried to set {was} process as {TEXTS[outcome]}"
    )


@pytest.mark.parametrize("fact", [REMOVED, REJECTED], ids=lambda event: event.TYPE)
def test_holder_that_left_does_not_close(fact: Event) -> None:
    given(*RUNNING, fact).when(close()).rejected(Denied, NOT_A_MEMBER)


# ---------------------------------------------------------------- output


def set_output(caller: str = EXECUTOR, out: bytes | None = b"[1]") -> Decide:
    return lambda world: process_close.set_output(
        world.gate(caller), world.process(PROCESS), out, LATER
    )


def test_holder_sets_output() -> None:
    output = OutputSet(subject=PROCESS, actor=EXECUTOR, at_ns=LATER, out=b"[1]")

    given(*RUNNING).when(set_output()).then(output).unless(closed()).unless(REMOVED)


def test_nothing_to_set_changes_nothing() -> None:
    given(*RUNNING).when(set_output(out=None)).then()


def test_output_of_an_unknown_process_is_refused() -> None:
    given(*inhabited()).when(set_output()).rejected(Missing, "Failed to set output, process is nil")


@pytest.mark.parametrize("facts", [WAITING, RUNNING], ids=["waiting", "running"])
def test_only_the_holder_sets_output(facts: tuple[Event, ...]) -> None:
    given(*facts).when(set_output(USER)).rejected(
        Denied, "Failed to close process as successful, not allowed to close process as successful"
    )


def test_output_after_the_end_is_refused() -> None:
    given(*SUCCESSFUL).when(set_output()).rejected(
        Denied, "Failed to set output, process is not running"
    )


# ---------------------------------------------------------------- cancel and remove


def cancel(caller: str = USER) -> Decide:
    return lambda world: process_end.cancel(world.gate(caller), world.process(PROCESS), LATER)


def remove(caller: str = USER) -> Decide:
    return lambda world: process_end.remove(world.gate(caller), world.process(PROCESS), LATER)


def test_member_cancels_a_waiting_process() -> None:
    given(*WAITING).when(cancel()).then(cancelled(State.WAITING)).unless(assigned()).unless(
        USER_GONE
    )


def test_member_cancels_a_running_process() -> None:
    given(*RUNNING).when(cancel()).then(cancelled(State.RUNNING, EXECUTOR)).unless(closed()).unless(
        REQUEUED
    )


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (SUCCESSFUL, "Tried to cancel successful process"),
        (FAILED, "Tried to cancel failed process"),
        (CANCELLED, "Tried to cancel already cancelled process"),
    ],
    ids=["successful", "failed", "cancelled"],
)
def test_ended_process_is_not_cancelled(facts: tuple[Event, ...], text: str) -> None:
    given(*facts).when(cancel()).rejected(Invalid, text)


@pytest.mark.parametrize(
    ("facts", "was"),
    [
        (WAITING, State.WAITING),
        (SUCCESSFUL, State.SUCCESS),
        (FAILED, State.FAILED),
        (CANCELLED, State.CANCELLED),
    ],
    ids=lambda part: part.name if isinstance(part, State) else "",
)
def test_member_removes_what_does_not_run(facts: tuple[Event, ...], was: State) -> None:
    given(*facts).when(remove()).then(removed(was)).unless(USER_GONE).unless(removed(was))


def test_removal_depends_on_the_process_still_waiting() -> None:
    given(*WAITING).when(remove()).unless(assigned())


def test_running_process_is_not_removed() -> None:
    given(*RUNNING).when(remove()).rejected(
        Invalid, "Failed to remove process, cannot remove a running process"
    )


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (cancel, "Failed to cancel process, process is nil"),
        (remove, "Failed to remove process, process is nil"),
    ],
)
def test_unknown_process_is_neither_cancelled_nor_removed(
    command: Callable[[], Decide], text: str
) -> None:
    given(*inhabited()).when(command()).rejected(Missing, text)


@pytest.mark.parametrize("command", [cancel, remove])
@pytest.mark.parametrize("caller", [STRANGER, OWNER])
def test_only_members_cancel_and_remove(command: Callable[[str], Decide], caller: str) -> None:
    given(*WAITING).when(command(caller)).rejected(Denied, NOT_A_MEMBER)


def test_removing_many_leaves_what_runs() -> None:
    def remove_both(world: World) -> Decision:
        rows = [world.process(PROCESS), world.process(SECOND)]
        return process_end.remove_many((), [row for row in rows if row], OWNER, LATER)

    given(*WAITING, submitted(SECOND), assigned(SECOND)).when(remove_both).then(
        removed(State.WAITING, OWNER)
    ).unless(assigned())


# ---------------------------------------------------------------- requeue


def requeue(holder: str = EXECUTOR, *known: str) -> Decide:
    def decide(world: World) -> Decision:
        rows = [world.process(PROCESS)]
        present: list[ProcessRow] = [row for row in rows if row is not None]
        return process_retry.requeue(present, holder, "gone", known, LATER)

    return decide


def test_what_an_executor_held_waits_again_and_is_told() -> None:
    given(*RUNNING).when(requeue(EXECUTOR, CLI.class_key)).then(REQUEUED).unless(closed()).unless(
        REQUEUED, assigned(at_ns=LATER)
    ).wakes(CLI.class_key)


def test_class_that_was_retired_meanwhile_comes_back_with_it() -> None:
    retired = RequirementClassRetired(subject=CLI.class_key, actor="", at_ns=T0)
    again = RequirementClassAdded(subject=CLI.class_key, actor="", at_ns=LATER, requires=CLI.pack())

    given(*RUNNING, retired).when(requeue()).then(again, REQUEUED).unless(class_added())


def test_requeued_process_keeps_its_wait_deadline() -> None:
    deadline_ns = T0 + 10**10
    facts = (*inhabited(), class_added(), submitted(wait_deadline_ns=deadline_ns), assigned())

    event = requeue(EXECUTOR, CLI.class_key)(World(facts)).events[0]

    assert isinstance(event, ProcessRequeued)
    assert World((*facts, event)).values[keys.DUE] == {
        keys.due_wait(PROCESS).encode(): float(deadline_ns // 10**6)
    }


@pytest.mark.parametrize("facts", [WAITING, SUCCESSFUL], ids=["waiting", "ended"])
def test_only_what_runs_is_queued_again(facts: tuple[Event, ...]) -> None:
    given(*facts).when(requeue(EXECUTOR, CLI.class_key)).then()


def test_what_another_holds_is_not_queued_again() -> None:
    given(*RUNNING).when(requeue(OTHER, CLI.class_key)).then()


def test_row_of_a_closed_process_says_who_ran_it_and_when() -> None:
    row = World(SUCCESSFUL).process(PROCESS)

    assert row is not None
    assert (row.state, row.holder, row.started_ns, row.ended_ns) == (
        State.SUCCESS,
        EXECUTOR,
        T0 + 5,
        T0 + 9,
    )


def test_close_event_carries_what_statistics_need() -> None:
    event = close()(World(RUNNING)).events[0]

    assert isinstance(event, ProcessClosed)
    assert (event.function, event.executor_name, event.waited_ns, event.ran_ns) == (
        "echo",
        "worker",
        5,
        4,
    )
