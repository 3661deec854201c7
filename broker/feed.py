"""Following the streams of colonies as they grow: one blocking read for everybody in a process.

A colony has two: its events and its log lines. A stream is read while somebody follows it, from
the moment the first one did. What arrives is put into the bounded backlog of each follower, so
nobody slow holds up anybody else: who is too far behind is ended, with a reason. A read that was
lost with the store is repeated from where the last one ended, so nothing is skipped. A new stream
interrupts the read that is under way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import structlog

from broker import archived, keys
from broker.aggregates.server import ColonyUnregistered
from broker.cluster import BLOCK_MS
from broker.decision import Event
from broker.envelope import RawEntry, position_of, read_entry
from broker.errors import BrokerError, Overloaded, Unavailable
from broker.keys import SERVER, Key, Tag
from broker.logs import HeardLine
from broker.pipeline import Reply, hear_out
from broker.position import START, Position
from broker.reading import as_hash
from broker.script import GLANCE
from broker.store import EventStore

_log = structlog.get_logger(__name__)
_COUNT = 500
_AWAY_S = 0.1
_SILENT_S = 30.0
"""Who has not read for so long may have missed what was trimmed, which stays for a minute."""
MOST_BYTES = 64 * 1024 * 1024
"""What may wait for one follower when more comes."""
COLONY_GONE = "the colony was removed"
STOPPING = "the server stops"
MISSED = "too slow: what follows is no longer in the store"


class Entry:
    """One event as it arrives; its body is unpacked when somebody wants it, and then once.

    ``shown`` is for whoever presents it to many: the text made the first time.
    """

    __slots__ = ("_event", "_raw", "actor", "position", "shown", "size", "subject", "type")

    def __init__(self, raw: RawEntry) -> None:
        flat: Sequence[bytes] = raw[1]
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        self.position = position_of(raw)
        self.type = fields.get(b"type", b"").decode()
        self.subject = fields.get(b"subject", b"").decode()
        self.actor = fields.get(b"actor", b"").decode()
        self.size = sum(map(len, flat))
        self.shown: bytes | None = None
        self._raw: RawEntry = raw
        self._event: Event | None = None

    @property
    def event(self) -> Event:
        """The whole event.

        Raises:
            Corrupt: it is not one of ours.
        """
        if self._event is None:
            self._event = read_entry(self._raw).event
        return self._event


class Arrival(Protocol):
    """What arrives on a stream."""

    position: Position
    size: int


A = TypeVar("A", bound=Arrival)


class Follower(Generic[A]):
    """Somebody who follows a stream: gets every entry after ``start``, or is ended."""

    def __init__(self, place: tuple[Tag, Key], start: Position, most: int) -> None:
        self.place = place
        self.start = start
        self.ended = ""
        """Why nothing more will come, "" while something may."""
        self._most = most
        self._entries: deque[A] = deque()
        self._bytes = 0
        self._waiting: asyncio.Future[None] | None = None

    def put(self, entries: Sequence[A]) -> None:
        """Give it what arrived, or end it when it has not taken what came before."""
        if self.ended:
            return
        behind = len(self._entries)
        if behind >= self._most or self._bytes > MOST_BYTES:
            self._entries.clear()
            self.end(f"too slow: {behind} events were waiting to be taken")
            return
        self._entries.extend(entries)
        self._bytes += sum(entry.size for entry in entries)
        self._wake()

    def end(self, reason: str) -> None:
        """Nothing more will come after what has."""
        self.ended = self.ended or reason
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> list[A]:
        """All that has arrived, at least one; nothing when it has ended.

        One at a time may ask. Who is cancelled while waiting misses nothing by it.
        """
        while not self._entries and not self.ended:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        taken = list(self._entries)
        self._entries.clear()
        self._bytes = 0
        return taken


class _Stream(Generic[A]):
    """One stream that is followed, read as far as ``position``."""

    def __init__(self, position: Position, make: Callable[[RawEntry], A]) -> None:
        self.position = position
        self.followers: set[Follower[A]] = set()
        self._make = make

    def grow(self, raw: Sequence[RawEntry]) -> None:
        """Hand out what was read; a read begun for followers that have left may repeat some."""
        entries = [one for one in map(self._make, raw) if one.position > self.position]
        if entries:
            self.position = entries[-1].position
            for follower in list(self.followers):
                follower.put(entries)

    def end(self, reason: str) -> None:
        for follower in self.followers:
            follower.end(reason)


class Feed:
    """Every follower of this process."""

    def __init__(self, store: EventStore, waits: EventStore, most: int) -> None:
        """``waits`` has a connection of its own; ``most`` entries may wait for one follower."""
        self._store = store
        self._waits = waits
        self._most = most
        self._streams: dict[tuple[Tag, Key], _Stream[Any]] = {}
        self._server: Position | None = None
        self._wanted = asyncio.Event()
        self._reading: asyncio.Task[Reply] | None = None
        self._client: asyncio.Task[Reply] | None = None
        self._interrupting: set[asyncio.Task[None]] = set()
        self._closed = False
        self._answered = time.monotonic()

    def __len__(self) -> int:
        return sum(len(stream.followers) for stream in self._streams.values())

    async def follow(self, tag: Tag) -> Follower[Entry]:
        """Follow the events of a colony from now on; what happens after the call is not missed.

        Raises:
            Unavailable: the store is away, or the server stops.
        """
        return await self._follow((tag, keys.EVENTS), Entry)

    async def follow_lines(self, tag: Tag) -> Follower[HeardLine]:
        """The same for the log lines of a colony."""
        return await self._follow((tag, keys.LOGS), HeardLine)

    async def _follow(self, place: tuple[Tag, Key], make: Callable[[RawEntry], A]) -> Follower[A]:
        if place not in self._streams or self._server is None:
            tag, key = place
            names = tag.key(key), SERVER.key(keys.EVENTS)
            ends = await self._store.read(*map(_last, names))
            here, server = (position_of(end[0]) if end else START for end in ends)
            self._server = server if self._server is None else self._server
            self._open(place, here, make)
        if self._closed:
            raise Unavailable(STOPPING)
        stream = self._streams[place]
        follower = Follower[A](place, stream.position, self._most)
        stream.followers.add(follower)
        return follower

    def _open(
        self, place: tuple[Tag, Key], here: Position, make: Callable[[RawEntry], Arrival]
    ) -> None:
        if place in self._streams or self._closed:
            return
        self._streams[place] = _Stream(here, make)
        self._wanted.set()
        if self._reading is not None and self._client is not None and not self._reading.done():
            work = self._interrupt(self._reading, self._client)
            task = asyncio.get_running_loop().create_task(work)
            self._interrupting.add(task)
            task.add_done_callback(self._interrupting.discard)

    def leave(self, follower: Follower[Any]) -> None:
        """Follow no more."""
        follower.end("left")
        stream = self._streams.get(follower.place)
        if stream is None:
            return
        stream.followers.discard(follower)
        if not stream.followers:
            del self._streams[follower.place]
        if not self._streams:
            self._wanted.clear()

    def close(self) -> None:
        """End everybody, now and from now on."""
        self._end(STOPPING)
        self._wanted.set()

    def _end(self, reason: str) -> None:
        self._closed = True
        for stream in self._streams.values():
            stream.end(reason)
        self._streams.clear()

    async def run(self) -> None:
        """Read whenever there is somebody to read for, until closed.

        Raises:
            Corrupt: an entry nobody can read; everybody is ended first.
        """
        try:
            while True:
                await self._wanted.wait()
                if self._closed:
                    return
                try:
                    await self._read()
                except (Unavailable, Overloaded) as error:
                    if self._closed:
                        return
                    _log.warning("feed_postponed", error=str(error))
                    await asyncio.sleep(_AWAY_S)
        except BrokerError as error:
            _log.critical("feed_stopped", error=str(error), kind=type(error).__name__)
            raise
        finally:
            self._end("the feed has stopped")

    async def _read(self) -> None:
        """One blocking read. The number of its connection, asked before it, can interrupt it."""
        positions = {(SERVER, keys.EVENTS): self._server or START}
        positions |= {place: stream.position for place, stream in self._streams.items()}
        names = [tag.key(key) for tag, key in positions]
        texts = [str(position) for position in positions.values()]
        loop = asyncio.get_running_loop()
        self._client = loop.create_task(self._waits.send("CLIENT", "ID"))
        self._client.add_done_callback(hear_out)
        read = self._waits.send(
            "XREAD", "COUNT", _COUNT, "BLOCK", BLOCK_MS, "STREAMS", *names, *texts
        )
        self._reading = loop.create_task(read)
        found = await self._reading or ()
        places = dict(zip(names, positions, strict=True))
        silent_s, self._answered = time.monotonic() - self._answered, time.monotonic()
        if silent_s > _SILENT_S:
            await self._look_for_missed([places[name.decode()] for name, _ in found])
        for name, raw in found:
            place = places[name.decode()]
            if place[0] == SERVER:
                self._look_for_removed(raw)
            elif (stream := self._streams.get(place)) is not None:
                stream.grow(raw)

    async def _look_for_missed(self, places: Sequence[tuple[Tag, Key]]) -> None:
        """End who follows a stream that was trimmed beyond where it was read, before it is told."""
        for place in places:
            stream = self._streams.get(place)
            if stream is not None and place[1] == keys.EVENTS:
                marks = await archived.marks(self._store, place[0])
                if stream.position < marks.trimmed:
                    self._streams.pop(place, None)
                    stream.end(MISSED)

    def _look_for_removed(self, raw: Sequence[RawEntry]) -> None:
        """End who follows a colony that is gone: its stream may be deleted before it is read."""
        for entry in map(Entry, raw):
            self._server = entry.position
            if entry.type == ColonyUnregistered.TYPE:
                event = entry.event
                assert isinstance(event, ColonyUnregistered)  # noqa: S101 - its type says so
                tag = keys.colony_tag(event.subject, event.suffix)
                for place in ((tag, keys.EVENTS), (tag, keys.LOGS)):
                    if (stream := self._streams.pop(place, None)) is not None:
                        stream.end(COLONY_GONE)

    async def _interrupt(self, reading: asyncio.Task[Reply], client: asyncio.Task[Reply]) -> None:
        """Make a read return that does not know of a new stream.

        It may not have begun to block, so it is asked again until it has, or has returned.
        """
        while not reading.done():
            try:
                if await self._store.send("CLIENT", "UNBLOCK", await client):
                    return
            except (Unavailable, Overloaded) as error:
                _log.info("feed_interrupt_postponed", error=str(error))
                await asyncio.sleep(_AWAY_S)


def _last(key: str) -> tuple[str | int, ...]:
    return ("XREVRANGE", key, "+", "-", "COUNT", 1)


async def glance(store: EventStore, tag: Tag, row: Key) -> tuple[Position, dict[bytes, bytes]]:
    """A hash, and the position up to which the events of its colony are in it."""
    position, flat = await store.call(GLANCE, [tag.key(keys.EVENTS), tag.key(row)], [])
    return Position.parse(position) if position else START, dict(as_hash(flat))
