"""What a close costs in workflows of different sizes, and how often closes get in each other's way.

A workflow fans out from one process to many and in again to one. All of them count down the same
counter, and all the many that of the same child, so a cost that grew with the size of a workflow,
or closes that made each other try again, would show here.
"""

from dataclasses import dataclass, field
from time import perf_counter

import msgspec

from bench.connection import Connection, connections
from bench.latency import Latencies
from bench.ledger import Ledger
from bench.load import closed_loop
from bench.plan import Stage
from bench.report import FLOOR, Measurement
from bench.scenarios.check import check_counts
from bench.servers import Target, even_connections
from bench.wire import Colony, payload_of, process_of

_SCENARIO = "workflow"
_ASSIGN_TIMEOUT_S = 30


class _Graph(msgspec.Struct):
    processids: list[str]


_graph = msgspec.json.Decoder(_Graph)


async def measure(stage: Stage) -> list[Measurement]:
    """Every size in every round, one after the other within a round.

    Raises:
        WrongAnswer: a process was lost, doubled or refused.
    """
    found = list[Measurement]()
    targets = [target for target in stage.targets if target.name != FLOOR]
    for target in targets:
        size_of = {size: _Size(target=target, size=size, stage=stage) for size in stage.plan.sizes}
        for one in size_of.values():
            await one.prepare()
            await one.round(0)
        for number in range(1, stage.plan.workflow_rounds + 1):
            first = await size_of[min(size_of)].round(number)
            found.append(first)
            for size in sorted(size_of)[1:]:
                one = await size_of[size].round(number)
                ratio = one.latencies["close"].p50_us / first.latencies["close"].p50_us
                one.values[f"times the close at {min(size_of)}"] = ratio
                found.append(one)
    return found


@dataclass(slots=True, kw_only=True)
class _Size:
    """Workflows with so many processes between the first and the last."""

    target: Target
    size: int
    stage: Stage
    _colony: Colony = field(init=False)
    _assigns: list[bytes] = field(init=False)
    _finished: int = 0

    def __post_init__(self) -> None:
        name = f"{_SCENARIO}-{self.size}"
        self._colony = Colony.imagine(self.target.endpoint, name, self.stage.plan.connections)
        self._assigns = [
            self._colony.assign(executor, timeout_s=_ASSIGN_TIMEOUT_S)
            for executor in self._colony.executors
        ]

    async def prepare(self) -> None:
        """Register everybody."""
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())

    async def round(self, number: int) -> Measurement:
        """Submit workflows, work them off, and check what was done.

        Raises:
            WrongAnswer: a process was lost, doubled or refused.
        """
        ledger, conflicts = Ledger(), await self.target.conflicts()
        latencies = {name: Latencies() for name in ("submit", "assign", "close")}
        many = max(1, self.stage.plan.workflow_processes // (self.size + 2))
        async with even_connections(self.target, self.stage.plan.connections) as opened:
            for _ in range(many):
                ledger.submitted += await self._submit(opened[0], latencies["submit"])
            seconds = await self._drain(opened, ledger, latencies)
            ledger.check()
            self._finished += len(ledger.closed)
            await check_counts(opened[0], self._colony, success=self._finished)
        values = dict[str, float]()
        after = await self.target.conflicts()
        if conflicts is not None and after is not None:
            values["conflicts per 1,000 closes"] = (after - conflicts) / len(ledger.closed) * 1_000
        return Measurement(
            scenario=_SCENARIO,
            case=f"{self.size:,} beside each other, {many} workflows",
            target=self.target.name,
            round=number,
            count=len(ledger.closed),
            seconds=seconds,
            rate=len(ledger.closed) / seconds,
            latencies={name: one.summary() for name, one in latencies.items()},
            values=values,
        )

    async def _submit(self, connection: Connection, latencies: Latencies) -> list[str]:
        names = [f"middle-{n}" for n in range(self.size)]
        specs = [
            self._colony.spec("first"),
            *(self._colony.spec(name, {"dependencies": ["first"]}) for name in names),
            self._colony.spec("last", {"dependencies": names}),
        ]
        workflow = {"colonyname": self._colony.name, "functionspecs": specs}
        request = self._colony.user.request("submitworkflowspecmsg", spec=workflow)
        begun = perf_counter()
        reply = await connection.request(request)
        latencies.add(perf_counter() - begun)
        return _graph.decode(payload_of(reply)).processids

    async def _drain(
        self, opened: list[Connection], ledger: Ledger, latencies: dict[str, Latencies]
    ) -> float:
        queue = iter(range(len(ledger.submitted)))

        async def work(number: int, connection: Connection) -> None:
            for _ in queue:
                begun = perf_counter()
                assigned = await connection.request(self._assigns[number])
                latencies["assign"].add(perf_counter() - begun)
                process_id = process_of(assigned).processid
                ledger.assigned.append(process_id)
                closing = self._colony.executors[number].close(process_id)
                begun = perf_counter()
                closed = await connection.request(closing)
                latencies["close"].add(perf_counter() - begun)
                payload_of(closed)
                ledger.closed.append(process_id)

        return await closed_loop(opened, work)
