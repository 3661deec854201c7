"""One full-duplex connection to Redis: each command leaves at once, whatever is under way.

The one place where we speak RESP ourselves, because the way to Redis is what an API worker spends
most on: hiredis packs and parses, replies resolve futures in order, nobody waits for a turn.
redis-py only reads addresses (docs/adr/0004). When the connection breaks every command in flight
fails as Unavailable; whether it was applied is then unknown, and a retry is safe because of its
expectations.

A store that takes commands and does not answer is given up after a while, and there is no
connection until it answers again. What it was told may still be waiting in it then: it does of that
what it reads at once, before it hears of the next connection, and finds out that nobody listens.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import hiredis
import structlog
from redis.asyncio.connection import parse_url

from broker.errors import Overloaded, Unavailable
from broker.places import addresses_in

Reply = Any
"""bytes, int, None or a (nested) list of these; errors are raised."""

_hiredis: Any = hiredis  # its stub gives pack_command neither all arguments nor a result
_pack: Callable[[tuple[Any, ...]], bytes] = _hiredis.pack_command
_log = structlog.get_logger(__name__)
_BACKOFF_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
_CONNECT_S = 5.0
_LOOKS = 4
"""So many times within its patience a pipeline looks whether it was answered."""


TOO_MANY = "too many requests are under way, try again"
_LOST = "the connection to the store was lost"
_SILENT = "the store does not answer; whether this took effect is unknown, try again"

Lost = Callable[["Connection"], None]
"""Told which connection was lost."""


class ReplyError(Exception):
    """Redis answered a command with an error."""


class Connection(asyncio.Protocol):
    """One socket; ends when it is lost."""

    def __init__(self, max_in_flight: int, on_lost: Lost) -> None:
        self._reader = hiredis.Reader(replyError=ReplyError)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._max_in_flight = max_in_flight
        self._on_lost = on_lost
        self._heard = False
        self._silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; of a stream connection it is one that writes."""
        self._transport = cast("asyncio.Transport", transport)

    def call(self, *args: Any) -> asyncio.Future[Reply]:  # noqa: ANN401 - what Redis takes
        """Send one command.

        Raises:
            Unavailable: the connection has ended.
            Overloaded: as many commands as allowed are under way.
        """
        if self._transport is None:
            raise Unavailable(_LOST)
        if len(self._waiting) >= self._max_in_flight:
            raise Overloaded(TOO_MANY)
        packed = _pack(args)  # may raise; nothing may be waited for then
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting.append(future)
        # One write each: gathered, the first would wait for the rest (docs/adr/0004).
        self._transport.write(packed)
        return future

    def has_room(self, commands: int) -> bool:
        """Whether so many more may be under way."""
        return len(self._waiting) + commands <= self._max_in_flight

    def data_received(self, data: bytes) -> None:
        """Resolve futures in the order their commands left."""
        self._heard = True
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._resolve(reply)

    def _resolve(self, reply: Reply) -> None:
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, ReplyError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for no answer."""
        return not self._waiting

    def was_silent(self) -> bool:
        """Whether it waits for an answer, and nothing has come since this was asked before."""
        silent, self._heard = not self.is_idle and not self._heard, False
        return silent

    @property
    def is_lost(self) -> bool:
        """Whether it has ended; whoever keeps it only now was not told."""
        return self._transport is None

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever had no reply yet."""
        self._transport = None
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                lost = Unavailable(_SILENT if self._silent else _LOST)
                lost.__cause__ = exc
                future.set_exception(lost)
                hear_out(future)
        self._on_lost(self)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def give_up(self) -> None:
        """End it at once; the other side does not answer."""
        self._silent = True
        if self._transport is not None:
            self._transport.abort()


