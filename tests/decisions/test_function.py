"""The function registry: everybody speaks for itself."""

import pytest

from broker import keys
from broker.aggregates import executor, function
from broker.aggregates.executor import ExecutorRejected, ExecutorRemoved
from broker.aggregates.function import AddFunction, FunctionAdded, FunctionRemoved, FunctionRow
from broker.decision import Decision
from broker.errors import Denied, Invalid, NotFound
from projections.core.function import read_function
from tests.facts import (
    COLONY,
    EXECUTOR,
    LATER,
    OTHER,
    OWNER,
    STRANGER,
    USER,
    approved,
    executor_added,
    inhabited,
    user_added,
)
from tests.scenario import Decide, World, given

FUNCTION = "f1" * 32
ADDED = FunctionAdded(
    subject=FUNCTION,
    actor=EXECUTOR,
    at_ns=LATER,
    executor="worker",
    executor_type="cli",
    name="echo",
    location="",
    described=b"{}",
)
GONE = FunctionRemoved(subject=FUNCTION, actor=EXECUTOR, at_ns=LATER, executor="worker")
LEFT = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
REJECTED = ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER)
NOT_A_MEMBER = f"Access denied, not a member of Colony with name <{COLONY}>"


def registered(world: World) -> FunctionRow | None:
    stored = world.hash(keys.functions("worker")).get(FUNCTION.encode())
    return read_function(FUNCTION, stored) if stored else None


def add(caller: str = EXECUTOR, name: str = "worker") -> Decide:
    command = AddFunction(function_id=FUNCTION, executor=name, name="echo", described=b"{}")

    def decide(world: World) -> Decision:
        named = world.named(executor.name_field(name))
        return function.add(world.gate(caller), command, named, registered(world), LATER)

    return decide


def remove(caller: str = EXECUTOR) -> Decide:
    return lambda world: function.remove(world.gate(caller), registered(world), LATER)


def test_executor_registers_a_function() -> None:
    given(*inhabited()).when(add()).then(ADDED).unless(ADDED).unless(LEFT)


def test_unknown_executor_registers_nothing() -> None:
    given(*inhabited()).when(add(name="none")).rejected(
        Invalid, "Failed to add function, Executor with name <none> does not exist"
    )


@pytest.mark.parametrize("caller", [USER, OTHER])
def test_nobody_registers_for_another(caller: str) -> None:
    given(*inhabited(), executor_added(OTHER, "other"), approved(OTHER)).when(add(caller)).rejected(
        Denied, "Not allowed to add a function to another executor"
    )


def test_id_is_taken_once() -> None:
    given(*inhabited(), ADDED).when(add()).rejected(
        Invalid, f"A function with Id <{FUNCTION}> already exists"
    )


@pytest.mark.parametrize("caller", [STRANGER, OWNER])
def test_only_members_register(caller: str) -> None:
    given(*inhabited()).when(add(caller)).rejected(Denied, NOT_A_MEMBER)


def test_executor_forgets_its_function() -> None:
    given(*inhabited(), ADDED).when(remove()).then(GONE).unless(GONE).unless(REJECTED)


def test_unknown_function_is_not_forgotten() -> None:
    given(*inhabited()).when(remove()).rejected(
        NotFound, "Failed to remove function, function does not exist"
    )


def test_function_of_another_is_not_forgotten() -> None:
    given(*inhabited(), executor_added(OTHER, "other"), approved(OTHER), ADDED).when(
        remove(OTHER)
    ).rejected(Denied, "Not allowed to remove a function from another executor")


def test_user_with_the_name_of_the_executor_does_not_forget_for_it() -> None:
    namesake = user_added("b2" * 32, "worker")

    given(*inhabited(), namesake, ADDED).when(remove("b2" * 32)).rejected(
        Denied, "Not allowed to remove a function from another executor"
    )


def test_rejected_executor_forgets_nothing() -> None:
    given(*inhabited(), ADDED, REJECTED).when(remove()).rejected(Denied, NOT_A_MEMBER)


def test_functions_go_with_their_executor() -> None:
    assert registered(World((*inhabited(), ADDED, LEFT))) is None
