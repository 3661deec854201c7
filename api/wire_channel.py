"""Messages about channels, as the protocol spells them (extended.md, section 9)."""

from msgspec import UNSET, Raw, UnsetType

from api import wire


class Entry(wire.Wire):
    """One entry of a channel; ``payload`` is base64 or null."""

    sequence: int
    timestamp: str
    senderid: str
    payload: bytes | None
    inreplyto: int | UnsetType = UNSET
    type: str | UnsetType = UNSET


class OfChannel(wire.Message):
    """A message that names a channel of a process."""

    processid: str = ""
    name: str = ""


class ChannelAppendMsg(OfChannel):
    """Say something; ``payload`` is base64, a list of bytes as numbers, or null."""

    sequence: wire.Int = 0
    inreplyto: wire.Int = 0
    payload: Raw = Raw(b"null")
    payloadtype: str = ""


class ChannelReadMsg(OfChannel):
    """Read without the first ``afterseq`` entries, at most ``limit`` if it is above 0."""

    afterseq: wire.Int = 0
    limit: wire.Int = 0
