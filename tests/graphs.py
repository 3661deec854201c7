"""Workflows on a stage: submitted, run and looked at as clients do."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api import wire, wire_process
from api.handlers import process, workflow
from api.wire_workflow import (
    AddChildMsg,
    CancelProcessGraphMsg,
    GetProcessGraphMsg,
    GetProcessGraphsMsg,
    ProcessGraph,
    RemoveAllProcessGraphsMsg,
    SubmitWorkflowSpecMsg,
)
from broker.aggregates.process import State
from tests.facts import COLONY, EXECUTOR, OWNER, USER
from tests.stage import Stage

Spec = Mapping[str, object]


def spec(name: str, *depends: str, colony: str = COLONY, **fields: object) -> Spec:
    """A function spec for executors of type cli."""
    conditions = {"colonyname": colony, "executortype": "cli", "dependencies": depends}
    return {"nodename": name, "funcname": "echo", "conditions": conditions} | fields


DIAMOND = (spec("a"), spec("b", "a"), spec("c", "a"), spec("d", "b", "c"))


async def submit(
    stage: Stage, *specs: Spec, colony: str = COLONY, caller: str = USER
) -> ProcessGraph:
    """A workflow."""
    asked = {"spec": {"colonyname": colony, "functionspecs": specs}}
    message = wire.decode(msgspec.json.encode(asked), SubmitWorkflowSpecMsg)
    answer: ProcessGraph = await stage.say(workflow.submit, caller, message)
    return answer


async def add_child(
    stage: Stage,
    parent: wire_process.Process,
    child: Spec | None = None,
    *,
    caller: str = EXECUTOR,
    **fields: object,
) -> wire_process.Process:
    """A process behind a running one; ``fields`` are the others of the message."""
    named = {"processgraphid": parent.processgraphid, "parentprocessid": parent.processid}
    asked = named | {"spec": child or spec("new")} | fields
    message = wire.decode(msgspec.json.encode(asked), AddChildMsg)
    answer: wire_process.Process = await stage.say(workflow.add_child, caller, message)
    return answer


async def close(stage: Stage, running: wire_process.Process, *output: object) -> None:
    """A process succeeds."""
    out = msgspec.Raw(msgspec.json.encode(output))
    message = wire_process.CloseSuccessfulMsg(processid=running.processid, output=out)
    await stage.say(process.close_successful, EXECUTOR, message)


async def fail(stage: Stage, running: wire_process.Process) -> None:
    """A process fails."""
    message = wire_process.CloseFailedMsg(processid=running.processid)
    await stage.say(process.close_failed, EXECUTOR, message)


async def cancel(stage: Stage, graph: ProcessGraph) -> None:
    """Somebody cancels a workflow."""
    message = CancelProcessGraphMsg(processgraphid=graph.processgraphid)
    await stage.say(workflow.cancel, USER, message)


async def remove_all(stage: Stage, state: int) -> None:
    """The owner removes the workflows in one state."""
    message = RemoveAllProcessGraphsMsg(colonyname=COLONY, state=state)
    await stage.say(workflow.remove_all, OWNER, message)


async def look(stage: Stage, graph: ProcessGraph) -> ProcessGraph:
    """A workflow as it is drawn."""
    message = GetProcessGraphMsg(processgraphid=graph.processgraphid)
    answer: ProcessGraph = await stage.say(workflow.get, USER, message)
    return answer


async def listed(stage: Stage, state: State) -> list[str]:
    """The workflows in one state, newest first."""
    message = GetProcessGraphsMsg(colonyname=COLONY, state=state, count=100)
    answer: list[ProcessGraph] = await stage.say(workflow.get_many, USER, message)
    return [graph.processgraphid for graph in answer]


def named(running: wire_process.Process) -> str:
    """What a process is called in its workflow."""
    return msgspec.json.decode(running.spec)["nodename"]


def given(running: wire_process.Process) -> Any:  # noqa: ANN401 - a process gets any JSON
    """What a process got from its parents."""
    return msgspec.json.decode(running.input)
