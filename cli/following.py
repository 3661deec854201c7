"""Waiting for a workflow to end, and showing meanwhile what its nodes do."""

import asyncio
import os
import re
import shutil
import time
from collections import Counter
from contextlib import suppress
from typing import Protocol

from api import wire, wire_spec
from api.wire_workflow import GetProcessGraphMsg, ProcessGraph
from cli import dagdraw, render, spec, workflows
from cli.client import Client
from cli.errors import CliError
from cli.options import Format
from cli.output import Output
from cli.session import Session
from cli.waiting import output_text

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
_ENDED = frozenset({2, 3, 4})
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
    client: Client, graphid: str, view: View, *, within_s: float | None = None
) -> ProcessGraph:
    """The workflow once it is successful, failed or cancelled.

    Raises:
        CliError: it has not ended ``within_s``.
    """
    give_up = None if within_s is None else time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while True:
        graph = await client.ask(GetProcessGraphMsg(processgraphid=graphid), ProcessGraph)
        view.show(graph)
        if graph.state in _ENDED:
            return graph
        if give_up is not None and time.monotonic() + pause_s > give_up:
            state = workflows.state_of(graph).value.lower()
            raise CliError(f"workflow {graphid} is still {state} after {within_s:g} s")
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)


async def finish(
    session: Session, graphid: str, *, out: bool, within_s: float | None = None
) -> None:
    """Wait for a workflow, say how it ended, and print the outputs of its last nodes on request.

    Raises:
        CliError: it failed or was cancelled.
    """
    client = session.client()
    graph = await ended(client, graphid, view_of(session.out), within_s=within_s)
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
