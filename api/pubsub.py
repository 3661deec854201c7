"""GET /pubsub: subscriptions over a websocket (extended.md, section 11).

One frame, one subscription: the ordinary signed envelope. Answers are ordinary reply envelopes in
frames of the same kind. There is one table of what can be subscribed to, ``SUBSCRIPTIONS``.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from starlette.websockets import WebSocket

from api import wire
from api.context import Call, Context
from api.errors import status_of
from api.handlers.channel import shown as shown_entry
from api.present import shown_process
from api.rpc import failure
from api.sealed import Sealed, accepted, opened, read
from api.signals import Signals, Wish, frame_of
from api.socket import NOT_ALLOWED, SOCKET, TRY_LATER, SubscriberSocket
from api.wire_realtime import SubscribeChannelMsg, SubscribeProcessesMsg, SubscribeProcessMsg
from broker import access, channels, keys
from broker.access import EXECUTOR
from broker.aggregates.process import State
from broker.channels import Entry
from broker.directory import Colony
from broker.errors import BrokerError, Corrupt, Denied, Malformed, Overloaded
from broker.feed import Feed
from broker.position import START
from projections.core import listings

_log = structlog.get_logger(__name__)
_LONGEST_S = 366 * 24 * 3600
_LISTENING_S = 30
"""How long a subscription to a channel lasts unless it says so."""
M = TypeVar("M", bound=wire.Message)


@dataclass(eq=False, slots=True)
class Subscriber:
    """The client of one websocket, with everything it has subscribed to."""

    context: Context
    feed: Feed
    signals: Signals
    socket: SubscriberSocket
    _held: dict[object, Callable[[], None]] = field(
        default_factory=dict[object, Callable[[], None]]
    )
    _timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])

    def say(self, text: bytes, *, binary: bool) -> None:
        """Send a frame; a client that does not take its frames is closed."""
        self.socket.say(text, binary=binary)

    def end(self, reason: str) -> None:
        """End the whole socket, and say why."""
        self.socket.close(TRY_LATER, reason)

    def expel(self, reason: str) -> None:
        """End the whole socket of somebody who may not listen any more."""
        self.socket.close(NOT_ALLOWED, reason)

    def hold(self, ending: Callable[[], None]) -> Callable[[], None]:
        """Count one subscription until it is let go, by the result or by the end of the socket.

        ``ending`` is called then.
        """
        mark = object()
        self._held[mark] = ending

        def let_go() -> None:
            if self._held.pop(mark, None) is not None:
                ending()

        return let_go

    def end_after(self, seconds: int) -> None:
        """Drop the socket after a time, as the reference does."""
        delay = min(max(seconds, 0), _LONGEST_S)
        self._timers.append(asyncio.get_running_loop().call_later(delay, self.socket.drop))

    def check_room(self) -> None:
        """Refuse a subscription too many.

        Raises:
            Overloaded: the socket has as many as the settings allow.
        """
        most = self.context.settings.limits.max_subscriptions
        if len(self._held) >= most:
            raise Overloaded(f"a socket may have {most} subscriptions; open another")

    def close(self) -> None:
        """The socket ends: nothing of it stays behind."""
        for timer in self._timers:
            timer.cancel()
        held, self._held = self._held, {}
        for ending in held.values():
            ending()
        self.socket.drop()


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
    except BaseException:
        let_go()
        raise
    if row is not None and row.state == msg.state and wish.wants(row):
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
    except BaseException:
        let_go()
        raise
    wish.begin(since)
    subscriber.end_after(msg.timeout)


async def channel(
    subscriber: Subscriber,
    call: Call,
    msg: SubscribeChannelMsg,
    binary: bool,  # noqa: FBT001 - Handler's own shape
) -> None:
    """Tell what is said in a channel: what there is in one frame, then each entry in its own.

    The end of the time, or of the process, is an empty frame; the socket stays open.
    """
    context = subscriber.context
    colony, gate = await context.gate_of(call, msg.processid)
    row = await listings.process(context.store, colony.tag, msg.processid) if colony else None
    channels.listening(gate, msg.name, row)
    if colony is None:
        raise Corrupt("a process in no colony")
    listening = _Listening(subscriber=subscriber, colony=colony, asked=msg, binary=binary)
    task = asyncio.get_running_loop().create_task(listening.run(call))

    def stop() -> None:
        task.cancel()

    let_go = subscriber.hold(stop)
    task.add_done_callback(lambda _: let_go())


@dataclass(eq=False, slots=True, kw_only=True)
class _Listening:
    """One subscription to a channel."""

    subscriber: Subscriber
    colony: Colony
    asked: SubscribeChannelMsg
    binary: bool

    async def run(self, call: Call) -> None:
        """Until the time is over, or the process or the membership of the caller."""
        seconds = self.asked.timeout if self.asked.timeout > 0 else _LISTENING_S
        try:
            async with asyncio.timeout(min(seconds, _LONGEST_S)):
                await self._tell(call)
        except TimeoutError:
            self._say([])
        except BrokerError as error:
            self.subscriber.say(failure(status_of(error), str(error)), binary=self.binary)
        except Exception:  # noqa: BLE001 - a client hears of a bug, too
            _log.exception("bug")
            why = "internal error; the server's log says more"
            self.subscriber.say(failure(500, why), binary=self.binary)

    async def _tell(self, call: Call) -> None:
        context, asked = self.subscriber.context, self.asked
        ended = asyncio.Event()
        said = context.said.heard(self.colony.tag, asked.processid, asked.name)
        async with said as more, self._until(call, ended, more):
            after, first = max(asked.afterseq, 0), True
            while True:
                more.clear()
                over = ended.is_set() or await self._is_over()
                found = await channels.read(
                    context.store,
                    self.colony.tag,
                    asked.processid,
                    asked.name,
                    after=after,
                    limit=0,
                )
                after += len(found)
                for entries in [found] if first and found else ([entry] for entry in found):
                    self._say(entries)
                first = False
                if over:
                    self._say([])
                    return
                await more.wait()

    async def _is_over(self) -> bool:
        key = self.colony.tag.key(keys.process(self.asked.processid))
        state = await self.subscriber.context.store.send("HGET", key, "state")
        return state is None or State(int(state)) not in {State.WAITING, State.RUNNING}

    @asynccontextmanager
    async def _until(
        self, call: Call, ended: asyncio.Event, more: asyncio.Event
    ) -> AsyncGenerator[None]:
        """Hear of the end of the process meanwhile, and of the caller's membership."""

        def end(_: object) -> None:
            ended.set()
            more.set()

        signals = self.subscriber.signals
        async with AsyncExitStack() as stack:
            for state in (State.SUCCESS, State.FAILED, State.CANCELLED):
                wish = Wish(
                    caller=call.caller,
                    process_id=self.asked.processid,
                    executor_type="",
                    state=int(state),
                    hear=end,
                    end=end,
                    expel=self.subscriber.expel,
                )
                stack.callback(await signals.add(self.colony, wish))
                wish.begin(START)
            yield

    def _say(self, entries: Sequence[Entry]) -> None:
        reply = wire.Success(
            payloadtype="subscribechannelmsg",
            payload=wire.encode([shown_entry(entry) for entry in entries]),
        )
        self.subscriber.say(wire.encode(reply), binary=self.binary)


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
        state=msg.state,
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
    "subscribeprocessesmsg": Subscription(
        kind=SubscribeProcessesMsg,
        handler=processes,
        unreadable="Failed to subscribe to processes",
        mismatch="Failed to subscribe to processes, msg.msgType does not match rpcMsg.PayloadType",
    ),
}


class PubSub:
    """The endpoint."""

    def __init__(self, context: Context, feed: Feed, signals: Signals) -> None:
        self._context = context
        self._feed = feed
        self._signals = signals

    async def serve(self, websocket: WebSocket) -> None:
        """One socket, until either side ends it."""
        socket: SubscriberSocket = websocket.scope["extensions"][SOCKET]
        await websocket.accept()
        subscriber = Subscriber(self._context, self._feed, self._signals, socket)
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
        except BrokerError as error:
            subscriber.say(failure(status_of(error), str(error)), binary=binary)
        except Exception:  # noqa: BLE001 - a client gets an answer to a bug, too
            _log.exception("bug")
            why = "internal error; the server's log says more"
            subscriber.say(failure(500, why), binary=binary)
        return True
