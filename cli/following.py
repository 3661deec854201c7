"""Waiting for a workflow to end, and showing meanwhile what its nodes do."""

import asyncio
import os
import re
import shutil
from collections import Counter
from contextlib import aclosing, suppress
from typing import Protocol

from api import wire, wire_spec
from api.wire_realtime import SubscribeEventsMsg, SubscribeProcessMsg
from api.wire_workflow import GetProcessGraphMsg, ProcessGraph
from cli import dagdraw, feed, render, spec, workflows
from cli.client import Client
from cli.errors import CliError
from cli.options import Format
from cli.output import Output
from cli.session import Session
from cli.subscription import frames
from cli.waiting import ENDS, going_on, output_text, to_process

_CALM_S = 0.05
# A server of ours takes a hundred subscriptions on one socket.
_MOST_NODES = 25
_UNFINISHED = frozenset({render.State.WAITING, render.State.RUNNING})
_AFTER = {render.State.WAITING: (1, *ENDS), render.State.RUNNING: ENDS}
_SUCCESSFUL = 2
_MOST_REASONS = 10
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
# Below the picture: its summary, and the line where the cursor stands.
_ROWS_BELOW = 2


class View(Protocol):
    """Somebody who is told how a workflow stands, again and again."""

    def show(self, graph: ProcessGraph) -> None:
        """Show what has changed since the last time."""
        ...


class Lines:
    """A line for each node that has another state than before."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._known: dict[str, render.State] = {}

    def show(self, graph: ProcessGraph) -> None:
        """Say what has changed."""
        for processid, name, state in workflows.nodes_of(graph):
            if self._known.get(processid, render.State.WAITING) != state:
                text = f"Node is {state.value.lower()}"
                self._out.say(text, NodeName=name, ProcessId=processid)
            self._known[processid] = state


class Picture:
    """The graph, drawn again in the same place whenever a node has changed."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._drawn = ""

    def show(self, graph: ProcessGraph) -> None:
        """Draw over what was drawn before."""
        rows = shutil.get_terminal_size().lines
        width = self._out.messages.width
        picture = dagdraw.picture(
            workflows.graph_of(graph), self._out.messages, height=max(1, rows - _ROWS_BELOW)
        )
        lines = _ESCAPES.sub("", picture).splitlines()
        if len(lines) > rows - _ROWS_BELOW or any(len(line) >= width for line in lines):
            picture = ""
        drawn = f"{picture}{summary(graph)}\n"
        if drawn == self._drawn:
            return
        back = self._drawn.count("\n")
        # A view that nobody sees any more must not end the wait.
        with suppress(BrokenPipeError):
            self._out.stderr.write((f"\x1b[{back}A\x1b[J" if back else "") + drawn)
            self._out.stderr.flush()
        self._drawn = drawn


def view_of(out: Output) -> View:
    """What suits the place where messages go."""
    moves = out.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Picture(out) if moves else Lines(out)


def summary(graph: ProcessGraph) -> str:
    """How many nodes there are, and in which states."""
    counted = Counter(state for _, _, state in workflows.nodes_of(graph))
    total = sum(counted.values())
    states = ", ".join(
        f"{counted[state]} {state.value.lower()}" for state in render.State if counted[state]
    )
    return f"{total} node{'' if total == 1 else 's'}: {states or 'none'}"


async def ended(
    client: Client, colony: str, graphid: str, view: View, *, within_s: float | None = None
) -> ProcessGraph:
    """The workflow once it is successful, failed or cancelled.

    Raises:
        CliError: it has not ended ``within_s``.
        RpcError: it is not there, or not any more.
    """
    watch = _Watch(client, graphid, view)
    graph = await watch.look()
    # A server has answered by now: if it dies, another one is waited for.
    watch.client = client.patient(client.timeouts.reply_s)
    by_events = await watch.client.knows(feed.EXTENSION)
    try:
        async with asyncio.timeout(within_s):
            while graph.state not in ENDS:
                graph = await (watch.by_events(colony) if by_events else watch.by_nodes(graph))
    except TimeoutError as error:
        state = workflows.state_of(watch.seen).value.lower()
        raise CliError(f"workflow {graphid} is still {state} after {within_s:g} s") from error
    return graph


