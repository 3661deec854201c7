"""POST /api: verify the signature, find the handler, answer in an envelope.

The order of checks is the protocol's (core.md, section 2.1). Plain ASGI rather than a Starlette
endpoint, because a request costs tens of microseconds and a framework's request object would
double them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from api import wire
from api.answer import Answer, Header
from api.context import Call, Context, Line
from api.errors import told
from broker import keys
from broker.clock import MS_NS
from broker.errors import Malformed, Overloaded, Replayed, Unavailable, UnknownMessage
from broker.identity import digest, signer
from broker.keys import SERVER
from broker.store import Signed

_EMPTY_TYPE = (
    "empty (this usually means the client is misconfigured - check that COLONIES_PRVKEY and other"
    " environment variables are set correctly)"
)
_JSON: tuple[Header, ...] = ((b"content-type", b"application/json"),)
_RETRY: tuple[Header, ...] = (*_JSON, (b"retry-after", b"1"))
_TOO_LARGE = 413
_GRACE_MS = 1_000
_MOST_REMEMBERED = 256 * 1024
_MOST_NONCE = 128

M = TypeVar("M", bound=wire.Message)
Watcher = Callable[[str, int, float], None]
"""Is told of each reply: the type of the message ("" for none of ours), its status, seconds."""
Handler = Callable[[Context, Call, M], Awaitable[Any]]


class Asked(Line, Protocol):
    """A request on its line."""

    asked: str
    """The type of the message, once it is known to be one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How one payload type is read and who answers it."""

    kind: type[wire.Message]
    handler: Handler[Any]
    unreadable: str
    mismatch: str
    reads: bool
    reply_type: str | None = None


class Rpc:
    """The endpoint."""

    def __init__(
        self, context: Context, routes: Mapping[str, Route], unsigned: Mapping[str, Route]
    ) -> None:
        """``unsigned`` are the routes that anybody may ask without a signature."""
        self._context = context
        self._routes = routes
        self._unsigned = unsigned
        self._limit = context.settings.limits.max_body_bytes
        self._keeps = context.settings.keep_requests
        self.watchers: list[Watcher] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as an ASGI application."""
        del scope
        body = await _read_body(receive, self._limit)
        if body is None:
            return
        line = AsgiLine(receive)
        try:
            reply = await self.answer(body, line) if len(body) <= self._limit else self.too_large()
        finally:
            line.close()
        if line.gone:
            if line.undelivered is not None:
                line.undelivered()
            return
        length = (b"content-length", b"%d" % len(reply.body))
        headers = [*reply.headers, length]
        if reply.status == _TOO_LARGE:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def answer(self, body: bytes, line: Asked) -> Answer:
        """Answer one request body."""
        began = time.monotonic()
        try:
            reply = Answer(200, await self._reply(body, line), _JSON)
        except Exception as error:  # noqa: BLE001 - a client gets an answer to a bug, too
            status, text = told(error)
            headers = _RETRY if isinstance(error, Unavailable | Overloaded) else _JSON
            reply = Answer(status, failure(status, text), headers)
        seconds = time.monotonic() - began
        for watcher in self.watchers:
            watcher(line.asked, reply.status, seconds)
        return reply

    def too_large(self) -> Answer:
        """The reply to a body beyond the limit."""
        text = f"the request is larger than the limit of {self._limit} bytes"
        return Answer(_TOO_LARGE, failure(_TOO_LARGE, text), _JSON)

    async def _reply(self, body: bytes, line: Asked) -> bytes:
        request = wire.decode(body, wire.Request)
        name, payload = request.payloadtype, request.payload.encode()
        route = self._unsigned.get(name)
        if route is not None:
            line.asked = name
            return _envelope(name, await self._unsigned_reply(route, request, line))
        signed = digest(payload)
        caller = signer(signed, request.signature)
        route = self._routes.get(name)
        if route is None:
            raise UnknownMessage(f"invalid rpcMsg.PayloadType: {name or _EMPTY_TYPE}")
        line.asked = name
        text = wire.unwrap(request.payload)
        message = _message(route, text, name)
        by = Signed(
            caller=caller,
            proof=signed + bytes.fromhex(request.signature),
            request=payload if self._keeps else b"",
        )
        if message.nonce:
            by = marked(self._context, by, message)
        call = Call(caller=caller, signed=by, payload=text, line=line)
        if route.reads and message.nonce:
            reply = await self._read_once(route, call, message)
        else:
            reply = _encoded(await route.handler(self._context, call, message))
        return _envelope(route.reply_type or name, reply)

    async def _unsigned_reply(self, route: Route, request: wire.Request, line: Asked) -> bytes:
        text = wire.unwrap(request.payload)
        message = _message(route, text, request.payloadtype) if route.unreadable else wire.Message()
        call = Call(
            caller="",
            signed=Signed(caller=""),
            payload=text,
            line=line,
        )
        return _encoded(await route.handler(self._context, call, message))

    async def _read_once(self, route: Route, call: Call, message: wire.Message) -> bytes:
        """Answer a read with a nonce; a second time as the first time.

        Messages that write keep their nonce with the write itself, in the same atomic step.
        """
        store, signed = self._context.store, call.signed
        key = SERVER.key(keys.nonce(signed.caller, signed.nonce))
        known: bytes | None = await store.send("GET", key)
        if known is not None:
            if not known.startswith(signed.digest):
                raise Replayed("the nonce was used by another request")
            if len(known) == len(signed.digest):
                raise Replayed("this request was answered before, with more than is remembered")
            return known[len(signed.digest) :]
        reply = _encoded(await route.handler(self._context, call, message))
        kept = reply if len(reply) <= _MOST_REMEMBERED else b""
        await store.send("SET", key, signed.digest + kept, "NX", "PX", signed.nonce_ms)
        return reply


