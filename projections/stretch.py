"""What a stretch of a log changed, in so few bytes that it can be kept beside the log.

It follows from the events of the stretch alone. One after the other, stretches say how many of
what there were, who waited in which order, and which events a process is named in, without the
events in between being folded. What the writes of a fold mean is the only thing known here.
"""

import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from broker import keys
from broker.access import EXECUTOR
from broker.aggregates.process import State
from broker.decision import Arg, Fold, Write
from broker.envelope import RawEntry, read_event
from broker.errors import Corrupt
from broker.keys import Key, Tag
from broker.packing import packed, unpacked
from projections.rows import encoded

QUEUES = Key("q")
"""Counts what waits, in whichever queue."""
_QUEUE, _MEMBER = "q:", "m:"
_NAME = f"{EXECUTOR}/"
_COUNTED = {make(int(state)) for state in State for make in (keys.listing, keys.workflows)}
_TIME_DIGITS = 20
_NAME_BITS = 24

_CHECKSUM_BITS = 32

Turn = int
"""A place in the order of what waits: priority time as queues have it, and checksum of the id."""


@dataclass(slots=True)
class Stretch:
    """The changes of some events that follow each other.

    ``counts`` is by how many a listing grew, ``members`` what fields of executors are now (None is
    gone), ``named`` marks of all ids that occur, ``joined`` who came to wait and still does, with
    the number of the event that queued it, ``left`` who does not wait any more and did before.
    """

    counts: Counter[Key] = field(default_factory=Counter[Key])
    members: dict[str, bytes | None] = field(default_factory=dict[str, bytes | None])
    named: set[int] = field(default_factory=set[int])
    joined: dict[Turn, int] = field(default_factory=dict[Turn, int])
    left: set[Turn] = field(default_factory=set[Turn])
    events: int = 0

    def add(self, tag: Tag, raw: RawEntry, fold: Fold) -> None:
        """One more event.

        Raises:
            Corrupt: it cannot be read, or means something that a stretch cannot say.
        """
        self.named.update(map(mark_of, ids_in(tag, raw)))
        for write in fold(read_event(raw)):
            self.apply(write)
        self.events += 1

    def apply(self, write: Write) -> None:
        """One change that the event made.

        Raises:
            Corrupt: it means something that a stretch cannot say.
        """
        command, key, args = write
        if key.startswith(_QUEUE):
            self._queued(command, args)
        elif key in _COUNTED:
            self.counts[key] += _grown(command, args)
        elif key == keys.NAMES:
            self._called(command, args)
        elif key.startswith(_MEMBER):
            self._member(command, key, args)

    def _queued(self, command: str, args: Sequence[Arg]) -> None:
        self.counts[QUEUES] += _grown(command, args)
        if command == "ZADD":
            self.joined[turn_of(args[-1])] = self.events
            return
        for turn in map(turn_of, args):
            if self.joined.pop(turn, None) is None:
                self.left.add(turn)

    def _called(self, command: str, args: Sequence[Arg]) -> None:
        values = {"HSET": args[1::2], "HDEL": [None] * len(args)}[command]
        names = args[::2] if command == "HSET" else args
        for name, value in zip(map(str, names), values, strict=True):
            if name.startswith(_NAME):
                self.members[name] = None if value is None else encoded(value)

    def _member(self, command: str, key: Key, args: Sequence[Arg]) -> None:
        if command == "UNLINK":
            self.members[key] = None
            return
        fields = dict(zip(map(encoded, args[::2]), args[1::2], strict=True))
        if b"state" in fields:
            self.members[key] = encoded(fields[b"state"])

    # -------------------------------------------------------- as it is kept

    def packed_counts(self) -> bytes:
        """The counts and the executors."""
        return packed((dict(self.counts), self.members))

    def packed_names(self) -> bytes:
        """Which ids occur."""
        return zlib.compress(_planes("I", _steps(sorted(self.named))))

    def packed_queue(self) -> bytes:
        """Who came to wait, and who went."""
        joined, left = sorted(self.joined), sorted(self.left)
        places = [self.joined[turn] for turn in joined]
        return zlib.compress(packed((*_turns(joined), _planes("H", places), *_turns(left))))

    @classmethod
    def of_counts(cls, data: bytes) -> "Stretch":
        """What ``packed_counts`` kept."""
        counts, members = unpacked(data)
        return cls(counts=Counter(counts), members=members)

    @classmethod
    def of_names(cls, data: bytes) -> "Stretch":
        """What ``packed_names`` kept."""
        return cls(named=set(accumulate(_values("I", zlib.decompress(data)))))

    @classmethod
    def of_queue(cls, data: bytes) -> "Stretch":
        """What ``packed_queue`` kept."""
        times, checksums, places, *left = unpacked(zlib.decompress(data))
        turns = _read_turns(times, checksums)
        joined = dict(zip(turns, _values("H", places), strict=True))
        return cls(joined=joined, left=set(_read_turns(*left)))