class _Watch:
    """Somebody who looks at a workflow whenever something has happened in it."""

    seen: ProcessGraph

    def __init__(self, client: Client, graphid: str, view: View) -> None:
        self.client = client
        self._graphid = graphid
        self._view = view

    async def look(self) -> ProcessGraph:
        """The workflow as it is now, which is shown."""
        message = GetProcessGraphMsg(processgraphid=self._graphid)
        self.seen = await self.client.ask(message, ProcessGraph)
        self._view.show(self.seen)
        return self.seen

    async def by_events(self, colony: str) -> ProcessGraph:
        """Follow its events until it has ended."""
        changed = asyncio.Event()
        hearing = asyncio.create_task(self._hear(colony, changed))
        try:
            while True:
                await changed.wait()
                changed.clear()
                if hearing.done():
                    hearing.result()
                if (await self.look()).state in ENDS:
                    return self.seen
                # What happens in quick succession is looked at once.
                await asyncio.sleep(_CALM_S)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self, colony: str, changed: asyncio.Event) -> None:
        message = SubscribeEventsMsg(colonyname=colony, workflowid=self._graphid)
        try:
            async with aclosing(feed.happenings(self.client, message)) as told:
                async for _ in told:
                    changed.set()
        finally:
            changed.set()

    async def by_nodes(self, graph: ProcessGraph) -> ProcessGraph:
        """Wait for the next change of some node, as every server tells it; at most so many."""
        nodes = [(i, state) for i, _, state in workflows.nodes_of(graph) if state in _UNFINISHED]
        if not nodes:  # all have ended, and the workflow will in a moment
            await asyncio.sleep(_CALM_S)
            return await self.look()
        nodes.sort(key=lambda node: node[1] is not render.State.RUNNING)

        def asking() -> list[SubscribeProcessMsg]:
            return [
                message
                for processid, state in nodes[:_MOST_NODES]
                for message in to_process(processid, *_AFTER[state])
            ]

        async with aclosing(frames(self.client, asking)) as told:
            await anext(told)
        return await self.look()


async def finish(
    session: Session, graphid: str, *, out: bool, within_s: float | None = None
) -> None:
    """Wait for a workflow, say how it ended, and print the outputs of its last nodes on request.

    Raises:
        CliError: it failed or was cancelled.
        Interrupted: by Ctrl-C.
    """
    client = session.client()
    view = view_of(session.out)
    again = f"workflow get {graphid} --wait{' --out' if out else ''}"
    with going_on(f"workflow {graphid}", again):
        graph = await ended(client, session.colony, graphid, view, within_s=within_s)
    if session.out.format in {Format.JSON, Format.YAML}:
        session.out.show(render.Detail(blocks=(), data=spec.plain(graph)))
    elif session.out.format is Format.ID:
        session.out.write(f"{graphid}\n")
    elif out:
        leaves = await workflows.processes_of(client, workflows.leaves_of(graph))
        session.out.write("".join(f"{output_text(process)}\n" for process in leaves))
    if graph.state != _SUCCESSFUL:
        state = workflows.state_of(graph).value.lower()
        reasons = await _reasons(client, graph)
        raise CliError("".join([f"workflow {graphid} {state}", *reasons]))
    session.out.say("Workflow finished successfully", WorkflowID=graphid)


async def _reasons(client: Client, graph: ProcessGraph) -> list[str]:
    """What the nodes that failed say, a line each; the rest failed or ended because of them."""
    failed = [
        processid
        for processid, _, state in workflows.nodes_of(graph)
        if state is render.State.FAILED
    ]
    found: list[str] = []
    for first in range(0, len(failed), _MOST_REASONS):
        for process in await workflows.processes_of(client, failed[first : first + _MOST_REASONS]):
            name = wire.decode(bytes(process.spec), wire_spec.FunctionSpec).nodename
            found += [f"\n  {name}: {error}" for error in process.errors]
        if len(found) >= _MOST_REASONS:
            break
    return found[:_MOST_REASONS]
