"""A proxy in front of a real server that cuts connections and changes bytes."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.transports import break_off

_CHUNK = 64 * 1024


class Way(Enum):
    """In which direction."""

    UP = auto()
    DOWN = auto()


class Kind(Enum):
    """What happens."""

    CUT = auto()
    FLIP = auto()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens once, after so many bytes of one connection in one direction."""

    kind: Kind
    way: Way
    after: int


@dataclass(slots=True)
class Proxy:
    """Where it listens, and what is still going to happen."""

    port: int = 0
    faults: deque[Fault] = field(default_factory=deque[Fault])
    happened: list[Fault] = field(default_factory=list[Fault])
    refusing: bool = False
    """Whether new connections are ended at once."""


@asynccontextmanager
async def faulty(host: str, port: int) -> AsyncGenerator[Proxy]:
    """A proxy to a server; each fault happens in the first connection that gets so far."""
    proxy = Proxy()
    handling = set[asyncio.Task[None]]()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(task := asyncio.ensure_future(handle(reader, writer)))
        task.add_done_callback(handling.discard)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers, pumps = [writer], set[asyncio.Future[None]]()
        try:
            if proxy.refusing:
                return
            server_reader, server_writer = await asyncio.open_connection(host, port)
            writers.append(server_writer)
            up = _pump(proxy, Way.UP, reader, server_writer)
            down = _pump(proxy, Way.DOWN, server_reader, writer)
            pumps = {asyncio.ensure_future(up), asyncio.ensure_future(down)}
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await break_off(pumps, writers)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
    left = list(handling)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def _pump(
    proxy: Proxy, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    passed = 0
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            fault = _due(proxy, way, passed, passed + len(data))
            if fault is not None:
                proxy.happened.append(fault)
                at = fault.after - passed
                if fault.kind is Kind.CUT:
                    writer.write(data[:at])
                    await writer.drain()
                    return
                data = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
            passed += len(data)
            writer.write(data)
            await writer.drain()


def _due(proxy: Proxy, way: Way, start: int, end: int) -> Fault | None:
    for fault in proxy.faults:
        if fault.way is way and start <= fault.after < end:
            proxy.faults.remove(fault)
            return fault
    return None
