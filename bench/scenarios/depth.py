"""Latency of an assign, by how much is waiting, in how many classes, and what is at the head."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from time import perf_counter

from bench.connection import Connection, connections
from bench.latency import Latencies
from bench.ledger import Ledger
from bench.load import closed_loop, due_times
from bench.plan import Plan, Stage
from bench.report import FLOOR, Measurement
from bench.scenarios.check import check_counts
from bench.servers import Target, even_connections
from bench.wire import Colony, payload_of, process_of

_SCENARIO = "depth"
_ASSIGN_TIMEOUT_S = 10
_OFFERED = {"cpu": "8000m", "mem": "64Gi"}
_NOBODY_HAS = {"cpu": "1000000m"}
_FITS, _FITS_NOBODY = "head fits", "head fits nobody"


async def measure(stage: Stage) -> list[Measurement]:
    """Fill a queue to every depth, then measure all of them in turns, in every round.

    Raises:
        WrongAnswer: a process was lost, doubled or refused.
    """
    found = list[Measurement]()
    for classes in stage.plan.class_counts:
        queues = [
            _Queue(target=target, plan=stage.plan, classes=classes, depth=depth)
            for target in stage.targets
            for depth in (stage.plan.depths if target.name != FLOOR else (0,))
        ]
        for queue in queues:
            await queue.fill()
        await _sample(queues, stage.plan, "warm up", 0)
        for number in range(1, stage.plan.depth_rounds + 1):
            found += await _round(queues, stage.plan, number)
        for queue in queues:
            await queue.check()
    return _compared(found, min(stage.plan.depths))


async def _round(queues: list["_Queue"], plan: Plan, number: int) -> list[Measurement]:
    """Measure as it is, and with processes at the head that nobody can run."""
    found = await _sample(queues, plan, _FITS, number)
    blocked = [(queue, await queue.block()) for queue in queues if not queue.floor]
    found += await _sample([queue for queue, _ in blocked], plan, _FITS_NOBODY, number)
    for queue, ids in blocked:
        await queue.unblock(ids)
    return found


async def _sample(queues: list["_Queue"], plan: Plan, head: str, number: int) -> list[Measurement]:
    """Assign at fixed times, from one queue after the other: all of them see the same machine."""
    begun = perf_counter()
    async with AsyncExitStack() as stack:
        for queue in queues:
            await queue.connect(stack)
        async with asyncio.TaskGroup() as group:
            count = plan.depth_samples * len(queues)
            async for n, due in due_times(count, plan.depth_interval_s):
                group.create_task(queues[n % len(queues)].one(due))
    seconds = perf_counter() - begun
    return [queue.measurement(head, number, seconds) for queue in queues]


def _compared(found: list[Measurement], least: int) -> list[Measurement]:
    """The same, each with how it compares to the least depth asked in turns with it."""
    cases = {(one.target, one.round, one.case): one for one in found}
    for one in found:
        first = cases.get(
            (one.target, one.round, _case(least, one.case.partition(" waiting, ")[2]))
        )
        if first is not None and first is not one:
            ratio = one.latencies["assign"].p50_us / first.latencies["assign"].p50_us
            one.values[f"times the p50 at {least:,}"] = ratio
    return found


def _case(depth: int, rest: str) -> str:
    return f"{depth:,} waiting, {rest}"


@dataclass(slots=True, kw_only=True)
class _Queue:
    """One target's colony with waiting processes of some requirement classes."""

    target: Target
    plan: Plan
    classes: int
    depth: int
    _colony: Colony = field(init=False)
    _submits: dict[str, bytes] = field(init=False)
    _assign: bytes = field(init=False)
    _ledger: Ledger = field(default_factory=Ledger)
    _latencies: Latencies = field(default_factory=Latencies)
    _free: "asyncio.Queue[Connection]" = field(init=False)

    def __post_init__(self) -> None:
        name = f"{_SCENARIO}-{self.depth}-{self.classes}"
        self._colony = Colony.imagine(self.target.endpoint, name, 1)
        self._submits = {
            f"class-{n}": self._colony.submit(f"class-{n}", {"mem": f"{n + 1}Mi"})
            for n in range(self.classes)
        }
        self._assign = self._colony.assign(
            self._colony.executors[0], timeout_s=_ASSIGN_TIMEOUT_S, **_OFFERED
        )

    @property
    def floor(self) -> bool:
        """Whether nothing is stored here, so that there is nothing to fill or to check."""
        return self.target.name == FLOOR

    async def fill(self) -> None:
        """Register everybody, and submit until ``depth`` processes wait, the classes in turn."""
        if self.floor:
            return
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())
        queue = islice(cycle(self._submits.values()), self.depth)

        async def work(_number: int, connection: Connection) -> None:
            for request in queue:
                reply = await connection.request(request)
                self._ledger.submitted.append(process_of(reply).processid)

        async with even_connections(self.target, self.plan.connections) as opened:
            await closed_loop(opened, work)

    async def block(self) -> list[str]:
        """Put processes that nobody can run at the head; returns their ids."""
        wants = ({"mem": f"{n % self.classes + 1}Mi"} for n in range(self.plan.blocked))
        requests = [self._colony.submit("blocked", _NOBODY_HAS | one, priority=1) for one in wants]
        async with connections(self.target.endpoint, 1) as (connection,):
            return [process_of(await connection.request(one)).processid for one in requests]

    async def unblock(self, ids: list[str]) -> None:
        """Cancel what ``block`` submitted."""
        async with connections(self.target.endpoint, 1) as (connection,):
            for process_id in ids:
                request = self._colony.user.request("cancelprocessmsg", processid=process_id)
                payload_of(await connection.request(request))

    async def connect(self, stack: AsyncExitStack) -> None:
        """Have connections for the next samples."""
        self._free = asyncio.Queue()
        opening = even_connections(self.target, self.plan.connections)
        for connection in await stack.enter_async_context(opening):
            self._free.put_nowait(connection)

    async def one(self, due: float) -> None:
        """One assign; what was taken is closed and submitted again, off the clock."""
        connection = await self._free.get()
        reply = await connection.request(self._assign)
        self._latencies.add(perf_counter() - due)
        process = process_of(reply)
        self._ledger.assigned.append(process.processid)
        payload_of(await connection.request(self._colony.executors[0].close(process.processid)))
        self._ledger.closed.append(process.processid)
        again = self._submits.get(process.spec.label, self._submits["class-0"])
        self._ledger.submitted.append(process_of(await connection.request(again)).processid)
        self._free.put_nowait(connection)

    def measurement(self, head: str, number: int, seconds: float) -> Measurement:
        """What the samples since the last call were."""
        latencies, self._latencies = self._latencies, Latencies()
        return Measurement(
            scenario=_SCENARIO,
            case=_case(self.depth, f"{self.classes} classes, {head}"),
            target=self.target.name,
            round=number,
            count=len(latencies),
            seconds=seconds,
            latencies={"assign": latencies.summary()},
        )

    async def check(self) -> None:
        """Refuse the run when anything was lost, doubled or miscounted."""
        if self.floor:
            return
        self._ledger.check(waiting=self.depth)
        closed = len(self._ledger.closed)
        async with connections(self.target.endpoint, 1) as (connection,):
            await check_counts(connection, self._colony, success=closed, waiting=self.depth)
