"""Following what happens on a server, over one connection after the other.

Whatever is followed says where it would go on: a subscription is asked for anew, from there,
whenever its connection has ended, for as long as the client waits for answers. So a server may be
killed, and another one take its place.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple, TypeVar

from api import wire
from cli.client import Client, opened
from cli.errors import CliError, CutOff, RpcError, Unreachable
from cli.retry import Retry

_BRIEF_S = 1.0
_PING_S = 20.0
_FAREWELL_S = 1.0
_NOT_ALLOWED = 1008
_FORBIDDEN, _UNAVAILABLE = 403, 503
_PASSING = frozenset({429, 502, _UNAVAILABLE, 504})

T = TypeVar("T")


class Frame(NamedTuple):
    """One answer to a subscription: its payload type, and its JSON text."""

    kind: str
    text: bytes


async def followed(
    connect: Callable[[], AsyncGenerator[T]], patience_s: float
) -> AsyncGenerator[T]:
    """All that one connection after the other says.

    A connection that says something, or lasts, renews the patience.

    Raises:
        RpcError: a server refuses.
        Unreachable: none was there within the patience.
    """
    retry = Retry(patience_s)
    while True:
        began = time.monotonic()
        try:
            async with aclosing(connect()) as said:
                async for item in said:
                    retry.renew()
                    yield item
            failure: RpcError | Unreachable = CutOff("the server ends each connection at once")
        except Unreachable as error:
            failure = error
        except RpcError as error:
            if error.status != _UNAVAILABLE:
                raise
            failure = error
        if isinstance(failure, CutOff) and time.monotonic() - began > _BRIEF_S:
            retry.renew()
        await _pause(retry, failure, patience_s)


async def _pause(retry: Retry, failure: RpcError | Unreachable, patience_s: float) -> None:
    try:
        await retry.pause(failure)
    except Unreachable as error:
        hint = error.hint or "the same command goes on from where it is then"
        gone = f"{error.message}; given up after {patience_s:g} s"
        raise Unreachable(gone, hint=hint) from error


def frames(client: Client, asking: Callable[[], Sequence[wire.Message]]) -> AsyncGenerator[Frame]:
    """The answers to some subscriptions, which ``asking`` words anew for each connection."""
    return followed(lambda: _socket(client, asking()), client.timeouts.reply_s)


async def _socket(client: Client, messages: Sequence[wire.Message]) -> AsyncGenerator[Frame]:
    """The answers over one websocket, until it ends."""
    # Most commands follow nothing, and start without this.
    from websockets.asyncio.client import ClientConnection, connect  # noqa: PLC0415
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus  # noqa: PLC0415

    transport = client.transport
    where = str(transport.address).replace("http", "ws", 1)
    connection: ClientConnection
    async with transport.reaching():
        try:
            connection = await connect(
                f"{where}/pubsub",
                ssl=transport.ssl,
                proxy=None,
                open_timeout=None,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
                close_timeout=_FAREWELL_S,
                max_size=None,
            )
        except InvalidStatus as error:
            raise _no_socket(error.response.status_code, where) from error
        except InvalidHandshake as error:
            raise Unreachable(f"{where} does not answer as a websocket: {error}") from error
    async with connection:
        try:
            for message in messages:
                await connection.send(client.sealed(message).decode())
            async for said in connection:
                body = said if isinstance(said, bytes) else said.encode()
                yield Frame(*opened(body, transport.address))
        except ConnectionClosed as closed:
            code, why = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (0, "")
            raise _ended(code, why) from closed


def _no_socket(status: int, where: str) -> CliError:
    text = f"{where}/pubsub answers with HTTP {status}"
    return Unreachable(text) if status in _PASSING else CliError(text)


def _ended(code: int, why: str) -> CliError:
    if code == _NOT_ALLOWED:
        return RpcError(_FORBIDDEN, why)
    return CutOff(f"the connection ended ({why or 'without a word'})")
