"""What a log line costs: beside a submit, in bulk, and in memory."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter

from bench.connection import Connection, connections
from bench.errors import WrongAnswer
from bench.latency import Latencies
from bench.load import closed_loop
from bench.plan import Stage
from bench.report import CPU, FLOOR, Measurement
from bench.servers import Target, even_connections
from bench.wire import Colony, payload_of, process_of

_SCENARIO = "logs"
_ASSIGN_TIMEOUT_S = 10
_IN_ONE = 100
_TEXT = "epoch {:08} loss=0.0123456 accuracy=0.98765 throughput=12345.6 samples/s"


async def measure(stage: Stage) -> list[Measurement]:
    """Submits, single lines and lines in bulk, in turns.

    Raises:
        WrongAnswer: a line was refused or lost.
    """
    found = list[Measurement]()
    for target in (one for one in stage.targets if one.name != FLOOR):
        speakers = _Speakers(target=target, stage=stage)
        await speakers.prepare()
        for number in range(stage.plan.log_rounds + 1):
            measured = await speakers.round(number)
            found += measured if number else ()
    return found


@dataclass(slots=True, kw_only=True)
class _Speakers:
    """Executors that each run a process and say things about it."""

    target: Target
    stage: Stage
    _colony: Colony = field(init=False)
    _processes: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        width = self.stage.plan.connections
        self._colony = Colony.imagine(self.target.endpoint, _SCENARIO, width)

    async def prepare(self) -> None:
        """Register everybody, and give each executor a process."""
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())

    async def round(self, number: int) -> list[Measurement]:
        """Measure every phase once.

        Raises:
            WrongAnswer: a line was refused or lost.
        """
        plan = self.stage.plan
        async with even_connections(self.target, plan.connections) as opened:
            await self._begin(opened)
            submits = [self._colony.submit(f"{number}-{n:08}") for n in range(plan.log_requests)]
            submit = await self._phase(number, "submit", opened, self._shares(submits), 1)
            single = self._shares_of_lines(opened, plan.log_requests, 1)
            line = await self._phase(number, "a line", opened, single, 1)
            bulk = self._shares_of_lines(opened, plan.log_requests * 4, _IN_ONE)
            before = await self.target.redis_bytes()
            lines = await self._phase(number, f"{_IN_ONE} lines at once", opened, bulk, _IN_ONE)
            after = await self.target.redis_bytes()
            await self._check(opened[0], plan.log_requests * 5 // plan.connections)
            await self._end(opened)
        line.values["times a submit, by cpu"] = _cpu(line) / _cpu(submit)
        if before is not None and after is not None:
            lines.values["redis bytes a line"] = (after - before) / lines.count
            lines.values["bytes of text a line"] = len(_TEXT.format(0))
        return [submit, line, lines]

    async def _begin(self, opened: list[Connection]) -> None:
        for executor, connection in zip(self._colony.executors, opened, strict=True):
            payload_of(await connection.request(self._colony.submit("spoken about", priority=1)))
            asked = self._colony.assign(executor, timeout_s=_ASSIGN_TIMEOUT_S)
            self._processes.append(process_of(await connection.request(asked)).processid)

    async def _end(self, opened: list[Connection]) -> None:
        for executor, process_id in zip(self._colony.executors, self._processes, strict=True):
            payload_of(await opened[0].request(executor.close(process_id)))
        self._processes.clear()

    def _shares(self, requests: list[bytes]) -> list[list[bytes]]:
        width = self.stage.plan.connections
        return [requests[n::width] for n in range(width)]

    def _shares_of_lines(
        self, opened: list[Connection], count: int, in_one: int
    ) -> list[list[bytes]]:
        each = count // in_one // len(opened)
        return [
            [self._saying(number, n, in_one) for n in range(each)] for number in range(len(opened))
        ]

    def _saying(self, number: int, at: int, in_one: int) -> bytes:
        executor, process_id = self._colony.executors[number], self._processes[number]
        texts = [_TEXT.format(at * in_one + n) for n in range(in_one)]
        if in_one == 1:
            return executor.request("addlogmsg", processid=process_id, message=texts[0])
        return executor.request("addlogsmsg", processid=process_id, messages=texts)

    async def _phase(
        self,
        number: int,
        case: str,
        opened: list[Connection],
        shares: list[list[bytes]],
        in_one: int,
    ) -> Measurement:
        latencies = Latencies()

        async def work(which: int, connection: Connection) -> None:
            for request in shares[which]:
                begun = perf_counter()
                reply = await connection.request(request)
                latencies.add(perf_counter() - begun)
                payload_of(reply)

        return await self._timed(number, case, opened, work, latencies, in_one)

    async def _timed(  # noqa: PLR0917 - what a measurement consists of
        self,
        number: int,
        case: str,
        opened: list[Connection],
        work: Callable[[int, Connection], Awaitable[None]],
        latencies: Latencies,
        in_one: int,
    ) -> Measurement:
        before = self.target.cpu_seconds()
        seconds = await closed_loop(opened, work)
        used = self.target.cpu_seconds()
        count = len(latencies) * in_one
        return Measurement(
            scenario=_SCENARIO,
            case=case,
            target=self.target.name,
            round=number,
            count=count,
            seconds=seconds,
            rate=count / seconds,
            latencies={"request": latencies.summary()},
            values={f"{name}{CPU}": (used[name] - before[name]) / count * 1e6 for name in used},
        )

    async def _check(self, connection: Connection, lines: int) -> None:
        """The last lines of a process are there, and as many as were said."""
        for process_id in self._processes[:1]:
            request = self._colony.user.request(
                "getlogsmsg", colonyname=self._colony.name, processid=process_id, count=2
            )
            said = payload_of(await connection.request(request))
            if said.count(b'"message"') != min(lines, 2):
                raise WrongAnswer(f"the log of a process reads {said[:200]!r}")


def _cpu(one: Measurement) -> float:
    return sum(value for name, value in one.values.items() if name.endswith(CPU))
