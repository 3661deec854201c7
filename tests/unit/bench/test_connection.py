"""The client against a real server, and against bytes that arrive as they please."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from bench.connection import Endpoint, connect, connections
from bench.errors import ConnectionGone
from bench.servers import Target

_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_CHUNKED = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@asynccontextmanager
async def _answering(parts: list[bytes], *, hang_up: bool = False) -> AsyncGenerator[Endpoint]:
    """A server that answers every request with these parts, each in a write of its own."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            for part in parts:
                writer.write(part)
                await writer.drain()
            if hang_up:
                break
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        await ended.wait()


async def test_one_connection_carries_many_requests(floor: Target) -> None:
    async with connections(floor.endpoint, 1) as (connection,):
        replies = [
            await connection.request(floor.endpoint.post(b'{"payloadtype":"%b"}' % kind))
            for kind in (b"submitfuncspecmsg", b"assignprocessmsg", b"closesuccessfulmsg")
        ]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert all(reply.body.endswith(b"}") for reply in replies)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([_REPLY], (200, b"hello")),
        ([_REPLY[n : n + 1] for n in range(len(_REPLY))], (200, b"hello")),
        ([_CHUNKED], (404, b"abcde")),
        ([_CHUNKED[:50], _CHUNKED[50:]], (404, b"abcde")),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], (200, b"")),
    ],
)
async def test_a_reply_is_whole_however_it_arrives(
    parts: list[bytes], expected: tuple[int, bytes]
) -> None:
    async with _answering(parts) as endpoint, connections(endpoint, 1) as (connection,):
        assert [await connection.request(b"x") for _ in range(3)] == [expected] * 3


async def test_a_request_fails_when_the_server_hangs_up() -> None:
    parts = [_REPLY[:-1]]
    async with (
        _answering(parts, hang_up=True) as endpoint,
        connections(endpoint, 1) as (connection,),
    ):
        with pytest.raises(ConnectionGone, match="closed by the server"):
            await connection.request(b"x")


async def test_a_request_fails_when_the_answer_is_not_http() -> None:
    async with _answering([b"+PONG\r\n"]) as endpoint, connections(endpoint, 1) as (connection,):
        with pytest.raises(ConnectionGone, match="not HTTP"):
            await connection.request(b"x")


async def test_a_closed_connection_refuses_requests(floor: Target) -> None:
    connection = await connect(floor.endpoint)
    waiting = connection.request(floor.endpoint.get("/health"))
    connection.close()
    with pytest.raises(ConnectionGone):
        await waiting
    await connection.wait_closed()
    with pytest.raises(ConnectionGone, match="is closed"):
        connection.request(b"x")


async def test_two_requests_at_a_time_are_refused(floor: Target) -> None:
    async with connections(floor.endpoint, 1) as (connection,):
        first = connection.request(floor.endpoint.get("/health"))
        with pytest.raises(RuntimeError, match="one request at a time"):
            connection.request(floor.endpoint.get("/health"))
        assert (await first).status == 200
