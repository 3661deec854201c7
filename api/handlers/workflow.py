"""Workflows: submit, let grow, look, cancel, remove."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from api import wire_workflow as wire
from api.context import Call, Context
from api.drawing import drawn
from api.present import process_of_event
from api.specs import check_free_form, colony_of, node_of, nodes_of
from api.wire import NO_TIME, Empty, rfc3339
from api.wire_process import Process
from api.wire_spec import SubmittedSpec
from broker import access, keys
from broker.access import Gate
from broker.aggregates import dissolution, growth, planning
from broker.aggregates.growth import AddChild, Surroundings
from broker.aggregates.process import NodeSubmitted, State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.workflow import (
    Node,
    WorkflowEnded,
    WorkflowRow,
    WorkflowSubmitted,
)
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Malformed, Missing
from broker.standing import processes_at, unfinished_of, workflow_at, workflows_at
from projections.core import listings

_MOST_LISTED = 100
MOST_SHOWN = 200_000
"""Processes that one list of workflows may name: some 13 MB of their ids."""
_ALL = -1
Looked = TypeVar("Looked")
_Open = tuple[Gate, WorkflowRow | None, ProcessRow | None]


async def submit(ctx: Context, call: Call, msg: wire.SubmitWorkflowSpecMsg) -> wire.ProcessGraph:
    """Queue the processes of a workflow."""
    if msg.spec is None:
        raise Invalid("Failed to submit workflow, msg.WorkflowSpec is nil")
    specs, name = msg.spec.functionspecs or [], msg.spec.colonyname
    prepared: tuple[str, list[Node]] | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, Colony | None]]:  # noqa: FBT001
        colony, gate = await ctx.gate(call, name, fresh=fresh)
        if colony is not None:
            await ctx.count_waiting(colony)
            await ctx.directory.classes(colony, fresh=fresh)
        return colony, (gate, colony)

    def decide(rows: tuple[Gate, Colony | None], now_ns: int) -> Decision:
        nonlocal prepared
        gate, colony = rows
        access.member(gate)
        if colony is None or colony.classes is None:
            raise Invalid("unreachable: a member of no colony")
        ctx.check_queue(colony)
        if prepared is None:
            nodes = nodes_of(specs, name, colony.suffix)
            planning.check(nodes, ctx.settings.limits.max_workflow_nodes)
            prepared = keys.new_id(colony.suffix), nodes
        return planning.submit(gate, *prepared, colony.classes.by_key, now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, WorkflowSubmitted):
        raise Corrupt("a workflow that is not in the log")
    return _of_event(event, name)


def _of_event(event: WorkflowSubmitted, colony_name: str) -> wire.ProcessGraph:
    """A workflow as it was when it was submitted; the protocol shows no times then."""
    return wire.ProcessGraph(
        processgraphid=event.subject,
        initiatorid=event.actor,
        initiatorname=event.initiator_name,
        colonyname=colony_name,
        rootprocessids=event.roots,
        state=int(State.WAITING),
        submissiontime=NO_TIME,
        starttime=NO_TIME,
        endtime=NO_TIME,
        processids=event.processes,
        nodes=[],
        edges=[],
    )


def _shown(row: WorkflowRow, colony_name: str, processes: list[str]) -> wire.ProcessGraph:
    """A workflow as it is stored, not drawn."""
    return wire.ProcessGraph(
        processgraphid=row.id,
        initiatorid=row.initiator.id,
        initiatorname=row.initiator.name,
        colonyname=colony_name,
        rootprocessids=row.roots,
        state=int(row.state),
        submissiontime=rfc3339(row.submitted_ns),
        starttime=rfc3339(row.started_ns),
        endtime=rfc3339(row.ended_ns),
        processids=processes,
        nodes=[],
        edges=[],
    )


async def get(ctx: Context, call: Call, msg: wire.GetProcessGraphMsg) -> wire.ProcessGraph:
    """Read a workflow, with how it is drawn."""
    colony, (gate, row) = await _located(ctx, call, msg.processgraphid, fresh=True)
    if row is None or colony is None:
        raise Missing("Failed to get processgraph, graph is nil")
    access.member(gate)
    ids = await listings.nodes(ctx.store, colony.tag, row.id)
    rows = await listings.processes(ctx.store, colony.tag, ids)
    shown = _shown(row, colony.name, ids)
    shown.nodes, shown.edges = drawn(row.roots, rows)
    shown.processids = [node.id for node in shown.nodes]
    return shown


async def _located(
    ctx: Context, call: Call, workflow_id: str, *, fresh: bool
) -> tuple[Colony | None, tuple[Gate, WorkflowRow | None]]:
    colony, gate = await ctx.gate_of(call, workflow_id, fresh=fresh)
    found = (await ctx.rows(colony, keys.workflow(workflow_id)))[0]
    return colony, (gate, WorkflowRow.read(workflow_id, found))


async def get_many(
    ctx: Context, call: Call, msg: wire.GetProcessGraphsMsg
) -> list[wire.ProcessGraph]:
    """List workflows in one state, newest first."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    if msg.count > _MOST_LISTED:
        raise Invalid(f"Count is larger than MaxCount limit <{_MOST_LISTED}>")
    if msg.count < 0:
        raise Invalid("Failed to get processgraphs, count must not be negative")
    if msg.state not in set(State):
        raise Invalid("invalid msg.State")
    if msg.count == 0 or colony is None:
        return []
    state = State(msg.state)
    ids = await listings.workflows(ctx.store, colony.tag, state, count=msg.count)
    if not ids:
        return []
    _check_shown(await workflows_at(ctx.store, colony.tag, ids))
    rows = await ctx.rows(colony, *(keys.workflow(i) for i in ids))
    found = (WorkflowRow.read(i, row) for i, row in zip(ids, rows, strict=True))
    return [
        _shown(row, colony.name, await listings.nodes(ctx.store, colony.tag, row.id))
        for row in found
        if row is not None and row.state is state
    ]


