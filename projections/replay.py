"""The log folded from zero, and compared with the rows that are there.

``verify`` is exact while others write: every row is compared with the log folded up to the very
position at which the row was read.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.decision import Fold
from broker.envelope import RawEntry, position_of, read_event
from broker.keys import Key, Tag
from broker.pipeline import hear_out
from broker.position import START, Position
from broker.store import EventStore
from projections.cut import MOST, Changed, Large, Part, Parts, cut, live_rows, names
from projections.rows import Rows, Value

__all__ = ["Difference", "Replay", "Verdict", "live_rows", "pages", "replay", "verify"]
_PAGE = 500
Elements = Mapping[bytes, bytes | float]


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose live value is not what the log says; None is "does not exist".

    Of a large row only what differs is there.
    """

    key: Key
    live: Value | Elements | None
    folded: Value | Elements | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification looked at, up to which position, and what it found."""

    events: int
    keys: int
    differences: tuple[Difference, ...]
    position: Position = START


async def pages(
    store: EventStore, tag: Tag, after: Position, until: Position | None = None
) -> AsyncIterator[Sequence[RawEntry]]:
    """The entries of a stream in order; the next ones are on their way while some are worked on."""
    page = await store.raw_page(tag, after, _PAGE, until=until)
    while page:
        coming = None
        if len(page) == _PAGE:
            follows = store.raw_page(tag, position_of(page[-1]), _PAGE, until=until)
            coming = asyncio.ensure_future(follows)
            coming.add_done_callback(hear_out)
            await asyncio.sleep(0)
        yield page
        page = await coming if coming else []


class Replay:
    """A log and the rows it has folded into so far."""

    def __init__(self, store: EventStore, tag: Tag, fold: Fold, rows: Rows | None = None) -> None:
        self.store = store
        self.tag = tag
        self.rows = rows or Rows()
        self.position = START
        self.events = 0
        self._fold = fold

    async def run(self, until: Position | None = None) -> None:
        """Go on to a position, or as far as the log goes.

        Raises:
            Corrupt: an event that cannot be read.
        """
        if until is not None and until <= self.position:
            return
        apply, fold = self.rows.apply, self._fold
        async for page in pages(self.store, self.tag, self.position, until):
            for raw in page:
                for write in fold(read_event(raw)):
                    apply(write)
            self.position = position_of(page[-1])
            self.events += len(page)


async def replay(store: EventStore, tag: Tag, fold: Fold) -> tuple[Rows, int]:
    """The rows that the whole stream folds into, and how many events it has."""
    whole = Replay(store, tag, fold)
    await whole.run()
    return whole.rows, whole.events


async def verify(store: EventStore, tag: Tag, fold: Fold) -> Verdict:
    """Compare the live rows with the folded log, key by key.

    Raises:
        Corrupt: an event that cannot be read.
    """
    comparison = _Comparison(Replay(store, tag, fold))
    return await comparison.run()


@dataclass(slots=True)
class _Comparison:
    replay: Replay
    seen: set[Key] = field(default_factory=set[Key])
    differences: list[Difference] = field(default_factory=list[Difference])

    async def run(self) -> Verdict:
        """Look at every key that is there, then at those that only the log knows."""
        store, tag = self.replay.store, self.replay.tag
        await self.replay.run((await cut(store, tag, [])).position)
        async for wanted in names(store, tag):
            await self._look([key for key in wanted if key not in self.seen])
        missing = sorted(self.replay.rows.values().keys() - self.seen)
        for first in range(0, len(missing), MOST):
            await self._look(missing[first : first + MOST])
        return Verdict(
            events=self.replay.events,
            keys=len(self.seen),
            differences=tuple(sorted(self.differences, key=lambda each: each.key)),
            position=self.replay.position,
        )

    async def _look(self, wanted: Sequence[Key]) -> None:
        found = await cut(self.replay.store, self.replay.tag, wanted)
        await self.replay.run(found.position)
        folded = self.replay.rows
        large: list[tuple[Key, str]] = []
        for key, live in found.rows.items():
            if isinstance(live, Large):
                large.append((key, live.kind))
                continue
            expected = folded.get(key)
            if live is not None or expected is not None:
                self.seen.add(key)
            if live != expected:
                self.differences.append(Difference(key, live, expected))
        for key, kind in large:
            await self._look_into(key, kind)

    async def _look_into(self, key: Key, kind: str) -> None:
        """Compare a large row part by part, each at its own position."""
        parts = Parts(self.replay.store, self.replay.tag, key, kind)
        live, folded = dict[bytes, bytes | float](), dict[bytes, bytes | float]()

        async def compare(part: Part) -> None:
            await self.replay.run(part.position)
            row = self.replay.rows.get(key)
            for name, value in part.elements.items():
                should = _element(row, name)
                if value != should:
                    live.update({} if value is None else {name: value})
                    folded.update({} if should is None else {name: should})

        seen: set[bytes] = set()
        try:
            async for part in parts.each():
                seen.update(part.elements)
                await compare(part)
            missing = [name for name in _names(self.replay.rows.get(key)) if name not in seen]
            for first in range(0, len(missing), MOST):
                await compare(await parts.some(missing[first : first + MOST]))
        except Changed:
            await self._look([key])
            return
        self.seen.add(key)
        if live or folded:
            self.differences.append(Difference(key, live, folded))


def _names(row: Value | None) -> Iterable[bytes]:
    """The elements of a row; of a list they are called by their indices."""
    return (b"%d" % index for index in range(len(row))) if isinstance(row, list) else row or ()


def _element(row: Value | None, name: bytes) -> bytes | float | None:
    """One element of a row; that of a set has no value."""
    if isinstance(row, dict):
        return row.get(name)
    if isinstance(row, list):
        index = int(name)
        return row[index] if index < len(row) else None
    return b"" if row and name in row else None
