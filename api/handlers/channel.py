"""Channels: say, and read."""

from functools import partial
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta

from api.context import Call, Context
from api.wire import Empty, rfc3339
from api.wire_channel import ChannelAppendMsg, ChannelReadMsg
from api.wire_channel import Entry as ShownEntry
from broker import channels
from broker.access import Gate
from broker.aggregates.process_row import ProcessRow
from broker.channels import Append, Entry, Party
from broker.directory import Colony
from broker.errors import Malformed
from projections.core import listings

_Byte = Annotated[int, Meta(ge=0, le=255)]
_payload: msgspec.json.Decoder[bytes | list[int] | None] = msgspec.json.Decoder(
    bytes | list[_Byte] | None
)


async def append(ctx: Context, call: Call, msg: ChannelAppendMsg) -> Empty:
    """Append an entry to a channel."""
    command = Append(
        process_id=msg.processid,
        channel=msg.name,
        sequence=msg.sequence,
        in_reply_to=msg.inreplyto,
        kind=msg.payloadtype,
        payload=_bytes_of(bytes(msg.payload)),
    )

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, ProcessRow | None]]:  # noqa: FBT001
        colony, gate, row = await _located(ctx, call, msg.processid, fresh=fresh)
        return colony, (gate, row)

    def decide(rows: tuple[Gate, ProcessRow | None], _now_ns: int) -> Party:
        gate, row = rows
        return channels.appending(gate, command, row)

    await ctx.say(call, read, decide, partial(channels.append, command))
    return Empty()


def _bytes_of(text: bytes) -> bytes | None:
    """A payload as sent: base64, or numbers as some SDKs send them."""
    try:
        found = _payload.decode(text)
    except msgspec.DecodeError as error:
        raise Malformed("Failed to append to channel, invalid JSON") from error
    return bytes(found) if isinstance(found, list) else found


async def read(ctx: Context, call: Call, msg: ChannelReadMsg) -> list[ShownEntry]:
    """Read entries of a channel."""
    colony, gate, row = await _located(ctx, call, msg.processid, fresh=True)
    channels.reading(gate, msg.name, row)
    if colony is None:
        return []
    found = await channels.read(
        ctx.store, colony.tag, msg.processid, msg.name, after=msg.afterseq, limit=msg.limit
    )
    return [shown(entry) for entry in found]


async def _located(
    ctx: Context, call: Call, process_id: str, *, fresh: bool
) -> tuple[Colony | None, Gate, ProcessRow | None]:
    colony, gate = await ctx.gate_of(call, process_id, fresh=fresh)
    row = await listings.process(ctx.store, colony.tag, process_id) if colony else None
    return colony, gate, row


def shown(entry: Entry) -> ShownEntry:
    """An entry as the protocol shows it."""
    return ShownEntry(
        sequence=entry.sequence,
        timestamp=rfc3339(entry.at_ns),
        senderid=entry.sender,
        payload=entry.payload,
        inreplyto=entry.in_reply_to or UNSET,
        type=entry.kind or UNSET,
    )
