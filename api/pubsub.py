"""GET /pubsub: subscriptions over a websocket (extended.md, section 11).

One frame, one subscription: the ordinary signed envelope. Answers are ordinary reply envelopes in
frames of the same kind. There is one table of what can be subscribed to, ``SUBSCRIPTIONS``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from starlette.websockets import WebSocket

from api import wire
from api.channel_subscription import channel
from api.context import Call, Context
from api.errors import told
from api.lines import Lines
from api.log_subscription import log_lines
from api.present import shown_process
from api.rpc import failure
from api.sealed import Sealed, accepted, opened, read
from api.signals import Signals, Wish, frame_of, unknown
from api.socket import SOCKET, SubscriberSocket
from api.subscriber import Subscriber
from api.wire_realtime import (
    SubscribeChannelMsg,
    SubscribeLogsMsg,
    SubscribeProcessesMsg,
    SubscribeProcessMsg,
)
from broker import access
from broker.access import EXECUTOR
from broker.errors import BrokerError, Denied, Malformed

_log = structlog.get_logger(__name__)
M = TypeVar("M", bound=wire.Message)


Handler = Callable[[Subscriber, Call, M, bool], Awaitable[None]]
"""Subscribes; the last argument says whether frames are binary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """How one payload type is read and who answers it.

    ``unreadable`` begins the text about a payload that does not parse; ``mismatch`` is what is
    said, as a ``mismatched`` error, when the inner type differs from the outer.
    """

    kind: type[wire.Message]
    handler: Handler[Any]
    unreadable: str
    mismatch: str
    mismatched: type[BrokerError] = Denied

    def read(self, sealed: Sealed) -> wire.Message:
        """The message in an envelope.

        Raises:
            BrokerError: it cannot be read, or is of another type than the envelope says.
        """
        message = read(sealed, self.kind, self.unreadable)
        if message.msgtype != sealed.name:
            raise self.mismatched(self.mismatch)
        return message


async def process(
    subscriber: Subscriber,
    call: Call,
    msg: SubscribeProcessMsg,
    binary: bool,  # noqa: FBT001 - Handler's own shape
) -> None:
    """Tell when one process is in a state, at once if it is already."""
    context, signals = subscriber.context, subscriber.signals
    colony, gate = await context.gate_of(call, msg.processid)
    row = (await signals.row(colony, msg.processid))[1] if colony else None
    if colony is None or row is None:
        raise Denied(f"Invalid process with Id {msg.processid}")
    access.member(gate)
    wish = _wish(subscriber, call, msg, binary=binary, process_id=msg.processid)
    let_go = subscriber.hold(await signals.add(colony, wish))
    try:
        since, row = await signals.row(colony, msg.processid)
        # Whose membership ended before anybody listened for that is found out here.
        access.member((await context.gate_of(call, msg.processid))[1])
    except BaseException:  # cancelled, too: what did not begin is not held as long as the socket
        let_go()
        raise
    if row is None:  # removed just now
        wish.hear(unknown(msg.processid))
    elif row.state == msg.state and wish.wants(row):
        wish.hear(frame_of(shown_process(row, colony.name)))
    wish.begin(since)
    subscriber.end_after(msg.timeout)


async def processes(
    subscriber: Subscriber,
    call: Call,
    msg: SubscribeProcessesMsg,
    binary: bool,  # noqa: FBT001 - Handler's own shape
) -> None:
    """Tell an executor when any process for executors of a type is in a state."""
    context, signals = subscriber.context, subscriber.signals
    colony, gate = await context.gate(call, msg.colonyname)
    if colony is None or gate.member is None or gate.member.kind != EXECUTOR:
        raise Denied("executor not found")
    access.member(gate)
    wish = _wish(subscriber, call, msg, binary=binary)
    let_go = subscriber.hold(await signals.add(colony, wish))
    try:
        since = await signals.now(colony)
        access.member((await context.gate(call, msg.colonyname))[1])
    except BaseException:  # cancelled, too: what did not begin is not held as long as the socket
        let_go()
        raise
    wish.begin(since)
    subscriber.end_after(msg.timeout)


def _wish(
    subscriber: Subscriber,
    call: Call,
    msg: SubscribeProcessMsg | SubscribeProcessesMsg,
    *,
    binary: bool,
    process_id: str = "",
) -> Wish:
    return Wish(
        caller=call.caller,
        process_id=process_id,
        executor_type=msg.executortype,
        states=frozenset([msg.state]),
        hear=lambda frame: subscriber.say(frame, binary=binary),
        end=subscriber.end,
        expel=subscriber.expel,
    )


SUBSCRIPTIONS: dict[str, Subscription] = {
    "subscribeprocessmsg": Subscription(
        kind=SubscribeProcessMsg,
        handler=process,
        unreadable="Failed to subscribe to process",
        mismatch="Failed to subscribe to process, msg.msgType does not match rpcMsg.PayloadType",
    ),
    "subscribechannelmsg": Subscription(
        kind=SubscribeChannelMsg,
        handler=channel,
        unreadable="Failed to subscribe to channel",
        mismatch="Failed to subscribe to channel, msg.MsgType does not match rpcMsg.PayloadType",
        mismatched=Malformed,
    ),
    "subscribelogsmsg": Subscription(
        kind=SubscribeLogsMsg,
        handler=log_lines,
        unreadable="Failed to subscribe to logs",
        mismatch="Failed to subscribe to logs, msg.MsgType does not match rpcMsg.PayloadType",
        mismatched=Malformed,
    ),
    "subscribeprocessesmsg": Subscription(
        kind=SubscribeProcessesMsg,
        handler=processes,
        unreadable="Failed to subscribe to processes",
        mismatch="Failed to subscribe to processes, msg.msgType does not match rpcMsg.PayloadType",
    ),
}


class PubSub:
    """The endpoint."""

    def __init__(self, context: Context, signals: Signals, lines: Lines) -> None:
        self._context = context
        self._signals = signals
        self._lines = lines

    async def serve(self, websocket: WebSocket) -> None:
        """One socket, until either side ends it."""
        socket: SubscriberSocket = websocket.scope["extensions"][SOCKET]
        await websocket.accept()
        subscriber = Subscriber(self._context, self._signals, self._lines, socket)
        try:
            while (message := await websocket.receive())["type"] == "websocket.receive":
                text: str | None = message.get("text")
                body: bytes = message["bytes"] if text is None else text.encode()
                if not await self._take(subscriber, body, binary=text is None):
                    return
        finally:
            subscriber.close()

    async def _take(self, subscriber: Subscriber, body: bytes, *, binary: bool) -> bool:
        """Answer a frame; False for one that nobody signed, which ends the socket."""
        try:
            sealed = opened(body)
        except Malformed:
            return False
        known = SUBSCRIPTIONS.get(sealed.name)
        if known is None:
            return True
        try:
            message = known.read(sealed)
            subscriber.check_room()
            call = await accepted(self._context, sealed, message)
            await known.handler(subscriber, call, message, binary)
        except Exception as error:  # noqa: BLE001 - a client gets an answer to a bug, too
            subscriber.say(failure(*told(error)), binary=binary)
        return True
