"""Log lines: the one high-volume stream of a colony, with its own retention.

A line is no event: it decides nothing and is folded into nothing, and there may be thousands for
each process. It costs its text, its executor's name and about a hundred bytes. Its time (Unix ns)
is its place in the stream, strictly increasing within a colony, so reading on from a time neither
skips nor repeats a line. By process and by executor, a list of such times leads to the lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from broker import keys
from broker.access import EXECUTOR, ColonyRow, Gate, MemberRow, member
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.clock import MS_NS
from broker.envelope import RawEntry
from broker.errors import Denied, Invalid, Missing
from broker.keys import Key, Tag
from broker.position import Position
from broker.script import LOG, TRIM_LOGS
from broker.store import Conflict, EventStore, Signed, repeat_of

MOST_LINES = 1_000
"""Lines in one request."""
LINE_BYTES = 150
"""What a line is counted with besides its text."""
_PAGE = 500


class Line(Struct, frozen=True, kw_only=True):
    """One line. ``process_id`` is "" for what an executor says of itself; ``at_ns`` Unix ns."""

    process_id: str
    executor: str
    text: str
    at_ns: int


class HeardLine:
    """A line as it arrives where the stream is followed; read when somebody wants it, once."""

    __slots__ = ("_line", "_raw", "executor", "position", "process", "size")

    def __init__(self, raw: RawEntry) -> None:
        values: Sequence[bytes] = raw[1]
        self.position = Position.parse(raw[0])
        self.process, self.executor = values[1], values[3]
        """The id of the process, 32 bytes or none, and the name of the executor."""
        self.size = len(values[5]) + LINE_BYTES
        self._raw = raw
        self._line: Line | None = None

    @property
    def line(self) -> Line:
        """The whole of it."""
        if self._line is None:
            self._line = line_of(self._raw)
        return self._line


class Saying(Struct, frozen=True, kw_only=True):
    """Lines that an executor may say, and on what that rests."""

    colony: ColonyRow
    speaker: MemberRow
    process_id: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What a log may keep: lines up to an age in seconds, and bytes; 0 is without limit."""

    age_s: int
    size: int


# -------------------------------------------------------------------- who may


def of_process(gate: Gate, row: ProcessRow | None, lines: Sequence[str]) -> Saying:
    """Lines about a process: by the executor that runs it.

    Raises:
        Missing, Denied: no such process; not a member; not running; not the caller's.
    """
    if row is None:
        raise Missing("Failed to add log, process is nil")
    member(gate)
    if row.state is not State.RUNNING:
        raise Denied("Failed to set output, process is not running")
    if row.holder != gate.caller:
        raise Denied(
            "Failed to add log, not allowed to add log, only the assigned Executor may att logs"
        )
    return _saying(gate, row.id, lines)


def of_executor(gate: Gate, name: str, lines: Sequence[str]) -> Saying:
    """Lines of an executor about itself.

    Raises:
        Denied: not an approved executor; somebody else's name.
    """
    member(gate)
    if gate.member is None or gate.member.kind != EXECUTOR:
        raise Denied("Failed to add executor log, executor not found")
    if gate.member.name != name:
        raise Denied("Failed to add executor log, executor name mismatch")
    return _saying(gate, "", lines)


def _saying(gate: Gate, process_id: str, lines: Sequence[str]) -> Saying:
    if gate.colony is None or gate.member is None:
        raise Denied("unreachable: a member of no colony")
    return Saying(colony=gate.colony, speaker=gate.member, process_id=process_id, lines=lines)


def check_lines(lines: Sequence[str], most_bytes: int) -> None:
    """Lines that can be stored.

    Raises:
        Invalid: too many in one request, or too long.
    """
    if len(lines) > MOST_LINES:
        raise Invalid(f"{len(lines)} log lines in one request, more than the limit of {MOST_LINES}")
    for line in lines:
        if len(line) * 4 > most_bytes and (size := len(line.encode())) > most_bytes:
            raise Invalid(f"a log line has {size} bytes, more than the limit of {most_bytes}")


# -------------------------------------------------------------------- writing


