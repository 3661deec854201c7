"""uvicorn's websocket protocol, with frames that leave at once and a bound on those that wait.

uvicorn sends frames from a coroutine that waits until the client has read enough. A thousand
subscribers would be a thousand tasks for one event, and a client that never reads would keep its
for ever. Here a frame is written when it is said; while the client does not read, frames wait in a
bounded backlog, and then the socket is closed.
"""

import asyncio
from collections import deque
from typing import Any, ClassVar, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from broker.settings import Limits

SOCKET = "colonies.socket"
"""The extension of an ASGI scope that holds the connection itself."""
_LARGEST_BACKLOG = 16 * 1024 * 1024
_FAREWELL_S = 5.0
NORMAL, NOT_ALLOWED, TRY_LATER = 1000, 1008, 1013


class SubscriberSocket(WebSocketsSansIOProtocol):
    """One websocket. ``limits`` is set on a subclass per server."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as uvicorn's own
        super().__init__(*args, **kwargs)
        self._backlog: deque[tuple[bytes, bool]] = deque()
        self._backlog_bytes = 0
        self._farewell: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        """Let the application reach the connection."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            scope = cast("dict[str, dict[str, object]]", self.scope)
            scope["extensions"][SOCKET] = self

    @property
    def is_open(self) -> bool:
        """Whether anything said now could arrive."""
        return not (self.close_sent or self.disconnected or self.transport.is_closing())

    def say(self, text: bytes, *, binary: bool) -> None:
        """Send a frame, or keep it while the client does not read; too many end the socket."""
        if not self.is_open:
            return
        if self.writable.is_set() and not self._backlog:
            self._put(text, binary=binary)
            return
        waiting = len(self._backlog)
        if waiting >= self.limits.max_subscription_backlog or (
            self._backlog_bytes > _LARGEST_BACKLOG
        ):
            self.close(TRY_LATER, f"too slow: {waiting} events were waiting to be read")
            return
        self._backlog.append((text, binary))
        self._backlog_bytes += len(text)

    def _put(self, text: bytes, *, binary: bool) -> None:
        if binary:
            self.conn.send_binary(text)
        else:
            self.conn.send_text(text)
        self.transport.write(b"".join(self.conn.data_to_send()))

    async def drained(self) -> None:
        """Once nothing waits here for the client to read, or nobody is there any more."""
        while self.is_open and (self._backlog or not self.writable.is_set()):
            await self.writable.wait()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        while self._backlog and self.writable.is_set() and self.is_open:
            text, binary = self._backlog.popleft()
            self._backlog_bytes -= len(text)
            self._put(text, binary=binary)

    def close(self, code: int, reason: str) -> None:
        """Say why, and end; a client that does not even read that is cut off."""
        if self.is_open:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.drop()

    def drop(self) -> None:
        """End without a close frame, as the reference does."""
        if self.disconnected:
            return
        self._backlog.clear()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        if self._farewell is None:
            self._farewell = self.loop.call_later(_FAREWELL_S, self.transport.abort)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._farewell is not None:
            self._farewell.cancel()
        self._backlog.clear()
        super().connection_lost(exc)


def socket_protocol(limits: Limits) -> type[SubscriberSocket]:
    """The websocket protocol class of one server."""
    return type("SocketProtocol", (SubscriberSocket,), {"limits": limits})
