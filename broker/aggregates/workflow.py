"""Workflows: graphs of processes that release each other.

What happens to one process is decided in ``process.py``; ``follow`` adds what it means for its
workflow, to the same decision. A success counts down the processes that are left and, for each
child, the parents it still waits for; whoever counts the last one releases the child, or ends the
workflow. Expectations are about counters ("more than one is left"), so processes of one workflow
that end at the same time do not get in each other's way.

Whatever touches every process of a workflow (the failure of a process with children, cancelling,
removing) is begun by one event and then done in bounded steps, by whoever is first (keys.DUE).
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import asdict, replace

from broker import keys
from broker.access import Gate, Hash, member
from broker.aggregates import process
from broker.aggregates.graph import cycle, depth_first
from broker.aggregates.process import (
    NodeSubmitted,
    ProcessClosed,
    ProcessFailed,
    ProcessReleased,
    ProcessRow,
    State,
    SubmitProcess,
)
from broker.decision import Decision, Event, Expect, above, equals, lacks
from broker.errors import Invalid, Missing, NotFound
from broker.matching import class_of
from broker.packing import unpacked

REMOVING = -1
"""State of a workflow that is being removed, process by process."""
MOST_PASSED_ON = 64 * 1024 * 1024
"""Bytes that one process may pass on to its children in all: they are one step of the store."""
_EDGES_A_NODE = 10
_MOST_NAMED = 12
_FEW_PLACES = 1_000
"""More than there are processes that are being added at any moment."""
_NONE = -1
_US_NS = 1_000
_FINISHED = {State.SUCCESS, State.FAILED, State.CANCELLED}


class WorkflowSubmitted(Event, frozen=True, kw_only=True):
    """A workflow begins, its processes (NodeSubmitted) are there; ``subject`` is its id.

    ``processes`` is their ids in the order of the specs, ``roots`` those without dependencies.
    """

    TYPE: ClassVar[str] = "WorkflowSubmitted"
    initiator_name: str
    roots: list[str]
    processes: list[str]


class WorkflowStarted(Event, frozen=True, kw_only=True):
    """The first process of a workflow was assigned; ``subject`` is the workflow.

    ``submitted_us`` is when it was submitted: 16 digits, because claim.lua fills it into the body.
    """

    TYPE: ClassVar[str] = "WorkflowStarted"
    submitted_us: str


class WorkflowAdvanced(Event, frozen=True, kw_only=True):
    """A process of a workflow succeeded; ``subject`` is the workflow.

    ``awaited`` is its children that wait for other parents, too.
    """

    TYPE: ClassVar[str] = "WorkflowAdvanced"
    process: str
    awaited: list[str]


class WorkflowEnded(Event, frozen=True, kw_only=True):
    """A workflow is in state ``outcome`` (2, 3 or 4), it ``was`` in another or ended before.

    ``subject`` is the workflow, ``submitted_us`` when it was submitted (Unix μs). ``sweeps`` is the
    state that its unfinished processes are to get, -1 when they go on.
    """

    TYPE: ClassVar[str] = "WorkflowEnded"
    submitted_us: int
    was: int
    outcome: int
    sweeps: int


class WorkflowSwept(Event, frozen=True, kw_only=True):
    """No process of an ended workflow is left unfinished; ``subject`` is the workflow."""

    TYPE: ClassVar[str] = "WorkflowSwept"


class WorkflowGrew(Event, frozen=True, kw_only=True):
    """A running process got a child that was not planned; ``subject`` is the workflow.

    ``children`` is what ``parent`` has now, ``parents`` what each process that follows the new one
    has now. ``delays`` is a process that waits for one parent more, "" for none.
    """

    TYPE: ClassVar[str] = "WorkflowGrew"
    parent: str
    children: list[str]
    parents: dict[str, list[str]]
    delays: str


class WorkflowLeft(Event, frozen=True, kw_only=True):
    """A workflow is to be removed, and shown no more; ``subject`` is its id."""

    TYPE: ClassVar[str] = "WorkflowLeft"
    was: int


class WorkflowRemoved(Event, frozen=True, kw_only=True):
    """A workflow is gone with all its processes; ``subject`` is its id."""

    TYPE: ClassVar[str] = "WorkflowRemoved"


EVENTS = (
    WorkflowSubmitted,
    WorkflowStarted,
    WorkflowAdvanced,
    WorkflowEnded,
    WorkflowSwept,
    WorkflowGrew,
    WorkflowLeft,
    WorkflowRemoved,
)


class Node(Struct, frozen=True, kw_only=True):
    """One function spec of a workflow: its name there, and the names of those it depends on."""

    name: str
    depends: list[str]
    process: SubmitProcess


class Initiator(Struct, frozen=True, kw_only=True):
    """On whose behalf a workflow is submitted."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class WorkflowRow:
    """One workflow as it is stored."""

    id: str
    row: Hash

    @classmethod
    def read(cls, workflow_id: str, row: Hash) -> "WorkflowRow | None":
        """From its hash; None when there is no such workflow (any more)."""
        return cls(id=workflow_id, row=row) if row and int(row[b"state"]) != REMOVING else None

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return State(int(self.row[b"state"]))

    @property
    def left(self) -> int:
        """How many of its processes have not succeeded."""
        return int(self.row[b"left"])

    @property
    def size(self) -> int:
        """How many processes it has."""
        return int(self.row[b"size"])

    @property
    def sweeps(self) -> int | None:
        """The state its unfinished processes are being given, None when they go on."""
        return int(self.row[b"sweeps"]) if b"sweeps" in self.row else None

    @property
    def initiator(self) -> Initiator:
        """Who submitted it."""
        return Initiator(id=self.row[b"by"].decode(), name=self.row[b"by_name"].decode())

    @property
    def roots(self) -> list[str]:
        """Its processes without dependencies, in the order of their specs."""
        return unpacked(self.row[b"roots"])

    @property
    def submitted_ns(self) -> int:
        """When it was submitted."""
        return int(self.row[b"at"])

    @property
    def started_ns(self) -> int:
        """When its first process was assigned, 0 if none was."""
        return int(self.row.get(b"started", b"0"))

    @property
    def ended_ns(self) -> int:
        """When it ended or, later, one of its processes did; 0 while it goes on."""
        return int(self.row.get(b"ended", b"0")) if self.state in _FINISHED else 0

    @cached_property
    def key(self) -> keys.Key:
        """Where it is stored."""
        return keys.workflow(self.id)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """What a process of a workflow is judged by when it ends: the workflow and its children."""

    workflow: WorkflowRow | None
    children: Sequence[Child] = ()


