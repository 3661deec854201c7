"""The typed client: signed messages of ``api.wire`` out, their replies in.

Every signed message carries a random ``nonce`` and ``issuedat``. What cannot be delivered is sent
again as the same signed bytes, so a server that knows nonces answers the repeat with its first
answer and nothing happens twice. A server that does not (the reference) would do it twice: there a
message that changes something is not repeated once it may have arrived.
"""

import secrets
import time
from types import TracebackType
from typing import Self, TypeVar

import msgspec
from msgspec import Struct

from api import wire, wire_process, wire_server
from broker.errors import Malformed
from broker.identity import Identity
from cli.errors import RpcError, Unanswered, Unreachable
from cli.retry import Retry
from cli.transport import Address, Transport

_UNAVAILABLE = 503
_NONCES = "nonce"
# How the protocol names what only reads.
_READING = ("channelread", "get", "resolve", "search", "version")

R = TypeVar("R", bound=wire.Wire)


class Timeouts(Struct, frozen=True, kw_only=True):
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
        self.timeouts = timeouts or Timeouts()
        self._own = isinstance(server, Address)
        self.transport = (
            Transport(server, connect_s=self.timeouts.connect_s)
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
            self.transport.close()

    def as_identity(self, identity: Identity | None) -> "Client":
        """A client of the same server and connections that speaks as somebody else."""
        return Client(self.transport, identity, timeouts=self.timeouts)

    def patient(self, patience_s: float) -> "Client":
        """The same, that repeats a message for so many seconds before it gives up."""
        timeouts = msgspec.structs.replace(self.timeouts, patience_s=patience_s)
        return Client(self.transport, self.identity, timeouts=timeouts)

    @property
    def server_date(self) -> str:
        """What the last reply's Date header said; the server's clock, to the second."""
        return self.transport.server_date

    async def health(self) -> tuple[int, str]:
        """Status and text of the server's own health check; 200 and nothing when all is well."""
        reply = await self.transport.get("/health", reply_s=self.timeouts.reply_s)
        return reply.status, reply.body.decode(errors="replace")

    async def ask(self, message: wire.Message, reply: type[R]) -> R:
        """Send a message and read its reply.

        Raises:
            RpcError: the server refused it.
            Unreachable: no server answered within the patience.
        """
        return read(await self._exchange(message), reply)

    async def ask_list(self, message: wire.Message, item: type[R]) -> list[R]:
        """Send a message whose reply is a list; the reference's ``null`` is an empty one."""
        return read_list(await self._exchange(message), item)

    async def tell(self, message: wire.Message) -> None:
        """Send a message whose reply says nothing but that it was done."""
        await self._exchange(message)

    async def knows(self, extension: str) -> bool:
        """Whether the server announces an extension of the protocol; it is asked once.

        Raises:
            Unreachable: no server answered within the patience.
        """
        return extension in await self._announced(Retry(self.timeouts.patience_s))

    async def _exchange(self, message: wire.Message) -> bytes:
        """The JSON text of the reply; repeats the same bytes while that may help."""
        kind = type(message).__name__.lower()
        body = self.sealed(message)
        wait_s = message.timeout if isinstance(message, wire_process.AssignProcessMsg) else 0
        reply_s = self.timeouts.reply_s + max(0, wait_s)
        retry = Retry(self.timeouts.patience_s)
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
        reply = await self.transport.post("/api", body, reply_s=reply_s)
        return opened(reply.body, self.transport.address, reply.status)[1]

    async def _would_do_it_twice(self, doubt: RpcError | Unreachable, retry: Retry) -> bool:
        """Whether the server does not know nonces."""
        return _NONCES not in await self._announced(retry, doubt)

    async def _announced(
        self, retry: Retry, doubt: RpcError | Unreachable | None = None
    ) -> frozenset[str]:
        """The extensions of the server; asked once, and until it can be asked."""
        while self.transport.extensions is None:
            try:
                info = await self._server_info()
            except Unreachable as error:
                await retry.pause(doubt or error)
            except RpcError as error:
                if error.status == _UNAVAILABLE:
                    await retry.pause(doubt or error)
                else:
                    self.transport.extensions = frozenset()
            else:
                self.transport.extensions = frozenset(info.extensions)
        return self.transport.extensions

    async def _server_info(self) -> wire_server.ServerInfo:
        body = self.as_identity(None).sealed(wire_server.GetServerInfoMsg())
        return read(await self._once(body, reply_s=self.timeouts.reply_s), wire_server.ServerInfo)

    def sealed(self, message: wire.Message) -> bytes:
        """A message as it is sent: signed, with a nonce of its own."""
        kind = type(message).__name__.lower()
        if self.identity is None:
            message = msgspec.structs.replace(message, msgtype=kind)
        else:
            message = msgspec.structs.replace(
                message, msgtype=kind, nonce=secrets.token_hex(16), issuedat=time.time_ns()
            )
        payload = wire.payload_text(message)
        signature = self.identity.sign(payload.encode("ascii")) if self.identity else ""
        return wire.encode(wire.Request(payloadtype=kind, payload=payload, signature=signature))


def opened(body: bytes, address: Address, status: int = 200) -> tuple[str, bytes]:
    """What an answer is about, and its JSON text.

    Raises:
        RpcError: a refusal.
        Unanswered: it is none of ours.
    """
    try:
        reply = wire.decode(body, wire.Reply)
    except Malformed as error:
        raise Unanswered(
            f"what answers at {address} is not a colonies server (HTTP {status})",
            hint="check COLONIES_SERVER_HOST and COLONIES_SERVER_PORT; `colonies config`",
        ) from error
    text = wire.unwrap(reply.payload)
    if not reply.error:
        return reply.payloadtype, text
    failure = read(text, wire.Failure)
    raise RpcError(failure.status, failure.message)


def read(text: bytes, kind: type[R]) -> R:
    """What the JSON text of an answer says.

    Raises:
        Unreachable: something else than was asked for.
    """
    try:
        return wire.decode(text, kind)
    except Malformed as error:
        raise Unreachable(f"the server's answer cannot be read: {error}") from error


def read_list(text: bytes, item: type[R]) -> list[R]:
    """The same for a list; the reference's ``null`` is an empty one."""
    items: list[msgspec.Raw] | None
    try:
        items = msgspec.json.decode(text, type=list[msgspec.Raw] | None)
    except msgspec.DecodeError as error:
        raise Unreachable(f"the server's answer cannot be read: {error}") from error
    return [read(bytes(raw), item) for raw in items or []]
