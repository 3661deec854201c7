"""Websockets and event feeds of a really started server, as a client meets them."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from broker.identity import Identity
from tests.acceptance.asking import Answer, opened, sealed
from tests.acceptance.processes import Server
from tests.patience import PATIENCE_S

SILENCE_S = 0.3


@dataclass(frozen=True)
class Ended:
    """How a socket ended; 1006 is without a close frame."""

    code: int
    reason: str


class Socket:
    """One connection to /pubsub."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def ask(self, who: Identity, kind: str, *, binary: bool = False, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Subscribe."""
        body = sealed(who, kind, **fields)
        await self.connection.send(body if binary else body.decode())

    async def frame(self) -> tuple[Answer, bool]:
        """The next frame, and whether it is binary."""
        async with asyncio.timeout(PATIENCE_S):
            said = await self.connection.recv()
        text = said if isinstance(said, bytes) else said.encode()
        status = json.loads(text)
        failed = status["error"]
        inner = json.loads(base64.b64decode(status["payload"]))
        return opened(inner["status"] if failed else 200, text), isinstance(said, bytes)

    async def next(self) -> Answer:
        """The next frame."""
        return (await self.frame())[0]

    async def process(self) -> dict[str, Any]:
        """The process that the next frame is about."""
        answer = await self.next()
        assert answer.kind == "subscribeprocessmsg", answer
        payload: dict[str, Any] = answer.ok
        return payload

    async def silent(self) -> bool:
        """Whether nothing comes for a while, and the socket stays open."""
        try:
            async with asyncio.timeout(SILENCE_S):
                await self.connection.recv()
        except TimeoutError:
            return True
        return False

    async def ended(self) -> Ended:
        """How the socket ends, once everything said before was read."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as closed:
                received = closed.rcvd
                return Ended(received.code, received.reason) if received else Ended(1006, "")


@asynccontextmanager
async def socket_to(server: Server, **options: Any) -> AsyncGenerator[Socket]:  # noqa: ANN401 - websockets' own
    """A websocket."""
    url = f"{server.url.replace('http', 'ws', 1)}/pubsub"
    async with connect(url, proxy=None, ping_interval=None, **options) as connection:
        yield Socket(connection)


@dataclass(frozen=True)
class Event:
    """One event of a feed."""

    id: str
    type: str
    data: dict[str, Any]


class Events:
    """One feed that is being read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def block(self) -> dict[str, str]:
        """The next block of lines, by field; a comment has the field ""."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
        raise EOFError

    async def next(self) -> Event:
        """The next event."""
        while "" in (block := await self.block()):
            pass
        return Event(block.get("id", ""), block["event"], json.loads(block["data"]))


@asynccontextmanager
async def events_of(
    server: Server,
    who: Identity,
    colony: str,
    *,
    last: str = "",
    post: bool = False,
    **fields: Any,  # noqa: ANN401 - JSON
) -> AsyncGenerator[Events]:
    """A feed; it must be granted."""
    async with asked_for_events(server, who, colony, last=last, post=post, **fields) as response:
        assert response.status_code == 200, await response.aread()
        feed = Events(response)
        assert await feed.block() == {"": "following"}
        yield feed


@asynccontextmanager
async def asked_for_events(
    server: Server,
    who: Identity,
    colony: str,
    *,
    last: str = "",
    post: bool = False,
    **fields: Any,  # noqa: ANN401 - JSON
) -> AsyncGenerator[httpx.Response]:
    """What is answered to somebody who asks for a feed."""
    body = sealed(who, "subscribeeventsmsg", colonyname=colony, **fields)
    headers = {"Last-Event-ID": last} if last else {}
    params = {} if post else {"rpc": base64.urlsafe_b64encode(body).decode().rstrip("=")}
    async with (
        httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as client,
        client.stream(
            "POST" if post else "GET",
            "/events",
            params=params,
            headers=headers,
            content=body if post else None,
        ) as response,
    ):
        yield response
