"""Attributes: put on a running process by the executor that holds it."""

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates import attribute
from broker.aggregates.attribute import AttributeSet, SetAttribute
from broker.aggregates.executor import ExecutorRejected
from broker.decision import Event
from broker.errors import Denied, Invalid, NotFound
from tests.facts import (
    COLONY,
    EXECUTOR,
    LATER,
    OTHER,
    OWNER,
    PROCESS,
    STRANGER,
    USER,
    approved,
    assigned,
    class_added,
    closed,
    executor_added,
    inhabited,
    submitted,
)
from tests.scenario import Decide, World, given

WAITING = (*inhabited(), class_added(), submitted())
RUNNING = (*WAITING, assigned())
REJECTED = ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER)
ONLY_HOLDER = (
    f"Failed to add attribute, only executor with id <{EXECUTOR}> is allowed to set attributes"
)


def event(value: str = "42") -> AttributeSet:
    return AttributeSet(
        subject=keys.attribute_id(PROCESS, "answer", 1),
        actor=EXECUTOR,
        at_ns=LATER,
        process_id=PROCESS,
        kind=1,
        key="answer",
        value=value,
    )


def put(caller: str = EXECUTOR, value: str = "42") -> Decide:
    command = SetAttribute(process_id=PROCESS, kind=1, key="answer", value=value)
    return lambda world: attribute.put(world.gate(caller), command, world.process(PROCESS), LATER)


def test_holder_sets_an_attribute() -> None:
    given(*RUNNING).when(put()).then(event()).unless(closed()).unless(REJECTED)


def test_holder_overwrites_an_attribute() -> None:
    facts = (*RUNNING, event())
    given(*facts).when(put(value="43")).then(event("43"))

    row = World((*facts, event("43"))).process(PROCESS)
    assert row is not None
    assert list(row.added_attributes.values()) == [(1, "answer", "43")]


def test_unknown_process_has_no_attributes() -> None:
    given(*inhabited()).when(put()).rejected(NotFound, "Failed to add attribute, process not found")


@pytest.mark.parametrize("facts", [WAITING, (*RUNNING, closed())], ids=["waiting", "ended"])
def test_only_running_processes_get_attributes(facts: tuple[Event, ...]) -> None:
    given(*facts).when(put()).rejected(Denied, "Failed to add attribute, process is not running")


@pytest.mark.parametrize("caller", [USER, OTHER])
def test_only_the_holder_sets_attributes(caller: str) -> None:
    given(*RUNNING, executor_added(OTHER, "other"), approved(OTHER)).when(put(caller)).rejected(
        Denied, ONLY_HOLDER
    )


@pytest.mark.parametrize("caller", [STRANGER, OWNER])
def test_only_members_set_attributes(caller: str) -> None:
    given(*RUNNING).when(put(caller)).rejected(
        Denied, f"Access denied, not a member of Colony with name <{COLONY}>"
    )


def test_a_process_has_so_many_attributes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute, "MOST_ATTRIBUTES", 1)
    other = replace(event(), subject=keys.attribute_id(PROCESS, "other", 1), key="other")

    given(*RUNNING, event()).when(put(value="43")).then(event("43"))
    given(*RUNNING, other).when(put()).rejected(
        Invalid, "Failed to add attribute, process has 1 attributes, the limit"
    )


def test_attributes_take_so_many_bytes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribute, "MOST_BYTES", 100)
    large = "ö" * 50

    given(*RUNNING).when(put(value=large)).then(event(large))
    given(*RUNNING, event(large)).when(put(value=large)).then(event(large))
    given(*RUNNING).when(put(value=large + "o")).rejected(
        Invalid, "Failed to add attribute, process would have more than 100 bytes"
    )
