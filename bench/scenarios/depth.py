"""Latency of an assign, by how much is waiting, in how many classes, and what is at the head."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from time import perf_counter

from bench.connection import Connection
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


async def measure(stage: Stage) -> list[Measurement]:
    """Fill the queue step by step, once for every number of classes, and measure at every step.

    Raises:
        WrongAnswer: a process was lost, doubled or refused.
    """
    found = list[Measurement]()
    for classes in stage.plan.class_counts:
        async with AsyncExitStack() as stack:
            queues = [await _queue(stack, stage.plan, one, classes) for one in stage.targets]
            for depth in stage.plan.depths:
                found += [one async for one in _at_depth(queues, depth, stage.plan)]
            for queue in queues:
                await queue.check()
    return found


async def _queue(stack: AsyncExitStack, plan: Plan, target: Target, classes: int) -> "_Queue":
    opened = await stack.enter_async_context(even_connections(target, plan.connections))
    queue = _Queue(target=target, plan=plan, classes=classes, connections=opened)
    await queue.prepare()
    return queue


async def _at_depth(queues: list["_Queue"], depth: int, plan: Plan) -> AsyncIterator[Measurement]:
    for queue in queues:
        await queue.fill(depth)
        await queue.sample("warm up", 0)
    for number in range(1, plan.depth_rounds + 1):
        for queue in queues:
            yield await queue.sample("head fits", number)
            blocked = await queue.block()
            yield await queue.sample("head fits nobody", number)
            await queue.unblock(blocked)


@dataclass(slots=True, kw_only=True)
class _Queue:
    """One target's colony with waiting processes of some requirement classes."""

    target: Target
    plan: Plan
    classes: int
    connections: list[Connection]
    depth: int = 0
    _colony: Colony = field(init=False)
    _submits: dict[str, bytes] = field(init=False)
    _assign: bytes = field(init=False)
    _ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        self._colony = Colony.imagine(self.target.endpoint, f"{_SCENARIO}-{self.classes}", 1)
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

    async def prepare(self) -> None:
        """Register everybody."""
        if not self.floor:
            await self._colony.found(self.connections[0], self.target.owner())

    async def fill(self, depth: int) -> None:
        """Submit until ``depth`` processes wait, the classes in turn."""
        more, self.depth = depth - self.depth, depth
        if self.floor:
            return
        queue = islice(cycle(self._submits.values()), more)

        async def work(_number: int, connection: Connection) -> None:
            for request in queue:
                reply = await connection.request(request)
                self._ledger.submitted.append(process_of(reply).processid)

        await closed_loop(self.connections, work)

    async def block(self) -> list[str]:
        """Put processes that nobody can run at the head; returns their ids."""
        if self.floor:
            return []
        ids = list[str]()
        for n in range(self.plan.blocked):
            wanted = _NOBODY_HAS | {"mem": f"{n % self.classes + 1}Mi"}
            request = self._colony.submit("blocked", wanted, priority=1)
            ids.append(process_of(await self.connections[0].request(request)).processid)
        return ids

    async def unblock(self, ids: list[str]) -> None:
        """Cancel what ``block`` submitted."""
        for process_id in ids:
            request = self._colony.user.request("cancelprocessmsg", processid=process_id)
            payload_of(await self.connections[0].request(request))

    async def sample(self, head: str, number: int) -> Measurement:
        """Assign at fixed times; what was taken is closed and submitted again, off the clock."""
        latencies = Latencies()
        free = asyncio.Queue[Connection]()
        for connection in self.connections:
            free.put_nowait(connection)
        begun = perf_counter()
        async with asyncio.TaskGroup() as group:
            async for _, due in due_times(self.plan.depth_samples, self.plan.depth_interval_s):
                group.create_task(self._one(due, free, latencies))
        return Measurement(
            scenario=_SCENARIO,
            case=f"{self.depth:,} waiting, {self.classes} classes, {head}",
            target=self.target.name,
            round=number,
            count=len(latencies),
            seconds=perf_counter() - begun,
            latencies={"assign": latencies.summary()},
        )

    async def _one(self, due: float, free: asyncio.Queue[Connection], latencies: Latencies) -> None:
        connection = await free.get()
        reply = await connection.request(self._assign)
        latencies.add(perf_counter() - due)
        process = process_of(reply)
        self._ledger.assigned.append(process.processid)
        payload_of(await connection.request(self._colony.executors[0].close(process.processid)))
        self._ledger.closed.append(process.processid)
        again = self._submits.get(process.spec.label, self._submits["class-0"])
        self._ledger.submitted.append(process_of(await connection.request(again)).processid)
        free.put_nowait(connection)

    async def check(self) -> None:
        """Refuse the run when anything was lost, doubled or miscounted."""
        if self.floor:
            return
        self._ledger.check(waiting=self.depth)
        await check_counts(
            self.connections[0],
            self._colony,
            success=len(self._ledger.closed),
            waiting=self.depth,
        )
