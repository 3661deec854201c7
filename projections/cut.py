"""Live rows, each with the position of the log at which it looked like that.

Nobody is stopped for it: a script answers a few rows, or a part of a large one, together with the
position of the last event, which is exactly what the log folds into up to there.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker import keys
from broker.keys import Key, Tag
from broker.position import START, Position
from broker.reading import as_hash
from broker.script import CUT, PART
from broker.store import EventStore
from projections.rows import Value

MOST = 512
"""Elements of a row that is read whole."""
_ALL = 2**53
_ROWS = 100
_STEP = 1_000
_NOT_FOLDED = (keys.EVENTS, keys.HEARD, keys.LOGS, keys.LOG_STATE)
_OTHERS = (
    keys.NONCES,
    keys.ASYNC_ROWS,
    keys.PROCESS_LOGS,
    keys.EXECUTOR_LOGS,
    keys.CHANNELS,
    keys.CHANNEL_PACES,
)


@dataclass(frozen=True, slots=True)
class Large:
    """A row of one type that has too many elements to be read at once."""

    kind: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows as they were at a position; None is "does not exist"."""

    position: Position
    rows: Mapping[Key, Value | Large | None]


async def names(store: EventStore, tag: Tag) -> AsyncIterator[list[Key]]:
    """Every folded key of a tag, a few at a time.

    One that exists all the while is named, perhaps twice; one that comes or goes may be left out.
    """
    cursor = b"0"
    while True:
        cursor, page = await store.send("SCAN", cursor, "MATCH", tag.key("*"), "COUNT", _STEP)
        found = [Key(name.decode().removeprefix(tag.prefix)) for name in page]
        folded = [key for key in found if _is_folded(key)]
        for first in range(0, len(folded), _ROWS):
            yield folded[first : first + _ROWS]
        if int(cursor) == 0:
            return


def _is_folded(key: Key) -> bool:
    return key not in _NOT_FOLDED and not key.startswith(_OTHERS)


async def cut(store: EventStore, tag: Tag, wanted: Sequence[Key], *, most: int = MOST) -> Cut:
    """Some rows, in one step."""
    places = [tag.key(keys.EVENTS), *map(tag.key, wanted)]
    position, *told = await store.call(CUT, places, [most])
    rows = {
        key: _row(kind, size, found, most)
        for key, kind, size, found in zip(wanted, told[::3], told[1::3], told[2::3], strict=True)
    }
    return Cut(_position(position), rows)


def _position(text: bytes) -> Position:
    return Position.parse(text) if text else START


def _row(kind: bytes, size: int, found: Sequence[bytes], most: int) -> Value | Large | None:
    if size > most:
        return Large(kind.decode())
    make = _MAKE.get(kind)
    if make is None:
        return None if kind == b"none" else {b"a key of a type no fold writes": kind}
    return make(found)


def _scores(flat: Sequence[bytes]) -> dict[bytes, float]:
    return {m: float(s) for m, s in zip(flat[::2], flat[1::2], strict=True)}


_MAKE: Mapping[bytes, Callable[[Sequence[bytes]], Value]] = {
    b"hash": lambda found: dict(as_hash(found)),
    b"zset": _scores,
    b"set": set,
    b"list": list,
}


class Changed(Exception):
    """A row has another type than it had, or is gone, while its parts are read."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some elements of a large row as they were at a position.

    Of a set the values are empty, of a list the names are its indices.
    """

    position: Position
    elements: Mapping[bytes, bytes | float | None]


class Parts:
    """The elements of one large row."""

    def __init__(self, store: EventStore, tag: Tag, key: Key, kind: str) -> None:
        self._store = store
        self._places = [tag.key(keys.EVENTS), tag.key(key)]
        self._kind = kind

    async def each(self) -> AsyncIterator[Part]:
        """All elements; one that is there all the while is among them, perhaps twice.

        Raises:
            Changed: it is no such row any more.
        """
        if self._kind == "list":
            async for part in self._list():
                yield part
            return
        command = {"hash": "HSCAN", "zset": "ZSCAN", "set": "SSCAN"}[self._kind]
        cursor = b"0"
        while True:
            position, (cursor, found) = await self._read(command, cursor, "COUNT", MOST)
            yield Part(position, self._elements(found))
            if int(cursor) == 0:
                return

    def _elements(self, flat: Sequence[bytes]) -> Mapping[bytes, bytes | float | None]:
        match self._kind:
            case "hash":
                return as_hash(flat)
            case "zset":
                return _scores(flat)
            case _:
                return dict.fromkeys(flat, b"")

    async def _list(self) -> AsyncIterator[Part]:
        first, found = 0, [b""]
        while found:
            position, found = await self._read("LRANGE", first, first + MOST - 1)
            yield Part(position, {b"%d" % (first + n): value for n, value in enumerate(found)})
            first += MOST

    async def some(self, wanted: Sequence[bytes]) -> Part:
        """These elements; None for one that is not there.

        Raises:
            Changed: it is no such row any more.
        """
        if self._kind == "list":
            position, found = await self._read("LRANGE", int(wanted[0]), int(wanted[-1]))
            values = [*found, *[None] * (len(wanted) - len(found))]
        else:
            command = {"hash": "HMGET", "zset": "ZMSCORE", "set": "SMISMEMBER"}[self._kind]
            position, found = await self._read(command, *wanted)
            values = [self._value(value) for value in found]
        return Part(position, dict(zip(wanted, values, strict=True)))

    def _value(self, told: bytes | int | None) -> bytes | float | None:
        if told is None or self._kind == "hash":
            return told
        if self._kind == "zset":
            return float(told)
        return b"" if told else None

    async def _read(self, *command: bytes | str | int) -> tuple[Position, Any]:
        position, *found = await self._store.call(PART, self._places, [self._kind, *command])
        if not found:
            raise Changed
        return _position(position), found[0]


async def live_rows(store: EventStore, tag: Tag) -> dict[Key, Value]:
    """Every folded row of a tag as it is now, when nobody writes meanwhile."""
    found: dict[Key, Value] = {}
    async for wanted in names(store, tag):
        rows = (await cut(store, tag, wanted, most=_ALL)).rows
        found |= {k: v for k, v in rows.items() if v is not None and not isinstance(v, Large)}
    return found