class AsgiLine:
    """The other end of a request: is the client still there?"""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self.asked = ""
        self.gone = False
        self.undelivered: Callable[[], None] | None = None

    def watch(self, listener: Callable[[], None] | None = None) -> None:
        """Notice from now on when the client goes away, and tell ``listener``."""
        if listener is not None:
            if self.gone:
                listener()
            self._listeners.append(listener)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()


def marked(context: Context, by: Signed, message: wire.Message) -> Signed:
    """Who asked, with the nonce and how long it has to be remembered.

    Raises:
        Replayed, Malformed: issued outside the window; a nonce without a time, or too long.
    """
    if not message.issuedat:
        raise Malformed("a nonce needs issuedat, the Unix time in ns at which it was made")
    if len(message.nonce) > _MOST_NONCE:
        raise Malformed(f"the nonce is longer than {_MOST_NONCE} characters")
    window_ms = context.settings.replay_window_ms
    age_ms = (context.store.clock.now_ns() - message.issuedat) // MS_NS
    if abs(age_ms) > window_ms:
        raise Replayed(
            f"issuedat is {abs(age_ms) / 1000:.1f} s {'old' if age_ms > 0 else 'ahead'};"
            f" requests with a nonce are accepted within {window_ms / 1000:g} s."
            " Is the clock right?"
        )
    lifetime_ms = window_ms - age_ms + _GRACE_MS
    return replace(by, nonce=message.nonce, nonce_ms=lifetime_ms)


def _message(route: Route, text: bytes, name: str) -> wire.Message:
    try:
        message = wire.decode(text, route.kind)
    except Malformed as error:
        raise Malformed(f"{route.unreadable}, invalid JSON") from error
    if message.msgtype != name:
        raise Malformed(route.mismatch)
    return message


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, as far as the limit and a bit; None when the client went away before its end."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        size += len(part)
        parts.append(part)
        if size > limit or not message.get("more_body", False):
            return b"".join(parts)


def _encoded(value: Any) -> bytes:  # noqa: ANN401 - any reply structure, or ready JSON
    return value if isinstance(value, bytes) else wire.encode(value)


def _envelope(name: str, reply: bytes) -> bytes:
    return wire.encode(wire.Success(payloadtype=name, payload=reply))


def failure(status: int, text: str) -> bytes:
    """An envelope that says why something was refused."""
    payload = wire.payload_text(wire.Failure(status=status, message=text))
    return wire.encode(wire.Reply(payloadtype="error", payload=payload, error=True))
