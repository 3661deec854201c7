"""HTTP/1.1 to one server: keep-alive connections over asyncio and httptools, pooled.

Small on purpose: a command of the CLI must not spend more time importing an HTTP library than
talking to the server.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, cast

import httptools
from msgspec import Struct

from cli.errors import Unanswered, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_HINT = "is the name right? `colonies config` shows it"
_JSON_HEADERS = b"content-type: application/json\r\naccept: application/json\r\n"


class Address(Struct, frozen=True, kw_only=True):
    """Where a server listens and how it is spoken to."""

    host: str
    port: int
    tls: bool = False
    verify: bool = True

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class Response(Struct, frozen=True):
    """One complete reply."""

    status: int
    body: bytes
    date: str = ""


class Broken(Exception):
    """The connection ended before the reply did."""


class _Connection(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Response] | None = None
        self._body = bytearray()
        self._date = ""

    @property
    def usable(self) -> bool:
        """Whether another request may be written to it."""
        return self._transport is not None and not self._transport.is_closing()

    async def send(self, request: bytes) -> Response:
        """Write a request and wait for its reply; a cancelled wait closes the connection.

        Raises:
            Broken: the connection ended or carried something that is not HTTP.
        """
        if self._transport is None or self._transport.is_closing():
            raise Broken("closed by the server")
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._reply
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._reply = None

    def close(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Broken(f"what it says is not HTTP ({error})"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(Broken(str(exc) if exc else "closed by the server"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"date":
            self._date = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = bytes(self._body), bytearray()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(Response(self._parser.get_status_code(), body, self._date))
        if not self._parser.should_keep_alive():
            self.close()

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


class Transport:
    """A pool of connections to one address; opened as needed, closed at the end."""

    def __init__(self, address: Address, *, connect_s: float = 5.0, connections: int = 16) -> None:
        self.address = address
        self.server_date = ""
        # What the server can do beyond the protocol; None until somebody had to ask it.
        self.extensions: frozenset[str] | None = None
        self._connect_s = connect_s
        self._free = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []

    async def get(self, path: str, *, reply_s: float) -> Response:
        """Ask for a path and return the reply, of any status."""
        return await self._exchange("GET", path, b"", reply_s)

    async def post(self, path: str, body: bytes, *, reply_s: float) -> Response:
        """Send a body and return the reply, of any status.

        Raises:
            Unreachable: no connection.
            Unanswered: no reply within ``reply_s``, or one that is not HTTP.
        """
        return await self._exchange("POST", path, body, reply_s)

    async def _exchange(self, method: str, path: str, body: bytes, reply_s: float) -> Response:
        request = self.request(method, path, body)
        async with self._free:
            connection = self._take() or await self._connect()
            try:
                async with asyncio.timeout(reply_s):
                    reply = await connection.send(request)
            except TimeoutError as error:
                raise Unanswered(
                    f"{self.address} did not answer within {reply_s:g} s",
                    hint="`colonies doctor` looks why; --request-timeout waits longer",
                ) from error
            except Broken as error:
                raise Unanswered(
                    f"the connection to {self.address} broke: {error}", hint=self._tls_hint()
                ) from error
            if connection.usable:
                self._idle.append(connection)
            self.server_date = reply.date
            return reply

    def request(self, method: str, path: str, body: bytes) -> bytes:
        """A whole request.

        Raises:
            Unreachable: the address is none.
        """
        try:
            host = self.address.host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise Unreachable(
                f"{self.address.host!r} is no name of a host", hint=_NAME_HINT
            ) from error
        head = f"{method} {path} HTTP/1.1\r\nhost: {host}:{self.address.port}\r\n"
        length = f"content-length: {len(body)}\r\n\r\n"
        return head.encode("ascii") + _JSON_HEADERS + length.encode("ascii") + body

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        make: Callable[[], _Connection] = _Connection
        async with self.reaching():
            _, connection = await loop.create_connection(
                make, self.address.host, self.address.port, ssl=self.ssl
            )
        return connection

    @asynccontextmanager
    async def reaching(self) -> AsyncGenerator[None]:
        """Connect to the address within this, in the time there is for that.

        Raises:
            Unreachable: whatever kept from it.
        """
        try:
            async with asyncio.timeout(self._connect_s):
                yield
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"the certificate of {self.address} is not trusted: {error.verify_message}",
                hint="trust its authority, or accept any certificate with --skip-tls-verify",
            ) from error
        except ssl.SSLError as error:
            raise Unreachable(
                f"{self.address} does not speak TLS ({error.reason})",
                hint="a server without TLS is reached with --insecure or COLONIES_TLS=false",
            ) from error
        except TimeoutError as error:
            raise Unreachable(
                f"{self.address} cannot be reached within {self._connect_s:g} s",
                hint="check COLONIES_SERVER_HOST and COLONIES_SERVER_PORT; `colonies config`",
            ) from error
        except (OSError, UnicodeError, OverflowError) as error:
            asked = "is it running? `colonies dev` starts one, `colonies config` shows which"
            unknown = isinstance(error, socket.gaierror)
            raise Unreachable(
                f"{self.address} cannot be reached: {_reason(error)}",
                hint=_NAME_HINT if unknown else asked,
            ) from error

    @cached_property
    def ssl(self) -> ssl.SSLContext | None:
        """How TLS is spoken to the server; None where it is not."""
        if not self.address.tls:
            return None
        context = ssl.create_default_context()
        if not self.address.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _tls_hint(self) -> str:
        return "" if self.address.tls else "if the server speaks TLS, set COLONIES_TLS=true"


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    with suppress(AttributeError):
        return cast("OSError", error).strerror or str(error)
    return str(error)
