"""Stages on which time stands still until it is moved, with crons and generators."""

import json
from typing import Any

import msgspec

from api import (
    wire,
    wire_colony,
    wire_cron,
    wire_executor,
    wire_generator,
    wire_process,
    wire_spec,
    wire_workflow,
)
from api.handlers import colony, cron, executor, generator, process, workflow
from api.specs import SubmitMsg
from broker.access import MemberState
from broker.aggregates.backoff import Backoff
from broker.aggregates.process import State
from broker.store import EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import COLONY, EXECUTOR, OWNER, USER
from tests.stage import Stage
from tests.store.ground import types

SECOND_NS = 1_000_000_000


class Timed(Stage):
    """A stage on which time stands still until it is moved."""

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self.due = self.context.due()

    async def look_at_deadlines(self) -> None:
        """What the timer does every now and then."""
        await self.due.all_due(await self.context.directory.every())

    async def submit_timed(
        self, *, wait: int = -1, run: int = -1, retries: int = 0, backoff: Backoff | None = None
    ) -> str:
        """A process with limits in seconds."""
        spec = wire_spec.FunctionSpec(
            funcname="echo",
            maxwaittime=wait,
            maxexectime=run,
            maxretries=retries,
            retrybackoff=backoff or msgspec.UNSET,
            conditions=wire_spec.Conditions(colonyname=COLONY, executortype="cli"),
        )
        message = wire.decode(wire.encode(wire_process.SubmitFuncSpecMsg(spec=spec)), SubmitMsg)
        answer: bytes = await self.say(process.submit, USER, message)
        return wire.decode(answer, wire_process.Process).processid

    async def waiting_processes(self) -> int:
        """How many processes wait, as counted."""
        message = wire_colony.GetColonyStatsMsg(colonyname=COLONY)
        counted: wire_colony.Statistics = await self.say(colony.statistics, USER, message)
        return counted.waitingprocesses

    async def is_sound(self) -> None:
        """The live rows are what the log folds into."""
        assert (await verify(self.store, await self.tag(), fold)).differences == ()

    async def state_of_executor(self, name: str = "worker") -> MemberState:
        """How an executor is listed."""
        message = wire_executor.GetExecutorsMsg(colonyname=COLONY)
        listed: list[wire_executor.Executor] = await self.say(executor.get_all, OWNER, message)
        return MemberState(next(e.state for e in listed if e.executorname == name))


def spec(*names: str, colony_name: str | None = COLONY, **fields: Any) -> str:  # noqa: ANN401
    """A chain of processes, each depending on the one before."""
    conditions = [
        {"executortype": "cli", "dependencies": list(names[at - 1 : at])}
        for at in range(len(names))
    ]
    nodes = [
        {"nodename": name, "funcname": "echo", "conditions": asked, **fields}
        for name, asked in zip(names, conditions, strict=True)
    ]
    return json.dumps({"colonyname": colony_name, "functionspecs": nodes})


