"""Subscribers on websockets: what an idle one costs, and how soon a thousand hear of an event."""

import asyncio
import base64
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import cast

from bench.connection import Endpoint, connections
from bench.errors import ConnectionGone, WrongAnswer
from bench.latency import Latencies
from bench.load import due_times
from bench.plan import Plan, Stage
from bench.report import FLOOR, Measurement
from bench.servers import Target
from bench.wire import Colony, Member, ask

_SCENARIO = "realtime"
_TIMEOUT_S = 3_600
_WITHIN_S = 60.0
_SUCCESS = 2
_AT_ONCE = 100
_HEAD = 2
_LONGER, _LONGEST = 126, 127


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
    return _masked(request.split(b"\r\n\r\n", 1)[1])


def _masked(text: bytes) -> bytes:
    """A text frame of a client; a mask of zeros leaves the text as it is."""
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text


class _Listener(asyncio.Protocol):
    """One websocket that has subscribed, and reads frames as cheaply as can be."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._loop = asyncio.get_running_loop()
        self.upgraded = self._loop.create_future()
        self._expected: asyncio.Future[float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called by the loop."""
        # uvloop's transport has the interface of asyncio.Transport but is no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes) -> None:
        """Write bytes."""
        if self._transport is None:
            raise ConnectionGone("a websocket was lost")
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Read the answer to the upgrade, then frames; called by the loop."""
        self._unread += data
        if not self.upgraded.done():
            head, found, self._unread = self._unread.partition(b"\r\n\r\n")
            if not found:
                self._unread = head
                return
            self._upgraded(head)
        while (size := _frame_size(self._unread)) and len(self._unread) >= size:
            self._unread = self._unread[size:]
            self._heard()

    def _upgraded(self, head: bytes) -> None:
        if b" 101 " in head:
            self.upgraded.set_result(None)
        else:
            self.upgraded.set_exception(WrongAnswer(f"no upgrade: {head[:80]!r}"))

    def expect(self) -> asyncio.Future[float]:
        """When the next frame arrives."""
        self._expected = self._loop.create_future()
        return self._expected

    def _heard(self) -> None:
        if self._expected is None or self._expected.done():
            raise WrongAnswer("a subscriber was told something that did not happen")
        self._expected.set_result(perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may wait for what cannot come; called by the loop."""
        del exc
        self._transport = None
        for future in (self.upgraded, self._expected):
            if future is not None and not future.done():
                future.set_exception(ConnectionGone("a websocket was lost"))

    def close(self) -> None:
        """Go away."""
        if self._transport is not None:
            self._transport.abort()


def _frame_size(data: bytes) -> int:
    """How long the frame at the beginning is with its head, 0 while that is not known."""
    if len(data) < _HEAD:
        return 0
    length, head = data[1] & 0x7F, _HEAD
    extra = {_LONGER: 2, _LONGEST: 8}.get(length, 0)
    if extra:
        if len(data) < head + extra:
            return 0
        length = int.from_bytes(data[head : head + extra], "big")
        head += extra
    return head + length


@asynccontextmanager
async def _subscribed(
    endpoint: Endpoint, count: int, wish: bytes
) -> AsyncGenerator[list[_Listener]]:
    """So many websockets with one subscription each."""
    listeners: list[_Listener] = []
    try:
        while len(listeners) < count:
            some = min(_AT_ONCE, count - len(listeners))
            opened = await asyncio.gather(*(_open(endpoint) for _ in range(some)))
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
        listener.send(_masked(unlike[8:]))
    async with asyncio.timeout(_WITHIN_S):
        await asyncio.gather(*answers)


async def _open(endpoint: Endpoint) -> _Listener:
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(_Listener, endpoint.host, endpoint.port)
    key = base64.b64encode(os.urandom(16)).decode()
    listener.send(
        (
            f"GET /pubsub HTTP/1.1\r\nHost: {endpoint.host}:{endpoint.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()
    )
    return listener
