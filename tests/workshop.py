"""Stages on which workflows run, in a time of their own, and what the log says they did."""

from collections.abc import Sequence
from typing import Any

import msgspec

from api import wire, wire_colony, wire_process
from api import wire_workflow as graphs
from api.handlers import colony, process, workflow
from broker.aggregates.process import (
    NodeSubmitted,
    ProcessAssigned,
    ProcessClosed,
    ProcessReleased,
    State,
)
from broker.aggregates.workflow import WorkflowEnded
from broker.decision import Event
from broker.errors import NothingAvailable
from broker.store import EventStore
from projections.core import fold
from projections.replay import live_rows, verify
from tests.facts import COLONY, EXECUTOR, OWNER, USER
from tests.stage import Stage


def spec(name: str, *depends: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A function spec of a workflow, as a client writes it."""
    conditions = {"executortype": "cli", "dependencies": list(depends)}
    conditions |= fields.pop("conditions", {})
    return {"nodename": name, "funcname": "echo", "conditions": conditions} | fields


DIAMOND = (spec("a"), spec("b", "a"), spec("c", "a"), spec("d", "c", "b"))


class Workshop(Stage):
    """One API process. Several on one store share its time."""

    def __init__(self, store: EventStore) -> None:
        super().__init__(store, allow_reregister=True)
        self.due = self.context.due()

    # ------------------------------------------------------------ time

    async def look_at_due(self) -> None:
        """What the timer does every now and then."""
        await self.due.all_due(await self.context.directory.every())

    # ------------------------------------------------------------ commands

    async def begin(
        self, *specs: dict[str, Any], nonce: str = "", caller: str = USER
    ) -> graphs.ProcessGraph:
        """Submit a workflow."""
        given = {"colonyname": COLONY, "functionspecs": list(specs)}
        text = msgspec.json.encode({"msgtype": "submitworkflowspecmsg", "spec": given})
        message = wire.decode(text, graphs.SubmitWorkflowSpecMsg)
        answer: graphs.ProcessGraph = await self.say(workflow.submit, caller, message, nonce=nonce)
        return answer

    async def finish(
        self,
        process_id: str,
        *out: Any,  # noqa: ANN401 - JSON
        caller: str = EXECUTOR,
        nonce: str = "",
    ) -> None:
        """Close as successful, with output."""
        output = msgspec.Raw(msgspec.json.encode(list(out)))
        message = wire_process.CloseSuccessfulMsg(processid=process_id, output=output)
        await self.say(process.close_successful, caller, message, nonce=nonce)

    async def fail(self, process_id: str, *, caller: str = EXECUTOR, nonce: str = "") -> None:
        """Close as failed."""
        message = wire_process.CloseFailedMsg(processid=process_id, errors=["it broke"])
        await self.say(process.close_failed, caller, message, nonce=nonce)

    async def set_output(self, process_id: str, *out: Any) -> None:  # noqa: ANN401
        """Give a running process output."""
        output = msgspec.Raw(msgspec.json.encode(list(out)))
        message = wire_process.SetOutputMsg(processid=process_id, output=output)
        await self.say(process.set_output, EXECUTOR, message)

    async def grow(
        self,
        parent_id: str,
        child: dict[str, Any],
        *,
        before: str = "",
        insert: bool = False,
        caller: str = EXECUTOR,
        nonce: str = "",
    ) -> wire_process.Process:
        """Put a process behind a running one."""
        child["conditions"]["colonyname"] = COLONY
        fields = {
            "msgtype": "addchildmsg",
            "parentprocessid": parent_id,
            "childprocessid": before,
            "insert": insert,
            "spec": child,
        }
        message = wire.decode(msgspec.json.encode(fields), graphs.AddChildMsg)
        answer: wire_process.Process = await self.say(
            workflow.add_child, caller, message, nonce=nonce
        )
        return answer

    async def graph(self, workflow_id: str) -> graphs.ProcessGraph:
        """Read a workflow."""
        message = graphs.GetProcessGraphMsg(processgraphid=workflow_id)
        answer: graphs.ProcessGraph = await self.say(workflow.get, USER, message)
        return answer

    async def listed(self, state: State, *, count: int = 100) -> list[str]:
        """The workflows in one state, newest first."""
        message = graphs.GetProcessGraphsMsg(colonyname=COLONY, count=count, state=int(state))
        answer: list[graphs.ProcessGraph] = await self.say(workflow.get_many, USER, message)
        return [each.processgraphid for each in answer]

    async def cancel(self, workflow_id: str, *, nonce: str = "") -> None:
        """Cancel a workflow."""
        message = graphs.CancelProcessGraphMsg(processgraphid=workflow_id)
        await self.say(workflow.cancel, USER, message, nonce=nonce)

    async def remove(self, workflow_id: str, *, nonce: str = "") -> None:
        """Remove a workflow."""
        message = graphs.RemoveProcessGraphMsg(processgraphid=workflow_id)
        await self.say(workflow.remove, USER, message, nonce=nonce)

    async def remove_all(self, state: int = -1, *, nonce: str = "") -> None:
        """Remove workflows by state."""
        message = graphs.RemoveAllProcessGraphsMsg(colonyname=COLONY, state=state)
        await self.say(workflow.remove_all, OWNER, message, nonce=nonce)

    async def remove_all_processes(self, state: int = -1) -> None:
        """Remove processes by state."""
        message = wire_process.RemoveAllProcessesMsg(colonyname=COLONY, state=state)
        await self.say(process.remove_all, OWNER, message)

    async def processes(self, state: State) -> list[wire_process.Process]:
        """The processes in one state."""
        message = wire_process.GetProcessesMsg(colonyname=COLONY, count=100, state=int(state))
        answer: list[wire_process.Process] = await self.say(process.get_many, USER, message)
        return answer

    async def statistics(self) -> wire_colony.Statistics:
        """What there is in the colony."""
        message = wire_colony.GetColonyStatsMsg(colonyname=COLONY)
        answer: wire_colony.Statistics = await self.say(colony.statistics, USER, message)
        return answer

    # ------------------------------------------------------------ several at once

    async def states(self, *process_ids: str) -> list[int]:
        """The states of processes."""
        return [(await self.look(i)).state for i in process_ids]

    async def take(self, caller: str = EXECUTOR) -> dict[str, str]:
        """Take everything that can be taken now: name -> id."""
        taken = dict[str, str]()
        while True:
            try:
                given = await self.assign(caller)
            except NothingAvailable:
                return taken
            taken[name_of(given)] = given.processid

    async def work(self, caller: str = EXECUTOR) -> int:
        """Run everything that can be run, each with its name as output; how many that were."""
        count = 0
        while taken := await self.take(caller):
            for name, process_id in taken.items():
                await self.finish(process_id, name, caller=caller)
            count += len(taken)
        return count

    # ------------------------------------------------------------ what happened

    async def log(self) -> list[Event]:
        """All events of the colony."""
        return [each.event async for each in self.store.events(await self.tag())]

    async def is_sound(self) -> None:
        """The live rows are what the log folds into, and nothing happened twice."""
        assert (await verify(self.store, await self.tag(), fold)).differences == ()
        happened_once(await self.log())

    async def nothing_is_left(self) -> None:
        """No key of any workflow or process."""
        rows = await live_rows(self.store, await self.tag())
        left = [key for key in rows if key.startswith(("w", "n:", "p:", "q:", "i:", "h:", "due"))]
        assert left == []
        assert "attributes" not in rows


def name_of(process: wire_process.Process) -> str:
    """The name of a process in its workflow."""
    return msgspec.json.decode(process.spec)["nodename"]


def happened_once(events: Sequence[Event]) -> None:
    """No process is released, or succeeds, or is there, more than once; no workflow ends twice."""
    for kind in (NodeSubmitted, ProcessReleased):
        subjects = [event.subject for event in events if isinstance(event, kind)]
        assert len(subjects) == len(set(subjects))
    closed = [e.subject for e in events if isinstance(e, ProcessClosed)]
    assert len(closed) == len(set(closed))
    successes = [
        e.subject for e in events if isinstance(e, WorkflowEnded) and e.outcome == State.SUCCESS
    ]
    assert len(successes) == len(set(successes))


def assignments(events: Sequence[Event]) -> list[str]:
    """The processes that were given out, in order."""
    return [event.subject for event in events if isinstance(event, ProcessAssigned)]
