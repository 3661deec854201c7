"""Following over one connection after the other, where connections end in every way they can."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from api.wire_realtime import SubscribeEventsMsg, SubscribeLogsMsg
from cli.client import Client, Timeouts
from cli.errors import CliError, CutOff, RpcError, Unreachable
from cli.feed import Happening, happenings
from cli.subscription import Frame, frames
from cli.transport import Address
from tests.cli.test_client import ME, Listener, refusal
from tests.ports import free_port

PATIENT = Timeouts(connect_s=20, reply_s=20, patience_s=0)
HASTY = Timeouts(connect_s=20, reply_s=1, patience_s=0)
"""For those of whom nothing is to be heard."""
Answering = Callable[[ServerConnection, dict[str, object]], Awaitable[None]]


def framed(payload: object, *, error: bool = False) -> str:
    text = b64encode(json.dumps(payload).encode()).decode()
    return json.dumps({"payloadtype": "x", "payload": text, "error": error})


@asynccontextmanager
async def listening(*answers: Answering, timeouts: Timeouts = PATIENT) -> AsyncGenerator[Client]:
    """A client of a server that answers each connection with the next answer, then with none."""
    waiting = list(answers)

    async def answer(connection: ServerConnection) -> None:
        if waiting:
            request = cast("dict[str, str]", json.loads(await connection.recv()))
            message = cast("dict[str, object]", json.loads(b64decode(request["payload"])))
            await waiting.pop(0)(connection, message)

    async with serve(answer, "127.0.0.1", 0) as server:
        port = cast("int", next(iter(server.sockets)).getsockname()[1])
        address = Address(host="127.0.0.1", port=port)
        async with Client(address, ME, timeouts=timeouts) as client:
            yield client


def saying(*payloads: object, code: int = 1000, reason: str = "") -> Answering:
    async def answer(connection: ServerConnection, _: dict[str, object]) -> None:
        for payload in payloads:
            await connection.send(framed(payload))
        await connection.close(code, reason)

    return answer


def refusing(status: int, message: str) -> Answering:
    async def answer(connection: ServerConnection, _: dict[str, object]) -> None:
        await connection.send(framed({"status": status, "message": message}, error=True))

    return answer


async def cut_off(connection: ServerConnection, _: dict[str, object]) -> None:
    connection.transport.abort()


async def heard(told: AsyncGenerator[Frame], count: int) -> list[object]:
    found: list[object] = []
    async with aclosing(told):
        async for frame in told:
            found.append(json.loads(frame.text))
            if len(found) == count:
                return found
    return found


@pytest.mark.parametrize(
    "ending",
    [saying(2), saying(2, code=1012), saying(2, code=1013, reason="the server stops"), cut_off],
)
async def test_each_connection_asks_for_what_is_missing_then(ending: Answering) -> None:
    asked: list[object] = []

    async def goes_on(connection: ServerConnection, message: dict[str, object]) -> None:
        asked.append(message["since"])
        await connection.send(framed(3))

    numbers = iter((10, 20, 30))

    def asking() -> list[SubscribeLogsMsg]:
        return [SubscribeLogsMsg(since=next(numbers))]

    async with listening(saying(1), ending, goes_on) as client:
        found = await heard(frames(client, asking), 2 if ending is cut_off else 3)
    assert found == ([1, 3] if ending is cut_off else [1, 2, 3])
    assert asked == [30]


async def test_a_refusal_ends_it() -> None:
    async with listening(saying(1), refusing(403, "not any more")) as client:
        with pytest.raises(RpcError, match="not any more") as raised:
            await heard(frames(client, lambda: [SubscribeLogsMsg()]), 2)
    assert raised.value.status == 403


async def test_who_may_not_listen_any_more_is_told_so() -> None:
    async with listening(saying(1, code=1008, reason="not a member")) as client:
        with pytest.raises(RpcError, match="not a member") as raised:
            await heard(frames(client, lambda: [SubscribeLogsMsg()]), 2)
    assert raised.value.status == 403


async def test_a_store_that_is_away_is_waited_for() -> None:
    async with listening(refusing(503, "the store is away"), saying(1)) as client:
        assert await heard(frames(client, lambda: [SubscribeLogsMsg()]), 1) == [1]


async def test_a_server_that_ends_every_connection_is_given_up() -> None:
    async with listening(timeouts=HASTY) as client:
        with pytest.raises(Unreachable, match="given up after 1 s") as raised:
            await heard(frames(client, lambda: [SubscribeLogsMsg()]), 1)
    assert isinstance(raised.value.__cause__, CutOff)


async def test_a_server_that_is_not_there_is_given_up() -> None:
    address = Address(host="127.0.0.1", port=free_port())
    async with Client(address, ME, timeouts=HASTY) as client:
        with pytest.raises(Unreachable, match="connection refused; given up after 1 s"):
            await heard(frames(client, lambda: [SubscribeLogsMsg()]), 1)


async def test_a_server_without_websockets_is_named() -> None:
    class Plain(Listener):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await reader.read()
            writer.close()

    async with Plain().listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(CliError, match="/pubsub answers with HTTP 404") as raised:
            await heard(frames(client, lambda: [SubscribeLogsMsg()]), 1)
    assert not isinstance(raised.value, Unreachable)


# ------------------------------------------------------------ events


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(text: bytes, size: int) -> bytes:
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def event(position: str, kind: str = "Happened") -> bytes:
    return b"id: %b\nevent: %b\ndata: {}\n\n" % (position.encode(), kind.encode())


async def told(client: Client, count: int) -> list[Happening]:
    found: list[Happening] = []
    async with aclosing(happenings(client, SubscribeEventsMsg())) as following:
        async for happening in following:
            found.append(happening)
            if len(found) == count:
                return found
    return found


class Ending(Listener):
    """One that ends each connection behind its answer."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.bodies.append(await reader.readexactly(int(head.lower().split(b"content-length:")[1])))
        writer.write(self.answers.pop(0) or b"")
        await writer.drain()
        writer.close()


@pytest.mark.parametrize("size", [1, 7, 1_000])
async def test_a_feed_is_taken_up_where_it_was_cut_off(size: int) -> None:
    beginning = b": following\n\n: from here\nid: 1-0\n\n"
    listener = Ending(
        chunks(beginning, size),
        chunks(b": following\n\n" + event("2-0") + event("3-0") + b"id: 4-0\neve", size),
        chunks(event("4-0") + b'event: end\ndata: {"reason": "the server stops"}\n\n', size),
        chunks(event("5-0"), size),
    )
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        found = await told(client, 5)
    assert found == [Happening("1-0", "", b"")] + [
        Happening(f"{number}-0", "Happened", b"{}") for number in (2, 3, 4, 5)
    ]
    after = [listener.message(number)["after"] for number in range(4)]
    assert after == ["", "1-0", "3-0", "4-0"]


async def test_a_feed_that_is_refused_says_why() -> None:
    listener = Listener(refusal(403, "Access denied, not a member"))
    async with listener.listening() as address, Client(address, ME, timeouts=PATIENT) as client:
        with pytest.raises(RpcError, match="not a member") as raised:
            await told(client, 1)
    assert raised.value.status == 403


async def test_a_feed_of_a_server_that_says_nothing_of_the_kind_is_no_feed() -> None:
    listener = Ending(*[b"HTTP/1.1 404 X\r\nContent-Length: 3\r\n\r\nno!"] * 99)
    async with listener.listening() as address, Client(address, ME, timeouts=HASTY) as client:
        with pytest.raises(Unreachable, match=r"is not a colonies server \(HTTP 404\)"):
            await told(client, 1)
