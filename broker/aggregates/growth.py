"""Letting a workflow grow while it runs: the holder of a process puts another one behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import asdict

from broker.access import Gate, member
from broker.aggregates import process_row, process_submit
from broker.aggregates.planning import check_priority
from broker.aggregates.process import NodeSubmitted, State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.workflow import Node, WorkflowGrew, WorkflowRow, in_state
from broker.decision import Decision, below, lacks
from broker.errors import Invalid, NotFound


class AddChild(Struct, frozen=True, kw_only=True):
    """Put a process behind a running one of the caller.

    In front of all the children that wait for it (``insert``), or beside them, and then perhaps in
    front of ``before``, a process that still waits.
    """

    workflow_id: str
    parent_id: str
    before_id: str
    insert: bool
    node: Node
    most_nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a new process is put between."""

    parent: ProcessRow | None
    workflow: WorkflowRow | None
    followers: Sequence[ProcessRow | None]
    """The children of the parent, to insert in front of them; else ``before``, if one is named."""


def add_child(gate: Gate, command: AddChild, around: Surroundings, now_ns: int) -> Decision:
    """Let a workflow grow while it runs.

    Raises:
        NotFound: the parent, or the process to put it in front of, does not exist.
        Invalid: the parent is not running, not the caller's, or in no workflow.
    """
    expects = member(gate)
    parent, workflow, followers = _checked(gate, command, around)
    new_id = command.node.process.process_id
    submitted = NodeSubmitted(
        **asdict(
            process_submit.submitted(
                command.node.process, gate.caller, gate.member.name if gate.member else "", now_ns
            )
        ),
        graph=workflow.id,
        node=command.node.name,
        order=workflow.size,
        parents=[parent.id],
        children=[follower.id for follower in followers],
        input=b"",
    )
    grew = WorkflowGrew(
        subject=workflow.id,
        actor=gate.caller,
        at_ns=now_ns,
        parent=parent.id,
        child=new_id,
        followers=[follower.id for follower in followers],
        inserted=command.insert,
    )
    unchanged = (
        in_state(workflow),
        lacks(workflow.key, "sweeps"),
        below(workflow.key, "size", command.most_nodes),
        *process_row.held_as_read(parent),
        *((process_row.children_as_read(parent),) if command.insert else ()),
        *(e for row in followers for e in process_row.as_read(row)),
    )
    return Decision(expects=(*expects, *unchanged), events=(grew, submitted))


def _checked(
    gate: Gate, command: AddChild, around: Surroundings
) -> tuple[ProcessRow, WorkflowRow, list[ProcessRow]]:
    parent, workflow = around.parent, around.workflow
    named = f"Process with Id {command.parent_id}"
    if parent is None:
        raise NotFound(f"{named} not found")
    if parent.state is not State.RUNNING:
        raise Invalid(f"{named} is not running")
    if parent.holder != gate.caller:
        raise Invalid(f"{named} is not assigned to executor with Id {gate.caller}")
    if not parent.graph or command.workflow_id not in {"", parent.graph}:
        raise Invalid(f"{named} does not belong to a processgraph")
    if workflow is None or workflow.sweeps is not None:
        raise Invalid(f"the processgraph of process with Id {command.parent_id} has ended")
    check_priority(command.node)
    if workflow.size >= command.most_nodes:
        raise Invalid(f"the processgraph has as many processes as allowed, {workflow.size}")
    return parent, workflow, _followers(command, around, parent.graph)


def _followers(command: AddChild, around: Surroundings, graph: str) -> list[ProcessRow]:
    """Those that wait. A child that failed, as a leaf may, stays a child of the parent."""
    there = [row for row in around.followers if row is not None]
    waiting = [f for f in there if f.graph == graph and f.state is State.WAITING and f.pending]
    if command.insert or len(waiting) == len(around.followers):
        return waiting
    if not there:
        raise NotFound(f"Process with Id {command.before_id} not found")
    raise Invalid(f"Process with Id {command.before_id} does not wait for its parents")
