"""What a request asked for that a log keeps, read from the text that was signed."""

from dataclasses import dataclass

import msgspec

from api import wire
from broker.errors import Malformed
from broker.identity import digest


class _Exact(msgspec.Struct):
    """The one field that is read here. Others may hold what only their message understands."""

    msgtype: str = ""


class _Lenient(wire.Wire):
    """The same as ``wire.decode`` reads it."""

    msgtype: str = ""


_exact = msgspec.json.Decoder(_Exact).decode
_anything = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Asked:
    """The type of a message, and the message as the client wrote it (JSON)."""

    kind: str
    text: str

    @classmethod
    def read(cls, request: bytes, signed: bytes) -> "Asked":
        """From the text that was signed and its digest.

        Raises:
            Malformed: it has another digest, or is nothing that a server accepts; the text goes
                on where a sentence names the request.
        """
        if digest(request) != signed:
            raise Malformed("was changed: its digest is another")
        text = wire.unwrap(request.decode("ascii", "replace"))
        if not text:
            raise Malformed("no server accepts: it is no base64")
        try:
            kind = _kind_of(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, Malformed) as error:
            raise Malformed("no server accepts: it is no message in JSON") from error
        if not kind:
            raise Malformed("no server accepts: it names no message")
        return cls(kind, text.decode("utf-8", "replace"))


def _kind_of(text: bytes) -> str:
    """The type that a server takes a message for.

    It reads one in the prescribed spelling strictly. In any other the last of what spells the type
    counts; but that is found only in what it can read without knowing the message.

    Raises:
        DecodeError, RecursionError, UnicodeDecodeError, Malformed: it cannot be read.
    """
    try:
        _anything(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _exact(text).msgtype
    return wire.decode(text, _Lenient).msgtype
