"""``colonies workflow``: submit graphs of processes, look at them, end them."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from api.wire_workflow import (
    CancelProcessGraphMsg,
    GetProcessGraphMsg,
    GetProcessGraphsMsg,
    ProcessGraph,
    RemoveAllProcessGraphsMsg,
    RemoveProcessGraphMsg,
    SubmitWorkflowSpecMsg,
)
from cli import dagdraw, render, spec, workflows, workflowspec
from cli.errors import UsageError
from cli.following import finish, summary
from cli.options import NONE, ONCE, Format, Options, Watch
from cli.removal import ALL, Which, remove_all
from cli.session import Session

app = App(name="workflow", help="Manage workflows.", help_format="plaintext")

Switch = Annotated[bool, Parameter(negative="")]
WorkflowId = Annotated[str, Parameter(name=("--workflowid",))]
_STATES = {state.value.lower(): state for state in render.PROCESS_STATES}


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How much a list shows."""

    count: int = workflows.COUNT
    """Number of workflows to list, at most 100 (100)."""

    wide: Annotated[bool, Parameter(name=("--wide", "-w"), negative="")] = False
    """Show initiator and number of nodes too."""


NARROW = Shown()


@app.command
async def submit(
    *,
    spec_: Annotated[str, Parameter(name=("--spec",))],
    wait: Switch = False,
    out: Switch = False,
    within: float | None = None,
    options: Options = NONE,
) -> None:
    """Submit a workflow; its first nodes can be taken by executors at once.

    Args:
        spec_: a JSON file with a list of function specs, - for standard input, or the JSON itself.
        wait: show its nodes until it has ended; exit code 1 when it failed.
        out: print the outputs of its last nodes when it has ended; with --wait.
        within: wait at most so many seconds; with --wait.
        options: global options.
    """
    async with Session(options) as session:
        message = SubmitWorkflowSpecMsg(spec=workflowspec.read(spec_, session.colony))
        graph = await session.client().ask(message, ProcessGraph)
        if not wait and not out:
            session.out.done(
                "Workflow submitted",
                ids=graph.processgraphid,
                data=spec.plain(graph),
                WorkflowID=graph.processgraphid,
            )
            return
        session.out.say("Workflow submitted", WorkflowID=graph.processgraphid)
        await finish(session, graph.processgraphid, out=out, within_s=within)


@app.command
async def psw(*, shown: Shown = NARROW, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List waiting workflows, the latest first."""
    await _list(render.State.WAITING, shown, watch, options)


@app.command
async def ps(*, shown: Shown = NARROW, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List running workflows, the latest first."""
    await _list(render.State.RUNNING, shown, watch, options)


@app.command
async def pss(*, shown: Shown = NARROW, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List successful workflows, the latest first."""
    await _list(render.State.SUCCESSFUL, shown, watch, options)


@app.command
async def psf(*, shown: Shown = NARROW, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List failed workflows, the latest first."""
    await _list(render.State.FAILED, shown, watch, options)


@app.command
async def psc(*, shown: Shown = NARROW, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List cancelled workflows, the latest first."""
    await _list(render.State.CANCELLED, shown, watch, options)


@app.command
async def ls(
    *,
    state: Annotated[str, Parameter(help=" or ".join(_STATES))] = "running",
    shown: Shown = NARROW,
    watch: Watch = ONCE,
    options: Options = NONE,
) -> None:
    """List workflows in a state."""
    if state.lower() not in _STATES:
        raise UsageError(f"unknown state {state!r}", hint=f"known are {', '.join(_STATES)}")
    await _list(_STATES[state.lower()], shown, watch, options)


async def _list(state: render.State, shown: Shown, watch: Watch, options: Options) -> None:
    async with Session(options) as session:
        client = session.client()
        number = render.PROCESS_STATES.index(state)
        message = GetProcessGraphsMsg(colonyname=session.colony, count=shown.count, state=number)

        async def ask() -> render.Listing:
            found = await client.ask_list(message, ProcessGraph)
            return workflows.listing(found, state, wide=shown.wide)

        await session.show(ask, watch)


@app.command
async def get(
    workflowid: WorkflowId,
    *,
    graph: Switch = False,
    wait: Switch = False,
    out: Switch = False,
    within: float | None = None,
    options: Options = NONE,
) -> None:
    """Show a workflow with its processes.

    Args:
        workflowid: its id, or the beginning of it.
        graph: draw its nodes and what depends on what.
        wait: show its nodes until it has ended; exit code 1 when it failed.
        out: print only the outputs of its last nodes.
        within: wait at most so many seconds; with --wait.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        workflowid = await workflows.whole_id(client, session.colony, workflowid)
        if wait:
            await finish(session, workflowid, out=out, within_s=within)
            return
        found = await client.ask(GetProcessGraphMsg(processgraphid=workflowid), ProcessGraph)
        if session.out.format is Format.TABLE and graph:
            drawn = dagdraw.picture(workflows.graph_of(found), session.out.results)
            session.out.write(f"{drawn}{summary(found)}\n")
            return
        if session.out.format is Format.TABLE and out:
            leaves = await workflows.processes_of(client, workflows.leaves_of(found))
            session.out.write("".join(f"{spec.words(leaf.output)}\n" for leaf in leaves))
            return
        blocks: list[render.Block] = []
        if session.out.format is Format.TABLE:
            processes = await workflows.processes_of(client, found.processids)
            blocks = workflows.blocks(found, processes)
        session.out.show(render.Detail(blocks=blocks, data=spec.plain(found), ids=(workflowid,)))


@app.command
async def cancel(workflowid: WorkflowId, *, options: Options = NONE) -> None:
    """Cancel what of a workflow is waiting or running.

    Args:
        workflowid: its id, or the beginning of it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        workflowid = await workflows.whole_id(client, session.colony, workflowid)
        await client.tell(CancelProcessGraphMsg(processgraphid=workflowid))
        session.out.done("Workflow cancelled", ids=workflowid, WorkflowID=workflowid)


@app.command
async def remove(workflowid: WorkflowId, *, options: Options = NONE) -> None:
    """Remove a workflow that is not running, with its processes.

    Args:
        workflowid: its id, or the beginning of it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        workflowid = await workflows.whole_id(client, session.colony, workflowid)
        await client.tell(RemoveProcessGraphMsg(processgraphid=workflowid))
        session.out.done("Workflow removed", ids=workflowid, WorkflowID=workflowid)


@app.command
async def removeall(*, which: Which = ALL, options: Options = NONE) -> None:
    """Remove all workflows, running ones too, or all in one state; signed by the colony owner.

    How many were removed is the difference of two counts, before and after: what others submit or
    finish meanwhile is in it.
    """
    async with Session(options) as session:
        await remove_all(
            session,
            "workflows",
            which,
            lambda colony, state: RemoveAllProcessGraphsMsg(colonyname=colony, state=state),
        )
