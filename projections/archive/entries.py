"""Entries of streams to rows of the archive and back, byte by byte the same.

A text of SQL cannot hold a zero. A row whose texts do has a packed copy of all its fields beside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec import structs
from psycopg.types.json import Jsonb

from broker.access import LONGEST_NAME
from broker.aggregates import executor, process, workflow
from broker.aggregates.attribute import AttributeSet
from broker.decision import Event
from broker.envelope import DIGEST_BYTES, FIELDS, RawEntry, position_of, read_event
from broker.packing import packed, unpacked
from broker.position import Position

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST = 2**63
_PROCESSES = {kind.TYPE for kind in process.EVENTS}
_WORKFLOWS = {kind.TYPE for kind in workflow.EVENTS}
_EXECUTORS = {kind.TYPE for kind in executor.EVENTS}
_BY_EXECUTOR = {process.ProcessAssigned.TYPE, process.ProcessClosed.TYPE, process.OutputSet.TYPE}
_LINE = ("p", "e", "m")
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"

Row = tuple[object, ...]
EVENT_COLUMNS = (
    *("at", "colony", "tag", "ms", "seq", "type", "version", "subject", "actor", "at_ns", "cause"),
    *("digest", "signature", "body", "exact"),
    *("process", "workflow", "executor", "function", "numbers"),
)
LINE_COLUMNS = ("at", "colony", "tag", "ms", "seq", "process", "executor", "message", "exact")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose entries these are: the name of a colony, "" for the server, and the text of the tag."""

    colony: str
    tag: str


def moment(position: Position) -> datetime:
    """When the store appended what stands there."""
    return _EPOCH + timedelta(milliseconds=position.ms)


def _values(raw: RawEntry, names: Sequence[str]) -> list[bytes]:
    flat: Sequence[bytes] = raw[1]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return [fields[name.encode()] for name in names]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace").replace("\0", _UNREADABLE)


def _exact(values: Sequence[bytes], texts: Sequence[bytes]) -> bytes | None:
    """All values once more, if one of the texts is not what its column says."""
    same = all(_text(text).encode() == text for text in texts)
    return None if same else packed(list(values))


# ---------------------------------------------------------------- events


def event_row(owner: Owner, raw: RawEntry) -> Row:
    """An event as EVENT_COLUMNS have it; a request that is kept stands behind its signature.

    Raises:
        Corrupt: it cannot be read.
    """
    event, position = read_event(raw), position_of(raw)
    values = _values(raw, FIELDS)
    kind, version, subject, actor, at_ns, cause, signed, body = values
    return (
        *(moment(position), _text(owner.colony.encode()), owner.tag, position.ms, position.seq),
        *(_text(kind), int(version), _text(subject), _text(actor), int(at_ns), _text(cause)),
        *(signed[:DIGEST_BYTES], signed[DIGEST_BYTES:], body),
        _exact(values, (kind, subject, actor, cause)),
        *(_name(one) for one in _about(event)),
        _numbers(event),
    )


def _about(event: Event) -> tuple[str, str, str, str]:
    """The process, the workflow, the executor (id) and the function that an event names."""
    kind, subject = event.TYPE, event.subject
    of_process = subject if kind in _PROCESSES else ""
    if isinstance(event, AttributeSet):
        of_process = event.process_id
    of_workflow = subject if kind in _WORKFLOWS else getattr(event, "graph", "")
    holder = getattr(event, "new_holder", "") or getattr(event, "holder", "")
    if kind in _EXECUTORS:
        holder = subject
    elif kind in _BY_EXECUTOR:
        holder = event.actor
    return of_process, of_workflow, holder, getattr(event, "function", "")


def _name(value: object) -> str | None:
    """What a column with an index holds: that takes 2,704 bytes, and functions have any name."""
    return _text(value[:LONGEST_NAME].encode()) if isinstance(value, str) and value else None


def _numbers(event: Event) -> Jsonb | None:
    given = structs.asdict(event).items()
    found = {k: v for k, v in given if isinstance(v, int) and k != "at_ns" and abs(v) < _MOST}
    return Jsonb(found) if found else None


def event_entry(  # noqa: PLR0917 - the columns of EVENT_SELECTED, in their order
    ms: int,
    seq: int,
    kind: str,
    version: int,
    subject: str,
    actor: str,
    at_ns: int,
    cause: str,
    digest: bytes,
    signature: bytes,
    body: bytes,
    exact: bytes | None,
) -> RawEntry:
    """The entry of a stream that a row was made from."""
    texts = (kind, str(version), subject, actor, str(at_ns), cause)
    values = unpacked(exact) if exact else [*map(str.encode, texts), digest + signature, body]
    flat = [part for name, value in zip(FIELDS, values, strict=True) for part in (name, value)]
    return (
        b"%d-%d" % (ms, seq),
        [part.encode() if isinstance(part, str) else part for part in flat],
    )


EVENT_SELECTED = (
    "ms, seq, type, version, subject, actor, at_ns, cause, digest, signature, body, exact"
)

# ---------------------------------------------------------------- log lines


def line_row(owner: Owner, raw: RawEntry) -> Row:
    """A log line as LINE_COLUMNS have it."""
    values, position = _values(raw, _LINE), position_of(raw)
    of_process, speaker, text = values
    return (
        *(moment(position), _text(owner.colony.encode()), owner.tag, position.ms, position.seq),
        *(of_process.hex() or None, _text(speaker), _text(text)),
        _exact(values, (speaker, text)),
    )


def line_entry(  # noqa: PLR0917 - the columns of LINE_SELECTED, in their order
    ms: int, seq: int, of_process: str | None, speaker: str, text: str, exact: bytes | None
) -> RawEntry:
    """The entry of a stream that a row was made from."""
    given = [bytes.fromhex(of_process or ""), speaker.encode(), text.encode()]
    values = unpacked(exact) if exact else given
    return b"%d-%d" % (ms, seq), [b"p", values[0], b"e", values[1], b"m", values[2]]


LINE_SELECTED = "ms, seq, process, executor, message, exact"
