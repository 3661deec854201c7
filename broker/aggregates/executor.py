"""Executors: who takes work. Pending, approved, rejected, unregistered."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import (
    EXECUTOR,
    Gate,
    MemberRow,
    MemberState,
    checked_name,
    colony_owner,
    member,
)
from broker.aggregates.colony import RESUMED
from broker.aggregates.process import ProcessHandedOver
from broker.aggregates.user import checked_new_id
from broker.decision import Decision, Event, Expect, absent, counts, equals, lacks, listed
from broker.errors import Denied, Invalid, Missing
from broker.identity import is_identity

MOST_HANDED_OVER = 500


class ExecutorAdded(Event, frozen=True, kw_only=True):
    """An executor asked to join and is pending; ``subject`` is its id.

    ``capabilities`` and ``allocations`` are JSON as replies show it. ``replaces`` is the id of the
    unregistered executor of the same name, "" when there was none.
    """

    TYPE: ClassVar[str] = "ExecutorAdded"
    name: str
    executor_type: str
    location: str
    require_func_reg: bool
    heard_ns: int
    capabilities: bytes
    allocations: bytes
    blueprint_id: str
    blueprint_gen: int
    replaces: str


class ExecutorApproved(Event, frozen=True, kw_only=True):
    """An executor may take work; ``subject`` is its id."""

    TYPE: ClassVar[str] = "ExecutorApproved"


class ExecutorRejected(Event, frozen=True, kw_only=True):
    """An executor may not take work (any more); ``subject`` is its id."""

    TYPE: ClassVar[str] = "ExecutorRejected"


class ExecutorRemoved(Event, frozen=True, kw_only=True):
    """An executor is unregistered, its functions are forgotten; ``subject`` is its id."""

    TYPE: ClassVar[str] = "ExecutorRemoved"
    name: str


class ExecutorReleased(Event, frozen=True, kw_only=True):
    """The last process an executor that left had held is queued again; ``subject`` is its id."""

    TYPE: ClassVar[str] = "ExecutorReleased"


class AllocationsReported(Event, frozen=True, kw_only=True):
    """An executor said how much of it is in use; ``subject`` is its id. JSON."""

    TYPE: ClassVar[str] = "AllocationsReported"
    allocations: bytes


class CapabilitiesUpdated(Event, frozen=True, kw_only=True):
    """An executor said what it has; ``subject`` is its id. JSON."""

    TYPE: ClassVar[str] = "CapabilitiesUpdated"
    capabilities: bytes


class ExecutorIdChanged(Event, frozen=True, kw_only=True):
    """An executor moved to another key; ``subject`` is the new id, ``row`` its whole row."""

    TYPE: ClassVar[str] = "ExecutorIdChanged"
    old_id: str
    name: str
    row: dict[str, bytes]


EVENTS = (
    ExecutorAdded,
    ExecutorApproved,
    ExecutorRejected,
    ExecutorRemoved,
    ExecutorReleased,
    AllocationsReported,
    CapabilitiesUpdated,
    ExecutorIdChanged,
)


class AddExecutor(Struct, frozen=True, kw_only=True):
    """Let an identity ask to join."""

    executor_id: str
    name: str
    executor_type: str
    location: str
    require_func_reg: bool
    heard_ns: int
    capabilities: bytes
    allocations: bytes
    blueprint_id: str
    blueprint_gen: int


def name_field(name: str) -> str:
    """Field of an executor in keys.NAMES."""
    return f"{EXECUTOR}/{name}"


def add(
    gate: Gate,
    command: AddExecutor,
    named: MemberRow | None,
    with_id: MemberRow | None,
    now_ns: int,
    *,
    allow_reregister: bool,
) -> Decision:
    """Add an executor, or revive one of the same name where the server allows it.

    ``named`` is the executor that has the name now, ``with_id`` the member that has the id.

    Raises:
        Denied, Invalid: not the owner; a bad or taken name or id.
    """
    expects = colony_owner(gate)
    checked_name(command.name, "Executor")
    if not is_identity(command.executor_id):
        raise Invalid("Failed to add executor, executor Id is not 64 lower-case hex digits")
    if named is not None and not allow_reregister:
        raise Invalid(
            f"Executor with name <{command.name}> in Colony <{gate.colony_name}> already exists"
        )
    if with_id is not None and (named is None or with_id.id != named.id):
        raise Invalid(
            f"A member with Id <{command.executor_id}> already exists in Colony with name"
            f" <{gate.colony_name}>"
        )
    added = ExecutorAdded(
        subject=command.executor_id,
        actor=gate.caller,
        at_ns=now_ns,
        name=command.name,
        executor_type=command.executor_type,
        location=command.location,
        require_func_reg=_kept_func_reg(command, named),
        heard_ns=command.heard_ns,
        capabilities=command.capabilities,
        allocations=command.allocations,
        blueprint_id=command.blueprint_id,
        blueprint_gen=command.blueprint_gen,
        replaces=named.id if named else "",
    )
    field = name_field(command.name)
    if named is None:
        taken = (lacks(keys.NAMES, field), absent(keys.member(command.executor_id)))
        return Decision(expects=(*expects, *taken), events=(added,))
    same: tuple[Expect, ...] = (equals(keys.NAMES, field, named.id), counts(keys.held(named.id), 0))
    if with_id is None:
        same = (*same, absent(keys.member(command.executor_id)))
    return Decision(expects=(*expects, *same), events=(added,))


def _kept_func_reg(command: AddExecutor, named: MemberRow | None) -> bool:
    """A revived executor keeps its old setting, as the reference does."""
    return named.row.get(b"require_func_reg") == b"1" if named else command.require_func_reg


def approve(gate: Gate, row: MemberRow | None, now_ns: int) -> Decision:
    """Approve an executor, from any state.

    Raises:
        Missing, Denied: no such executor; not the owner.
    """
    target = _executor(row, "Failed to approve executor, executor is nil")
    return Decision(
        expects=(*colony_owner(gate), _as_read(target)),
        events=(ExecutorApproved(subject=target.id, actor=gate.caller, at_ns=now_ns),),
    )


def reject(gate: Gate, row: MemberRow | None, now_ns: int) -> Decision:
    """Reject an executor; what it was running is queued again.

    Raises:
        Missing, Denied: no such executor; not the owner.
    """
    target = _executor(row, "Failed to reject executor, executor is nil")
    return Decision(
        expects=(*colony_owner(gate), _as_read(target)),
        events=(ExecutorRejected(subject=target.id, actor=gate.caller, at_ns=now_ns),),
        wakes=(RESUMED,),
    )


def remove(gate: Gate, row: MemberRow | None, now_ns: int) -> Decision:
    """Unregister an executor; what it was running is queued again. Again is no change.

    Raises:
        Missing, Denied: no such executor; not the owner.
    """
    target = _executor(row, "Failed to remove executor, executor is nil")
    expects = (*colony_owner(gate), _as_read(target))
    if target.state is MemberState.UNREGISTERED:
        return Decision(expects=expects)
    event = ExecutorRemoved(subject=target.id, actor=gate.caller, at_ns=now_ns, name=target.name)
    return Decision(expects=expects, events=(event,), wakes=(RESUMED,))


def unregister_stale(row: MemberRow, now_ns: int) -> Decision:
    """Unregister an executor that was silent for too long and runs nothing."""
    event = ExecutorRemoved(subject=row.id, actor="", at_ns=now_ns, name=row.name)
    return Decision(
        expects=(_as_read(row), counts(keys.held(row.id), 0)), events=(event,), wakes=(RESUMED,)
    )


def released(executor_id: str, now_ns: int) -> Decision:
    """Note that nothing is held any more by an executor that left."""
    return Decision(
        expects=(counts(keys.held(executor_id), 0), listed(keys.LEAVING, executor_id)),
        events=(ExecutorReleased(subject=executor_id, actor="", at_ns=now_ns),),
    )


def report_allocations(
    gate: Gate, named: MemberRow | None, name: str, allocations: bytes, now_ns: int
) -> Decision:
    """Replace the allocations of the calling executor.

    Raises:
        Denied, Invalid: not a member; unknown name; somebody else's.
    """
    expects = _only_itself(gate, named, name, "Only an executor can report allocations to itself")
    event = AllocationsReported(
        subject=gate.caller, actor=gate.caller, at_ns=now_ns, allocations=allocations
    )
    return Decision(expects=expects, events=(event,))


def update_capabilities(
    gate: Gate, named: MemberRow | None, name: str, capabilities: bytes, now_ns: int
) -> Decision:
    """Replace the capabilities of the calling executor.

    Raises:
        Denied, Invalid: not a member; unknown name; somebody else's.
    """
    expects = _only_itself(gate, named, name, "Only an executor can update its own capabilities")
    event = CapabilitiesUpdated(
        subject=gate.caller, actor=gate.caller, at_ns=now_ns, capabilities=capabilities
    )
    return Decision(expects=expects, events=(event,))


def change_id(
    gate: Gate, new_id: str, holding: Sequence[str], now_ns: int, *, taken: bool
) -> Decision:
    """Move the calling executor, with the processes it runs, to another key.

    ``holding`` is the ids of the processes it runs now.

    Raises:
        Denied, Invalid: not an executor of the colony; not a free id; too much running.
    """
    if not new_id:
        raise Invalid("Failed to change executor Id, executor Id is empty")
    expects = member(gate, approved=False)
    row = gate.member
    if row is None or row.kind != EXECUTOR:
        raise Invalid("Failed to change executor Id, executor not found")
    checked_new_id(new_id, "executor", taken=taken and new_id != row.id)
    if new_id == row.id:
        return Decision(expects=expects)
    if len(holding) > MOST_HANDED_OVER:
        raise Invalid(
            f"Failed to change executor Id, more than {MOST_HANDED_OVER} processes are running"
        )
    moved = ExecutorIdChanged(
        subject=new_id,
        actor=gate.caller,
        at_ns=now_ns,
        old_id=row.id,
        name=row.name,
        row={k.decode(): v for k, v in row.row.items()},
    )
    handed = tuple(
        ProcessHandedOver(
            subject=process_id, actor=gate.caller, at_ns=now_ns, holder=row.id, new_holder=new_id
        )
        for process_id in holding
    )
    return Decision(
        expects=(
            *expects,
            absent(keys.member(new_id)),
            counts(keys.held(row.id), len(holding)),
            *(equals(keys.process(p), "holder", row.id) for p in holding),
        ),
        events=(moved, *handed),
    )


def _executor(row: MemberRow | None, text: str) -> MemberRow:
    if row is None:
        raise Missing(text)
    return row


def _as_read(row: MemberRow) -> Expect:
    return equals(keys.member(row.id), "guard", row.guard)


def _only_itself(
    gate: Gate, named: MemberRow | None, name: str, refusal: str
) -> tuple[Expect, ...]:
    expects = member(gate, approved=False)
    if named is None:
        raise Invalid(f"Executor with name <{name}> does not exist")
    if named.id != gate.caller:
        raise Invalid(refusal)
    return expects


def assigning(gate: Gate) -> MemberRow:
    """The approved executor that asks for work.

    Raises:
        Denied, Missing: not an approved member; a user.
    """
    member(gate)
    row = gate.member
    if row is None:
        raise Denied("unreachable")
    if row.kind != EXECUTOR:
        raise Missing("Failed to assign process, executor not found")
    return row
