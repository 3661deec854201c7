"""What is told of workflows in tests of decisions: a diamond of processes, and what befalls it.

The facts are those that production decides on: ``after`` adds to a story what a command leads to.
"""

from collections.abc import Sequence
from typing import cast

from msgspec.structs import replace

from broker import keys
from broker.access import Gate
from broker.aggregates import (
    dissolution,
    growth,
    planning,
    process_close,
    process_retry,
    succession,
)
from broker.aggregates.growth import AddChild, Surroundings
from broker.aggregates.process import ProcessAssigned, State
from broker.aggregates.process_close import CloseProcess
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.process_submit import SubmitProcess
from broker.aggregates.succession import Child, Kin
from broker.aggregates.workflow import Initiator, Node, WorkflowRow, WorkflowStarted
from broker.decision import Decision, Event
from broker.matching import Requirement
from tests.facts import (
    CLI,
    EXECUTOR,
    LATER,
    PROCESS,
    SUFFIX,
    T0,
    USER,
    class_added,
    inhabited,
)
from tests.facts import assigned as process_assigned
from tests.scenario import Decide, World

GRAPH = "9" * 56 + SUFFIX
A, B, C, D, NEW = (letter * 56 + SUFFIX for letter in "abcde")
MOST_NODES = 10
Story = tuple[Event, ...]


def command(
    process_id: str,
    *,
    requirement: Requirement = CLI,
    priority: int = 0,
    max_wait_s: int = -1,
    max_exec_s: int = -1,
    max_retries: int = 0,
) -> SubmitProcess:
    """What a function spec means."""
    return SubmitProcess(
        process_id=process_id,
        spec=b"{}",
        requires=requirement.pack(),
        function="echo",
        label="",
        priority=priority,
        max_wait_s=max_wait_s,
        max_exec_s=max_exec_s,
        max_retries=max_retries,
        env={},
    )


def node(name: str, *depends: str, process_id: str = "", more: SubmitProcess | None = None) -> Node:
    """A function spec of a workflow; its id follows from its name."""
    process_id = process_id or name * 56 + SUFFIX
    return Node(name=name, depends=list(depends), process=more or command(process_id))


