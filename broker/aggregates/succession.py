"""What the end of a process means for the others of its workflow: release, progress, failure.

What happens to one process is decided in ``process_*.py``; ``follow`` adds what it means for its
workflow, to the same decision. A success counts down the processes that are left and, for each
child, the parents it still waits for; whoever counts the last one releases the child, or ends the
workflow. Expectations are about counters ("more than one is left"), so processes of one workflow
that end at the same time do not get in each other's way.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from broker import keys
from broker.aggregates import process_row, process_submit
from broker.aggregates.process import ProcessClosed, ProcessFailed, ProcessReleased, State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.workflow import WorkflowAdvanced, WorkflowRow, as_read, ended, in_state
from broker.decision import Decision, Event, Expect, above, equals, lacks
from broker.errors import Invalid
from broker.matching import class_of

MOST_PASSED_ON = 64 * 1024 * 1024
"""Bytes that one process may pass on to its children in all: they are one step of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A process that waits for one that is being closed.

    ``row`` is read only when nothing else keeps it waiting; then ``outputs`` are those of its
    parents in their order (JSON lists), None for the one that is being closed.
    """

    id: str
    state: State
    pending: int
    row: ProcessRow | None = None
    outputs: Sequence[bytes | None] = ()


class Kin(Struct, frozen=True, kw_only=True):
    """What a process of a workflow is judged by when it ends: the workflow and its children."""

    workflow: WorkflowRow | None
    children: Sequence[Child] = ()


def follow(decision: Decision, row: ProcessRow, kin: Kin, known: Container[str]) -> Decision:
    """What the end of a process, which ``decision`` is, means for its workflow."""
    if kin.workflow is None:
        return decision
    for event in decision.events:
        if isinstance(event, ProcessClosed) and event.outcome == State.SUCCESS:
            more = _succeeded(event, row, kin.workflow, kin.children, known)
            break
        if isinstance(event, ProcessClosed | ProcessFailed):
            more = _failed(event, row, kin.workflow)
            break
    else:
        return decision
    return Decision(
        expects=(*decision.expects, *more.expects),
        events=(*decision.events, *more.events),
        wakes=(*decision.wakes, *more.wakes),
    )


def _succeeded(
    closed: ProcessClosed,
    row: ProcessRow,
    workflow: WorkflowRow,
    children: Sequence[Child],
    known: Container[str],
) -> Decision:
    """Count down, and release the children that waited for nothing else."""
    ready = [child for child in children if child.row is not None]
    awaited = [child for child in children if child.row is None]
    expects = [process_row.children_as_read(row)]
    for child in ready:
        key = keys.process(child.id)
        expects += (equals(key, "state", int(State.WAITING)), equals(key, "pending", 1))
    expects += (_still_waits(child) for child in awaited)
    own_output = closed.out
    if own_output is None:
        own_output = row.row.get(b"out")
        expects.append(_same_output(row.id, own_output))
    released = [_released(child, closed, own_output or b"[]") for child in ready]
    _check_size(released)
    classes = {class_of(requires): requires for requires in map(_requires, ready)}
    expected, added = process_submit.classes_again(classes, known, closed.at_ns)
    advanced = WorkflowAdvanced(
        subject=workflow.id,
        actor=closed.actor,
        at_ns=closed.at_ns,
        process=row.id,
        awaited=[child.id for child in awaited],
    )
    events: list[Event] = [advanced, *added, *released]
    if workflow.left > 1:
        expects.append(above(workflow.key, "left", 1))
    else:
        expects += (equals(workflow.key, "left", 1), in_state(workflow))
        events.append(ended(workflow, State.SUCCESS, closed.actor, closed.at_ns))
    return Decision(
        expects=(*expects, *expected),
        events=tuple(events),
        wakes=tuple(event.class_key for event in released),
    )


def _still_waits(child: Child) -> Expect:
    """It waits for other parents, too; or it does not wait any more, and never will again."""
    key = keys.process(child.id)
    if child.state is State.WAITING:
        return above(key, "pending", 1)
    return equals(key, "state", int(child.state))


def _requires(child: Child) -> bytes:
    return child.row.given["requires"] if child.row is not None else b""


def _same_output(process_id: str, output: bytes | None) -> Expect:
    key = keys.process(process_id)
    return lacks(key, "out") if output is None else equals(key, "out", output)


def _check_size(released: Sequence[ProcessReleased]) -> None:
    size = sum(len(event.input) for event in released)
    if size > MOST_PASSED_ON:
        raise Invalid(
            f"the output would be passed on to {len(released)} processes with {size} bytes in all,"
            f" more than the limit of {MOST_PASSED_ON}; pass on where it is kept instead"
        )


def _released(child: Child, closed: ProcessClosed, own_out: bytes) -> ProcessReleased:
    assert child.row is not None  # noqa: S101 - only those are released
    outputs = (own_out if out is None else out for out in child.outputs)
    return ProcessReleased(
        subject=child.id,
        actor=closed.actor,
        at_ns=closed.at_ns,
        class_key=class_of(_requires(child)),
        queued_as=child.row.queued_as,
        input=joined(outputs),
    )


def joined(outputs: Iterable[bytes]) -> bytes:
    """Several JSON lists as one."""
    inner = (output[1:-1].strip() for output in outputs)
    return b"[" + b",".join(part for part in inner if part) + b"]"


def _failed(
    event: ProcessClosed | ProcessFailed, row: ProcessRow, workflow: WorkflowRow
) -> Decision:
    """The workflow has failed; with a child that cannot run any more, its other processes, too."""
    cascades = bool(row.children) and workflow.sweeps is None
    sweeps = State.FAILED if cascades else None
    failed = ended(workflow, State.FAILED, event.actor, event.at_ns, sweeps=sweeps)
    childless = () if row.children else (process_row.children_as_read(row),)
    return Decision(expects=(*childless, *as_read(workflow)), events=(failed,))
