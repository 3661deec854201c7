"""uvicorn's HTTP protocol with a short way for POST /api, and with the limits it lacks.

A request to /api is parsed by the same httptools parser on the same connection as any other, but
its body goes to the endpoint and its reply to the transport directly, without an ASGI scope,
messages and a task each way: those cost more than all of the broker's own work on it. Whatever is
not that plain case (another path, an Origin, Expect, HTTP/1.0, a protocol upgrade) takes uvicorn's
ordinary way to the Starlette application, where /api is answered by the same endpoint.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from math import inf
from typing import ClassVar, Protocol, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.answer import Answer, Header
from api.cors import ALLOWED, origin_in
from api.heads import Heads
from api.peers import has_unread, notice_dead_peers
from broker.settings import Limits

ABORT = "colonies.abort"
"""The extension of an ASGI scope that ends a connection whose client takes nothing any more."""
_PROGRESS_BYTES = 64 * 1024
_MOST_QUEUED_BYTES = 1024 * 1024
_TOO_SLOW = b"the request did not arrive in time"
_LARGE_HEAD = b"the request line, headers or trailers are larger than the limit"
_LEAST_FIELD = len(b": \r\n")
_LARGEST_READ = 256 * 1024
_LARGEST_FRAMING = 8
"""Bytes a chunked body may take for each of its own: a chunk of one byte takes six."""
_BUSY = b"the server has as many connections as it allows; try again later"
_PLAIN = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")
_STATUS = {s.value: b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}
_ORDINARY = {b"origin", b"expect", b"upgrade"}


class Endpoint(Protocol):
    """What answers POST /api."""

    async def answer(self, body: bytes, line: "Line") -> Answer:
        """The reply to one request body; never raises."""
        ...

    def too_large(self) -> Answer:
        """The reply to a body beyond the limit."""
        ...


class Line:
    """One request on the short way, and the client at its other end."""

    __slots__ = ("asked", "gone", "keep_alive", "listeners", "parts", "size", "undelivered")

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.parts: list[bytes] = []
        self.size = 0
        self.asked = ""
        self.gone = False
        self.listeners: list[Callable[[], None]] = []
        self.undelivered: Callable[[], None] | None = None

    def watch(self, listener: Callable[[], None] | None = None) -> None:
        """Tell ``listener`` when the client goes away; ``gone`` says it in any case."""
        if listener is not None:
            if self.gone:
                listener()
            self.listeners.append(listener)

    def lost(self) -> None:
        """The client went away."""
        self.gone = True
        for listener in self.listeners:
            listener()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. ``endpoint``, ``limits`` and ``every`` are set on a subclass per server."""

    endpoint: ClassVar[Endpoint | None] = None
    """None on a server that does not have the role."""
    limits: ClassVar[Limits] = Limits()
    every: ClassVar[set["BoundedProtocol"]] = set()
    heads: ClassVar[Heads] = Heads()
    """Of calls that took the short way."""

    parser: httptools.HttpRequestParser
    _line: Line | None = None
    """The request on the short way that is arriving."""
    _answering: Line | None = None
    _written: Line | None = None
    """The request whose reply was written last, while nobody knows whether it arrived."""
    _idle: asyncio.Future[Line] | None = None
    """What the task of this connection waits for while nothing is asked."""
    _due: float = inf
    """When, by the loop's clock, the client has taken too long."""
    _passed: float = inf
    """The time above that had passed at the last look."""
    _closing = False
    _head_bytes: int | None = None
    """Bytes received of a request whose headers are not complete, None when they are."""
    _raw_bytes = 0
    """Bytes received since the request began, and of what came in one read before it."""
    _is_between = True
    """No request is arriving."""
    _arrived: Line | None = None
    """The last call that arrived in this read, if the connection stays open behind it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's own
        """Start the clock, or refuse one client too many."""
        super().connection_made(transport)
        self._queue: deque[Line] = deque()
        self.every.add(self)
        notice_dead_peers(transport)
        if len(self.connections) > self.limits.max_connections:
            self._write(503, _BUSY, (_PLAIN, (b"retry-after", b"1"), _CLOSE))
            transport.close()
            return
        self._expect_request()

    def eof_received(self) -> None:
        """The client has closed its side: has it taken the last reply?"""
        self._look_whether_delivered()
        for line in (*self._queue, self._answering):
            if line is not None:
                line.lost()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever is at work for this client."""
        self.every.discard(self)
        if exc is not None:
            self._tell_undelivered()
        self._due = inf
        for line in (*self._queue, self._answering):
            if line is not None:
                line.lost()
        self._queue.clear()
        self._stop_serving()
        super().connection_lost(exc)

    def _look_whether_delivered(self) -> None:
        """Before the connection is closed: afterwards nobody can tell."""
        if self._written is not None and has_unread(self.transport):
            self._tell_undelivered()

    def _tell_undelivered(self) -> None:
        """The last reply did not reach the client, and no further byte came from it."""
        line, self._written = self._written, None
        if line is not None and line.undelivered is not None:
            line.undelivered()

    # ------------------------------------------------------------ parsing

    def data_received(self, data: bytes) -> None:
        """Parse, unless it is a call with a known head; do not gather headers without end."""
        self._written = None
        was_between, self._arrived = self._is_between, None
        if was_between and self._is_as_before(data):
            return
        super().data_received(data)
        if was_between and self._arrived is not None:
            self.heads.remember(data, self._arrived.size)
        self._raw_bytes += len(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        if self._is_padded() and not self.transport.is_closing():
            self._give_up(431, _LARGE_HEAD)

    def _is_as_before(self, data: bytes) -> bool:
        """Take a call whose head is known, and that came in one read with its body."""
        body = self.heads.body_in(data)
        at_work = self._answering is not None or self._is_ordinary_at_work()
        if body is None or at_work or self._closing:
            return False
        line = Line(keep_alive=True)
        line.parts.append(body)
        self._due = inf
        self._start(line)
        return True

    def _is_padded(self) -> bool:
        """Whether headers, chunk extensions or trailers go on and on."""
        if self._head_bytes is not None:
            return self._head_bytes > self.limits.max_header_bytes
        if self._line is None:
            return False
        framing = self._raw_bytes - _LARGEST_FRAMING * self._line.size
        return framing > self.limits.max_header_bytes + _LARGEST_READ

    def on_message_begin(self) -> None:
        """A request begins to arrive; which way it takes is decided when its headers are there."""
        self._is_between = False
        self._head_bytes = 0
        self._raw_bytes = 0
        self.url = b""
        self.headers = []
        self._expect_request()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what trails a body is of no use."""
        if self._head_bytes is not None:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Choose the way."""
        self._head_bytes = None
        self._line = None
        headers = dict(self.headers)
        if self._is_head_too_large():
            self._refuse_head()
        elif not self._is_call():
            self._go_ordinary_way()
        elif _announced(headers) > self.limits.max_body_bytes:
            self._refuse_body()
        elif self._is_plain(headers):
            self._line = Line(keep_alive=self.parser.should_keep_alive())
        else:
            self._go_ordinary_way()

    def _is_head_too_large(self) -> bool:
        """Whether it is larger than the limit, though it came in one read."""
        fields = sum(len(name) + len(value) + _LEAST_FIELD for name, value in self.headers)
        return len(self.url) + fields > self.limits.max_header_bytes

    def _is_call(self) -> bool:
        is_post = self.url == b"/api" and self.parser.get_method() == b"POST"
        return is_post and self.endpoint is not None

    def _is_plain(self, headers: dict[bytes, bytes]) -> bool:
        return (
            self.parser.get_http_version() == "1.1"
            and not self._is_ordinary_at_work()
            and _ORDINARY.isdisjoint(headers)
        )

    def _is_ordinary_at_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison] - None until the first request

    def _go_ordinary_way(self) -> None:
        if self._answering is not None:
            self._closing = True  # behind a pipelined call; the client repeats it elsewhere
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self.scope["extensions"] = {ABORT: cast("dict[object, object]", self.transport.abort)}

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to a websocket, which counts among the connections."""
        self.every.discard(self)
        self._stop_serving()
        super().handle_websocket_upgrade()
        # They refer to each other, and the collector would come by late.
        del self.parser

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body, within the limit."""
        line = self._line
        if line is None:
            if not self._closing:
                super().on_body(body)
            return
        if line.size // _PROGRESS_BYTES < (line.size + len(body)) // _PROGRESS_BYTES:
            self._expect_request()
        line.size += len(body)
        if line.size > self.limits.max_body_bytes:
            self._refuse_body()
        else:
            line.parts.append(body)

    def on_message_complete(self) -> None:
        """The whole request has arrived: answer it, or queue it behind the one at work."""
        self._is_between = True
        self._due = inf
        line, self._line = self._line, None
        if self._closing:
            if self._answering is None and not self._is_ordinary_at_work():
                self.transport.close()
            return
        if line is None:
            super().on_message_complete()
            return
        if line.keep_alive:
            self._arrived = line
        if self._answering is None:
            self._start(line)
        else:
            self._queue.append(line)
            if sum(queued.size for queued in self._queue) > _MOST_QUEUED_BYTES:
                self.flow.pause_reading()

    # ------------------------------------------------------------ answering

    def _start(self, line: Line) -> None:
        """Have a call answered, by one task for all of a connection: each new one is dear."""
        self._answering = line
        idle, self._idle = self._idle, None
        if idle is None:
            self.tasks.add(self.loop.create_task(self._serve(line)))
        else:
            idle.set_result(line)

    def _stop_serving(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    async def _serve(self, line: Line) -> None:
        this = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            while await self._answer(line):
                if self._queue:
                    line = self._answering = self._queue.popleft()
                    continue
                self.flow.resume_reading()
                self._due = self.loop.time() + self.limits.idle_timeout_ms / 1000
                self._idle = self.loop.create_future()
                self.tasks.discard(this)
                line = await self._idle
                self.tasks.add(this)
        finally:
            # By itself: a callback of the task takes another turn of the loop.
            self.tasks.discard(this)

    async def _answer(self, line: Line) -> bool:
        """Answer one call; whether the connection stays open."""
        endpoint = self.endpoint
        assert endpoint is not None  # noqa: S101 - a call is only taken with one
        body = line.parts[0] if len(line.parts) == 1 else b"".join(line.parts)
        reply = await endpoint.answer(body, line)
        if line.gone or self.transport.is_closing():
            if line.undelivered is not None:
                line.undelivered()
            return False
        close = self._closing or not line.keep_alive
        headers = (*reply.headers, _CLOSE) if close else reply.headers
        self._write(reply.status, reply.body, headers)
        if line.undelivered is not None:
            self._written = line
        if self.flow.write_paused:
            self._due = self.loop.time() + self.limits.idle_timeout_ms / 1000
            await self.flow.drain()
        self._answering = None
        self.server_state.total_requests += 1
        if close:
            self.transport.close()
        return not self.transport.is_closing()

    def _refuse_body(self) -> None:
        if self.endpoint is not None:
            reply = self.endpoint.too_large()
            self._refuse(reply.status, reply.body, reply.headers)

    def _refuse_head(self) -> None:
        self._refuse(431, _LARGE_HEAD, (_PLAIN,))
        self.headers = []  # with them it could still become a websocket

    def _refuse(self, status: int, body: bytes, headers: tuple[Header, ...]) -> None:
        """Answer at once, and close when the rest has arrived or the client has had its time.

        Closing at once would reset the connection under the reply the client has not read yet.
        Where a reply to an earlier request is owed, that is the last one.
        """
        self._line = None
        if self._is_last_after_others():
            allowed = (ALLOWED,) if origin_in(self.headers) else ()
            self._write(status, body, (*headers, *allowed, _CLOSE))

    def _give_up(self, status: int, why: bytes) -> None:
        """Say why, unless a reply to an earlier request is still owed, and close after that."""
        if self._is_last_after_others():
            self._write(status, why, (_PLAIN, _CLOSE))
            self.transport.close()

    def _is_last_after_others(self) -> bool:
        """Take no more requests; whether every reply before the next one was given."""
        self._closing = True
        if self._is_ordinary_at_work():
            self.cycle.keep_alive = False  # uvicorn closes behind its reply
            return False
        return self._answering is None

    def _write(self, status: int, body: bytes, headers: tuple[Header, ...]) -> None:
        self.transport.write(
            b"%bcontent-length: %d\r\n\r\n%b" % (_head(status, headers), len(body), body)
        )

    def on_response_complete(self) -> None:
        """Uvicorn has answered on the ordinary way."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._due = self.loop.time() + self.limits.idle_timeout_ms / 1000

    def shutdown(self) -> None:
        """Close when nothing is being answered, or else after that."""
        self._look_whether_delivered()
        if self._answering is not None:
            self._closing = True
        else:
            super().shutdown()

    # ------------------------------------------------------------ clock

    def _expect_request(self) -> None:
        self._due = self.loop.time() + self.limits.header_timeout_ms / 1000

    @classmethod
    def close_overdue(cls, now: float) -> None:
        """Close the connections of clients that take too long; to be called every now and then."""
        for connection in list(cls.every):
            connection.close_if_overdue(now)

    def close_if_overdue(self, now: float) -> None:
        """Close this connection if its client takes too long, also by another look.

        After a pause of this process the first look comes before what arrived meanwhile is read.
        """
        if self._due >= now or self.transport.is_closing():
            return
        if self._passed == self._due:
            self._look_whether_delivered()
            if self._line is not None or self._head_bytes is not None:
                self._give_up(408, _TOO_SLOW)
            else:
                self.transport.close()
        self._passed = self._due


def _announced(headers: dict[bytes, bytes]) -> int:
    """The length a request says its body has, 0 if it does not; the parser lets it say so once."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


@lru_cache(maxsize=64)
def _head(status: int, headers: tuple[Header, ...]) -> bytes:
    """The head of a reply but for its length; there are few different ones."""
    return _STATUS[status] + b"".join([b"%b: %b\r\n" % header for header in headers])


def bounded(endpoint: Endpoint | None, limits: Limits) -> type[BoundedProtocol]:
    """The protocol class of one server."""
    members = {
        "endpoint": endpoint,
        "limits": limits,
        "every": set[BoundedProtocol](),
        "heads": Heads(),
    }
    return type("ServerProtocol", (BoundedProtocol,), members)