def _check_shown(rows: Sequence[WorkflowRow | None]) -> None:
    """A list names all processes of its workflows: that is bounded before they are read."""
    size = sum(row.size for row in rows if row is not None)
    if size > MOST_SHOWN:
        raise Invalid(
            f"Failed to get processgraphs, these {len(rows)} have {size} processes in all, more"
            f" than the limit of {MOST_SHOWN}; ask for fewer with count"
        )


async def add_child(ctx: Context, call: Call, msg: wire.AddChildMsg) -> Process:
    """Put a process behind a running one of the caller."""
    if msg.spec is None:
        raise Invalid("Failed to add child to processgraph, msg.FunctionSpec is nil")
    spec = msg.spec
    name = _said(colony_of, spec)
    node: Node | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, Surroundings]]:  # noqa: FBT001
        colony, gate = await ctx.gate(call, name, fresh=fresh)
        return colony, (gate, await _surroundings(ctx, colony, msg))

    def decide(rows: tuple[Gate, Surroundings], now_ns: int) -> Decision:
        nonlocal node
        access.member(rows[0])
        if node is None:
            _said(check_free_form, spec)
            node = node_of(spec, name, rows[0].colony.suffix if rows[0].colony else "")
        command = AddChild(
            workflow_id=msg.processgraphid,
            parent_id=msg.parentprocessid,
            before_id=msg.childprocessid,
            insert=msg.insert,
            node=node,
            most_nodes=ctx.settings.limits.max_workflow_nodes,
        )
        return growth.add_child(rows[0], command, rows[1], now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, NodeSubmitted):
        raise Corrupt("a child that is not in the log")
    return process_of_event(event, name)


def _said(look: Callable[[SubmittedSpec], Looked], spec: SubmittedSpec) -> Looked:
    """What is found in the spec of a child.

    Raises:
        Malformed: in the words of this message.
    """
    try:
        return look(spec)
    except Malformed as error:
        raise Malformed("Failed to add child to processgraph, invalid JSON") from error


async def _surroundings(ctx: Context, colony: Colony | None, msg: wire.AddChildMsg) -> Surroundings:
    """The children of the parent are read only to insert in front of them."""
    if colony is None:
        return Surroundings(parent=None, workflow=None, followers=())
    store, tag, named = ctx.store, colony.tag, msg.parentprocessid
    parent = (
        await listings.process(store, tag, named)
        if msg.insert
        else (await processes_at(store, tag, [named]))[0]
    )
    if parent is None:
        return Surroundings(parent=None, workflow=None, followers=())
    beside = [msg.childprocessid] if msg.childprocessid else []
    return Surroundings(
        parent=parent,
        workflow=await workflow_at(store, tag, parent.graph),
        followers=await processes_at(store, tag, parent.children if msg.insert else beside),
    )


