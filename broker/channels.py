"""Channels: what the submitter of a process and the executor that runs it say to each other.

Each channel of a process is a stream of its own, in the order of arrival, on whatever server the
entries arrive. As log lines they are no events. They can be read as long as the process exists, so
a reader that comes a moment after the end misses nothing, and go with it.
"""

from msgspec import Struct

from broker import keys
from broker.access import ColonyRow, Gate, MemberRow, member
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.clock import MS_NS
from broker.envelope import RawEntry
from broker.errors import Denied, Missing, NotFound
from broker.keys import Tag
from broker.script import CHANNEL
from broker.store import Conflict, EventStore, Signed, repeat_of

MOST_PAYLOAD = 10 * 1024 * 1024
MOST_ENTRIES = 10_000
MOST_BYTES = 64 * 1024 * 1024
"""Payloads of all channels of one process together."""
A_SECOND, AT_ONCE = 100, 500
"""Entries of one process: on the average, and in a burst."""
DATA = "data"
_OPEN = {State.WAITING, State.RUNNING}


class Entry(Struct, frozen=True, kw_only=True):
    """One entry; ``at_ns`` Unix ns, ``payload`` None when there was none."""

    sequence: int
    in_reply_to: int
    at_ns: int
    sender: str
    kind: str
    payload: bytes | None


class Append(Struct, frozen=True, kw_only=True):
    """Say something in a channel; an empty ``kind`` is DATA."""

    process_id: str
    channel: str
    sequence: int
    in_reply_to: int
    kind: str
    payload: bytes | None


class Party(Struct, frozen=True, kw_only=True):
    """Somebody who may speak in a channel, and on what that rests."""

    colony: ColonyRow
    speaker: MemberRow


def appending(gate: Gate, command: Append, row: ProcessRow | None) -> Party:
    """Whether the caller may say this: the submitter, or the executor that runs the process.

    Raises:
        NotFound, Denied, Missing: no such process or channel, or it has ended; somebody else;
            a payload that is too large.
    """
    row = _party_to(gate, row, "write to")
    if row.state not in _OPEN or command.channel not in row.channels:
        raise NotFound("Channel not found")
    if len(command.payload or b"") > MOST_PAYLOAD:
        raise Missing("message payload exceeds maximum size")
    if gate.colony is None or gate.member is None:
        raise Denied("unreachable: a member of no colony")
    return Party(colony=gate.colony, speaker=gate.member)


def reading(gate: Gate, channel: str, row: ProcessRow | None) -> None:
    """Whether the caller may read: the submitter, or the executor that runs or ran the process.

    Raises:
        NotFound, Denied: no such process or channel; somebody else.
    """
    row = _party_to(gate, row, "read from")
    if channel not in row.channels:
        raise NotFound("Channel not found")


def listening(gate: Gate, channel: str, row: ProcessRow | None) -> ProcessRow:
    """Whether the caller may hear what is said from now on, as long as the process goes on.

    Raises:
        NotFound, Denied: as for reading.
    """
    row = _party_to(gate, row, "subscribe to")
    if channel not in row.channels:
        raise NotFound("Channel not found")
    return row


def _party_to(gate: Gate, row: ProcessRow | None, what: str) -> ProcessRow:
    if row is None:
        raise NotFound("Process not found")
    member(gate)
    if gate.caller not in {row.holder, row.initiator_id}:
        raise Denied(f"Not authorized to {what} channel")
    return row


async def append(
    command: Append, store: EventStore, tag: Tag, party: Party, signed: Signed
) -> Conflict | None:
    """Append an entry; a conflict when what allows it has changed.

    Raises:
        Missing: too many entries, or too fast.
        Replayed: another request used its nonce.
    """
    channel = tag.key(keys.channel(command.process_id, command.channel))
    nonce = tag.key(keys.nonce(signed.caller, signed.nonce)) if signed.nonce else channel
    names = [
        *(channel, nonce, tag.key(keys.channel_pace(command.process_id)), tag.key(keys.COLONY)),
        *(tag.key(keys.member(party.speaker.id)), tag.key(keys.process(command.process_id))),
    ]
    now_ns = store.clock.now_ns()
    reply = await store.call(
        CHANNEL,
        names,
        [
            *(signed.nonce_ms if signed.nonce else 0, signed.digest),
            *(party.colony.guard, party.speaker.guard, party.speaker.id),
            *(now_ns // MS_NS, now_ns, command.sequence, command.in_reply_to),
            *(command.kind or DATA, command.payload or b"", int(command.payload is not None)),
            *(MOST_ENTRIES, MOST_BYTES, A_SECOND, AT_ONCE),
            *(f"{command.process_id}/{command.channel}", keys.said_channel(tag)),
        ],
    )
    match reply[0]:
        case b"repeat":
            repeat_of(reply[1], signed)
        case b"full":
            raise Missing("channel log is full")
        case b"too fast":
            raise Missing("rate limit exceeded")
        case _:
            pass
    return Conflict(0, {}) if reply[0] == b"conflict" else None


async def read(
    store: EventStore, tag: Tag, process_id: str, channel: str, *, after: int, limit: int
) -> list[Entry]:
    """Entries as they arrived, without the first ``after``; at most ``limit`` unless it is 0."""
    key = tag.key(keys.channel(process_id, channel))
    bound = ("COUNT", limit) if limit > 0 else ()
    first = max(after, 0) + 1
    if first > MOST_ENTRIES:
        return []
    return [_entry(raw) for raw in await store.send("XRANGE", key, f"{first}-0", "+", *bound)]


def _entry(raw: RawEntry) -> Entry:
    values = raw[1]
    return Entry(
        sequence=int(values[1]),
        in_reply_to=int(values[3]),
        at_ns=int(values[5]),
        sender=values[7].decode(),
        kind=values[9].decode(),
        payload=values[11] if values[13] == b"1" else None,
    )
