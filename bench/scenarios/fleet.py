"""A large fleet of idle executors: how soon one of them gets new work, and what waiting costs."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from bench.connection import Connection, connections
from bench.errors import WrongAnswer
from bench.latency import Latencies
from bench.ledger import Ledger
from bench.load import due_times
from bench.plan import Plan, Stage
from bench.report import FLOOR, Measurement
from bench.scenarios.check import check_counts
from bench.servers import Target
from bench.wire import Colony, Member, payload_of, process_of

_SCENARIO = "fleet"
_ASSIGN_TIMEOUT_S = 600
_REPLY_WITHIN_S = 30.0
_WARM_UP = 10


async def measure(stage: Stage) -> list[Measurement]:
    """Time from submit to the executor's reply, with one executor waiting and with all of them.

    The floor holds no request open, so it has nothing to say here.

    Raises:
        WrongAnswer: a process was lost, doubled or refused, or nobody was woken.
    """
    found = list[Measurement]()
    for target in stage.targets:
        if target.name != FLOOR:
            fleet = _Fleet(target=target, plan=stage.plan)
            await fleet.prepare()
            for number in range(1, stage.plan.fleet_rounds + 1):
                found += await fleet.round(number)
    return found


@dataclass(slots=True, kw_only=True)
class _Fleet:
    """One target's colony with many executors."""

    target: Target
    plan: Plan
    _colony: Colony = field(init=False)
    _ledger: Ledger = field(default_factory=Ledger)
    _arrivals: dict[str, asyncio.Future[float]] = field(
        default_factory=dict[str, "asyncio.Future[float]"]
    )

    def __post_init__(self) -> None:
        self._colony = Colony.imagine(self.target.endpoint, _SCENARIO, self.plan.fleet)

    async def prepare(self) -> None:
        """Register everybody."""
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())

    async def round(self, number: int) -> list[Measurement]:
        """Measure with one waiter, then with all; memory is told apart in the first round only.

        Later rounds find the memory that the first one's waiters left behind.
        """
        one = await self._with(self._colony.executors[:1], number)
        before = self.target.resident_bytes()
        many = await self._with(self._colony.executors, number, before)
        ratio = (
            many.latencies["submit to assigned"].p50_us / one.latencies["submit to assigned"].p50_us
        )
        many.values["times the p50 with one"] = ratio
        return [one, many]

    async def _with(
        self, executors: Sequence[Member], number: int, before: int | None = None
    ) -> Measurement:
        async with self._waiting(executors), connections(self.target.endpoint, 1) as (submitter,):
            await self._sample(submitter, f"{number}-warm", _WARM_UP)
            latencies = await self._sample(submitter, f"{number}", self.plan.fleet_samples)
            resident = self.target.resident_bytes()
        async with connections(self.target.endpoint, 1) as (connection,):
            self._ledger.check()
            await check_counts(connection, self._colony, success=len(self._ledger.closed))
        values = dict[str, float]()
        if number == 1 and before is not None and resident is not None:
            values["server bytes per waiter"] = (resident - before) / len(executors)
        return Measurement(
            scenario=_SCENARIO,
            case=f"{len(executors):,} waiting executors",
            target=self.target.name,
            round=number,
            count=len(latencies),
            seconds=self.plan.fleet_samples * self.plan.fleet_interval_s,
            latencies={"submit to assigned": latencies.summary()},
            values=values,
        )

    async def _sample(self, submitter: Connection, mark: str, count: int) -> Latencies:
        """Submit at fixed times; latency is from when a submit was due to the executor's reply."""
        loop, latencies, dues = asyncio.get_running_loop(), Latencies(), dict[str, float]()
        requests = {f"{mark}-{n}": self._colony.submit(f"{mark}-{n}") for n in range(count)}
        labels = list(requests)
        for label in labels:
            self._arrivals[label] = loop.create_future()
        async for n, due in due_times(count, self.plan.fleet_interval_s):
            dues[labels[n]] = due
            reply = await submitter.request(requests[labels[n]])
            self._ledger.submitted.append(process_of(reply).processid)
        for label in labels:
            latencies.add(await self._arrival(label) - dues[label])
            del self._arrivals[label]
        return latencies

    async def _arrival(self, label: str) -> float:
        try:
            async with asyncio.timeout(_REPLY_WITHIN_S):
                return await self._arrivals[label]
        except TimeoutError as error:
            raise WrongAnswer(f"nobody was given {label}") from error

    @asynccontextmanager
    async def _waiting(self, executors: Sequence[Member]) -> AsyncGenerator[None]:
        """Executors that poll, close what they get, and poll again."""
        async with connections(self.target.endpoint, len(executors)) as opened:
            requests = [
                self._colony.assign(executor, timeout_s=_ASSIGN_TIMEOUT_S) for executor in executors
            ]
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._poll(*one))
                    for one in zip(opened, executors, requests, strict=True)
                ]
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()

    async def _poll(self, connection: Connection, executor: Member, request: bytes) -> None:
        while True:
            reply = await connection.request(request)
            arrived = perf_counter()
            process = process_of(reply)
            self._ledger.assigned.append(process.processid)
            payload_of(await connection.request(executor.close(process.processid)))
            self._ledger.closed.append(process.processid)
            arrival = self._arrivals.get(process.spec.label)
            if arrival is None or arrival.done():
                raise WrongAnswer(f"{process} was never submitted, or was given out before")
            arrival.set_result(arrived)
