"""The client of a websocket, and what all subscriptions have that go on in tasks of their own."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from msgspec import Struct

from api import wire
from api.context import Call, Context
from api.errors import told
from api.lines import Lines
from api.rpc import failure
from api.signals import Signals, Wish
from api.socket import NOT_ALLOWED, TRY_LATER, SubscriberSocket
from broker import access, keys
from broker.aggregates.process import State
from broker.directory import Colony
from broker.errors import Overloaded
from broker.position import START

_log = structlog.get_logger(__name__)
_LONGEST_S = 366 * 24 * 3600
_LISTENING_S = 30
"""How long a subscription lasts unless it says so."""
_OPEN = frozenset({State.WAITING, State.RUNNING})
_ENDS = frozenset(int(state) for state in State if state not in _OPEN)


@dataclass(eq=False, slots=True)
class Subscriber:
    """The client of one websocket, with everything it has subscribed to."""

    context: Context
    signals: Signals
    lines: Lines
    socket: SubscriberSocket
    _held: dict[object, Callable[[], None]] = field(
        default_factory=dict[object, Callable[[], None]]
    )
    _timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])

    def say(self, text: bytes, *, binary: bool) -> None:
        """Send a frame; a client that does not take its frames is closed."""
        self.socket.say(text, binary=binary)

    async def taken(self) -> None:
        """Once the client has read enough of what was said; one that reads nothing is closed."""
        patience_s = self.context.settings.limits.idle_timeout_ms / 1000
        try:
            async with asyncio.timeout(patience_s):
                await self.socket.drained()
        except TimeoutError:
            self.end(f"too slow: nothing was read for {patience_s:g} s")

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


@dataclass(eq=False, kw_only=True)
class Telling(ABC):
    """One subscription that goes on until its time, its process or the membership has ended.

    Each frame is a list; the end of the time and of the process is an empty one, and the socket
    stays open.
    """

    subscriber: Subscriber
    colony: Colony
    call: Call
    kind: str
    """Payload type of its frames."""
    binary: bool
    seconds: int

    def start(self) -> None:
        """Begin; the end of the socket ends it."""
        task = asyncio.get_running_loop().create_task(self._run())

        def stop() -> None:
            task.cancel()

        let_go = self.subscriber.hold(stop)
        task.add_done_callback(lambda _: let_go())

    async def _run(self) -> None:
        seconds = self.seconds if self.seconds > 0 else _LISTENING_S
        try:
            async with asyncio.timeout(min(seconds, _LONGEST_S)):
                await self.tell()
            self.say([])
        except TimeoutError:
            self.say([])
        except Exception as error:  # noqa: BLE001 - a client hears of a bug, too
            self.subscriber.say(failure(*told(error)), binary=self.binary)

    @abstractmethod
    async def tell(self) -> None:
        """Tell all there is and all that comes, until nothing more will."""

    def say(self, items: list[Struct]) -> None:
        """Send a frame."""
        reply = wire.Success(payloadtype=self.kind, payload=wire.encode(items))
        self.subscriber.say(wire.encode(reply), binary=self.binary)

    async def is_over(self, process_id: str) -> bool:
        """Whether a process has ended, or is not there any more."""
        key = self.colony.tag.key(keys.process(process_id))
        state = await self.subscriber.context.store.send("HGET", key, "state")
        return state is None or State(int(state)) not in _OPEN

    @asynccontextmanager
    async def while_member(self, process_id: str, over: Callable[[], None]) -> AsyncGenerator[None]:
        """Call ``over`` at the end of a process ("" for none); end with the caller's membership.

        Raises:
            Denied: the caller is no member, or was none when anybody began to listen for it.
        """
        subscriber = self.subscriber
        wish = Wish(
            caller=self.call.caller,
            process_id=process_id,
            states=_ENDS if process_id else frozenset(),
            hear=lambda _: over(),
            end=subscriber.end,
            expel=subscriber.expel,
        )
        forget = await subscriber.signals.add(self.colony, wish)
        try:
            wish.begin(START)
            access.member((await subscriber.context.gate(self.call, self.colony.name))[1])
            yield
        finally:
            forget()
