"""A signed request that is answered with a stream: opened here, accepted once if it has a nonce."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from api import wire
from api.context import Call, Context
from api.rpc import marked
from broker import keys
from broker.errors import Malformed, Replayed
from broker.identity import digest, signer
from broker.keys import SERVER
from broker.store import Signed

M = TypeVar("M", bound=wire.Message)


class OpenLine:
    """The other end of a stream, which is looked after by whoever writes the stream."""

    gone = False
    undelivered: Callable[[], None] | None = None

    def watch(self, listener: Callable[[], None] | None = None) -> None:
        """Nothing waits for such a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An envelope whose signer is known."""

    name: str
    text: bytes
    by: Signed


def opened(body: bytes) -> Sealed:
    """Open an envelope.

    Raises:
        Malformed, BadSignature: it is none, or nobody can have signed it.
    """
    request = wire.decode(body, wire.Request)
    signed = digest(request.payload.encode())
    caller = signer(signed, request.signature)
    proof = signed + bytes.fromhex(request.signature)
    return Sealed(
        name=request.payloadtype,
        text=wire.unwrap(request.payload),
        by=Signed(caller=caller, proof=proof),
    )


def read(sealed: Sealed, kind: type[M], unreadable: str) -> M:
    """The message inside.

    Raises:
        Malformed: it cannot be read; ``unreadable`` says so.
    """
    try:
        return wire.decode(sealed.text, kind)
    except Malformed as error:
        raise Malformed(f"{unreadable}, invalid JSON") from error


async def accepted(context: Context, sealed: Sealed, message: wire.Message) -> Call:
    """The call; one with a nonce is accepted once.

    Raises:
        Replayed, Malformed: a nonce outside its window, used before, or without a time.
    """
    by = sealed.by
    if message.nonce:
        by = marked(context, by, message)
        key = SERVER.key(keys.nonce(by.caller, by.nonce))
        if await context.store.send("SET", key, by.digest, "NX", "PX", by.nonce_ms) is None:
            raise Replayed("the nonce was used before; a stream is asked for with a new one")
    return Call(caller=by.caller, signed=by, payload=sealed.text, line=OpenLine())