class Subscription(Connection):
    """A connection on which messages arrive unasked."""

    def __init__(
        self,
        on_message: Callable[[str, str], None],
        max_in_flight: int,
        on_lost: Lost,
    ) -> None:
        super().__init__(max_in_flight, on_lost)
        self._on_message = on_message

    def _resolve(self, reply: Reply) -> None:
        if isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message":  # noqa: PLR2004  # pyright: ignore[reportUnknownArgumentType]
            self._on_message(reply[1].decode(), reply[2].decode())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        else:
            super()._resolve(reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a Redis server is and how to introduce oneself."""

    host: str
    port: int
    path: str
    db: int
    username: str
    password: str
    tls: bool

    @classmethod
    def of(cls, url: str) -> "Address":
        """Read a redis://, rediss:// or unix:// address."""
        parts: dict[str, Any] = dict(parse_url(url))
        return cls(
            host=parts.get("host", "localhost"),
            port=int(parts.get("port", 6379)),
            path=parts.get("path", ""),
            db=int(parts.get("db", 0)),
            username=parts.get("username") or "",
            password=parts.get("password") or "",
            tls=url.startswith("rediss://"),
        )

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Open a connection and introduce oneself."""
        loop = asyncio.get_running_loop()
        if self.path:
            _, connection = await loop.create_unix_connection(make, self.path)
        else:
            context = ssl.create_default_context() if self.tls else None
            _, connection = await loop.create_connection(make, self.host, self.port, ssl=context)
        try:
            if self.password:
                auth = (self.username, self.password) if self.username else (self.password,)
                await connection.call("AUTH", *auth)
            if self.db:
                await connection.call("SELECT", self.db)
            # A server that has stopped takes connections all the same; this one is answered.
            await connection.call("CLIENT", "SETNAME", "colonies")
        except BaseException:  # cancelled, too: nobody else knows the connection yet
            connection.close()
            raise
        return connection


class Pipeline:
    """A connection that comes back by itself."""

    def __init__(
        self,
        url: str,
        max_in_flight: int,
        *,
        make: Callable[[int, Lost], Connection] = Connection,
        on_connected: Callable[[], None] | None = None,
        patience_s: float = 0.0,
        pings: bool = False,
    ) -> None:
        """Of several places in ``url`` the next one is tried when the last one failed.

        A server that does not answer is given up after ``patience_s``, 0 for never.

        With ``pings`` it is also asked while there is nothing else to ask.
        """
        begin, places = addresses_in(url)
        self._addresses = deque(Address.of(begin + place) for place in places)
        self._max_in_flight = max_in_flight
        self._make = make
        self._on_connected = on_connected
        self._patience_s = patience_s
        self._pings = pings
        self._connection: Connection | None = None
        self.call: Callable[..., asyncio.Future[Reply]] = self._away
        """Send one command; the reply resolves the future. It is the connection's own, or raises.

        Raises:
            Unavailable: there is no connection now.
            Overloaded: as many commands as allowed are under way.
        """
        self._reconnecting: asyncio.Task[None] | None = None
        self._closed = False

    def _away(self, *_args: Any) -> asyncio.Future[Reply]:  # noqa: ANN401 - what Redis takes
        raise Unavailable("the store cannot be reached")

    def has_room(self, commands: int) -> bool:
        """Whether so many more may be under way; without a connection each is told so itself."""
        return self._connection is None or self._connection.has_room(commands)

    def forget(self, *args: Any) -> None:  # noqa: ANN401 - what Redis takes
        """Send a command whose reply does not matter, if there is a connection."""
        if self._connection is not None:
            self._connection.call(*args).add_done_callback(hear_out)

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: nothing answers at the address.
        """
        try:
            await self._connect()
        except (OSError, ReplyError, TimeoutError) as error:
            raise Unavailable(f"the store cannot be reached: {error}") from error

    async def _connect(self) -> None:
        async with asyncio.timeout(_CONNECT_S):
            make = lambda: self._make(self._max_in_flight, self._lost)  # noqa: E731
            self._addresses.rotate(-1)
            connection = await self._addresses[-1].connect(make)
        if connection.is_lost:
            raise Unavailable(_LOST)
        self._connection, self.call = connection, connection.call
        if self._patience_s:
            self._look_again(connection, 0)
        if self._on_connected:
            self._on_connected()

    def _look_again(self, connection: Connection, silences: int) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self._patience_s / _LOOKS, self._look, connection, silences)

    def _look(self, connection: Connection, silences: int) -> None:
        """Give a server up that was silent at several looks in a row.

        Looks are counted, not time: a process that was stopped itself has answers to read first.
        """
        if connection is not self._connection:
            return
        silences = silences + 1 if connection.was_silent() else 0
        if silences > _LOOKS:
            connection.give_up()
            return
        if self._pings and connection.is_idle:
            connection.call("PING").add_done_callback(hear_out)
        self._look_again(connection, silences)

    @property
    def is_connected(self) -> bool:
        """Whether something can be said now."""
        return self._connection is not None

    def _lost(self, connection: Connection) -> None:
        """A connection ended; one that was given up while it was introduced does not matter."""
        if connection is not self._connection:
            return
        self._connection, self.call = None, self._away
        if not self._closed and self._reconnecting is None:
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        _log.warning("store_lost")
        attempt = 0
        while not self._closed:
            await asyncio.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            attempt += 1
            try:
                await self._connect()
            except (OSError, ReplyError, TimeoutError, Unavailable) as error:
                _log.info("store_still_away", attempt=attempt, error=str(error))
                continue
            _log.info("store_back", attempt=attempt)
            break
        self._reconnecting = None

    async def close(self) -> None:
        """End for good."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()


def hear_out(future: asyncio.Future[Any]) -> None:
    """Look at a result nobody waits for, so that asyncio does not report it as overlooked."""
    if not future.cancelled():
        future.exception()
