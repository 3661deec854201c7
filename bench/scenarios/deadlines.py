"""How late a deadline is met, by how much is waiting, while others go on submitting."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, repeat
from time import perf_counter

import msgspec

from bench.connection import Connection, connections
from bench.errors import WrongAnswer
from bench.latency import Latencies
from bench.load import closed_loop
from bench.plan import Stage
from bench.report import CPU, FLOOR, Measurement
from bench.servers import Target, even_connections
from bench.usage import cpu_seconds
from bench.wire import Colony, payload_of

_SCENARIO = "deadlines"
_LIMIT_S = 3
_FAILED = 3
_PATIENCE_S = 10.0
_OF_A_WORKFLOW = 10_000


class _Process(msgspec.Struct):
    processid: str
    state: int
    waitdeadline: str
    endtime: str


_process = msgspec.json.Decoder(_Process)


async def measure(stage: Stage) -> list[Measurement]:
    """Least and greatest depth, on every target but the floor.

    Raises:
        WrongAnswer: a deadline was not met.
    """
    found = list[Measurement]()
    for target in (one for one in stage.targets if one.name != FLOOR):
        for depth in stage.plan.deadline_depths:
            queue = _Queue(target=target, stage=stage, depth=depth)
            found.append(await queue.measure())
    return found


@dataclass(slots=True, kw_only=True)
class _Queue:
    """A colony in which so much waits without a deadline."""

    target: Target
    stage: Stage
    depth: int
    _colony: Colony = field(init=False)
    _done: bool = False

    def __post_init__(self) -> None:
        self._colony = Colony.imagine(self.target.endpoint, f"{_SCENARIO}-{self.depth}", 1)

    async def measure(self) -> Measurement:
        """Fill, submit processes that may wait a few seconds, and see when they failed."""
        plan = self.stage.plan
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())
        # Of their own: a server closes connections that are idle for as long as this takes.
        async with even_connections(self.target, 2 * self.target.workers) as opened:
            await self._fill(opened)
        async with even_connections(self.target, plan.connections) as opened:
            timed = self._colony.submit("timed", maxwaittime=_LIMIT_S)
            begun, used = perf_counter(), self._processor_seconds()
            ids = await self._submit(opened, timed, plan.deadline_samples)
            loading = asyncio.create_task(self._load(opened[1:]))
            late = await self._until_all_failed(opened[0], ids)
            self._done = True
            submitted = await loading
        seconds = perf_counter() - begun
        used = self._processor_seconds() - used
        return Measurement(
            scenario=_SCENARIO,
            case=f"{self.depth:,} waiting",
            target=self.target.name,
            round=1,
            count=len(ids),
            seconds=seconds,
            latencies={"late by": late.summary()},
            values={
                "submits a second meanwhile": submitted / seconds,
                f"processor time of a submit meanwhile{CPU}": used / max(submitted, 1) * 1e6,
            },
        )

    def _processor_seconds(self) -> float:
        """What the server has used so far, with its store when that is a process of its own."""
        return cpu_seconds(self.target.pid) if self.target.pid else 0.0

    async def _fill(self, opened: list[Connection]) -> None:
        """Let processes wait: most of them as the roots of workflows, which one request queues."""
        full, single = divmod(self.depth, _OF_A_WORKFLOW)
        specs = [self._colony.spec(f"waits{at}") for at in range(_OF_A_WORKFLOW if full else 0)]
        workflow = {"colonyname": self._colony.name, "functionspecs": specs}
        request = self._colony.user.request("submitworkflowspecmsg", spec=workflow)
        queue = iter(range(full))

        async def work(_number: int, connection: Connection) -> None:
            for _ in queue:
                payload_of(await connection.request(request))

        await closed_loop(opened, work)
        await self._submit(opened, self._colony.submit("waits"), single)

    async def _submit(self, opened: list[Connection], request: bytes, count: int) -> list[str]:
        queue, ids = islice(repeat(request), count), list[str]()

        async def work(_number: int, connection: Connection) -> None:
            for one in queue:
                reply = await connection.request(one)
                ids.append(_process.decode(payload_of(reply)).processid)

        await closed_loop(opened, work)
        return ids

    async def _load(self, opened: list[Connection]) -> int:
        """Others submit as fast as they can, until all is over."""
        request, count = self._colony.submit("load"), 0

        async def work(_number: int, connection: Connection) -> None:
            nonlocal count
            while not self._done:
                payload_of(await connection.request(request))
                count += 1

        await closed_loop(opened, work)
        return count

    async def _until_all_failed(self, connection: Connection, ids: list[str]) -> Latencies:
        """Both times are the server's own, so only reading them has to wait."""
        late, until = Latencies(), perf_counter() + _LIMIT_S + _PATIENCE_S
        for process_id in ids:
            request = self._colony.user.request("getprocessmsg", processid=process_id)
            while True:
                shown = _process.decode(payload_of(await connection.request(request)))
                if shown.state == _FAILED:
                    break
                if perf_counter() > until:
                    raise WrongAnswer(f"process {process_id} waits beyond its deadline")
            late.add(_seconds(shown.endtime) - _seconds(shown.waitdeadline))
        return late


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
