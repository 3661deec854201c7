"""Executors: joining, approval, leaving, and moving to another key."""

from collections.abc import Callable

import pytest

from broker import keys
from broker.aggregates import executor
from broker.aggregates.executor import (
    MOST_HANDED_OVER,
    AddExecutor,
    AllocationsReported,
    CapabilitiesUpdated,
    ExecutorApproved,
    ExecutorIdChanged,
    ExecutorRejected,
    ExecutorReleased,
    ExecutorRemoved,
)
from broker.aggregates.process import ProcessHandedOver
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid, Missing
from tests.facts import (
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
    assigned,
    class_added,
    closed,
    executor_added,
    founded,
    inhabited,
    submitted,
)
from tests.scenario import Decide, World, given

FIELD = executor.name_field("worker")
NEW = "e9" * 32
NOT_A_MEMBER = f"Access denied, not a member of Colony with name <{COLONY}>"
REMOVED = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
REJECTED = ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER)
BUSY = (*inhabited(), class_added(), submitted(), assigned())


def add(
    caller: str = OWNER,
    executor_id: str = EXECUTOR,
    name: str = "worker",
    *,
    reregister: bool = False,
) -> Decide:
    template = executor_added(executor_id, name)
    command = AddExecutor(
        executor_id=executor_id,
        name=name,
        executor_type=template.executor_type,
        location="",
        require_func_reg=False,
        heard_ns=0,
        capabilities=template.capabilities,
        allocations=template.allocations,
        blueprint_id="",
        blueprint_gen=0,
    )
    return lambda world: executor.add(
        world.gate(caller),
        command,
        world.named(executor.name_field(name)),
        world.member(executor_id),
        T0,
        allow_reregister=reregister,
    )


def test_owner_adds_an_executor() -> None:
    given(founded()).when(add()).then(executor_added()).unless(
        executor_added(OTHER, "worker")
    ).unless(executor_added(EXECUTOR, "other"))


@pytest.mark.parametrize("caller", [EXECUTOR, USER, STRANGER])
def test_only_the_owner_adds(caller: str) -> None:
    given(*inhabited()).when(add(caller, NEW, "new")).rejected(
        Denied, "Access denied, not colony owner"
    )


def test_name_is_taken_once() -> None:
    given(*inhabited()).when(add(executor_id=NEW)).rejected(
        Invalid, f"Executor with name <worker> in Colony <{COLONY}> already exists"
    )


def test_name_of_one_that_left_stays_taken() -> None:
    given(*inhabited(), REMOVED).when(add(executor_id=NEW)).rejected(
        Invalid, f"Executor with name <worker> in Colony <{COLONY}> already exists"
    )


@pytest.mark.parametrize("taken", [EXECUTOR, USER])
def test_id_is_taken_once(taken: str) -> None:
    given(*inhabited()).when(add(executor_id=taken, name="new")).rejected(
        Invalid, f"A member with Id <{taken}> already exists in Colony with name <{COLONY}>"
    )


@pytest.mark.parametrize("wrong", ["", "e1", "E1" * 32, "zz" * 32, "e1" * 33])
def test_id_is_64_lower_case_hex_digits(wrong: str) -> None:
    given(founded()).when(add(executor_id=wrong)).rejected(
        Invalid, "Failed to add executor, executor Id is not 64 lower-case hex digits"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Executor name is empty"),
        ("a:b", "Executor name <a:b> has a character that is not allowed (colon or control)"),
        ("a\nb", "Executor name <a\nb> has a character that is not allowed (colon or control)"),
        ("x" * 257, "Executor name is longer than 256 characters"),
    ],
    ids=["empty", "colon", "control", "long"],
)
def test_name_has_to_be_storable(name: str, text: str) -> None:
    given(founded()).when(add(name=name)).rejected(Invalid, text)


def test_revived_executor_replaces_the_one_of_its_name() -> None:
    given(*inhabited(), REMOVED).when(add(executor_id=NEW, reregister=True)).then(
        executor_added(NEW, replaces=EXECUTOR)
    ).unless(executor_added(NEW, "other"))


def test_revived_executor_may_keep_its_id() -> None:
    given(*inhabited(), REMOVED).when(add(reregister=True)).then(
        executor_added(EXECUTOR, replaces=EXECUTOR)
    )


def test_executor_that_still_holds_work_is_not_replaced() -> None:
    decision = add(executor_id=NEW, reregister=True)(World(BUSY))

    assert World(BUSY).failed(decision) != []


# ---------------------------------------------------------------- approve, reject, remove


def approve(caller: str = OWNER) -> Decide:
    return lambda world: executor.approve(world.gate(caller), world.named(FIELD), LATER)


