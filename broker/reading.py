"""Reading the store: rows, and events of streams, in the store or in its archive.

Everything is said through a Link, one method wide, so the same scripts run on the pipeline in
production and on fakeredis in unit tests.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Protocol

from broker import keys
from broker.access import Hash
from broker.clock import SECOND_NS, US_NS, StoreClock
from broker.decision import Event
from broker.envelope import RawEntry, Recorded, position_of, read_entry
from broker.errors import BrokerError, Corrupt, Overloaded, Replayed, Trimmed, Unavailable
from broker.keys import Key, Tag
from broker.pipeline import Reply, ReplyError
from broker.position import END, START, Position

_PAGE = 500
_AT_ONCE = 256
_LONG_READS = 8
"""So many may have that many under way: half of what is allowed by default."""
_SHORT = 16
_NOT_NOW = {
    "BUSY": "is held up by a script",
    "CLUSTERDOWN": "misses a part of its cluster",
    "LOADING": "is reading its data",
    "MASTERDOWN": "is a replica without a primary",
    "MISCONF": "cannot write its data to disk",
    "NOREPLICAS": "has too few replicas",
    "READONLY": "is a replica",
    "TRYAGAIN": "is moving the colony to another shard",
    "UNKILLABLE": "is held up by a script",
    "ERR max number of clients": "has as many clients as it allows",
}


class Link(Protocol):
    """A way to say commands to Redis."""

    def call(self, *args: Any) -> Awaitable[Reply]:  # noqa: ANN401 - what Redis takes
        """Send one command; commands sent in one tick may leave together."""
        ...


class Older(Protocol):
    """Knows the events that were trimmed."""

    async def page(
        self, tag: Tag, after: Position, until: Position, count: int
    ) -> Sequence[RawEntry]:
        """The first events between two positions, the second one too."""
        ...

    async def tail(
        self, tag: Tag, after: Position, until: Position, count: int
    ) -> Sequence[RawEntry]:
        """The last events between two positions, the second one too, the latest first."""
        ...


class Reader:
    """The log and its rows, as they are."""

    def __init__(self, link: Link, clock: StoreClock, *, older: Older | None = None) -> None:
        """``clock`` follows the store's; ``older`` knows what was trimmed."""
        self.clock = clock
        self.older = older
        self._link = link
        self._long_reads = asyncio.Semaphore(_LONG_READS)

    async def send(self, *args: Any) -> Reply:  # noqa: ANN401 - what Redis takes
        """One command, answered.

        Raises:
            Unavailable, Overloaded: the store is away, loading or out of memory.
            Corrupt: it does not understand us.
        """
        try:
            return await self._link.call(*args)
        except ReplyError as error:
            raise refusal_of(error) from error

    async def read(self, *commands: tuple[Any, ...]) -> list[Reply]:
        """Several commands, answered in order.

        Many leave a bounded number at a time, and wait for each other: however much is read,
        there is room left for what is written.
        """
        if len(commands) == 1:
            return [await self.send(*commands[0])]
        if len(commands) <= _SHORT:
            return await asyncio.gather(*(self.send(*command) for command in commands))
        found: list[Reply] = []
        for first in range(0, len(commands), _AT_ONCE):
            async with self._long_reads:
                calls = (self.send(*command) for command in commands[first : first + _AT_ONCE])
                found += await asyncio.gather(*calls)
        return found

    async def hashes(self, tag: Tag, *names: Key) -> list[Hash]:
        """Whole hashes; one that does not exist is empty."""
        replies = await self.read(*(("HGETALL", tag.key(name)) for name in names))
        return [as_hash(reply) for reply in replies]

    async def events(
        self, tag: Tag, after: Position = START, *, until: Position | None = None
    ) -> AsyncIterator[Recorded]:
        """The events of a stream in order, read in pages."""
        while page := await self.page(tag, after, _PAGE, until=until):
            for recorded in page:
                yield recorded
            after = page[-1].position

    async def page(
        self, tag: Tag, after: Position, count: int, *, until: Position | None = None
    ) -> list[Recorded]:
        """The next events of a stream, at most ``count``."""
        return [read_entry(raw) for raw in await self.raw_page(tag, after, count, until=until)]

    async def raw_page(
        self, tag: Tag, after: Position, count: int, *, until: Position | None = None
    ) -> list[RawEntry]:
        """The same, not yet unpacked: see envelope.position_of, type_of and read_entry.

        What was trimmed is read where that is kept. The mark is read behind the page: an event that
        was trimmed before it is not missed.

        Raises:
            Trimmed: nobody here knows where that is.
        """
        if after == END:
            return []
        last = str(until) if until else "+"
        page, mark = await self.read(
            ("XRANGE", tag.key(keys.EVENTS), f"({after}", last, "COUNT", count),
            ("HGET", tag.key(keys.ARCHIVED), "trimmed"),
        )
        if mark is None or after >= (gone := Position.parse(mark)):
            return page
        old = list(await self._older(after).page(tag, after, min(until or gone, gone), count))
        if len(old) == count or (until is not None and until <= gone):
            return old
        return old + await self.raw_page(tag, gone, count - len(old), until=until)

    async def raw_tail(
        self, tag: Tag, after: Position, until: Position, count: int
    ) -> list[RawEntry]:
        """The last entries between two positions, the second one too, the latest first.

        What was trimmed is read where that is kept, as ``raw_page`` does.

        Raises:
            Trimmed: nobody here knows where that is.
        """
        if after >= until:
            return []
        page, mark = await self.read(
            ("XREVRANGE", tag.key(keys.EVENTS), str(until), f"({after}", "COUNT", count),
            ("HGET", tag.key(keys.ARCHIVED), "trimmed"),
        )
        gone = Position.parse(mark) if mark else START
        # Some of the page may have been trimmed before the mark was read.
        end = min(gone, position_of(page[-1]).previous if page else until)
        if len(page) == count or after >= end:
            return page
        return [*page, *await self._older(after).tail(tag, after, end, count - len(page))]

    def _older(self, after: Position) -> Older:
        if self.older is None:
            raise Trimmed(
                f"the events after {after} are no longer in the store, but in its archive, which"
                " is named by COLONIES_ARCHIVE_URL"
            )
        return self.older

    async def event_at(self, tag: Tag, position: str) -> Event:
        """One event.

        Raises:
            Replayed: it is no longer in the stream.
        """
        page = await self.send("XRANGE", tag.key(keys.EVENTS), position, position)
        if not page and self.older is not None:
            at = Position.parse(position)
            page = await self.older.page(tag, at.previous, at, 1)
        if not page:
            raise Replayed("this request was answered before, and its answer is no longer known")
        return read_entry(page[0]).event

    async def look_at_clock(self) -> None:
        """Take over the time of the store."""
        asked = time.monotonic_ns()
        seconds, micros = await self.send("TIME")
        answered = time.monotonic_ns()
        store_ns = int(seconds) * SECOND_NS + int(micros) * US_NS
        self.clock.synchronise(asked, store_ns, answered)


def as_hash(flat: Sequence[bytes] | dict[bytes, bytes]) -> Hash:
    """A hash reply as a mapping, whichever form the link gave it."""
    if isinstance(flat, dict):
        return flat
    return dict(zip(flat[::2], flat[1::2], strict=True))


def refusal_of(error: ReplyError) -> BrokerError:
    """What an error reply means: not now, not with so little memory, or a bug of ours."""
    text = str(error)
    if text.startswith("OOM"):
        return Overloaded("the store is out of memory; nothing was written, try again later")
    for code, why in _NOT_NOW.items():
        if text.startswith(f"{code} "):
            return Unavailable(f"the store {why}; try again later")
    return Corrupt(f"the store answered: {text}")
