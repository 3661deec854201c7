"""Stream entry fields to and from events.

An entry is flat: ``type v subject actor at cause signed body``. Entries of a stream repeat the same
field names in the same order, which Redis stores once per node. ``body`` is msgpack and opaque to
Lua. ``signed`` is the SHA3-256 digest that the request's signature signs, followed by the
signature (32 + 65 bytes): from it anybody can recover the actor; it is empty for what the server
did by itself. Where requests are kept, the first event that one appends has behind these bytes the
text that was signed; its other events have the same digest and signature alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.decision import Arg, Event
from broker.errors import Corrupt
from broker.position import Position
from broker.registry import pack, unpack

FIELDS = ("type", "v", "subject", "actor", "at", "cause", "signed", "body")
DIGEST_BYTES = 32
PROOF_BYTES = DIGEST_BYTES + 65
"""Digest and signature; what follows in ``signed`` is the request."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the stream and the proof of who asked for it, and for what."""

    position: Position
    event: Event
    signed: bytes


def entry(event: Event, signed: bytes) -> tuple[Arg, ...]:
    """The values of an entry, in the order of FIELDS."""
    return (
        event.TYPE,
        event.VERSION,
        event.subject,
        event.actor,
        event.at_ns,
        event.cause,
        signed,
        pack(event),
    )


RawEntry = Sequence[Any]
"""One element of an XRANGE reply: position, and fields and values in turn."""


def position_of(raw: RawEntry) -> Position:
    """Where an entry is."""
    return Position.parse(raw[0])


def type_of(raw: RawEntry) -> str:
    """The event type of an entry, which its first field holds."""
    return raw[1][1].decode()


def read_event(raw: RawEntry) -> Event:
    """The event of an entry, for whoever does not ask where it stands and who asked for it.

    Raises:
        Corrupt: it is not an entry of ours.
    """
    flat: Sequence[bytes] = raw[1]
    return _event(dict(zip(flat[::2], flat[1::2], strict=True)))


def read_entry(raw: RawEntry) -> Recorded:
    """One element of an XRANGE reply.

    Raises:
        Corrupt: it is not an entry of ours.
    """
    flat: Sequence[bytes] = raw[1]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return Recorded(position_of(raw), _event(fields), fields.get(b"signed", b""))


def _event(fields: Mapping[bytes, bytes]) -> Event:
    try:
        return unpack(
            fields[b"type"].decode(),
            int(fields[b"v"]),
            fields[b"subject"].decode(),
            fields[b"actor"].decode(),
            int(fields[b"at"]),
            fields[b"cause"].decode(),
            fields[b"body"],
        )
    except (KeyError, ValueError) as error:
        raise Corrupt(f"stream entry without {error}") from error
