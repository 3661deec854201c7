"""The event store: append, claim, project. With reading.py the only module that speaks to Redis."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from broker import keys
from broker.access import Hash
from broker.claiming import claim_script
from broker.clock import MS_NS, US_NS, StoreClock
from broker.decision import Arg, Decision, Event, Fold, Write, tallied
from broker.envelope import DIGEST_BYTES, entry
from broker.errors import Corrupt, Rejected, Replayed, Unavailable
from broker.keys import Key, Tag
from broker.pipeline import Reply, ReplyError
from broker.position import Position
from broker.prepared import Prepared
from broker.reading import Link, Older, Reader, as_hash, refusal_of
from broker.script import APPEND, PROJECT, Script

MOST_TRIES = 8
Rows = TypeVar("Rows")
Wish = TypeVar("Wish")
Outcome = TypeVar("Outcome")


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


class EventStore(Reader):
    """The log and its inline rows, read and written."""

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
        super().__init__(link, clock, older=older)
        self._fold = fold
        self._claim = claim_script(fold)
        self._prepared = Prepared(fold)
        self._attempts = attempts
        self.origin = origin
        self.conflicts = 0

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
                raise refusal_of(error) from error
        return await self.send("EVAL", script.text, len(names), *names, *args)


def repeat_of(marker: bytes, signed: Signed) -> Repeat:
    """What a nonce's marker says of the first request with it.

    Raises:
        Replayed: that was another request.
    """
    digest, position = marker[:DIGEST_BYTES], marker[DIGEST_BYTES:]
    if digest != signed.digest:
        raise Replayed("the nonce was used by another request")
    return Repeat(position.decode())
