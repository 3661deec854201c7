"""The event store: append, claim, read. The only module that reads or writes Redis.

Everything is said through a Link, one method wide, so the same scripts run on the pipeline in
production and on fakeredis in unit tests.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from broker import keys
from broker.access import Hash
from broker.claiming import claim_script
from broker.clock import MS_NS, SECOND_NS, US_NS, StoreClock
from broker.decision import Arg, Decision, Event, Fold, Write, tallied
from broker.envelope import DIGEST_BYTES, RawEntry, Recorded, entry, position_of, read_entry
from broker.errors import (
    BrokerError,
    Corrupt,
    Overloaded,
    Rejected,
    Replayed,
    Trimmed,
    Unavailable,
)
from broker.keys import Key, Tag
from broker.pipeline import Reply, ReplyError
from broker.position import END, START, Position
from broker.prepared import Prepared
from broker.script import APPEND, PROJECT, Script

MOST_TRIES = 8
_PAGE = 500
_AT_ONCE = 256
_LONG_READS = 8
"""So many may have that many under way: half of what is allowed by default."""
_SHORT = 16
_NOT_NOW = {
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
    "UNKILLABLE",
}

Rows = TypeVar("Rows")
Wish = TypeVar("Wish")
Outcome = TypeVar("Outcome")


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


class Signed(Struct, frozen=True, kw_only=True):
    """Who asked, the proof of it (digest and signature), and the nonce if there was one.

    ``request`` is the text that was signed, where the log is to keep it.
    """

    caller: str
    proof: bytes = b""
    request: bytes = b""
    nonce: str = ""
    nonce_ms: int = 0

    @property
    def digest(self) -> bytes:
        """SHA3-256 of what was signed: tells a repeated request from another with its nonce."""
        return self.proof[:DIGEST_BYTES]

    @property
    def whole(self) -> bytes:
        """What the first of its events carries; the others carry the proof."""
        return self.proof + self.request


BY_SERVER = Signed(caller="")
"""What the server does by itself."""


class Done(Struct, frozen=True):
    """The events are in the log and the rows; ``last`` is the position of the last, as text."""

    events: tuple[Event, ...]
    last: str
    wakes: tuple[str, ...] = ()


class Conflict(Struct, frozen=True):
    """An expectation failed, nothing was written; ``row`` is the hash it was about."""

    index: int
    row: Hash


class Repeat(Struct, frozen=True):
    """This request took effect before; ``last`` is its last event's position, "" if it had none."""

    last: str


class Claimed(Struct, frozen=True):
    """A process was given out; ``row`` is its hash afterwards."""

    process_id: str
    row: Hash
    position: str


class NotClaimed(Struct, frozen=True):
    """Nothing was given out: "empty", "paused", or what changed meanwhile."""

    why: str


class Claim(Struct, frozen=True, kw_only=True):
    """An executor asks for the first process of some classes."""

    executor_id: str
    guard: int
    member_guard: int
    epoch: str
    classes: tuple[str, ...]
    queues: tuple[str, ...]
    now_ns: int


class Batch(Struct, frozen=True, kw_only=True):
    """Writes of an async projection, from one position of the stream to another."""

    checkpoint: Key
    before: Position | None
    after: Position
    writes: tuple[Write, ...]