async def say(store: EventStore, tag: Tag, saying: Saying, signed: Signed) -> Conflict | None:
    """Append the lines in one step; a conflict when what allows it has changed.

    Raises:
        Replayed: another request used its nonce.
    """
    if not saying.lines:
        return None
    prefix = tag.prefix
    logs, executor = prefix + keys.LOGS, prefix + keys.executor_log(saying.speaker.name)
    nonce = prefix + keys.nonce(signed.caller, signed.nonce) if signed.nonce else logs
    colony = about = prefix + keys.COLONY
    of_process = executor
    if saying.process_id:
        about = prefix + keys.process(saying.process_id)
        of_process = prefix + keys.process_log(saying.process_id)
    speaker = prefix + keys.member(saying.speaker.id)
    names = [logs, nonce, prefix + keys.LOG_STATE, colony, speaker, about, executor, of_process]
    now_ns = store.clock.now_ns()
    reply = await store.call(
        LOG,
        names,
        [
            *(signed.nonce_ms if signed.nonce else 0, signed.digest),
            *(saying.colony.guard, saying.speaker.guard),
            saying.speaker.id if saying.process_id else "",
            *(now_ns // MS_NS, now_ns % MS_NS),
            *(bytes.fromhex(saying.process_id), saying.speaker.name, LINE_BYTES),
            *saying.lines,
        ],
    )
    if reply[0] == b"repeat":
        repeat_of(reply[1], signed)
    return Conflict(0, {}) if reply[0] == b"conflict" else None


async def trim(
    store: EventStore, tag: Tag, retention: Retention, until: Position | None = None
) -> int:
    """Forget lines beyond what may be kept, none after a position; how many.

    A bounded number at a time.
    """
    age_ms = retention.age_s * 1000
    before_ms = store.clock.now_ns() // MS_NS - age_ms if age_ms else 0
    size, forgotten = retention.size or 2**53, 0
    names = [tag.key(keys.LOGS), tag.key(keys.LOG_STATE)]
    while True:
        args = [tag.prefix, before_ms, size, LINE_BYTES, _PAGE, str(until or "")]
        step = int(await store.call(TRIM_LOGS, names, args))
        forgotten += step
        if step < _PAGE:
            return forgotten


# -------------------------------------------------------------------- reading


async def indexed(
    store: EventStore, tag: Tag, index: Key, *, after_ns: int, count: int
) -> list[Line]:
    """The first lines of a process or an executor after a time, ascending."""
    key = tag.key(index)
    first = await _first_after(store, key, after_ns) if after_ns > 0 else 0
    return await _at(store, tag, await store.send("LRANGE", key, first, first + count - 1))


async def latest(store: EventStore, tag: Tag, index: Key, *, count: int) -> list[Line]:
    """The last lines of a process or an executor, ascending."""
    return await _at(store, tag, await store.send("LRANGE", tag.key(index), -count, -1))


async def _first_after(store: EventStore, key: str, after_ns: int) -> int:
    """Where in an index of ascending times those after ``after_ns`` begin."""
    low, high = 0, int(await store.send("LLEN", key))
    while low < high:
        middle = (low + high) // 2
        found = await store.send("LINDEX", key, middle)
        if found is not None and int(found) <= after_ns:
            low = middle + 1
        else:
            high = middle
    return low


async def _at(store: EventStore, tag: Tag, times: Sequence[bytes]) -> list[Line]:
    logs = tag.key(keys.LOGS)
    places = [place(int(at_ns)) for at_ns in times]
    pages = await store.read(*(("XRANGE", logs, one, one) for one in places))
    return [line_of(page[0]) for page in pages if page]


def place(at_ns: int) -> str:
    """Where in the stream the line of a time (Unix ns) stands."""
    return f"{at_ns // MS_NS}-{at_ns % MS_NS}"


def line_of(raw: RawEntry) -> Line:
    """The line that an entry of the stream holds."""
    position, values = raw
    at = Position.parse(position)
    return Line(
        process_id=values[1].hex(),
        executor=values[3].decode(),
        text=values[5].decode(),
        at_ns=at.ms * MS_NS + at.seq,
    )
