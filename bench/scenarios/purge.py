"""Latency of a submit and an assign while finished processes are purged, beside that without.

The finished processes are put into the store by the append that everything takes, without the
requests before it. Requests are due at fixed times; retention is then turned on for the colony, and
the same requests are made again for as long as the server removes.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter, time

from api.history import log
from bench.connection import Connection, connections
from bench.errors import WrongAnswer
from bench.latency import Latencies
from bench.load import due_times
from bench.past import PER_PROCESS, Past, surveyed
from bench.plan import Plan, Stage
from bench.report import FLOOR, Measurement
from bench.servers import Target, even_connections
from bench.wire import Colony, payload_of, process_of, statistics_of
from broker.directory import Directory
from broker.position import Position

_SCENARIO = "purge"
_ASSIGN_TIMEOUT_S = 10
_KEPT_S = 1
_LOOK_AGAIN_S = 0.2
_BEGINS_S = 60.0
_OLD_MS = 60_000


async def measure(stage: Stage) -> list[Measurement]:
    """Without and with a purge, on every target but the floor.

    Raises:
        WrongAnswer: a request was refused, or nothing was removed.
    """
    found = list[Measurement]()
    for target in (one for one in stage.targets if one.name != FLOOR):
        found += await _Bench(target, stage.plan).measure()
    return found


@dataclass(slots=True)
class _Bench:
    """A colony full of finished processes."""

    target: Target
    plan: Plan
    _colony: Colony = field(init=False)
    _assign: bytes = field(init=False)

    def __post_init__(self) -> None:
        self._colony = Colony.imagine(self.target.endpoint, _SCENARIO, 1)
        executor = self._colony.executors[0]
        self._assign = self._colony.assign(executor, timeout_s=_ASSIGN_TIMEOUT_S)

    async def measure(self) -> list[Measurement]:
        """Fill, measure, turn retention on, measure again."""
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())
        await self._fill()
        async with even_connections(self.target, self.plan.connections + 1) as (looking, *opened):
            quiet = await self._phase("nothing to purge", opened, asyncio.Event())
            before = await self._begun(looking)
            begun, over = perf_counter(), asyncio.Event()
            watching = asyncio.create_task(self._watch(looking, over))
            busy = await self._phase("while purged", opened, over)
            over.set()
            left = await watching
        removed = (before - left) / (perf_counter() - begun)
        busy.values["removed a second"] = removed
        for name, summary in busy.latencies.items():
            busy.values[f"p99 of {name}, times"] = summary.p99_us / quiet.latencies[name].p99_us
        return [quiet, busy]

    async def _fill(self) -> None:
        if not self.target.redis_url:
            raise WrongAnswer("finished processes are put into the store: name it with --redis-url")
        async with log.opened(self.target.redis_url) as history:
            place = await Directory(history.store).named(_SCENARIO)
            if place is None:
                raise WrongAnswer("the colony is not in this store")
            events = self.plan.finished * PER_PROCESS
            past = Past(
                colony=place,
                executor_id=self._colony.executors[0].identity.id,
                user_id=self._colony.user.identity.id,
                processes=self.plan.finished,
                last=Position(round(time() * 1_000) - events - _OLD_MS, 0),
            )
            await past.append(history.store, events)
            await surveyed(history.store, place.tag)

    async def _begun(self, connection: Connection) -> int:
        """Turn retention on, and wait until something is removed; how much is left then."""
        before = await self._finished(connection)
        settings = {"successretentionseconds": _KEPT_S}
        wish = self._colony.owner.request(
            "setcolonysettingsmsg", colonyname=self._colony.name, settings=settings
        )
        payload_of(await connection.request(wish))
        async with asyncio.timeout(_BEGINS_S):
            while (left := await self._finished(connection)) >= before:  # noqa: ASYNC110 - a count is no event
                await asyncio.sleep(_LOOK_AGAIN_S)
        return left

    async def _watch(self, connection: Connection, over: asyncio.Event) -> int:
        """Set ``over`` when nearly all is removed; how many are left when it is set."""
        while not over.is_set():
            left = await self._finished(connection)
            if left <= self.plan.finished // 100:
                over.set()
            await asyncio.sleep(_LOOK_AGAIN_S)
        return await self._finished(connection)

    async def _finished(self, connection: Connection) -> int:
        wish = self._colony.user.request("getcolonystatsmsg", colonyname=self._colony.name)
        return statistics_of(await connection.request(wish)).successfulprocesses

    async def _phase(self, case: str, opened: list[Connection], over: asyncio.Event) -> Measurement:
        """Requests at their times until there were enough, or it is over."""
        free = asyncio.Queue[Connection]()
        for connection in opened:
            free.put_nowait(connection)
        latencies = {"submit": Latencies(), "assign": Latencies()}
        begun = perf_counter()
        async with asyncio.TaskGroup() as group:
            async for n, due in due_times(self.plan.purge_samples, self.plan.purge_interval_s):
                if over.is_set():
                    break
                group.create_task(self._one(n, due, free, latencies))
        return Measurement(
            scenario=_SCENARIO,
            case=f"{case}, {self.plan.finished:,} finished",
            target=self.target.name,
            round=1,
            count=len(latencies["assign"]),
            seconds=perf_counter() - begun,
            latencies={name: one.summary() for name, one in latencies.items()},
        )

    async def _one(
        self,
        number: int,
        due: float,
        free: "asyncio.Queue[Connection]",
        latencies: dict[str, Latencies],
    ) -> None:
        """One life; the assign is due when the submit is answered."""
        connection = await free.get()
        submit = self._colony.submit(f"live-{number}")
        payload_of(await connection.request(submit))
        answered = perf_counter()
        latencies["submit"].add(answered - due)
        reply = await connection.request(self._assign)
        latencies["assign"].add(perf_counter() - answered)
        closing = self._colony.executors[0].close(process_of(reply).processid)
        payload_of(await connection.request(closing))
        free.put_nowait(connection)
