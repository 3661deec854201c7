"""The end of a process that nobody closed: cancelled, failed or removed, alone or with others."""

from msgspec.structs import replace

from broker.access import Gate, member
from broker.aggregates.process import (
    ProcessCancelled,
    ProcessFailed,
    ProcessRemoved,
    State,
    env_attributes,
)
from broker.aggregates.process_row import ProcessRow, as_read
from broker.decision import Decision, Event, Expect
from broker.errors import Invalid, Missing

WORKFLOW_FAILED = "another process of the workflow failed"


def cancel(gate: Gate, row: ProcessRow | None, now_ns: int) -> Decision:
    """Call off a waiting or running process.

    Raises:
        Missing, Denied, Invalid: no such process; not a member; ended already.
    """
    if row is None:
        raise Missing("Failed to cancel process, process is nil")
    expects = member(gate)
    refusals = {
        State.SUCCESS: "Tried to cancel successful process",
        State.FAILED: "Tried to cancel failed process",
        State.CANCELLED: "Tried to cancel already cancelled process",
    }
    if row.graph:
        raise Invalid(
            "Failed to cancel, cannot cancel a process part of a workflow, cancel the entire"
            " workflow instead"
        )
    if row.state in refusals:
        raise Invalid(refusals[row.state])
    return Decision(
        expects=(*expects, *as_read(row)), events=(_cancelled(row, gate.caller, now_ns),)
    )


def cancelled_with_workflow(row: ProcessRow, now_ns: int) -> tuple[Event, ...]:
    """The workflow was cancelled: so is what is not finished."""
    open_still = row.state in {State.WAITING, State.RUNNING}
    return (_cancelled(row, "", now_ns),) if open_still else ()


def _cancelled(row: ProcessRow, actor: str, now_ns: int) -> ProcessCancelled:
    return ProcessCancelled(
        subject=row.id,
        actor=actor,
        at_ns=now_ns,
        was=int(row.state),
        class_key=row.class_key,
        queued_as=row.queued_as,
        holder=row.holder,
    )


def failed_with_workflow(row: ProcessRow, now_ns: int) -> tuple[Event, ...]:
    """Another process of the workflow failed: so does what is not finished."""
    if row.state not in {State.WAITING, State.RUNNING}:
        return ()
    return (failed(row, WORKFLOW_FAILED, "workflow", now_ns),)


def failed(row: ProcessRow, error: str, cause: str, now_ns: int) -> ProcessFailed:
    """The event of a process that fails where it is; ``cause`` as in ProcessFailed."""
    return ProcessFailed(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        cause=cause,
        was=int(row.state),
        holder=row.holder,
        class_key=row.class_key,
        queued_as=row.queued_as,
        error=error,
    )


def removed_with_workflow(row: ProcessRow, now_ns: int) -> tuple[Event, ...]:
    """The workflow was removed: so is each process, whatever its state."""
    if row.state is not State.RUNNING:
        return (_removed(row, "", now_ns),)
    removed = replace(_removed(row, "", now_ns), was=int(State.CANCELLED))
    return (_cancelled(row, "", now_ns), removed)


def remove(gate: Gate, row: ProcessRow | None, now_ns: int) -> Decision:
    """Remove a process that is not running, with its attributes.

    Raises:
        Missing, Denied, Invalid: no such process; not a member; running.
    """
    if row is None:
        raise Missing("Failed to remove process, process is nil")
    expects = member(gate)
    if row.graph:
        raise Invalid(
            "Failed to remove, cannot remove a process part of a workflow, delete the entire"
            " workflow instead"
        )
    if row.state is State.RUNNING:
        raise Invalid("Failed to remove process, cannot remove a running process")
    return Decision(expects=(*expects, *as_read(row)), events=(_removed(row, gate.caller, now_ns),))


def remove_many(
    allowed: tuple[Expect, ...], rows: list[ProcessRow], actor: str, now_ns: int
) -> Decision:
    """Remove some processes at once, but none of a workflow; ``allowed`` is why the actor may."""
    removable = [row for row in rows if row.state is not State.RUNNING and not row.graph]
    return Decision(
        expects=(*allowed, *(e for row in removable for e in as_read(row))),
        events=tuple(_removed(row, actor, now_ns) for row in removable),
    )


def _removed(row: ProcessRow, actor: str, now_ns: int) -> ProcessRemoved:
    return ProcessRemoved(
        subject=row.id,
        actor=actor,
        at_ns=now_ns,
        was=int(row.state),
        class_key=row.class_key,
        queued_as=row.queued_as,
        attributes=[*env_attributes(row.id, row.given["env"]), *row.added_attributes],
        channels=row.channels,
    )