DIAMOND = (node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c"))


def submitted(nodes: Sequence[Node] = DIAMOND) -> Story:
    """A colony in which a workflow waits."""
    by = Initiator(id=USER, name="alice")
    begun = planning.spawn(GRAPH, nodes, by, {CLI.class_key}, T0)
    return (*inhabited(), class_added(), *begun.events)


def queued_as(process_id: str) -> str:
    """Where a process waits: those of one workflow are a nanosecond apart, in their order."""
    return keys.queue_member(T0 + max("abcde".find(process_id[0]), 0), process_id)


def assigned(process_id: str = PROCESS) -> ProcessAssigned:
    """A process was given out."""
    return replace(process_assigned(process_id), queued_as=queued_as(process_id))


def started(at_ns: int = T0 + 5) -> WorkflowStarted:
    """The first process of a workflow was assigned."""
    return WorkflowStarted(
        subject=GRAPH, actor=EXECUTOR, at_ns=at_ns, submitted_us=str(T0 // 1_000)
    )


def running(nodes: Sequence[Node] = DIAMOND, *process_ids: str) -> Story:
    """A colony in which a workflow runs: these processes of it, or its first."""
    ids = process_ids or (nodes[0].process.process_id,)
    return (*submitted(nodes), *(assigned(i) for i in ids), started())


def after(story: Story, *decides: Decide) -> Story:
    """The story with what commands lead to."""
    for decide in decides:
        story = (*story, *decide(World(story)).events)
    return story


def done(story: Story, process_id: str, out: bytes | None = None) -> Story:
    """The story with a process that is assigned, and succeeds."""
    return after((*story, assigned(process_id)), close(process_id, out))


# -------------------------------------------------------------------- rows


def workflow_row(world: World) -> WorkflowRow | None:
    """The workflow."""
    return WorkflowRow.read(GRAPH, world.hash(keys.workflow(GRAPH)))


def present(world: World, process_id: str) -> ProcessRow:
    """A process that is there."""
    row = world.process(process_id)
    assert row is not None
    return row


def kin(world: World, row: ProcessRow | None) -> Kin:
    """What ``kin_of`` reads of the store, read of a story."""
    if row is None or not row.graph:
        return Kin(workflow=None)
    children = [_child(world, child) for i in row.children if (child := world.process(i))]
    return Kin(workflow=workflow_row(world), children=children)


def _child(world: World, row: ProcessRow) -> Child:
    if row.state is not State.WAITING or row.pending != 1:
        return Child(id=row.id, state=row.state, pending=row.pending)
    parents = [present(world, i) for i in row.parents]
    outputs = [p.row.get(b"out", b"[]") if p.state is State.SUCCESS else None for p in parents]
    return Child(id=row.id, state=row.state, pending=1, row=row, outputs=outputs)


def nodes_of(world: World) -> list[str]:
    """The processes of the workflow, in its order."""
    scores = cast("dict[bytes, float]", world.values.get(keys.nodes(GRAPH), {}))
    return [i.decode() for i in sorted(scores, key=lambda i: scores[i])]


# -------------------------------------------------------------------- commands


def submit(
    *nodes: Node, caller: str = USER, known: tuple[str, ...] = (CLI.class_key,), at_ns: int = T0
) -> Decide:
    """Somebody submits a workflow."""
    return lambda world: planning.submit(world.gate(caller), GRAPH, nodes, known, at_ns)


def close(
    process_id: str,
    out: bytes | None = None,
    *,
    failed: bool = False,
    caller: str = EXECUTOR,
    at_ns: int = LATER,
) -> Decide:
    """An executor closes a process."""
    wish = CloseProcess(
        process_id=process_id,
        outcome=State.FAILED if failed else State.SUCCESS,
        out=out,
        errors=["it broke"] if failed else [],
    )

    def decide(world: World) -> Decision:
        row = world.process(process_id)
        closed = process_close.close(world.gate(caller), wish, row, at_ns)
        assert row is not None
        return succession.follow(closed, row, kin(world, row), _classes(world))

    return decide


def expire(process_id: str, at_ns: int) -> Decide:
    """Time passes for a process."""

    def decide(world: World) -> Decision:
        row = present(world, process_id)
        decided = process_retry.expire(row, _classes(world), at_ns)
        return succession.follow(decided, row, kin(world, row), _classes(world))

    return decide


def _classes(world: World) -> set[str]:
    return {name.decode() for name in world.hash(keys.CLASSES)}


def cancel(caller: str = USER) -> Decide:
    """Somebody cancels the workflow."""

    def decide(world: World) -> Decision:
        rows = (present(world, i) for i in nodes_of(world))
        unfinished = next((r for r in rows if r.state in {State.WAITING, State.RUNNING}), None)
        return dissolution.cancel(world.gate(caller), workflow_row(world), unfinished, LATER)

    return decide


def remove(caller: str = USER) -> Decide:
    """Somebody removes the workflow."""
    return lambda world: dissolution.remove(world.gate(caller), workflow_row(world), LATER)


def sweep(*process_ids: str, aimed: int) -> Decide:
    """Somebody who walks over all processes sees to these."""

    def decide(world: World) -> Decision:
        row = world.hash(keys.workflow(GRAPH))
        rows = [found for i in process_ids if (found := world.process(i)) is not None]
        return dissolution.sweep(GRAPH, row, aimed, rows, LATER)

    return decide


def swept(aimed: int) -> Decide:
    """Somebody has seen to all processes."""
    return lambda world: dissolution.swept(GRAPH, world.hash(keys.workflow(GRAPH)), aimed, LATER)


def add_child(
    parent: str = A,
    *,
    before: str = "",
    insert: bool = False,
    graph: str = GRAPH,
    caller: str = EXECUTOR,
    child: Node | None = None,
    most_nodes: int = MOST_NODES,
) -> Decide:
    """An executor puts a process behind one it runs."""

    def decide(world: World) -> Decision:
        wish = AddChild(
            workflow_id=graph,
            parent_id=parent,
            before_id=before,
            insert=insert,
            node=child or node("new", process_id=NEW),
            most_nodes=most_nodes,
        )
        gate: Gate = world.gate(caller)
        return growth.add_child(gate, wish, _around(world, wish), LATER)

    return decide


def _around(world: World, wish: AddChild) -> Surroundings:
    parent = world.process(wish.parent_id)
    if parent is None:
        return Surroundings(parent=None, workflow=None, followers=())
    beside = [wish.before_id] if wish.before_id else []
    ids = parent.children if wish.insert else beside
    row = WorkflowRow.read(parent.graph, world.hash(keys.workflow(parent.graph)))
    return Surroundings(parent=parent, workflow=row, followers=[world.process(i) for i in ids])
