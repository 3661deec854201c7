"""How many log lines a second are said, and told to those who follow them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter

import msgspec

from bench.connection import Connection, Endpoint, Reply, connections
from bench.errors import ConnectionGone, WrongAnswer
from bench.plan import Plan, Stage
from bench.report import CPU, FLOOR, Measurement
from bench.servers import Target
from bench.websocket import WebSocket, frame_of, open_socket
from bench.wire import Colony, ask, payload_of, process_of

_SCENARIO = "following"
_OK = 200
_TIMEOUT_S = 3_600
_WITHIN_S = 120.0
_IN_ONE = 100
_TEXT = "{:08} loss=0.0123456 accuracy=0.98765 throughput=12345.6 samples/s"


class _Line(msgspec.Struct):
    message: str


_lines = msgspec.json.Decoder(list[_Line])


async def measure(stage: Stage) -> list[Measurement]:
    """One executor says lines about a process, while more and more follow it.

    The floor serves no websockets, so it has nothing to say here.

    Raises:
        WrongAnswer: a follower was not told a line, or told it twice, or out of order.
    """
    plan, found = stage.plan, list[Measurement]()
    for target in (one for one in stage.targets if one.name != FLOOR):
        colony = Colony.imagine(target.endpoint, _SCENARIO, 1)
        async with connections(target.endpoint, 1) as (connection,):
            await colony.found(connection, target.owner())
            for number in range(plan.following_rounds + 1):
                for followers in plan.followers:
                    one = await _measured(target, colony, connection, plan, followers, number)
                    found += [one] if number else []
    return found


async def _measured(  # noqa: PLR0917 - what a measurement consists of
    target: Target,
    colony: Colony,
    connection: Connection,
    plan: Plan,
    followers: int,
    number: int,
) -> Measurement:
    executor = colony.executors[0]
    await ask(connection, colony.submit("spoken about"))
    assigned = await connection.request(colony.assign(executor, timeout_s=10))
    process_id = process_of(assigned).processid
    requests = [_saying(colony, process_id, at) for at in range(0, plan.followed_lines, _IN_ONE)]
    wish = frame_of(
        colony.user.request(
            "subscribelogsmsg",
            colonyname=colony.name,
            processid=process_id,
            timeout=_TIMEOUT_S,
        )
    )
    async with _following(target.endpoint, followers, wish) as listeners:
        # The first request also shows when everybody has subscribed.
        await _say(connection, requests[:1], listeners)
        before, began = target.cpu_seconds(), perf_counter()
        await _say(connection, requests[1:], listeners)
        seconds, after = perf_counter() - began, target.cpu_seconds()
    await ask(connection, executor.close(process_id))
    count = plan.followed_lines - _IN_ONE
    values = {f"{name}{CPU}": (after[name] - before[name]) / count * 1e6 for name in after}
    told = {"lines told a second": count * followers / seconds} if followers else {}
    return Measurement(
        scenario=_SCENARIO,
        case=f"{followers} followers",
        target=target.name,
        round=number,
        count=count,
        seconds=seconds,
        rate=count / seconds,
        values=values | told,
    )


def _saying(colony: Colony, process_id: str, at: int) -> bytes:
    texts = [_TEXT.format(at + n) for n in range(_IN_ONE)]
    return colony.executors[0].request("addlogsmsg", processid=process_id, messages=texts)


async def _say(connection: Connection, requests: list[bytes], listeners: list["_Follower"]) -> None:
    """Say lines, one request after the other, until everybody has heard all of them."""
    for listener in listeners:
        listener.expect(len(requests) * _IN_ONE)
    for request in requests:
        await ask(connection, request)
    async with asyncio.timeout(_WITHIN_S):
        await asyncio.gather(*(listener.all_heard for listener in listeners))


class _Follower(WebSocket):
    """Hears lines, which are numbered from 0."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0
        self._wanted = 0
        self.all_heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self, more: int) -> None:
        """So many lines will be said."""
        self._wanted += more
        self.all_heard = asyncio.get_running_loop().create_future()

    def heard(self, text: bytes) -> None:
        """Compare each line with what must be the next."""
        try:
            told = _lines.decode(payload_of(Reply(_OK, text)))
        except (WrongAnswer, msgspec.DecodeError) as error:
            self._end(error)
            return
        for line in told:
            if not line.message.startswith(f"{self._next:08} "):
                self._end(WrongAnswer(f"line {self._next} is told as {line.message!r}"))
            self._next += 1
        if self._next == self._wanted and not self.all_heard.done():
            self.all_heard.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may wait for what cannot come; called by the loop."""
        super().connection_lost(exc)
        self._end(ConnectionGone("a websocket was lost"))

    def _end(self, why: Exception) -> None:
        if not self.all_heard.done():
            self.all_heard.set_exception(why)


@asynccontextmanager
async def _following(
    endpoint: Endpoint, count: int, wish: bytes
) -> AsyncGenerator[list[_Follower]]:
    """So many websockets that follow the same lines."""
    listeners = [await open_socket(endpoint, _Follower) for _ in range(count)]
    try:
        await asyncio.gather(*(listener.upgraded for listener in listeners))
        for listener in listeners:
            listener.send(wish)
        yield listeners
    finally:
        for listener in listeners:
            listener.close()