# -------------------------------------------------------------------- submitting


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
    alone = [process.submitted(node.process, by.id, by.name, now_ns) for node in nodes]
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
    expected, added = process.classes_again(classes, known, now_ns)
    return Decision(
        expects=expected,
        events=(*added, *submitted, begun),
        wakes=tuple(class_of(event.requires) for event in ready),
    )


# -------------------------------------------------------------------- running


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
    expects = [process.links_as_read(row)]
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
    expected, added = process.classes_again(classes, known, closed.at_ns)
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
        expects += (equals(workflow.key, "left", 1), _in_state(workflow))
        events.append(_ended(workflow, State.SUCCESS, closed.actor, closed.at_ns))
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
    sweeps = int(State.FAILED) if cascades else _NONE
    ended = _ended(workflow, State.FAILED, event.actor, event.at_ns, sweeps=sweeps)
    return Decision(expects=(process.links_as_read(row), *_as_read(workflow)), events=(ended,))


def _in_state(workflow: WorkflowRow) -> Expect:
    return equals(workflow.key, "state", int(workflow.state))


def _as_read(workflow: WorkflowRow) -> tuple[Expect, Expect]:
    """In the same state, and swept, or not, as it was."""
    sweeps = workflow.sweeps
    unswept = lacks(workflow.key, "sweeps")
    swept_so = unswept if sweeps is None else equals(workflow.key, "sweeps", sweeps)
    return _in_state(workflow), swept_so


