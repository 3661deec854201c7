"""Calling a workflow off and removing it: begun by one event, then done in bounded steps.

Whatever touches every process of a workflow (also the failure of a process with children) is a
sweep: ``aim`` says what becomes of the processes, and whoever is first does it (keys.DUE).
"""

from collections.abc import Sequence

from broker import keys
from broker.access import Gate, Hash, member
from broker.aggregates import process_end, process_row
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.workflow import (
    REMOVING,
    WorkflowLeft,
    WorkflowRemoved,
    WorkflowRow,
    WorkflowSwept,
    as_read,
    ended,
    in_state,
)
from broker.decision import Decision, Expect, equals
from broker.errors import Invalid, Missing


def cancel(
    gate: Gate, workflow: WorkflowRow | None, unfinished: ProcessRow | None, now_ns: int
) -> Decision:
    """Call off whatever is not finished; one that has ended stays as it is, and when it did.

    Of one that has failed, ``unfinished`` is a process that goes on nevertheless, if there is any.

    Raises:
        Missing, Denied: no such workflow; not a member.
    """
    if workflow is None:
        raise Missing("Failed to cancel processgraph, graph is nil")
    expects = member(gate)
    if workflow.state in {State.SUCCESS, State.CANCELLED} or workflow.sweeps is not None:
        return Decision(expects=expects)
    outcome, lingers = State.CANCELLED, tuple[Expect, ...]()
    if workflow.state is State.FAILED:
        if unfinished is None:
            return Decision(expects=expects)
        outcome, lingers = State.FAILED, process_row.as_read(unfinished)
    called_off = ended(workflow, outcome, gate.caller, now_ns, sweeps=State.CANCELLED)
    return Decision(expects=(*expects, *as_read(workflow), *lingers), events=(called_off,))


def remove(gate: Gate, workflow: WorkflowRow | None, now_ns: int) -> Decision:
    """Begin to remove a workflow that is not running.

    Raises:
        Missing, Denied, Invalid: no such workflow; not a member; running.
    """
    if workflow is None:
        raise Missing("Failed to remove processgraph, graph is nil")
    expects = member(gate)
    if workflow.state is State.RUNNING:
        raise Invalid("Failed to remove processgraph, cannot remove a running processgraph")
    return leave(expects, workflow, gate.caller, now_ns)


def leave(
    allowed: tuple[Expect, ...], workflow: WorkflowRow | None, actor: str, now_ns: int
) -> Decision:
    """Begin to remove a workflow in whatever state; ``allowed`` is why the actor may."""
    if workflow is None:
        return Decision(expects=allowed)
    left = WorkflowLeft(subject=workflow.id, actor=actor, at_ns=now_ns, was=int(workflow.state))
    return Decision(expects=(*allowed, in_state(workflow)), events=(left,))


def aim(row: Hash) -> int | None:
    """What a sweep makes of the processes: their state, or REMOVING; None when there is none."""
    if not row:
        return None
    if int(row[b"state"]) == REMOVING:
        return REMOVING
    return int(row[b"sweeps"]) if b"sweeps" in row else None


def sweep(
    workflow_id: str, row: Hash, aimed: int, processes: Sequence[ProcessRow], now_ns: int
) -> Decision:
    """End, or remove, some processes of a workflow that has ended or is being removed.

    ``aimed`` is the aim of the walk over its processes that this is a step of. When another has
    begun since, nothing is done: it has a walk of its own, from the beginning.
    """
    if aim(row) != aimed:
        return Decision()
    end = _ENDS[aimed]
    decided = [(p, end(p, now_ns)) for p in processes]
    touched = [(p, events) for p, events in decided if events]
    return Decision(
        expects=(
            *_still_aims(workflow_id, row),
            *(e for p, _ in touched for e in process_row.as_read(p)),
        ),
        events=tuple(event for _, events in touched for event in events),
    )


def swept(workflow_id: str, row: Hash, aimed: int, now_ns: int) -> Decision:
    """All of its processes have been seen to, in one walk with one aim."""
    if aim(row) != aimed:
        return Decision()
    kind = WorkflowRemoved if aimed == REMOVING else WorkflowSwept
    return Decision(
        expects=_still_aims(workflow_id, row),
        events=(kind(subject=workflow_id, actor="", at_ns=now_ns),),
    )


_ENDS = {
    REMOVING: process_end.removed_with_workflow,
    int(State.FAILED): process_end.failed_with_workflow,
    int(State.CANCELLED): process_end.cancelled_with_workflow,
}


def _still_aims(workflow_id: str, row: Hash) -> tuple[Expect, ...]:
    key, state = keys.workflow(workflow_id), int(row[b"state"])
    if state == REMOVING:
        return (equals(key, "state", REMOVING),)
    return equals(key, "state", state), equals(key, "sweeps", int(row[b"sweeps"]))
