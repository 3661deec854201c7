"""The command that compares the rows with the log finds no difference while clients are busy."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from tests.acceptance.asking import Api, eventually
from tests.acceptance.conftest import Found
from tests.acceptance.tenants import Executor, Tenant

_VERIFY = (sys.executable, "-c", "from cli.app import main; main()", "history", "verify")
_CLIENTS, _LIVES, _RUNS = 6, 30, 3
_PATIENCE_S = 120


@dataclass
class Load:
    """Clients that submit, take and end processes and workflows until they are told to stop."""

    tenant: Tenant
    lives: int = 0
    stopping: bool = False

    async def run(self, api: Api, executor: Executor) -> None:
        """One client: each thing that it submits gives it something to take."""
        while not self.stopping:
            spec = self.tenant.spec(priority=self.lives % 3, maxwaittime=1_000)
            if self.lives % 4:
                await self._must(api, "submitfuncspecmsg", spec=spec)
            else:
                graph = {
                    "colonyname": self.tenant.name,
                    "functionspecs": [spec | {"nodename": "n"}],
                }
                await self._must(api, "submitworkflowspecmsg", spec=graph)
            process_id = (await executor.assign(api, 30)).ok["processid"]
            (await executor.close(api, process_id, process_id)).ok  # noqa: B018 - asserts
            if (
                self.lives % 5 == 0
                and not (await self.tenant.process(api, process_id))["processgraphid"]
            ):
                await self._must(api, "removeprocessmsg", processid=process_id)
            self.lives += 1

    async def _must(self, api: Api, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        (await api.ask(self.tenant.user, kind, **fields)).ok  # noqa: B018 - asserts

    async def go_on(self) -> None:
        """Wait until more has happened."""
        goal = self.lives + _LIVES

        async def reached() -> bool:
            return self.lives >= goal

        await eventually(reached, "the load to go on", _PATIENCE_S)


async def ask_to_verify(store_url: str, colony: str) -> dict[str, Any]:
    """Run the command as somebody on the machine would; it must find no difference."""
    environ = {**os.environ, "COLONIES_REDIS_URL": store_url}
    running = await asyncio.create_subprocess_exec(
        *_VERIFY, "--colony", colony, "--json", env=environ, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_PATIENCE_S):
        out, _ = await running.communicate()
    (told,) = json.loads(out)
    assert (running.returncode, told["differences"]) == (0, [])
    return told


async def test_rows_are_what_the_log_says_while_clients_write(
    api: Api, other: Api, founded: Found, valkey: str
) -> None:
    """Two servers, six clients, and the command as a process beside them."""
    tenant = await founded()
    load, told = Load(tenant), list[dict[str, Any]]()
    executors = [await tenant.executor(api) for _ in range(_CLIENTS)]
    async with asyncio.TaskGroup() as group:
        for number, executor in enumerate(executors):
            group.create_task(load.run((api, other)[number % 2], executor))
        await load.go_on()
        for _ in range(_RUNS):
            before = load.lives
            told.append(await ask_to_verify(valkey, tenant.name))
            assert load.lives > before, "nothing was written meanwhile"
        load.stopping = True

    events = [one["events"] for one in told]
    assert events == sorted(set(events))
    assert events[0] > _LIVES
