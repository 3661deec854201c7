"""uvicorn's HTTP protocol with the limits it lacks: slow headers, slow bodies, too many clients."""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from broker.settings import Limits

_BUSY = b"the server has as many connections as it allows; try again later"


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection that does not finish sending a request in time.

    The clock runs from the connection's start, and again from the first byte of each request, until
    the whole request has arrived; while it is answered, and while the connection idles (uvicorn's
    own timeout), it stands.
    """

    limits: ClassVar[Limits] = Limits()
    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's own
        """Start the clock, or refuse one client too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._refuse(transport)
            return
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """The first byte of a request starts the clock, unless one is being answered."""
        if self._overdue is None and (self.cycle is None or self.cycle.response_complete):  # pyright: ignore[reportUnnecessaryComparison] - None until the first request
            self._start_clock()
        super().data_received(data)

    def on_message_complete(self) -> None:
        """The request has arrived."""
        self._stop_clock()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._stop_clock()
        super().connection_lost(exc)

    def _start_clock(self) -> None:
        seconds = self.limits.header_timeout_ms / 1000
        self._overdue = self.loop.call_later(seconds, self._too_slow)

    def _stop_clock(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _too_slow(self) -> None:
        self._overdue = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, transport: asyncio.Transport) -> None:
        head = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n"
        length = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n"
        transport.write(head + length % len(_BUSY) + _BUSY)
        transport.close()
