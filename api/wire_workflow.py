"""Messages about workflows, as the protocol spells them (extended.md, section 2)."""

from api import wire
from api.wire_spec import SubmittedSpec


class WorkflowSpec(wire.Wire):
    """A workflow as it is submitted: function specs that name the ones they depend on."""

    colonyname: str = ""
    functionspecs: list[SubmittedSpec] | None = None


class Position(wire.Wire):
    """Where a node is drawn."""

    x: int
    y: int


class NodeData(wire.Wire):
    """What is written on a node."""

    label: str


class NodeStyle(wire.Wire):
    """How a node is coloured."""

    color: str
    background: str


class Node(wire.Wire):
    """Drawing hints for one process."""

    id: str
    data: NodeData
    position: Position
    type: str
    style: NodeStyle


class Edge(wire.Wire):
    """Drawing hints for one dependency; ``animated`` while its source runs."""

    id: str
    source: str
    target: str
    animated: bool


class ProcessGraph(wire.Wire):
    """A workflow with its state; ``nodes`` and ``edges`` only when it is asked for alone."""

    processgraphid: str
    initiatorid: str
    initiatorname: str
    colonyname: str
    rootprocessids: list[str]
    state: int
    submissiontime: str
    starttime: str
    endtime: str
    processids: list[str]
    nodes: list[Node]
    edges: list[Edge]


class SubmitWorkflowSpecMsg(wire.Message):
    """Submit a workflow."""

    spec: WorkflowSpec | None = None


class AddChildMsg(wire.Message):
    """Put a process behind a running one."""

    processgraphid: str = ""
    parentprocessid: str = ""
    childprocessid: str = ""
    spec: SubmittedSpec | None = None
    insert: bool = False


class OfGraph(wire.Message):
    """A message that names a workflow."""

    processgraphid: str = ""


class GetProcessGraphMsg(OfGraph):
    """Read a workflow."""


class RemoveProcessGraphMsg(OfGraph):
    """Remove a workflow that is not running, with its processes."""

    all: bool = False


class CancelProcessGraphMsg(OfGraph):
    """Cancel whatever of a workflow is not finished."""


class OfGraphs(wire.Message):
    """A message about the workflows of a colony in one state."""

    colonyname: str = ""
    state: wire.Int = 0


class GetProcessGraphsMsg(OfGraphs):
    """List workflows, newest first."""

    count: wire.Int = 0


class RemoveAllProcessGraphsMsg(OfGraphs):
    """Remove workflows in one state, or all of them (-1)."""
