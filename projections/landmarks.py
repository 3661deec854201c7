"""Landmarks in a log: after every EVERY events, what they changed (``projections/stretch.py``).

Whoever wants to know how it was at a moment adds up the landmarks before it and folds the few
events that are left. A landmark follows from its events alone, so they are left by whoever comes
first, behind a checkpoint like the rows of an async projection, and a death in between costs
nothing.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from broker import keys
from broker.clock import MS_NS
from broker.decision import Fold
from broker.directory import Colony, Directory
from broker.keys import Key, Tag
from broker.pace import Leisure
from broker.position import START, Position
from broker.reactors.reactor import each
from broker.store import Batch, EventStore
from projections.stretch import Stretch

NAME, VERSION = "landmarks", 1
EVERY = 1_000
_AT_ONCE = 50
"""Events that are looked at before others have their turn."""
_PATIENCE_MS = 10 * 60 * 1000
"""How old an event may become that has no landmark yet, before others have to make room."""
_PAGE = 100
_MOST_BEGUN = 1_000
_DIGITS = 20

Part = Literal["counts", "names", "queue"]
"""What of a stretch is read; each is kept by itself."""
INDEXES: dict[Part, Key] = {
    part: keys.projected(NAME, VERSION, part) for part in ("counts", "names", "queue")
}
"""Sorted sets: score 0, member the place of a landmark and what it says."""
_CHECKPOINT = keys.checkpoint(NAME, VERSION)
_READ: dict[Part, Callable[[bytes], Stretch]] = {
    "counts": Stretch.of_counts,
    "names": Stretch.of_names,
    "queue": Stretch.of_queue,
}


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of the way through a log: behind one position, up to another, and what it changed.

    ``tell`` reads that from what is kept, which is much smaller.
    """

    after: Position
    until: Position
    tell: Callable[[], Stretch]


async def legs(store: EventStore, tag: Tag, part: Part, until: Position) -> AsyncIterator[Leg]:
    """The way up to the last landmark that is not behind a position, leg by leg."""
    index, low = tag.key(INDEXES[part]), b"-"
    high = b"(" + _place(Position(until.ms, until.seq + 1))
    after = START
    while True:
        command = ("ZRANGEBYLEX", index, low, high, "LIMIT", 0, _PAGE)
        page: list[bytes] = await store.send(*command)
        for member in page:
            last = Position(int(member[:_DIGITS]), int(member[_DIGITS : 2 * _DIGITS]))
            yield Leg(after, last, partial(_READ[part], member[2 * _DIGITS :]))
            after = last
        if len(page) < _PAGE:
            return
        low = b"(" + page[-1]


async def reached(store: EventStore, tag: Tag) -> Position | None:
    """Where the last landmark is."""
    text: bytes | None = await store.send("GET", tag.key(_CHECKPOINT))
    return Position.parse(text) if text else None


@dataclass(slots=True)
class _Begun:
    """A stretch that is not long enough yet: from where it goes, and how far it has come."""

    before: Position | None
    at: bytes
    """Where the last event is that was added, or where the stretch begins; as it came, for it is
    read far more rarely than it moves."""
    stretch: Stretch

    @property
    def last(self) -> Position:
        return Position.parse(self.at)


class Surveyor:
    """Leaves the landmarks."""

    def __init__(
        self, store: EventStore, fold: Fold, every: int = EVERY, leisure: Leisure | None = None
    ) -> None:
        """With ``leisure`` it leaves the processor to whatever else this process does."""
        self._store = store
        self._leisure = leisure
        self._fold = fold
        self._every = every
        self._directory = Directory(store)
        self._begun: dict[Tag, _Begun] = {}
        self._stopping = False

    def stop(self) -> None:
        """End with the step that is under way."""
        self._stopping = True

    async def survey(self) -> None:
        """See to all colonies."""
        await each(await self._directory.every(), self.advance)

    async def advance(self, colony: Colony) -> None:
        """Leave every landmark there is to leave in a colony's log.

        Raises:
            Corrupt: an event that cannot be read.
        """
        while not self._stopping and await self._step(colony.tag):
            pass

    async def _step(self, tag: Tag) -> bool:
        """Read on, by a stretch at most; whether there may be more to do."""
        begun = await self._begin(tag)
        missing = self._every - begun.stretch.events
        page = await self._store.raw_page(tag, begun.last, missing)
        for first in range(0, len(page), _AT_ONCE):
            if self._leisure is not None:
                self._leisure.begin()
            for raw in page[first : first + _AT_ONCE]:
                begun.stretch.add(tag, raw, self._fold)
                begun.at = raw[0]
            if self._leisure is not None:
                await self._leisure.rest(hurry=self._is_late(begun.last))
        if len(page) < missing:
            return False
        # Whether it is ours or another's that is there now: the next one begins behind it.
        del self._begun[tag]
        await self._store.project(tag, _batch(begun))
        return True

    def _is_late(self, position: Position) -> bool:
        return self._store.clock.now_ns() // MS_NS - position.ms > _PATIENCE_MS

    async def _begin(self, tag: Tag) -> _Begun:
        begun = self._begun.get(tag)
        if begun is None:
            if len(self._begun) >= _MOST_BEGUN:
                self._begun.clear()
            before = await reached(self._store, tag)
            last = str(before or START).encode()
            begun = self._begun[tag] = _Begun(before, last, Stretch())
        return begun


def _place(position: Position) -> bytes:
    return b"%0*d%0*d" % (_DIGITS, position.ms, _DIGITS, position.seq)


def _batch(begun: _Begun) -> Batch:
    place, stretch = _place(begun.last), begun.stretch
    said: dict[Part, bytes] = {
        "counts": stretch.packed_counts(),
        "names": stretch.packed_names(),
        "queue": stretch.packed_queue(),
    }
    writes = tuple(("ZADD", INDEXES[part], (0, place + data)) for part, data in said.items())
    return Batch(checkpoint=_CHECKPOINT, before=begun.before, after=begun.last, writes=writes)
