"""GET /events: the events of a colony as Server-Sent Events. Ours, not the reference's.

The request is the ordinary signed envelope, base64url in the query parameter ``rpc`` or as the body
of a POST. The id of an event is its position in the stream, so whoever reconnects with
``Last-Event-ID`` goes on where the last one was, on whatever server.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import wire
from api.context import Call, Context
from api.errors import told
from api.http import ABORT
from api.rpc import failure
from api.sealed import accepted, opened, read
from api.signals import NO_MEMBER, leavers
from api.telling import Filter, body_of
from api.wire_realtime import SubscribeEventsMsg
from broker import access
from broker.directory import Colony
from broker.errors import BrokerError, Denied, Malformed, Overloaded, Unavailable
from broker.feed import Entry, Feed, Follower
from broker.keys import Tag
from broker.position import START, Position

_NAME = "subscribeeventsmsg"
_FAILED = "Failed to subscribe to events"
_PAGE = 100
_LARGEST_ENVELOPE = 64 * 1024
_SIZE = 64 * 1024
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Say(Protocol):
    """A way to write to the client."""

    async def __call__(self, text: bytes, *, more: bool = True) -> None:
        """Write, when the client has read enough of what was written."""
        ...


class Events:
    """The endpoint."""

    def __init__(self, context: Context, feed: Feed) -> None:
        self._context = context
        self._feed = feed

    async def answer(self, request: Request) -> Response:
        """The feed that was asked for, or why there is none; nothing is followed yet."""
        try:
            sealed = opened(await _envelope_in(request))
            if sealed.name != _NAME:
                raise Malformed(f"invalid rpcMsg.PayloadType: {sealed.name}")
            message = read(sealed, SubscribeEventsMsg, _FAILED)
            if message.msgtype != _NAME:
                raise Malformed(f"{_FAILED}, msg.MsgType does not match payloadType")
            text = request.headers.get("last-event-id", "") or message.after
            after = Position.parse(text) if text else None
            call = await accepted(self._context, sealed, message)
            colony, gate = await self._context.gate(call, message.colonyname)
            access.reader(gate)
            if colony is not None and after is not None:
                # What was trimmed and is in no archive here is refused before anything is told.
                await self._context.store.raw_page(colony.tag, after, 1)
        except BrokerError as error:
            return _refusal(error)
        if colony is None:
            return _refusal(Denied(f"Colony with name <{message.colonyname}> does not exists"))
        return EventStream(self._context, self._feed, call, colony, message, after)


class EventStream(Response):
    """One client that follows a colony."""

    def __init__(  # noqa: PLR0917 - said once, above
        self,
        context: Context,
        feed: Feed,
        call: Call,
        colony: Colony,
        message: SubscribeEventsMsg,
        after: Position | None,
    ) -> None:
        super().__init__()
        self._context = context
        self._feed = feed
        self._call = call
        self._colony = colony
        self._filter = Filter(
            types=message.types or (),
            process=message.processid,
            workflow=message.workflowid,
            executor=message.executorid,
        )
        self._after = after
        self._heartbeat_s = context.settings.limits.heartbeat_ms / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until either side ends it."""
        patience_s = self._context.settings.limits.idle_timeout_ms / 1000

        async def say(text: bytes, *, more: bool = True) -> None:
            async with asyncio.timeout(patience_s):
                await send({"type": "http.response.body", "body": text, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        loop = asyncio.get_running_loop()
        telling = loop.create_task(self._tell(say))
        gone = loop.create_task(_until_gone(receive))
        try:
            await asyncio.wait((telling, gone), return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        except TimeoutError:  # it takes nothing, so it cannot be told
            scope["extensions"][ABORT]()
        finally:
            telling.cancel()
            gone.cancel()
            await asyncio.gather(telling, gone, return_exceptions=True)

    async def _tell(self, say: Say) -> None:
        try:
            await say(b": following\n\n")
            if self._after is not None:
                await self._filter.prepare(self._context.store, self._colony.tag)
                await self._catch_up(None, say)
            async with _following(self._feed, self._colony.tag) as follower:
                # Whose membership ended before anybody followed is found out here.
                await self._check()
                if self._after is None:
                    # Who is cut off before the first event goes on from here.
                    self._after = follower.start
                    await self._filter.prepare(self._context.store, self._colony.tag)
                    await say(b": from here\nid: %b\n\n" % str(follower.start).encode())
                await self._catch_up(follower.start, say)
                why = await self._follow(follower, say)
        except BrokerError as error:
            _, why = told(error)
        await say(b"event: end\ndata: %b\n\n" % wire.encode({"reason": why}), more=False)

    async def _catch_up(self, until: Position | None, say: Say) -> None:
        """Tell what has happened up to a position; without one, until little is left."""
        after = self._after or START
        while until is None or after < until:
            page = await self._context.store.raw_page(self._colony.tag, after, _PAGE, until=until)
            if page:
                await self._pass_on([Entry(raw) for raw in page], say)
                after = self._after or after
            if len(page) < _PAGE:
                return

    async def _follow(self, follower: Follower[Entry], say: Say) -> str:
        """Tell what happens from now on; the result is why it ended."""
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    entries = await follower.next()
            except TimeoutError:
                await say(b": still here\n\n")
                continue
            if not entries:
                return follower.ended
            await self._pass_on(entries, say)

    async def _pass_on(self, entries: Sequence[Entry], say: Say) -> None:
        parts: list[bytes] = []
        size = 0
        for entry in entries:
            if self._after is not None and entry.position <= self._after:
                continue
            self._after = entry.position
            if self._call.caller in leavers(entry):
                await self._check()
            if self._filter.wants(entry):
                parts.append(shown(entry))
                size += len(parts[-1])
                if size > _SIZE:
                    await say(b"".join(parts))
                    parts, size = [], 0
        if parts:
            await say(b"".join(parts))

    async def _check(self) -> None:
        """The caller may still read.

        Raises:
            Denied: not any more.
        """
        _, gate = await self._context.gate(self._call, self._colony.name)
        try:
            access.reader(gate)
        except Denied as error:
            raise Denied(f"{NO_MEMBER}: {error}") from error


def shown(entry: Entry) -> bytes:
    """An event as it is sent; made once, however many get it.

    Raises:
        Corrupt: it is not one of ours.
    """
    if entry.shown is None:
        event = entry.event
        fields = {
            "type": entry.type,
            "version": event.VERSION,
            "subject": event.subject,
            "actor": event.actor,
            "at": wire.rfc3339(event.at_ns),
            "cause": event.cause,
        }
        fields |= body_of(event)
        # White space in stored JSON may be line ends, which would end the data here.
        data = wire.encode(fields).replace(b"\n", b" ").replace(b"\r", b" ")
        head = b"id: %b\nevent: %b\n" % (str(entry.position).encode(), entry.type.encode())
        entry.shown = b"%bdata: %b\n\n" % (head, data)
    return entry.shown


@asynccontextmanager
async def _following(feed: Feed, tag: Tag) -> AsyncGenerator[Follower[Entry]]:
    follower = await feed.follow(tag)
    try:
        yield follower
    finally:
        feed.leave(follower)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _envelope_in(request: Request) -> bytes:
    """The envelope of a request, wherever it is.

    Raises:
        Malformed: nowhere, not base64, or larger than a frame may be.
    """
    if request.method == "GET":
        text = request.query_params.get("rpc", "")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise Malformed("the parameter rpc is not a base64url text") from error
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_ENVELOPE:
            raise Malformed(f"the envelope is larger than {_LARGEST_ENVELOPE} bytes")
    return body


def _refusal(error: BrokerError) -> Response:
    status, text = told(error)
    again = isinstance(error, Unavailable | Overloaded)
    headers = {"content-type": "application/json"} | ({"retry-after": "1"} if again else {})
    return Response(failure(status, text), status, headers)
