"""Facts that tests begin with: a colony, its people, and a process in each state of its life."""

from broker import keys
from broker.aggregates.colony import ColonyFounded, RequirementClassAdded
from broker.aggregates.executor import ExecutorAdded, ExecutorApproved
from broker.aggregates.process import (
    UNLIMITED_EXEC,
    ProcessAssigned,
    ProcessClosed,
    ProcessSubmitted,
    State,
)
from broker.aggregates.server import ServerFounded
from broker.aggregates.user import UserAdded
from broker.matching import Requirement

COLONY = "dev"
SUFFIX = "0dec0dec"
TAG = keys.colony_tag(COLONY, SUFFIX)

SERVER_OWNER = "50" * 32
OWNER = "a0" * 32
EXECUTOR = "e1" * 32
OTHER = "e2" * 32
USER = "b1" * 32
STRANGER = "ff" * 32

PROCESS = "1" * 56 + SUFFIX
SECOND = "2" * 56 + SUFFIX
CLI = Requirement(executor_type="cli")
T0 = 1_800_000_000_000_000_000
"""When tests begin, Unix ns."""
LATER = T0 + 50
"""After everything that is given here."""


def server_founded() -> ServerFounded:
    """The server belongs to SERVER_OWNER."""
    return ServerFounded(subject=SERVER_OWNER, actor=SERVER_OWNER, at_ns=T0)


def founded() -> ColonyFounded:
    """The colony belongs to OWNER."""
    return ColonyFounded(subject=COLONY, actor=SERVER_OWNER, at_ns=T0, suffix=SUFFIX, owner=OWNER)


def user_added(user_id: str = USER, name: str = "alice") -> UserAdded:
    """A user joined."""
    return UserAdded(subject=user_id, actor=OWNER, at_ns=T0, name=name, email="a@b", phone="1")


def executor_added(
    executor_id: str = EXECUTOR,
    name: str = "worker",
    executor_type: str = "cli",
    *,
    replaces: str = "",
) -> ExecutorAdded:
    """An executor is pending."""
    return ExecutorAdded(
        subject=executor_id,
        actor=OWNER,
        at_ns=T0,
        name=name,
        executor_type=executor_type,
        location="",
        require_func_reg=False,
        heard_ns=0,
        capabilities=b'{"hardware":null,"software":null}',
        allocations=b'{"projects":null}',
        blueprint_id="",
        blueprint_gen=0,
        replaces=replaces,
    )


def approved(executor_id: str = EXECUTOR) -> ExecutorApproved:
    """An executor may take work."""
    return ExecutorApproved(subject=executor_id, actor=OWNER, at_ns=T0 + 1)


def inhabited() -> tuple[ColonyFounded, UserAdded, ExecutorAdded, ExecutorApproved]:
    """A colony with a user and an approved executor."""
    return founded(), user_added(), executor_added(), approved()


def class_added(requirement: Requirement = CLI) -> RequirementClassAdded:
    """The first process with these requirements."""
    return RequirementClassAdded(
        subject=requirement.class_key, actor=USER, at_ns=T0, requires=requirement.pack()
    )


def submitted(
    process_id: str = PROCESS,
    *,
    requirement: Requirement = CLI,
    at_ns: int = T0,
    priority_time: int | None = None,
    wait_deadline_ns: int = 0,
    max_exec_s: int = -1,
    env: dict[str, str] | None = None,
) -> ProcessSubmitted:
    """A process waits."""
    return ProcessSubmitted(
        subject=process_id,
        actor=USER,
        at_ns=at_ns,
        spec=b"{}",
        initiator_name="alice",
        function="echo",
        label="",
        priority_time=at_ns if priority_time is None else priority_time,
        wait_deadline_ns=wait_deadline_ns,
        max_wait_s=-1,
        max_exec_s=max_exec_s,
        max_retries=0,
        requires=requirement.pack(),
        env=env or {},
    )


def assigned(
    process_id: str = PROCESS, executor_id: str = EXECUTOR, *, at_ns: int = T0 + 5
) -> ProcessAssigned:
    """A process that ``submitted`` describes was given out."""
    return ProcessAssigned(
        subject=process_id,
        actor=executor_id,
        at_ns=at_ns,
        class_key=CLI.class_key,
        queued_as=keys.queue_member(T0, process_id),
        max_exec_s=UNLIMITED_EXEC,
    )


def closed(process_id: str = PROCESS, outcome: State = State.SUCCESS) -> ProcessClosed:
    """A process ended."""
    return ProcessClosed(
        subject=process_id,
        actor=EXECUTOR,
        at_ns=T0 + 9,
        outcome=int(outcome),
        out=b'["done"]' if outcome is State.SUCCESS else None,
        errors=[] if outcome is State.SUCCESS else ["it broke"],
        function="echo",
        executor_name="worker",
        waited_ns=5,
        ran_ns=4,
        timed=False,
    )
