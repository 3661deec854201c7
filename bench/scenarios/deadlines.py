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
from bench.report import FLOOR, Measurement
from bench.servers import Target, even_connections
from bench.wire import Colony, payload_of

_SCENARIO = "deadlines"
_LIMIT_S = 3
_FAILED = 3
_PATIENCE_S = 10.0


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
        for depth in (min(stage.plan.depths), max(stage.plan.depths)):
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
        async with even_connections(self.target, plan.connections) as opened:
            await self._submit(opened, self._colony.submit("waits"), self.depth)
            timed = self._colony.submit("timed", maxwaittime=_LIMIT_S)
            begun = perf_counter()
            ids = await self._submit(opened, timed, plan.deadline_samples)
            loading = asyncio.create_task(self._load(opened[1:]))
            late = await self._until_all_failed(opened[0], ids)
            self._done = True
            submitted = await loading
        seconds = perf_counter() - begun
        return Measurement(
            scenario=_SCENARIO,
            case=f"{self.depth:,} waiting",
            target=self.target.name,
            round=1,
            count=len(ids),
            seconds=seconds,
            latencies={"late by": late.summary()},
            values={"submits a second meanwhile": submitted / seconds},
        )

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
