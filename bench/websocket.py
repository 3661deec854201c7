"""A cheap websocket client: subscribes once, and reads frames."""

import asyncio
import base64
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar, cast

from bench.connection import Endpoint
from bench.errors import ConnectionGone, WrongAnswer

_HEAD = 2
_LONGER, _LONGEST = 126, 127


class WebSocket(asyncio.Protocol, ABC):
    """One websocket."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self.upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @abstractmethod
    def heard(self, text: bytes) -> None:
        """Take a frame."""

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
            frame, self._unread = self._unread[:size], self._unread[size:]
            self.heard(frame[_head_size(frame) :])

    def _upgraded(self, head: bytes) -> None:
        if b" 101 " in head:
            self.upgraded.set_result(None)
        else:
            self.upgraded.set_exception(WrongAnswer(f"no upgrade: {head[:80]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody may wait for what cannot come; called by the loop."""
        del exc
        self._transport = None
        if not self.upgraded.done():
            self.upgraded.set_exception(ConnectionGone("a websocket was lost"))

    def close(self) -> None:
        """Go away."""
        if self._transport is not None:
            self._transport.abort()


_W = TypeVar("_W", bound=WebSocket)


async def open_socket(endpoint: Endpoint, make: Callable[[], _W]) -> _W:
    """A websocket that asked to be one; ``upgraded`` says when it is."""
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(make, endpoint.host, endpoint.port)
    key = base64.b64encode(os.urandom(16)).decode()
    socket.send(
        (
            f"GET /pubsub HTTP/1.1\r\nHost: {endpoint.host}:{endpoint.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()
    )
    return socket


def frame_of(request: bytes) -> bytes:
    """The message of an HTTP request as a text frame."""
    return masked(request.split(b"\r\n\r\n", 1)[1])


def masked(text: bytes) -> bytes:
    """A text frame of a client; a mask of zeros leaves the text as it is."""
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text


def _head_size(data: bytes) -> int:
    return _HEAD + {_LONGER: 2, _LONGEST: 8}.get(data[1] & 0x7F, 0)


def _frame_size(data: bytes) -> int:
    """How long the frame at the beginning is with its head, 0 while that is not known."""
    if len(data) < _HEAD or len(data) < _head_size(data):
        return 0
    head = _head_size(data)
    length = data[1] & 0x7F
    return head + (length if head == _HEAD else int.from_bytes(data[_HEAD:head], "big"))
