"""A cheap HTTP/1.1 client: one keep-alive connection, one request in flight.

The generator shares its cores with the server it measures, so every microsecond spent here is
missing there. Requests come as finished bytes; replies are parsed by httptools' C parser.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple, cast

import httptools

from bench.errors import ConnectionGone


class Reply(NamedTuple):
    """Status and body of one HTTP reply."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens; builds the bytes of requests to it."""

    host: str
    port: int

    def post(self, body: bytes) -> bytes:
        """The bytes of ``POST /api`` with this body."""
        return (
            f"POST /api HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def get(self, path: str) -> bytes:
        """The bytes of a GET."""
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode()


class Connection(asyncio.Protocol):
    """One connection. A second request before the reply to the first is a mistake of the caller."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; called by the loop."""
        # uvloop's transport has the interface of asyncio.Transport but is no subclass of it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, which calls ``on_body`` and ``on_message_complete``."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionGone(f"not HTTP: {error}"))
            self.close()

    def on_body(self, part: bytes) -> None:
        """Collect a part of the body; called by the parser."""
        self._body.append(part)

    def on_message_complete(self) -> None:
        """Hand the reply to whoever asked; called by the parser."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Reply(self._parser.get_status_code(), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request in flight, if any; called by the loop."""
        self._transport = None
        self._lost.set()
        self._fail(ConnectionGone(f"connection lost: {exc or 'closed by the server'}"))

    def request(self, data: bytes) -> "asyncio.Future[Reply]":
        """Send one request; the future is its reply.

        Raises:
            ConnectionGone: the connection is closed, or closes before the reply.
        """
        if self._transport is None:
            raise ConnectionGone("connection is closed")
        if self._waiting is not None:
            raise RuntimeError("one request at a time on one connection")
        self._waiting = self._loop.create_future()
        self._transport.write(data)
        return self._waiting

    def close(self) -> None:
        """Close the connection; a request in flight fails."""
        if self._transport is not None:
            self._transport.close()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._lost.wait()

    def _fail(self, error: ConnectionGone) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


async def connect(endpoint: Endpoint) -> Connection:
    """Open one connection."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, endpoint.host, endpoint.port)
    return connection


@asynccontextmanager
async def connections(endpoint: Endpoint, count: int) -> AsyncGenerator[list[Connection]]:
    """Open ``count`` connections one after the other, and close them at the end."""
    opened: list[Connection] = []
    try:
        for _ in range(count):
            opened.append(await connect(endpoint))  # noqa: PERF401 - what is open must be closed
        yield opened
    finally:
        for connection in opened:
            connection.close()
        for connection in opened:
            await connection.wait_closed()