async def cancel(ctx: Context, call: Call, msg: wire.CancelProcessGraphMsg) -> Empty:
    """Cancel whatever of a workflow is not finished."""
    where: Colony | None = None

    async def read(fresh: bool) -> tuple[Colony | None, _Open]:  # noqa: FBT001
        nonlocal where
        where, (gate, row) = await _located(ctx, call, msg.processgraphid, fresh=fresh)
        if where is None or row is None or row.state is not State.FAILED:
            return where, (gate, row, None)
        return where, (gate, row, await unfinished_of(ctx.store, where.tag, row.id))

    await ctx.write(call, read, lambda rows, now_ns: dissolution.cancel(*rows, now_ns))
    return await _swept(ctx, where, msg.processgraphid)


async def remove(ctx: Context, call: Call, msg: wire.RemoveProcessGraphMsg) -> Empty:
    """Remove a workflow that is not running, with its processes."""
    where: Colony | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, WorkflowRow | None]]:  # noqa: FBT001
        nonlocal where
        where, rows = await _located(ctx, call, msg.processgraphid, fresh=fresh)
        return where, rows

    await ctx.write(call, read, lambda rows, now_ns: dissolution.remove(*rows, now_ns))
    return await _swept(ctx, where, msg.processgraphid)


async def _swept(ctx: Context, colony: Colony | None, workflow_id: str) -> Empty:
    """See to every process before the reply."""
    if colony is not None:
        await ctx.sweep(colony, workflow_id)
    return Empty()


async def sweep_after(ctx: Context, colony: Colony | None, event: object) -> None:
    """See to the other processes of a workflow when what happened to one has ended it."""
    if isinstance(event, WorkflowEnded) and event.sweeps >= 0 and colony is not None:
        await ctx.sweep(colony, event.subject)


async def remove_all(ctx: Context, call: Call, msg: wire.RemoveAllProcessGraphsMsg) -> Empty:
    """Remove all workflows in one state, or in every state, one after the other."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.colony_owner(gate)
    if msg.state == State.RUNNING:
        raise Invalid("not possible to remove running processgraphs")
    if msg.state != _ALL and msg.state not in set(State):
        raise Invalid("invalid state when deleting all processgraphs")
    if colony is None or await ctx.took_effect(call, colony.tag):
        return Empty()
    states = list(State) if msg.state == _ALL else [State(msg.state)]
    for state in states:
        await _remove_state(ctx, call, colony, state)
    await ctx.store.append(colony.tag, Decision(), call.signed)
    return Empty()


async def _remove_state(ctx: Context, call: Call, colony: Colony, state: State) -> None:
    """As many as were in the state when asked; what arrives meanwhile may stay."""
    left = (await listings.workflow_counts(ctx.store, colony.tag))[state]
    while left > 0:
        count = min(left, _MOST_LISTED)
        ids = await listings.workflows(ctx.store, colony.tag, state, count=count)
        if not ids:
            return
        left -= len(ids)
        for workflow_id in ids:
            await _leave(ctx, call, colony, workflow_id, state)


async def _leave(ctx: Context, call: Call, colony: Colony, workflow_id: str, state: State) -> None:
    async def read(fresh: bool) -> tuple[Colony, tuple[Gate, WorkflowRow | None]]:  # noqa: FBT001
        _, gate = await ctx.gate(call, colony.name, fresh=fresh)
        found = (await ctx.rows(colony, keys.workflow(workflow_id)))[0]
        return colony, (gate, WorkflowRow.read(workflow_id, found))

    def decide(rows: tuple[Gate, WorkflowRow | None], now_ns: int) -> Decision:
        allowed, row = access.colony_owner(rows[0]), rows[1]
        wanted = row if row is not None and row.state is state else None
        return dissolution.leave(allowed, wanted, call.caller, now_ns)

    await ctx.write(call.unmarked(), read, decide)
    await ctx.sweep(colony, workflow_id)