def _ended(
    workflow: WorkflowRow, outcome: State, actor: str, now_ns: int, *, sweeps: int = _NONE
) -> WorkflowEnded:
    return WorkflowEnded(
        subject=workflow.id,
        actor=actor,
        at_ns=now_ns,
        submitted_us=workflow.submitted_ns // _US_NS,
        was=int(workflow.state),
        outcome=int(outcome),
        sweeps=sweeps,
    )


# -------------------------------------------------------------------- growing


class AddChild(Struct, frozen=True, kw_only=True):
    """Put a process behind a running one of the caller.

    In front of all the children that one has (``insert``), or beside them, and then perhaps in
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
    children = [new_id] if command.insert else [*parent.children, new_id]
    submitted = NodeSubmitted(
        **asdict(
            process.submitted(
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
        children=children,
        parents={
            follower.id: [
                *(p for p in follower.parents if not (command.insert and p == parent.id)),
                new_id,
            ]
            for follower in followers
        },
        delays="" if command.insert or not followers else followers[0].id,
    )
    unchanged = (
        _in_state(workflow),
        lacks(workflow.key, "sweeps"),
        *_room(workflow, command.most_nodes),
        *process.held_as_read(parent),
        process.links_as_read(parent),
        *(e for row in followers for e in (*process.as_read(row), process.links_as_read(row))),
    )
    return Decision(expects=(*expects, *unchanged), events=(grew, submitted))


def _room(workflow: WorkflowRow, most: int) -> tuple[Expect, ...]:
    """Few places are left, and this one is still free; far from the limit many may grow at once."""
    if workflow.size < most - _FEW_PLACES:
        return ()
    return (equals(workflow.key, "size", workflow.size),)


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
    if workflow is None or workflow.state in _FINISHED or workflow.sweeps is not None:
        raise Invalid(f"the processgraph of process with Id {command.parent_id} has ended")
    _check_priority(command.node)
    if workflow.size >= command.most_nodes:
        raise Invalid(f"the processgraph has as many processes as allowed, {workflow.size}")
    followers = [row for row in around.followers if row is not None]
    if len(followers) < len(around.followers):
        raise NotFound(f"Process with Id {command.before_id} not found")
    if any(f.graph != parent.graph or not f.pending for f in followers):
        raise Invalid(f"Process with Id {command.before_id} does not wait for its parents")
    return parent, workflow, followers


# -------------------------------------------------------------------- ending all of it


def cancel(gate: Gate, workflow: WorkflowRow | None, now_ns: int) -> Decision:
    """Call off whatever is not finished; one that has ended stays as it is.

    Raises:
        Missing, Denied: no such workflow; not a member.
    """
    if workflow is None:
        raise Missing("Failed to cancel processgraph, graph is nil")
    expects = member(gate)
    if workflow.state in {State.SUCCESS, State.CANCELLED} or workflow.sweeps is not None:
        return Decision(expects=expects)
    outcome = State.FAILED if workflow.state is State.FAILED else State.CANCELLED
    ended = _ended(workflow, outcome, gate.caller, now_ns, sweeps=int(State.CANCELLED))
    return Decision(expects=(*expects, *_as_read(workflow)), events=(ended,))


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
    return Decision(expects=(*allowed, _in_state(workflow)), events=(left,))


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
            *(e for p, _ in touched for e in process.as_read(p)),
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
    REMOVING: process.removed_with_workflow,
    int(State.FAILED): process.failed_with_workflow,
    int(State.CANCELLED): process.cancelled_with_workflow,
}


def _still_aims(workflow_id: str, row: Hash) -> tuple[Expect, ...]:
    key, state = keys.workflow(workflow_id), int(row[b"state"])
    if state == REMOVING:
        return (equals(key, "state", REMOVING),)
    return equals(key, "state", state), equals(key, "sweeps", int(row[b"sweeps"]))


# -------------------------------------------------------------------- checking


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
        _check_priority(node)


def _check_priority(node: Node) -> None:
    try:
        process.check_priority(node.process.priority)
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
