"""An empty store and the archive give everything back: events in their places, rows, log lines.

Events are written a batch at a time, in one step with what they fold into, so the rows are at any
moment what the log says, and a restore that was killed is gone on with. The colonies come first,
each verified; the server's own log, which makes them known, is the last. Until then a mark keeps
servers from starting on the store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker import keys
from broker.archived import EVENTS, LINES, STREAMS
from broker.decision import Arg, Fold
from broker.envelope import FIELDS, RawEntry, position_of, read_event
from broker.errors import Clash, Corrupt, NotFound
from broker.keys import SERVER, Tag
from broker.logs import LINE_BYTES
from broker.position import START, Position
from broker.reading import as_hash
from broker.script import BEGIN_RESTORE, RESTORE, RESTORE_LINES
from broker.store import EventStore
from projections.archive.archive import Archive
from projections.replay import verify
from projections.rows import Rows

_PAGE = 500
_MOST = 100
_MOST_BYTES = 4 * 1024 * 1024
_END = Position(2**53, 0)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a log has again: events, the keys they fold into, and log lines."""

    colony: str
    events: int
    keys: int
    lines: int


class Restore:
    """Brings one store back."""

    def __init__(
        self, store: EventStore, archive: Archive, fold: Fold, lines_after: Position = START
    ) -> None:
        """Log lines come back that were said after ``lines_after``."""
        self._store = store
        self._archive = archive
        self._fold = fold
        self._lines_after = lines_after

    async def run(self) -> list[Restored]:
        """Restore everything, or go on with that.

        Raises:
            Clash: somebody lives in the store.
            NotFound: the archive has no server.
            Corrupt: the rows are not what the log says; the store stays closed to servers.
        """
        if await self._archive.position(SERVER, EVENTS) is None:
            raise NotFound("the archive holds nothing")
        colonies = await self._colonies()
        for _, tag in colonies:
            await self._reached(tag, EVENTS)
        await self._begin()
        done = [await self._log(name, tag) for name, tag in colonies]
        done.append(await self._log("", SERVER))
        await self._store.send("DEL", SERVER.key(keys.RESTORING))
        return done

    async def _begin(self) -> None:
        names = [SERVER.key(keys.EVENTS), SERVER.key(keys.RESTORING)]
        (answer, *_) = await self._store.call(BEGIN_RESTORE, names, ["colonies history restore"])
        if answer != b"begun":
            raise Clash("this store has colonies of its own; a restore needs an empty one")

    async def _colonies(self) -> list[tuple[str, Tag]]:
        """The colonies there were at the end of the server's log."""
        rows, after = Rows(), START
        while page := await self._archive.page(SERVER, after, _END, _PAGE):
            for raw in page:
                for write in self._fold(read_event(raw)):
                    rows.apply(write)
            after = position_of(page[-1])
        found = rows.hash(keys.COLONIES).items()
        pairs = sorted((name.decode(), suffix.decode()) for name, suffix in found)
        return [(name, keys.colony_tag(name, suffix)) for name, suffix in pairs]

    async def _log(self, name: str, tag: Tag) -> Restored:
        await self._events(tag)
        lines = 0 if tag == SERVER else await self._lines(tag)
        verdict = await verify(self._store, tag, self._fold)
        if verdict.differences:
            keys_of = ", ".join(each.key for each in verdict.differences[:3])
            raise Corrupt(f"the restored rows of {name or 'the server'} are not right: {keys_of}")
        return Restored(name, verdict.events, verdict.keys, lines)

    async def _events(self, tag: Tag) -> None:
        last = await self._reached(tag, EVENTS)
        while page := await self._archive.page(tag, last, _END, _PAGE):
            for batch in _batches(page):
                before = "" if last == START else str(last)
                names, args = [tag.key(keys.EVENTS)], list[Arg]([before, len(batch)])
                for raw in batch:
                    args += (str(position_of(raw)), *_values(raw, FIELDS))
                writes = [write for raw in batch for write in self._fold(read_event(raw))]
                args.append(len(writes))
                for command, key, values in writes:
                    names.append(tag.key(key))
                    args += (command, len(values), *values)
                _done(await self._store.call(RESTORE, names, args))
                last = position_of(batch[-1])

    async def _lines(self, tag: Tag) -> int:
        """Bring log lines back; how many there are now."""
        reached = await self._reached(tag, LINES)
        last = max(reached, self._lines_after)
        names = [tag.key(keys.LOGS), tag.key(keys.LOG_STATE)]
        while page := await self._archive.page(tag, last, _END, _PAGE, LINES):
            for batch in _batches(page):
                before = "" if reached == START else str(reached)
                args: list[Arg] = [tag.prefix, before, LINE_BYTES]
                for raw in batch:
                    args += (str(position_of(raw)), *_values(raw, ("p", "e", "m")))
                _done(await self._store.call(RESTORE_LINES, names, args))
                last = reached = position_of(batch[-1])
        return int(await self._store.send("XLEN", tag.key(keys.LOGS)))

    async def _reached(self, tag: Tag, log: str) -> Position:
        """How far a restore that was left has come.

        Raises:
            Clash: what is there is not from the archive.
        """
        found = await self._store.send("XREVRANGE", tag.key(STREAMS[log]), "+", "-", "COUNT", 1)
        if not found:
            return START
        here = position_of(found[0])
        there = await self._archive.at(tag, here, log)
        if there is None or as_hash(there[1]) != as_hash(found[0][1]):
            raise Clash(f"{tag.text} is in this store already, with another history")
        return here


def _values(raw: RawEntry, names: Sequence[str]) -> list[bytes]:
    flat: Sequence[bytes] = raw[1]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return [fields[name.encode()] for name in names]


def _batches(page: Sequence[RawEntry]) -> Iterator[Sequence[RawEntry]]:
    """A page in parts that one step can take: the store does nothing else meanwhile."""
    batch, size = list[RawEntry](), 0
    for raw in page:
        batch.append(raw)
        size += sum(map(len, raw[1]))
        if len(batch) == _MOST or size > _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _done(reply: Sequence[bytes]) -> None:
    if reply[0] != b"done":
        raise Clash("somebody else writes to this store; a restore needs one for itself")