def ids_in(tag: Tag, raw: RawEntry) -> Iterator[bytes]:
    """Every id made in the colony that an entry holds anywhere: all of them end alike."""
    suffix = tag.text[-keys.SUFFIX_DIGITS :].encode()
    whole = b"\0".join(raw[1])
    at = whole.find(suffix)
    while at >= 0:
        end = at + keys.SUFFIX_DIGITS
        yield whole[max(0, end - keys.ID_DIGITS) : end]
        at = whole.find(suffix, end)


def mark_of(identifier: bytes) -> int:
    """How a stretch remembers an id: one other id in sixteen million has the same mark."""
    return zlib.crc32(identifier) >> (32 - _NAME_BITS)


def turn_of(member: Arg) -> Turn:
    """When it is the turn of a queue member."""
    text = encoded(member)
    return int(text[:_TIME_DIGITS]) << _CHECKSUM_BITS | zlib.crc32(text[_TIME_DIGITS:])


def time_of(turn: Turn) -> int:
    """The time in it; who has the same is told apart by id."""
    return turn >> _CHECKSUM_BITS


def _grown(command: str, args: Sequence[Arg]) -> int:
    """By how much a write makes a listing larger: folds add what is not there, remove what is.

    Raises:
        Corrupt: a command of which one cannot tell.
    """
    match command:
        case "ZADD":
            return 1
        case "ZREM":
            return -len(args)
        case _:
            raise Corrupt(f"a fold wrote {command} to a listing, which nothing can count")


def _turns(turns: Collection[Turn]) -> tuple[bytes, bytes]:
    checksums = (turn & (1 << _CHECKSUM_BITS) - 1 for turn in turns)
    return _planes("Q", _steps([time_of(turn) for turn in turns])), _planes("I", checksums)


def _read_turns(times: bytes, checksums: bytes) -> list[Turn]:
    pairs = zip(accumulate(_values("Q", times)), _values("I", checksums), strict=True)
    return [time << _CHECKSUM_BITS | checksum for time, checksum in pairs]


def _steps(ascending: Sequence[int]) -> Iterator[int]:
    """Each number as the distance from the one before it."""
    yield from ascending[:1]
    yield from (after - before for before, after in pairwise(ascending))


def _planes(kind: str, numbers: Iterable[int]) -> bytes:
    """Numbers, the lowest bytes of all first: the high ones are alike, and compress to nothing."""
    column = array(kind, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    data = column.tobytes()
    return b"".join(data[byte :: column.itemsize] for byte in range(column.itemsize))


def _values(kind: str, planes: bytes) -> "array[int]":
    column: array[int] = array(kind)
    count, data = len(planes) // column.itemsize, bytearray(len(planes))
    for byte in range(column.itemsize):
        data[byte :: column.itemsize] = planes[byte * count : (byte + 1) * count]
    column.frombytes(bytes(data))
    if sys.byteorder == "big":
        column.byteswap()
    return column