class EventStore:
    """The log and its inline rows."""

    def __init__(
        self,
        link: Link,
        fold: Fold,
        clock: StoreClock,
        *,
        origin: str = "",
        attempts: int = MOST_TRIES,
        older: Older | None = None,
    ) -> None:
        """``origin`` names this process in notices, so that it can tell its own."""
        self.older = older
        self._link = link
        self._fold = fold
        self._claim = claim_script(fold)
        self._prepared = Prepared(fold)
        self._attempts = attempts
        self.origin = origin
        self.clock = clock
        self.conflicts = 0
        self._long_reads = asyncio.Semaphore(_LONG_READS)

    # -------------------------------------------------------- writing

    async def run(
        self,
        read: Callable[[bool], Awaitable[tuple[Tag, Rows]]],
        decide: Callable[[Rows, int], Decision],
        signed: Signed,
        *,
        attempts: int | None = None,
    ) -> Done | Repeat:
        """Read, decide, append; as ``settle``, which says how.

        Raises:
            Rejected: what ``read`` or ``decide`` raised on fresh rows.
            Unavailable: somebody else was faster every time.
        """
        return await self.settle(read, decide, self.append, signed, attempts=attempts)

    async def settle(
        self,
        read: Callable[[bool], Awaitable[tuple[Tag, Rows]]],
        decide: Callable[[Rows, int], Wish],
        write: Callable[[Tag, Wish, Signed], Awaitable[Outcome | Conflict]],
        signed: Signed,
        *,
        attempts: int | None = None,
    ) -> Outcome | Repeat:
        """Read, decide, write; again with fresh rows as long as somebody else was faster.

        ``read`` answers with the tag the rows are in. ``read(False)`` may answer from caches,
        ``read(True)`` may not. A refusal that rests on cached rows is checked against fresh ones
        before it counts. ``attempts`` is for what many do to the same row at a time.

        Raises:
            Rejected: what ``read`` or ``decide`` raised on fresh rows.
            Unavailable: somebody else was faster every time.
        """
        fresh = False
        for _ in range(attempts or self._attempts):
            tag: Tag | None = None
            try:
                tag, rows = await read(fresh)
                wish = decide(rows, self.clock.now_ns())
            except Rejected:
                if not fresh:
                    fresh = True
                    continue
                if tag and (repeat := await self.repeated(tag, signed)):
                    return repeat
                raise
            outcome = await write(tag, wish, signed)
            if not isinstance(outcome, Conflict):
                return outcome
            self.conflicts += 1
            fresh = True
        raise Unavailable("others changed the same rows every time, try again")

    async def repeated(self, tag: Tag, signed: Signed) -> Repeat | None:
        """The first effect of this very request, None when it had none.

        Asked before a refusal counts: what was allowed once may be refused when it is repeated.

        Raises:
            Replayed: another request used its nonce.
        """
        if not signed.nonce:
            return None
        marker = await self.send("GET", tag.key(keys.nonce(signed.caller, signed.nonce)))
        return None if marker is None else repeat_of(marker, signed)

    async def append(
        self, tag: Tag, decision: Decision, signed: Signed
    ) -> Done | Conflict | Repeat:
        """One guarded step: every expectation holds and all is written, or nothing is."""
        reply = await self.call(*self._call_of(tag, decision, signed))
        match reply[0]:
            case b"done":
                return Done(decision.events, reply[1].decode(), decision.wakes)
            case b"conflict":
                return Conflict(int(reply[1]), as_hash(reply[2]))
            case b"repeat":
                return repeat_of(reply[1], signed)
            case other:
                raise Corrupt(f"an append was answered with {other!r}")

    def _call_of(
        self, tag: Tag, decision: Decision, signed: Signed
    ) -> tuple[Script, list[str], list[Arg]]:
        prefix = tag.prefix
        events = prefix + keys.EVENTS
        nonce = prefix + keys.nonce(signed.caller, signed.nonce) if signed.nonce else events
        names = [events, nonce, *[prefix + key for _, key, _ in decision.expects]]
        args: list[Arg] = [signed.nonce_ms if signed.nonce else 0, signed.digest]
        wakes = tallied(decision.wakes)
        prepared = self._prepared.of(decision)
        if prepared is None:
            script = APPEND
            self._spell_out(prefix, decision, signed, names, args)
            args.append(len(wakes))
        else:
            script, written, values = prepared
            names += [prefix + key for key in written]
            args.append(signed.whole)
            for _, _, expected in decision.expects:
                args += expected
            args += values
        for text, count in wakes:
            args += (keys.wake_channel(tag), f"{text}|{count}|{self.origin}")
        return script, names, args

    def _spell_out(
        self, prefix: str, decision: Decision, signed: Signed, names: list[str], args: list[Arg]
    ) -> None:
        """Say everything that is to be tested and written, as append.lua wants it."""
        args.append(len(decision.expects))
        for test, _, expected in decision.expects:
            args += (*test, *expected)
        args.append(len(decision.events))
        writes = list[Write]()
        carried = signed.whole
        for event in decision.events:
            args += entry(event, carried)
            writes.extend(self._fold(event))
            carried = signed.proof
        args.append(len(writes))
        for command, key, values in writes:
            names.append(prefix + key)
            args += (command, len(values), *values)

    async def claim(self, tag: Tag, claim: Claim, signed: Signed) -> Claimed | NotClaimed | Repeat:
        """Give the head of the given classes to an executor, if there is one."""
        prefix = tag.prefix
        events = prefix + keys.EVENTS
        nonce = prefix + keys.nonce(signed.caller, signed.nonce) if signed.nonce else events
        member = prefix + keys.member(claim.executor_id)
        names = [events, nonce, prefix + keys.COLONY, member, prefix + keys.CLASSES, *claim.queues]
        names += [prefix + key for key in self._claim.written_for(claim.executor_id)]
        args: list[Arg] = [
            signed.nonce_ms if signed.nonce else 0,
            signed.digest,
            prefix,
            claim.guard,
            claim.member_guard,
            claim.epoch,
            claim.executor_id,
            claim.now_ns,
            claim.now_ns // US_NS,
            claim.now_ns // MS_NS,
            signed.whole,
            len(claim.classes),
            *claim.classes,
        ]
        reply = await self.call(self._claim.script, names, args)
        match reply[0]:
            case b"done":
                return Claimed(reply[2].decode(), as_hash(reply[3]), reply[1].decode())
            case b"repeat":
                return repeat_of(reply[1], signed)
            case b"conflict":
                self.conflicts += 1
                return NotClaimed(reply[1].decode())
            case other:
                return NotClaimed(other.decode())

    async def project(self, tag: Tag, batch: Batch) -> bool:
        """Apply a batch of an async projection with its checkpoint.

        False when fenced off: another one was faster, or the log is gone.
        """
        names, args = [tag.key(batch.checkpoint), tag.key(keys.EVENTS)], list[Arg]()
        args += (str(batch.before) if batch.before else "", str(batch.after), len(batch.writes))
        for command, key, values in batch.writes:
            names.append(tag.key(key))
            args += (command, len(values), *values)
        args.append(keys.progress_channel(tag))
        reply = await self.call(PROJECT, names, args)
        return reply[0] == b"done"

    async def call(self, script: Script, names: Sequence[str], args: Sequence[Arg]) -> Reply:
        """Run a script; it is sent whole to a store that does not know it.

        Raises:
            Unavailable, Overloaded, Corrupt: as ``send``.
        """
        try:
            return await self._link.call("EVALSHA", script.sha, len(names), *names, *args)
        except ReplyError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise _refused(error) from error
        return await self.send("EVAL", script.text, len(names), *names, *args)

    # -------------------------------------------------------- reading

    async def send(self, *args: Any) -> Reply:  # noqa: ANN401 - what Redis takes
        """One command, answered.

        Raises:
            Unavailable, Overloaded: the store is away, loading or out of memory.
            Corrupt: it does not understand us.
        """
        try:
            return await self._link.call(*args)
        except ReplyError as error:
            raise _refused(error) from error

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


def repeat_of(marker: bytes, signed: Signed) -> Repeat:
    """What a nonce's marker says of the first request with it.

    Raises:
        Replayed: that was another request.
    """
    digest, position = marker[:DIGEST_BYTES], marker[DIGEST_BYTES:]
    if digest != signed.digest:
        raise Replayed("the nonce was used by another request")
    return Repeat(position.decode())


def _refused(error: ReplyError) -> BrokerError:
    """What an error reply means: not now, not with so little memory, or a bug of ours."""
    text = str(error)
    code = text.partition(" ")[0]
    if code == "OOM":
        return Overloaded("the store is out of memory; nothing was written, try again later")
    if code in _NOT_NOW or "max number of clients" in text:
        return Unavailable(f"the store refused: {text}")
    return Corrupt(f"the store answered: {text}")
