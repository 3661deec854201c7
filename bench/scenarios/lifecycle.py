"""Throughput of a process' life: submits alone, assign and close alone, and all three at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter

from bench.connection import Connection, Reply, connections
from bench.latency import Latencies
from bench.ledger import Ledger
from bench.load import Phase, closed_loop
from bench.plan import Stage
from bench.report import CPU, FLOOR, Measurement
from bench.scenarios.check import check_counts, check_sample
from bench.servers import Target, even_connections
from bench.wire import Colony, payload_of, process_of

_SCENARIO = "lifecycle"
_ASSIGN_TIMEOUT_S = 10


async def measure(stage: Stage) -> list[Measurement]:
    """Every phase in every round on every target, one target after the other within a round.

    Raises:
        WrongAnswer: a process was lost, doubled or refused.
    """
    lives = [
        _Lifecycle(target=one, processes=stage.plan.warm_up, width=stage.plan.connections)
        for one in stage.targets
    ]
    for life in lives:
        await life.prepare()
        await life.round(0)
        life.processes = stage.plan.processes
    return [
        one
        for number in range(1, stage.plan.rounds + 1)
        for life in lives
        for one in await life.round(number)
    ]


@dataclass(slots=True, kw_only=True)
class _Lifecycle:
    """One target with its colony; every call of ``round`` is one round of measurements."""

    target: Target
    processes: int
    width: int
    _colony: Colony = field(init=False)
    _assigns: list[bytes] = field(init=False)
    _finished: int = 0

    def __post_init__(self) -> None:
        self._colony = Colony.imagine(self.target.endpoint, _SCENARIO, self.width)
        self._assigns = [
            self._colony.assign(executor, timeout_s=_ASSIGN_TIMEOUT_S)
            for executor in self._colony.executors
        ]

    async def prepare(self) -> None:
        """Register everybody; the floor needs nobody."""
        if self.target.name != FLOOR:
            async with connections(self.target.endpoint, 1) as (connection,):
                await self._colony.found(connection, self.target.owner())

    async def round(self, number: int) -> list[Measurement]:
        """Measure every phase once, on new connections, and check what was done.

        Raises:
            WrongAnswer: a process was lost, doubled or refused.
        """
        distinct, mixed = self._distinct(f"{number}a"), self._distinct(f"{number}b")
        same = [self._colony.submit("one-for-all")] * self.processes
        before = await self.target.redis_bytes()
        async with even_connections(self.target, self.width) as opened:
            crew = Crew(
                target=self.target, colony=self._colony, assigns=self._assigns, connections=opened
            )
            phases = {
                "submit": await crew.submit(distinct),
                "submit, same bytes": await crew.submit(same),
                "assign+close": await crew.drain(len(distinct) + len(same)),
                "submit+assign+close": await crew.live(mixed),
            }
            if self.target.name != FLOOR:
                await self._check(opened[0], crew)
        after = await self.target.redis_bytes()
        if before is not None and after is not None:
            each = (after - before) / len(crew.ledger.closed)
            phases["submit+assign+close"].values["redis bytes per finished process"] = each
        return [_measurement(self.target.name, number, *named) for named in phases.items()]

    def _distinct(self, mark: str) -> list[bytes]:
        """Submits that differ in their label, so that each has a signer to recover."""
        return [self._colony.submit(f"{mark}-{n:08}") for n in range(self.processes)]

    async def _check(self, connection: Connection, crew: "Crew") -> None:
        crew.ledger.check()
        self._finished += len(crew.ledger.closed)
        await check_counts(connection, self._colony, success=self._finished)
        await check_sample(connection, self._colony, crew.closers)


@dataclass(slots=True, kw_only=True)
class Crew:
    """As many executors as connections, and the phases they work through together.

    While the clock runs only what the next request needs is read from a reply; the rest is read,
    and checked, afterwards.
    """

    target: Target
    colony: Colony
    assigns: list[bytes]
    connections: list[Connection]
    ledger: Ledger = field(default_factory=Ledger)
    closers: dict[str, str] = field(default_factory=dict[str, str])
    _submits: list[Reply] = field(default_factory=list[Reply])
    _closes: list[tuple[int, str, Reply]] = field(default_factory=list[tuple[int, str, Reply]])

    async def submit(self, requests: list[bytes]) -> Phase:
        """Submit everything, signed before."""
        latencies, queue = {"submit": Latencies()}, iter(requests)

        async def work(_number: int, connection: Connection) -> None:
            for request in queue:
                await self._submit(connection, request, latencies["submit"])

        return await self._timed(work, len(requests), latencies)

    async def drain(self, count: int) -> Phase:
        """Assign and close what is waiting; the clock stops at the last close."""
        latencies, queue = {"assign": Latencies(), "close": Latencies()}, iter(range(count))

        async def work(number: int, connection: Connection) -> None:
            for _ in queue:
                await self._work_off(number, connection, latencies)

        return await self._timed(work, count, latencies)

    async def live(self, requests: list[bytes]) -> Phase:
        """Submit, assign and close on every connection, all at once."""
        latencies = {name: Latencies() for name in ("submit", "assign", "close")}
        queue = iter(requests)

        async def work(number: int, connection: Connection) -> None:
            for request in queue:
                await self._submit(connection, request, latencies["submit"])
                await self._work_off(number, connection, latencies)

        return await self._timed(work, len(requests), latencies)

    async def _submit(self, connection: Connection, request: bytes, latencies: Latencies) -> None:
        begun = perf_counter()
        reply = await connection.request(request)
        latencies.add(perf_counter() - begun)
        self._submits.append(reply)

    async def _work_off(
        self, number: int, connection: Connection, latencies: dict[str, Latencies]
    ) -> None:
        begun = perf_counter()
        assigned = await connection.request(self.assigns[number])
        latencies["assign"].add(perf_counter() - begun)
        process_id = process_of(assigned).processid
        closing = self.colony.executors[number].close(process_id)
        begun = perf_counter()
        closed = await connection.request(closing)
        latencies["close"].add(perf_counter() - begun)
        self._closes.append((number, process_id, closed))

    async def _timed(
        self,
        work: Callable[[int, Connection], Awaitable[None]],
        count: int,
        latencies: dict[str, Latencies],
    ) -> Phase:
        used_before = self.target.cpu_seconds()
        seconds = await closed_loop(self.connections, work)
        used = self.target.cpu_seconds()
        values = {f"{name}{CPU}": (used[name] - used_before[name]) / count * 1e6 for name in used}
        self._settle()
        return Phase(count=count, seconds=seconds, latencies=latencies, values=values)

    def _settle(self) -> None:
        self.ledger.submitted += [process_of(reply).processid for reply in self._submits]
        for number, process_id, reply in self._closes:
            payload_of(reply)
            self.ledger.assigned.append(process_id)
            self.ledger.closed.append(process_id)
            self.closers[process_id] = self.colony.executors[number].identity.id
        self._submits.clear()
        self._closes.clear()


def _measurement(target: str, number: int, case: str, phase: Phase) -> Measurement:
    summaries = {name: one.summary() for name, one in phase.latencies.items()}
    return Measurement(
        scenario=_SCENARIO,
        case=case,
        target=target,
        round=number,
        count=phase.count,
        seconds=phase.seconds,
        rate=phase.rate,
        latencies=summaries,
        values=phase.values,
    )
