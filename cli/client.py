"""The typed client: signed messages of ``api.wire`` out, their replies in.

Every signed message carries a random ``nonce`` and ``issuedat``. What cannot be delivered is sent
again as the same signed bytes, so a server that knows nonces answers the repeat with its first
answer and nothing happens twice. A server that does not (the reference) would do it twice: there a
message that changes something is not repeated once it may have arrived.
"""

import asyncio
import random
import secrets
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from api import wire, wire_process, wire_server
from broker.errors import Malformed
from broker.identity import Identity
from cli.errors import RpcError, Unanswered, Unreachable
from cli.transport import Address, Response, Transport

_UNAVAILABLE = 503
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_NONCES = "nonce"
# How the protocol names what only reads.
_READING = ("channelread", "get", "resolve", "search", "version")

R = TypeVar("R", bound=wire.Wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a client waits, in seconds.

    ``reply_s`` is added to what a long poll asks the server to wait; ``patience_s`` is how long
    a message is repeated while the server cannot be reached or answers that it is unavailable.
    """

    connect_s: float = 5.0
    reply_s: float = 30.0
    patience_s: float = 1.0


class Client:
    """Speaks to one server as one identity; clients may share a transport.

    Without an identity only the unsigned messages (version, server info) are answered.
    """

    def __init__(
        self,
        server: Address | Transport,
        identity: Identity | None = None,
        *,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._own = isinstance(server, Address)
        self._transport = (
            Transport(server, connect_s=self._timeouts.connect_s)
            if isinstance(server, Address)
            else server
        )
        self.identity = identity

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._own:
            self._transport.close()

    def as_identity(self, identity: Identity | None) -> "Client":
        """A client of the same server and connections that speaks as somebody else."""
        return Client(self._transport, identity, timeouts=self._timeouts)

    def patient(self, patience_s: float) -> "Client":
        """The same, that repeats a message for so many seconds before it gives up."""
        timeouts = replace(self._timeouts, patience_s=patience_s)
        return Client(self._transport, self.identity, timeouts=timeouts)

    @property
    def server_date(self) -> str:
        """What the last reply's Date header said; the server's clock, to the second."""
        return self._transport.server_date

    async def health(self) -> tuple[int, str]:
        """Status and text of the server's own health check; 200 and nothing when all is well."""
        reply = await self._transport.get("/health", reply_s=self._timeouts.reply_s)
        return reply.status, reply.body.decode(errors="replace")

    async def ask(self, message: wire.Message, reply: type[R]) -> R:
        """Send a message and read its reply.

        Raises:
            RpcError: the server refused it.
            Unreachable: no server answered within the patience.
        """
        return _read(await self._exchange(message), reply)

    async def ask_list(self, message: wire.Message, item: type[R]) -> list[R]:
        """Send a message whose reply is a list; the reference's ``null`` is an empty one."""
        text = await self._exchange(message)
        return [_read(bytes(raw), item) for raw in _read_items(text)]

    async def tell(self, message: wire.Message) -> None:
        """Send a message whose reply says nothing but that it was done."""
        await self._exchange(message)

    async def knows(self, extension: str) -> bool:
        """Whether the server announces an extension of the protocol; it is asked once.

        Raises:
            Unreachable: no server answered within the patience.
        """
        return extension in await self._announced(_Retry(self._timeouts.patience_s))

    async def _exchange(self, message: wire.Message) -> bytes:
        """The JSON text of the reply; repeats the same bytes while that may help."""
        kind = type(message).__name__.lower()
        body = self._sealed(message, kind)
        wait_s = message.timeout if isinstance(message, wire_process.AssignProcessMsg) else 0
        reply_s = self._timeouts.reply_s + max(0, wait_s)
        retry = _Retry(self._timeouts.patience_s)
        doubt: RpcError | Unreachable | None = None
        while doubt is None or not await self._would_do_it_twice(doubt, retry):
            try:
                return await self._once(body, reply_s=reply_s)
            except Unreachable as error:
                failure, arrived = error, isinstance(error, Unanswered)
            except RpcError as error:
                error.asked = kind
                # 503 also answers an assign that does not want to wait for a paused colony.
                if error.status != _UNAVAILABLE or wait_s < 0:
                    raise
                failure, arrived = error, True
            if arrived and not kind.startswith(_READING):
                doubt = failure
            await retry.pause(doubt or failure)
        doubt.hint = "it may have been done all the same: look before you repeat it"
        raise doubt

    async def _once(self, body: bytes, *, reply_s: float) -> bytes:
        reply = await self._transport.post("/api", body, reply_s=reply_s)
        return _payload(reply, self._transport.address)

    async def _would_do_it_twice(self, doubt: RpcError | Unreachable, retry: "_Retry") -> bool:
        """Whether the server does not know nonces."""
        return _NONCES not in await self._announced(retry, doubt)

    async def _announced(
        self, retry: "_Retry", doubt: RpcError | Unreachable | None = None
    ) -> frozenset[str]:
        """The extensions of the server; asked once, and until it can be asked."""
        while self._transport.extensions is None:
            try:
                info = await self._server_info()
            except Unreachable as error:
                await retry.pause(doubt or error)
            except RpcError as error:
                if error.status == _UNAVAILABLE:
                    await retry.pause(doubt or error)
                else:
                    self._transport.extensions = frozenset()
            else:
                self._transport.extensions = frozenset(info.extensions)
        return self._transport.extensions

    async def _server_info(self) -> wire_server.ServerInfo:
        anybody = self.as_identity(None)
        message = wire_server.GetServerInfoMsg()
        body = anybody._sealed(message, type(message).__name__.lower())  # noqa: SLF001 - our own
        return _read(await self._once(body, reply_s=self._timeouts.reply_s), wire_server.ServerInfo)

    def _sealed(self, message: wire.Message, kind: str) -> bytes:
        if self.identity is None:
            message = msgspec.structs.replace(message, msgtype=kind)
        else:
            message = msgspec.structs.replace(
                message, msgtype=kind, nonce=secrets.token_hex(16), issuedat=time.time_ns()
            )
        payload = wire.payload_text(message)
        signature = self.identity.sign(payload.encode("ascii")) if self.identity else ""
        return wire.encode(wire.Request(payloadtype=kind, payload=payload, signature=signature))


class _Retry:
    """Ever longer pauses between tries, until the patience has ended."""

    def __init__(self, patience_s: float) -> None:
        self._give_up = time.monotonic() + patience_s
        self._pause_s = _FIRST_PAUSE_S

    async def pause(self, failure: RpcError | Unreachable) -> None:
        """Wait before the next try, or raise the failure of the last one."""
        if time.monotonic() + self._pause_s > self._give_up:
            raise failure
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def _payload(response: Response, address: Address) -> bytes:
    try:
        reply = wire.decode(response.body, wire.Reply)
    except Malformed as error:
        raise Unanswered(
            f"what answers at {address} is not a colonies server (HTTP {response.status})",
            hint="check COLONIES_SERVER_HOST and COLONIES_SERVER_PORT; `colonies config`",
        ) from error
    text = wire.unwrap(reply.payload)
    if not reply.error:
        return text
    failure = _read(text, wire.Failure)
    raise RpcError(failure.status, failure.message)


def _read(text: bytes, kind: type[R]) -> R:
    try:
        return wire.decode(text, kind)
    except Malformed as error:
        raise Unreachable(f"the server's answer cannot be read: {error}") from error


def _read_items(text: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(text, type=list[msgspec.Raw] | None) or []
    except msgspec.DecodeError as error:
        raise Unreachable(f"the server's answer cannot be read: {error}") from error