def reject(caller: str = OWNER) -> Decide:
    return lambda world: executor.reject(world.gate(caller), world.named(FIELD), LATER)


def remove(caller: str = OWNER) -> Decide:
    return lambda world: executor.remove(world.gate(caller), world.named(FIELD), LATER)


APPROVED = ExecutorApproved(subject=EXECUTOR, actor=OWNER, at_ns=LATER)


@pytest.mark.parametrize(
    "facts",
    [(), (approved(),), (REJECTED,), (REMOVED,)],
    ids=["pending", "approved", "rejected", "removed"],
)
@pytest.mark.parametrize(
    ("command", "event"), [(approve, APPROVED), (reject, REJECTED)], ids=["approve", "reject"]
)
def test_owner_approves_and_rejects_from_any_state(
    facts: tuple[Event, ...], command: Callable[[], Decide], event: Event
) -> None:
    given(founded(), executor_added(), *facts).when(command()).then(event)


def test_owner_removes() -> None:
    given(*inhabited()).when(remove()).then(REMOVED).unless(REJECTED)


def test_removing_again_changes_nothing() -> None:
    given(*inhabited(), REMOVED).when(remove()).then()


@pytest.mark.parametrize("command", [approve, reject, remove])
def test_only_the_owner_decides_about_executors(command: Callable[[str], Decide]) -> None:
    given(*inhabited()).when(command(EXECUTOR)).rejected(Denied, "Access denied, not colony owner")


@pytest.mark.parametrize("command", [approve, reject, remove])
def test_unknown_executor_is_missing(command: Callable[[], Decide]) -> None:
    verb = command.__name__

    given(founded()).when(command()).rejected(
        Missing, f"Failed to {verb} executor, executor is nil"
    )


@pytest.mark.parametrize("command", [approve, reject, remove])
def test_decisions_about_executors_depend_on_the_owner(command: Callable[[], Decide]) -> None:
    decision = command()(World(inhabited()))

    assert [expect for expect in decision.expects if expect[1] == keys.COLONY] != []


def test_approval_of_one_that_left_stops_its_requeue() -> None:
    assert keys.LEAVING in World((*BUSY, REMOVED)).values
    assert keys.LEAVING not in World((*BUSY, REMOVED, APPROVED)).values


RELEASED = ExecutorReleased(subject=EXECUTOR, actor="", at_ns=LATER)


def release(world: World) -> Decision:
    del world
    return executor.released(EXECUTOR, LATER)


def test_executor_that_left_is_released_once() -> None:
    given(*inhabited(), REMOVED).when(release).then(RELEASED).unless(RELEASED)


def test_executor_that_still_holds_work_is_not_released() -> None:
    facts = (*BUSY, REMOVED)

    assert World(facts).failed(executor.released(EXECUTOR, LATER)) != []


def test_executor_that_did_not_leave_is_not_released() -> None:
    assert World(inhabited()).failed(executor.released(EXECUTOR, LATER)) != []


# ---------------------------------------------------------------- what an executor says of itself


def report(caller: str = EXECUTOR, name: str = "worker") -> Decide:
    return lambda world: executor.report_allocations(
        world.gate(caller), world.named(executor.name_field(name)), name, b"{}", LATER
    )


def update(caller: str = EXECUTOR, name: str = "worker") -> Decide:
    return lambda world: executor.update_capabilities(
        world.gate(caller), world.named(executor.name_field(name)), name, b"{}", LATER
    )


REPORTED = AllocationsReported(subject=EXECUTOR, actor=EXECUTOR, at_ns=LATER, allocations=b"{}")
UPDATED = CapabilitiesUpdated(subject=EXECUTOR, actor=EXECUTOR, at_ns=LATER, capabilities=b"{}")
SAYS = [
    (report, REPORTED, "Only an executor can report allocations to itself"),
    (update, UPDATED, "Only an executor can update its own capabilities"),
]


@pytest.mark.parametrize(("command", "event", "_"), SAYS, ids=["report", "update"])
@pytest.mark.parametrize("fact", [approved(), REJECTED, REMOVED], ids=lambda event: event.TYPE)
def test_executor_in_any_state_speaks_for_itself(
    command: Callable[[], Decide], event: Event, _: str, fact: Event
) -> None:
    given(founded(), executor_added(), fact).when(command()).then(event)


@pytest.mark.parametrize(("command", "_", "text"), SAYS, ids=["report", "update"])
@pytest.mark.parametrize("caller", [USER, OTHER])
def test_nobody_speaks_for_another_executor(
    command: Callable[[str], Decide], _: Event, text: str, caller: str
) -> None:
    given(*inhabited(), executor_added(OTHER, "other"), approved(OTHER)).when(
        command(caller)
    ).rejected(Invalid, text)


