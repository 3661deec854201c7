"""The load of one colony: lifecycles, workflows, crons, generators and log lines, all at once.

Half of it is sent with nonces and repeated until its effect is known, the other half once: then
what was not acknowledged may have happened or not, and only what was acknowledged is remembered.
"""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.asking import Answer, eventually
from tests.acceptance.tenants import Executor, Tenant
from tests.storms.client import Client
from tests.storms.witness import PATIENCE_S, Ledger

EXEC_S, TRIES = 5, 1_000
"""How long a process may run before it is given to somebody else, and how often that may be."""
TRIGGER, FLUSH_S = 5, 2
CRONS = 2
MOST_OPEN = 60
NOTHING = (404, "No process available for assignment")
DIAMOND = (("a",), ("b", "a"), ("c", "a"), ("d", "b", "c"))
"""Names of nodes, and of those each depends on."""


@dataclass
class Load:
    """One colony, busy until it is told to stop."""

    tenant: Tenant
    executors: Sequence[Executor]
    client: Client
    ledger: Ledger = field(default_factory=Ledger)
    stopping: bool = False
    _drained: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def prepare(self) -> None:
        """Add the crons and the generator."""
        one = json.dumps({"colonyname": self.tenant.name, "functionspecs": [self._spec("only")]})
        for number in range(CRONS):
            cron = {
                "colonyname": self.tenant.name,
                "name": f"cron{number}",
                "cronexpression": "* * * * * *",
                "interval": -1,
                "workflowspec": one,
            }
            added = await self.client.surely(self.tenant.user, "addcronmsg", cron=cron)
            self.ledger.crons.append(added.ok["cronid"])
        generator = {
            "colonyname": self.tenant.name,
            "name": "generator",
            "trigger": TRIGGER,
            "timeout": FLUSH_S,
            "workflowspec": one,
        }
        made = await self.client.surely(self.tenant.user, "addgeneratormsg", generator=generator)
        self.ledger.generator = made.ok["generatorid"]

    async def run(self) -> None:
        """Go on until ``finish`` has seen that nothing is left to do."""
        async with asyncio.TaskGroup() as group:
            for work in (self._submit(), self._submit_once(), self._begin(), self._pack()):
                group.create_task(work)
            for number, executor in enumerate(self.executors):
                group.create_task(self._work(executor, sure=number % 2 == 0))

    async def finish(self) -> None:
        """Begin nothing more, and end when all that was begun has ended."""
        self.stopping = True
        for cron_id in self.ledger.crons:
            await self.client.surely(self.tenant.user, "removecronmsg", cronid=cron_id)
        await eventually(self._is_drained, "everything to end", PATIENCE_S)
        self._drained.set()

    async def _is_drained(self) -> bool:
        name = self.tenant.name
        counted = await self.client.surely(self.tenant.user, "getcolonystatsmsg", colonyname=name)
        if any(counted.ok[f"{state}processes"] for state in ("waiting", "running")):
            return False
        asked = {"generatorid": self.ledger.generator}
        left = await self.client.surely(self.tenant.user, "getgeneratormsg", **asked)
        return left.ok["queuesize"] == 0

    # ------------------------------------------------------------ what is begun

    def _spec(self, node: str = "", depends: Sequence[str] = (), **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        spec = self.tenant.spec(maxexectime=EXEC_S, maxretries=TRIES, **fields)
        if node:
            spec["nodename"] = node
            spec["conditions"]["dependencies"] = list(depends)
        return spec

    async def _room(self) -> None:
        """Wait while the executors are behind."""
        holds = lambda: self.stopping or self.ledger.open < MOST_OPEN  # noqa: E731
        await self.client.witness.until(holds, "executors to catch up")

    async def _submit(self) -> None:
        while not self.stopping:
            argument = f"sure{next(self._numbers)}"
            spec = self._spec(args=[argument])
            answer = await self.client.surely(self.tenant.user, "submitfuncspecmsg", spec=spec)
            self.ledger.submitted[answer.ok["processid"]] = argument
            await self._room()

    async def _submit_once(self) -> None:
        while not self.stopping:
            argument = f"once{next(self._numbers)}"
            spec = self._spec(args=[argument])
            answer = await self.client.once(self.tenant.user, "submitfuncspecmsg", spec=spec)
            if answer is not None:
                self.ledger.submitted[answer.ok["processid"]] = argument
            await self._room()

    async def _begin(self) -> None:
        while not self.stopping:
            specs = [self._spec(node, depends) for node, *depends in DIAMOND]
            spec = {"colonyname": self.tenant.name, "functionspecs": specs}
            answer = await self.client.surely(self.tenant.user, "submitworkflowspecmsg", spec=spec)
            processes = answer.ok["processids"]
            self.ledger.workflows[answer.ok["processgraphid"]] = processes
            # It is over when its last process is, which its executors see to.
            done = lambda last=processes[-1]: self.stopping or last in self.ledger.closed  # noqa: E731
            await self.client.witness.until(done, "a workflow to end")

    async def _pack(self) -> None:
        while not self.stopping:
            argument = f"argument{next(self._numbers)}"
            asked = {"generatorid": self.ledger.generator, "arg": argument}
            (await self.client.surely(self.tenant.user, "packgeneratormsg", **asked)).ok  # noqa: B018 - asserts
            self.ledger.packed.append(argument)
            await self._room()

    # ------------------------------------------------------------ what is done

    async def _work(self, executor: Executor, *, sure: bool) -> None:
        """Take, say something, close; who is not sure sends each request once."""
        while not self._drained.is_set():
            asked = {"colonyname": self.tenant.name, "timeout": 1}
            given = await self._ask(executor, "assignprocessmsg", sure=sure, **asked)
            if given is None or (given.status != 200 and given.refusal == NOTHING):
                continue
            process_id = given.ok["processid"]
            self.ledger.assigned.append((process_id, executor.identity.id))
            await self._say(executor, process_id, sure=sure)
            await self._close(executor, process_id, sure=sure)

    async def _say(self, executor: Executor, process_id: str, *, sure: bool) -> None:
        texts = [f"{executor.name} says {next(self._numbers)}" for _ in range(2)]
        asked = {"processid": process_id, "messages": texts}
        answer = await self._ask(executor, "addlogsmsg", sure=sure, **asked)
        if answer is not None and answer.status == 200:
            self.ledger.lines[process_id] += texts

    async def _close(self, executor: Executor, process_id: str, *, sure: bool) -> None:
        output = f"{executor.name} did {next(self._numbers)}"
        asked = {"processid": process_id, "out": [output]}
        answer = await self._ask(executor, "closesuccessfulmsg", sure=sure, **asked)
        if answer is None:
            return
        if answer.status == 200:
            self.ledger.closed[process_id] = output
            self.client.witness.look()
        else:
            self.ledger.too_late.append(process_id)

    async def _ask(
        self,
        executor: Executor,
        kind: str,
        *,
        sure: bool,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> Answer | None:
        if sure:
            return await self.client.surely(executor.identity, kind, **fields)
        return await self.client.once(executor.identity, kind, **fields)
