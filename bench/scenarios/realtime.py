"""Subscribers on websockets: what an idle one costs, and how soon a thousand hear of an event."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter

from bench.connection import Endpoint, connections
from bench.errors import ConnectionGone, WrongAnswer
from bench.latency import Latencies
from bench.load import due_times
from bench.plan import Plan, Stage
from bench.report import FLOOR, Measurement
from bench.servers import Target
from bench.websocket import WebSocket, frame_of, masked, open_socket
from bench.wire import Colony, Member, ask

_SCENARIO = "realtime"
_TIMEOUT_S = 3_600
_WITHIN_S = 60.0
_SUCCESS = 2
_AT_ONCE = 100


async def measure(stage: Stage) -> list[Measurement]:
    """Memory of idle subscribers, and the time from a submit to the frame of every subscriber.

    The floor serves no websockets, so it has nothing to say here.

    Raises:
        WrongAnswer: a subscriber was not told, or told too much.
    """
    found = list[Measurement]()
    for target in stage.targets:
        if target.name != FLOOR:
            found += await _measured(target, stage.plan)
    return found


async def _measured(target: Target, plan: Plan) -> list[Measurement]:
    colony = Colony.imagine(target.endpoint, _SCENARIO, 1)
    async with connections(target.endpoint, 1) as (connection,):
        await colony.found(connection, target.owner())
        wish = _subscription(colony, colony.executors[0], state=_SUCCESS)
        before = target.resident_bytes()
        async with _subscribed(target.endpoint, plan.sockets, wish):
            # The answer to one more request comes after everything was subscribed.
            await ask(connection, colony.statistics())
            after = target.resident_bytes()
        idle = Measurement(
            scenario=_SCENARIO,
            case=f"{plan.sockets:,} idle subscribers",
            target=target.name,
            round=1,
            count=plan.sockets,
            seconds=0.0,
        )
        if before is not None and after is not None:
            idle.values["server bytes per subscriber"] = (after - before) / plan.sockets
        wish = _subscription(colony, colony.executors[0], state=0)
        async with _subscribed(target.endpoint, plan.subscribers, wish) as listeners:
            heard = Latencies()
            async for number, due in due_times(plan.realtime_samples, plan.realtime_interval_s):
                arrivals = [listener.expect() for listener in listeners]
                await ask(connection, colony.submit(f"event-{number}"))
                async with asyncio.timeout(_WITHIN_S):
                    for arrived in await asyncio.gather(*arrivals):
                        heard.add(arrived - due)
    fan_out = Measurement(
        scenario=_SCENARIO,
        case=f"an event to {plan.subscribers:,} subscribers",
        target=target.name,
        round=1,
        count=len(heard),
        seconds=plan.realtime_samples * plan.realtime_interval_s,
        latencies={"submit to frame": heard.summary()},
    )
    return [idle, fan_out]


def _subscription(colony: Colony, executor: Member, *, state: int) -> bytes:
    """A frame that subscribes to all processes of the colony's executors in a state."""
    request = executor.request(
        "subscribeprocessesmsg",
        colonyname=colony.name,
        executortype="bench",
        state=state,
        timeout=_TIMEOUT_S,
    )
    return frame_of(request)


class _Listener(WebSocket):
    """One websocket that has subscribed, and is told when the next frame arrives."""

    def __init__(self) -> None:
        super().__init__()
        self._expected: asyncio.Future[float] | None = None

    def expect(self) -> asyncio.Future[float]:
        """When the next frame arrives."""
        self._expected = asyncio.get_running_loop().create_future()
        return self._expected

    def heard(self, text: bytes) -> None:
        """Note when it was."""
        if self._expected is None or self._expected.done():
            raise WrongAnswer(f"a subscriber was told what did not happen: {text[:80]!r}")
        self._expected.set_result(perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may wait for what cannot come; called by the loop."""
        super().connection_lost(exc)
        if self._expected is not None and not self._expected.done():
            self._expected.set_exception(ConnectionGone("a websocket was lost"))


@asynccontextmanager
async def _subscribed(
    endpoint: Endpoint, count: int, wish: bytes
) -> AsyncGenerator[list[_Listener]]:
    """So many websockets with one subscription each."""
    listeners: list[_Listener] = []
    try:
        while len(listeners) < count:
            some = min(_AT_ONCE, count - len(listeners))
            opened = await asyncio.gather(*(open_socket(endpoint, _Listener) for _ in range(some)))
            listeners += opened
            await asyncio.gather(*(listener.upgraded for listener in opened))
            for listener in opened:
                listener.send(wish)
            await _settled(opened, wish)
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


async def _settled(opened: list[_Listener], wish: bytes) -> None:
    """Until all have subscribed: a message that is not signed as it says is refused after that."""
    unlike = wish.replace(b'"subscribeprocessesmsg"', b'"subscribeprocessmsg"', 1)
    answers = [listener.expect() for listener in opened]
    for listener in opened:
        listener.send(masked(unlike[8:]))
    async with asyncio.timeout(_WITHIN_S):
        await asyncio.gather(*answers)