class Clockwork(Timed):
    """A stage with crons."""

    async def add_cron(self, caller: str = USER, **fields: Any) -> wire_cron.Cron:  # noqa: ANN401
        """A cron that starts a chain of two processes each second, unless told otherwise."""
        asked: dict[str, Any] = {
            "colonyname": COLONY,
            "name": "tick",
            "interval": 1,
            "workflowspec": spec("first", "last"),
            **fields,
        }
        message = wire_cron.AddCronMsg(cron=wire_cron.Cron(**asked))
        added: wire_cron.Cron = await self.say(cron.add, caller, message)
        return added

    async def see(self, cron_id: str) -> wire_cron.Cron:
        """Read a cron."""
        seen: wire_cron.Cron = await self.say(cron.get, USER, wire_cron.GetCronMsg(cronid=cron_id))
        return seen

    async def run_cron(self, cron_id: str, caller: str = USER, nonce: str = "") -> wire_cron.Cron:
        """Start its workflow by hand."""
        message = wire_cron.RunCronMsg(cronid=cron_id)
        shown: wire_cron.Cron = await self.say(cron.run, caller, message, nonce=nonce)
        return shown

    async def workflows(self, state: State = State.WAITING) -> list[wire_workflow.ProcessGraph]:
        """All there are in a state, newest first."""
        message = wire_workflow.GetProcessGraphsMsg(colonyname=COLONY, count=100, state=int(state))
        found: list[wire_workflow.ProcessGraph] = await self.say(workflow.get_many, USER, message)
        return found

    async def cancel(self, workflow_id: str) -> None:
        """Call a workflow off."""
        message = wire_workflow.CancelProcessGraphMsg(processgraphid=workflow_id)
        await self.say(workflow.cancel, USER, message)

    async def close_with(self, process_id: str, out: bytes) -> None:
        """Close as successful, with output."""
        text = b'{"msgtype":"","processid":"%b","out":%b}' % (process_id.encode(), out)
        message = wire.decode(text, wire_process.CloseSuccessfulMsg)
        await self.say(process.close_successful, EXECUTOR, message)

    async def look_at_held(self) -> None:
        """What the timer does once a second."""
        for each in await self.context.directory.every():
            await self.context.crons.look_at_held(each)

    async def happenings(self, *kinds: str) -> list[str]:
        """The events of these types."""
        return [name for name in await types(self.store, await self.tag()) if name in kinds]


ROOTS = json.dumps(
    {
        "functionspecs": [
            {"nodename": "r1", "funcname": "f", "args": [1], "kwargs": {"k": 1}, "label": "x"},
            {"nodename": "r2", "funcname": "f"},
            {
                "nodename": "leaf",
                "funcname": "f",
                "args": ["kept"],
                "kwargs": {"k": 2},
                "conditions": {"dependencies": ["r1", "r2"]},
            },
        ]
    }
)
ONE = json.dumps({"functionspecs": [{"nodename": "a", "funcname": "f"}]})


class Gatherer(Timed):
    """A stage with generators."""

    async def add(self, caller: str = USER, **fields: Any) -> wire_generator.Generator:  # noqa: ANN401
        """A generator with a trigger of 5 that starts two roots, unless told otherwise."""
        asked: dict[str, Any] = {
            "colonyname": COLONY,
            "name": "gather",
            "trigger": 5,
            "timeout": -1,
            "workflowspec": ROOTS,
            **fields,
        }
        message = wire_generator.AddGeneratorMsg(generator=wire_generator.Generator(**asked))
        added: wire_generator.Generator = await self.say(generator.add, caller, message)
        return added

    async def pack(
        self, generator_id: str, *arguments: str, caller: str = USER, nonce: str = ""
    ) -> None:
        """Pack one after the other."""
        for argument in arguments:
            message = wire_generator.PackGeneratorMsg(generatorid=generator_id, arg=argument)
            await self.say(generator.pack, caller, message, nonce=nonce)

    async def look_into(self, generator_id: str) -> wire_generator.Generator:
        """Read a generator."""
        message = wire_generator.GetGeneratorMsg(generatorid=generator_id)
        seen: wire_generator.Generator = await self.say(generator.get, USER, message)
        return seen

    async def workflows(self) -> list[wire_workflow.ProcessGraph]:
        """All that wait, oldest first."""
        message = wire_workflow.GetProcessGraphsMsg(
            colonyname=COLONY, count=100, state=int(State.WAITING)
        )
        found: list[wire_workflow.ProcessGraph] = await self.say(workflow.get_many, USER, message)
        return found[::-1]

    async def arguments(self, process_id: str) -> Any:  # noqa: ANN401
        """The arguments of a process."""
        found: wire_process.Process = await self.say(
            process.get, USER, wire_process.GetProcessMsg(processid=process_id)
        )
        return json.loads(wire.encode(found))["spec"]["args"]

    async def batches(self) -> list[list[str]]:
        """The arguments of each workflow, oldest first."""
        return [await self.arguments(g.rootprocessids[0]) for g in await self.workflows()]