@pytest.mark.parametrize(("command", "_", "__"), SAYS, ids=["report", "update"])
def test_unknown_executor_is_spoken_for_by_nobody(
    command: Callable[[str, str], Decide], _: Event, __: str
) -> None:
    given(*inhabited()).when(command(EXECUTOR, "none")).rejected(
        Invalid, "Executor with name <none> does not exist"
    )
    given(*inhabited()).when(command(STRANGER, "worker")).rejected(Denied, NOT_A_MEMBER)


# ---------------------------------------------------------------- another key


def change_id(new_id: str = NEW, caller: str = EXECUTOR, holding: tuple[str, ...] = ()) -> Decide:
    return lambda world: executor.change_id(
        world.gate(caller), new_id, holding, LATER, taken=world.member(new_id) is not None
    )


def moved(world: World) -> ExecutorIdChanged:
    return ExecutorIdChanged(
        subject=NEW,
        actor=EXECUTOR,
        at_ns=LATER,
        old_id=EXECUTOR,
        name="worker",
        row={k.decode(): v for k, v in world.hash(keys.member(EXECUTOR)).items()},
    )


def handed_over() -> ProcessHandedOver:
    return ProcessHandedOver(
        subject=PROCESS, actor=EXECUTOR, at_ns=LATER, holder=EXECUTOR, new_holder=NEW
    )


def test_executor_moves_to_another_key() -> None:
    given(*inhabited()).when(change_id()).then(moved(World(inhabited()))).unless(
        executor_added(NEW, "new")
    ).unless(REMOVED)


def test_change_of_key_does_not_undo_what_was_said_meanwhile() -> None:
    said = CapabilitiesUpdated(
        subject=EXECUTOR, actor=EXECUTOR, at_ns=LATER, capabilities=b'{"new":1}'
    )

    given(*inhabited()).when(change_id()).unless(said)


def test_executor_takes_its_work_along() -> None:
    given(*BUSY).when(change_id(holding=(PROCESS,))).then(moved(World(BUSY)), handed_over()).unless(
        closed()
    )


def test_work_that_arrives_meanwhile_is_not_left_behind() -> None:
    facts = (*inhabited(), class_added(), submitted())

    given(*facts).when(change_id()).unless(assigned())


def test_executor_that_left_is_still_requeued_after_it_moved() -> None:
    facts = (*BUSY, REJECTED)
    events = change_id(holding=(PROCESS,))(World(facts)).events

    leaving = World((*facts, *events)).values[keys.LEAVING]

    assert set(leaving) == {NEW.encode()}


def test_same_key_changes_nothing() -> None:
    given(*inhabited()).when(change_id(EXECUTOR)).then()


REFUSALS = [
    ("", "executor Id is empty"),
    ("ab", "new executor Id is not 64 characters"),
    ("AB" * 32, "new executor Id is not lower-case hex"),
    (USER, "the new executor Id is already in use"),
]


@pytest.mark.parametrize(("new_id", "text"), REFUSALS, ids=["empty", "short", "upper", "taken"])
def test_new_key_has_to_be_free_and_a_key(new_id: str, text: str) -> None:
    given(*inhabited()).when(change_id(new_id)).rejected(
        Invalid, f"Failed to change executor Id, {text}"
    )


def test_user_is_no_executor() -> None:
    given(*inhabited()).when(change_id(caller=USER)).rejected(
        Invalid, "Failed to change executor Id, executor not found"
    )


def test_stranger_has_no_key_to_change() -> None:
    given(*inhabited()).when(change_id(caller=STRANGER)).rejected(Denied, NOT_A_MEMBER)


def test_too_much_running_work_does_not_move() -> None:
    holding = tuple(f"{n:064d}" for n in range(MOST_HANDED_OVER + 1))

    given(*inhabited()).when(change_id(holding=holding)).rejected(
        Invalid,
        f"Failed to change executor Id, more than {MOST_HANDED_OVER} processes are running",
    )


# ---------------------------------------------------------------- asking for work


def test_approved_executor_may_ask_for_work() -> None:
    row = executor.assigning(World(inhabited()).gate(EXECUTOR))

    assert (row.id, row.executor_type) == (EXECUTOR, "cli")


def test_user_may_not_ask_for_work() -> None:
    with pytest.raises(Missing, match="Failed to assign process, executor not found"):
        executor.assigning(World(inhabited()).gate(USER))


@pytest.mark.parametrize("fact", [REJECTED, REMOVED], ids=lambda event: event.TYPE)
def test_executor_that_left_may_not_ask_for_work(fact: Event) -> None:
    with pytest.raises(Denied, match="not a member"):
        executor.assigning(World((*inhabited(), fact)).gate(EXECUTOR))
