"""Workflows as lists, in detail and as graphs."""

import asyncio
from collections.abc import Sequence

from api import wire, wire_process, wire_spec
from api.wire_workflow import GetProcessGraphsMsg, ProcessGraph
from cli import dag, ids, render, spec
from cli.client import Client
from cli.processes import shortened_args

COUNT = 100
_ASKED_AT_ONCE = 8
_NONE = "None"
# The protocol tells the state of a node by the colour it is to be drawn with.
_BY_BACKGROUND = {
    "#eee8d8": render.State.WAITING,
    "#4689cd": render.State.RUNNING,
    "#92d050": render.State.SUCCESSFUL,
    "#cb4239": render.State.FAILED,
    "#f5a623": render.State.CANCELLED,
}


async def whole_id(client: Client, colony: str, typed: str) -> str:
    """The id of a workflow that begins as typed; what is no beginning of one stays as it is.

    Raises:
        UsageError: several ids begin so.
    """
    typed = ids.beginning(typed)
    if not ids.is_short(typed):
        return typed
    found: list[str] = []
    for state in range(len(render.PROCESS_STATES)):
        message = GetProcessGraphsMsg(colonyname=colony, count=COUNT, state=state)
        found += [one.processgraphid for one in await client.ask_list(message, ProcessGraph)]
    return ids.completed(typed, found, "workflows")


def listing(
    graphs: Sequence[ProcessGraph], state: render.State, *, wide: bool = False
) -> render.Listing:
    """The list of workflows that are all in one state."""
    over = state not in {render.State.WAITING, render.State.RUNNING}
    header = ("ID", "END TIME" if over else "SUBMISSION TIME")
    rows: list[render.Row] = []
    for graph in graphs:
        at = render.moment(graph.endtime if over else graph.submissiontime)
        more = (graph.initiatorname, str(len(graph.processids))) if wide else ()
        rows.append((render.Id(graph.processgraphid), at, *more))
    return render.Listing(
        header=(*header, "INITIATOR", "NODES") if wide else header,
        rows=rows,
        nothing=f"No {state.value.lower()} workflows found",
        level="WARN",
        data=spec.plain(graphs),
        ids=[graph.processgraphid for graph in graphs],
    )


def state_of(graph: ProcessGraph) -> render.State:
    """The state of a workflow."""
    return render.state_of(render.PROCESS_STATES, graph.state)


def nodes_of(graph: ProcessGraph) -> list[tuple[str, str, render.State]]:
    """Id, name and state of each node, in the order of the workflow."""
    order = {processid: number for number, processid in enumerate(graph.processids)}
    nodes = sorted(graph.nodes, key=lambda node: order.get(node.id, len(order)))
    return [
        (
            node.id,
            node.data.label,
            _BY_BACKGROUND.get(node.style.background, render.State.UNKNOWN),
        )
        for node in nodes
    ]


def graph_of(graph: ProcessGraph) -> dag.Graph:
    """What is to be drawn of a workflow."""
    return dag.of(nodes_of(graph), [(edge.source, edge.target) for edge in graph.edges])


def leaves_of(graph: ProcessGraph) -> list[str]:
    """The ids of the nodes on which no other depends, in the order of the workflow."""
    parents = {edge.source for edge in graph.edges}
    return [processid for processid in graph.processids if processid not in parents]


async def processes_of(client: Client, processids: Sequence[str]) -> list[wire_process.Process]:
    """The processes of these ids; a few are asked for at the same time."""
    free = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def one(processid: str) -> wire_process.Process:
        async with free:
            return await client.ask(
                wire_process.GetProcessMsg(processid=processid), wire_process.Process
            )

    return await asyncio.gather(*map(one, processids))


def blocks(graph: ProcessGraph, processes: Sequence[wire_process.Process]) -> list[render.Block]:
    """Everything about one workflow."""
    summary = render.Block(
        caption="Workflow",
        rows=[
            ("WorkflowID", render.Id(graph.processgraphid)),
            ("ColonyName", graph.colonyname),
            ("State", state_of(graph)),
            ("SubmissionTime", render.moment(graph.submissiontime)),
            ("StartTime", render.moment(graph.starttime)),
            ("EndTime", render.moment(graph.endtime)),
        ],
    )
    return [
        summary,
        *(
            render.Block(caption="" if number else "Processes", rows=_node_rows(process))
            for number, process in enumerate(processes)
        ),
    ]


def _node_rows(process: wire_process.Process) -> list[render.Row]:
    function = wire.decode(bytes(process.spec), wire_spec.FunctionSpec)
    conditions = function.conditions or wire_spec.Conditions()
    rows: list[render.Row] = [
        ("NodeName", function.nodename or ""),
        ("ProcessID", render.Id(process.processid)),
        ("ExecutorType", conditions.executortype or ""),
        ("FuncName", function.funcname or ""),
        ("Args", shortened_args(function.args)),
        ("KwArgs", shortened_args(function.kwargs)),
        ("State", render.state_of(render.PROCESS_STATES, process.state)),
        ("WaitingForParents", str(process.waitforparents).lower()),
        ("Dependencies", " ".join(conditions.dependencies or []) or _NONE),
    ]
    return [*rows, ("Errors", "\n".join(process.errors))] if process.errors else rows
