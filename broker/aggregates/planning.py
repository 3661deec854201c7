"""Submitting a workflow: what cannot run to its end is refused by name, the rest is queued."""

from collections.abc import Container, Sequence

from msgspec.structs import asdict, replace

from broker.access import Gate, member
from broker.aggregates import process_submit
from broker.aggregates.graph import cycle, depth_first
from broker.aggregates.process import NodeSubmitted
from broker.aggregates.workflow import Initiator, Node, WorkflowSubmitted
from broker.decision import Decision
from broker.errors import Invalid
from broker.matching import class_of

_EDGES_A_NODE = 10
_MOST_NAMED = 12


def submit(
    gate: Gate, workflow_id: str, nodes: Sequence[Node], known: Container[str], now_ns: int
) -> Decision:
    """Queue the processes of a workflow that ``check`` has found sound.

    ``known`` is the requirement classes there are.

    Raises:
        Denied: not an approved member.
    """
    expects = member(gate)
    by = Initiator(id=gate.caller, name=gate.member.name if gate.member else "")
    spawned = spawn(workflow_id, nodes, by, known, now_ns)
    return Decision(
        expects=(*expects, *spawned.expects), events=spawned.events, wakes=spawned.wakes
    )


def spawn(
    workflow_id: str,
    nodes: Sequence[Node],
    by: Initiator,
    known: Container[str],
    now_ns: int,
    *,
    root_input: bytes = b"",
) -> Decision:
    """The same without asking who may; ``root_input`` (JSON list) is given to every root."""
    ids = {node.name: node.process.process_id for node in nodes}
    parents = {node.process.process_id: [ids[name] for name in node.depends] for node in nodes}
    children: dict[str, list[str]] = {process_id: [] for process_id in parents}
    for child, its_parents in parents.items():
        for parent in dict.fromkeys(its_parents):
            children[parent].append(child)
    roots = [process_id for process_id, found in parents.items() if not found]
    order = {process_id: at for at, process_id in enumerate(depth_first(roots, children))}
    alone = [process_submit.submitted(node.process, by.id, by.name, now_ns) for node in nodes]
    submitted = tuple(
        NodeSubmitted(
            # One ns apart, so that those of one priority are assigned in the order of their specs.
            **asdict(replace(event, priority_time=event.priority_time + at)),
            graph=workflow_id,
            node=node.name,
            order=order[node.process.process_id],
            parents=parents[node.process.process_id],
            children=children[node.process.process_id],
            input=b"" if node.depends else root_input,
        )
        for at, (node, event) in enumerate(zip(nodes, alone, strict=True))
    )
    begun = WorkflowSubmitted(
        subject=workflow_id,
        actor=by.id,
        at_ns=now_ns,
        initiator_name=by.name,
        roots=roots,
        processes=list(parents),
    )
    ready = [event for event in submitted if not event.parents]
    classes = {class_of(event.requires): event.requires for event in ready}
    expected, added = process_submit.classes_again(classes, known, now_ns)
    return Decision(
        expects=expected,
        events=(*added, *submitted, begun),
        wakes=tuple(class_of(event.requires) for event in ready),
    )


def check(nodes: Sequence[Node], most: int) -> None:
    """See that a workflow can run to its end.

    Raises:
        Invalid: no processes or too many, names missing or twice, unknown dependencies, cycles.
    """
    if not nodes:
        raise Invalid("Failed to submit workflow, it has no function specs")
    if len(nodes) > most:
        raise Invalid(
            f"Failed to submit workflow, it has {len(nodes)} function specs, more than the limit of"
            f" {most}"
        )
    names = set[str]()
    for at, node in enumerate(nodes):
        if not node.name:
            raise Invalid(
                f"Nodename is missing, check function spec for errors (functionspecs[{at}])"
            )
        if node.name in names:
            raise Invalid(f"Duplicate nodename: {node.name}")
        names.add(node.name)
    _check_edges(nodes, names, most)
    for node in nodes:
        check_priority(node)


def check_priority(node: Node) -> None:
    """See that a node has a priority like any process, or name it.

    Raises:
        Invalid: out of range.
    """
    try:
        process_submit.check_priority(node.process.priority)
    except Invalid as error:
        raise Invalid(f"{error} (nodename {node.name})") from error


def _check_edges(nodes: Sequence[Node], names: set[str], most: int) -> None:
    for node in nodes:
        for name in node.depends:
            if name not in names:
                raise Invalid(
                    "Failed to submit workflow, invalid dependencies, are you depending on a"
                    f" nodename that does not exits? <{node.name}> depends on <{name}>"
                )
    edges = sum(len(node.depends) for node in nodes)
    if edges > most * _EDGES_A_NODE:
        raise Invalid(
            f"Failed to submit workflow, it has {edges} dependencies, more than the limit of"
            f" {most * _EDGES_A_NODE}"
        )
    circle = cycle({node.name: node.depends for node in nodes})
    if circle:
        raise Invalid(
            f"Failed to submit workflow, its dependencies go in a circle: {_shown(circle)}"
        )


def _shown(circle: Sequence[str]) -> str:
    """The names on a circle; of a long one the first and the last."""
    names = [f"<{name}>" for name in circle]
    if len(names) <= _MOST_NAMED:
        return " -> ".join(names)
    first = " -> ".join(names[: _MOST_NAMED - 2])
    return f"{first} -> ... -> {names[-2]} -> {names[-1]} ({len(names) - 1} nodes)"
