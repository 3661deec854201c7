"""The log of a store, opened for whoever can reach the store: no server and no key is needed."""

import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from api.history.seal import Sealer
from api.telling import Filter
from broker import keys
from broker.access import ColonyRow, ServerRow
from broker.aggregates.colony import ColonyDissolved
from broker.clock import StoreClock
from broker.cluster import way_to
from broker.directory import Directory
from broker.envelope import Recorded, position_of, read_entry
from broker.errors import NotFound
from broker.feed import Entry
from broker.keys import SERVER, Tag
from broker.position import END, START, Position
from broker.store import EventStore
from projections import ASYNC
from projections.archiving import archive_at, older_in
from projections.core import fold
from projections.projection import Projection
from projections.rebuild import Rebuilt, rebuild
from projections.replay import Verdict, pages, verify

_IN_FLIGHT = 1_000
_STEP = 1_000
_PAGE = 500

REBUILT = {projection.name: projection for projection in ASYNC}
"""What can be built anew, by name."""


@dataclass(frozen=True, slots=True)
class Log:
    """One log: that of a colony, or of the server itself."""

    name: str
    tag: Tag


class History:
    """The logs of one store."""

    def __init__(self, store: EventStore, waits: EventStore) -> None:
        """``waits`` has a connection of its own, on which a blocking read holds nobody up."""
        self.store = store
        self._waits = waits

    def server(self) -> Log:
        """The log of the server itself: its owner and its colonies."""
        return Log("", SERVER)

    async def log(self, colony: str) -> Log:
        """The log of a colony.

        Raises:
            NotFound: there is none of that name.
        """
        found = await Directory(self.store).named(colony)
        if found is None:
            raise NotFound(f"there is no colony {colony!r} in this store")
        return Log(found.name, found.tag)

    async def logs(self) -> list[Log]:
        """The server's own log, and those of all colonies by name."""
        colonies = await Directory(self.store).every()
        return [self.server(), *(Log(colony.name, colony.tag) for colony in colonies)]

    async def verified(self, log: Log) -> Verdict:
        """Compare the rows with the log, while others write.

        Raises:
            Corrupt: an event that cannot be read.
        """
        return await verify(self.store, log.tag, fold)

    async def rebuilt(self, log: Log, projection: Projection) -> Rebuilt:
        """Build what a projection says of a colony anew, and serve that.

        Raises:
            Corrupt: an event that cannot be read.
        """
        return await rebuild(self.store, log.tag, projection)

    async def events(
        self,
        log: Log,
        wanted: Filter,
        after: Position = START,
        until: Position | None = None,
        *,
        follow: bool = False,
    ) -> AsyncGenerator[Recorded]:
        """The events that are wanted, in order; with ``follow`` also those that are to come.

        Raises:
            Corrupt: one of them cannot be read.
        """
        await wanted.prepare(self.store, log.tag)
        async for page in pages(self.store, log.tag, after, until):
            for raw in page:
                entry = Entry(raw)
                after = entry.position
                if wanted.wants(entry):
                    yield read_entry(raw)
        while follow:
            await self._wait(log, after)
            async for page in pages(self.store, log.tag, after):
                for raw in page:
                    entry = Entry(raw)
                    after = entry.position
                    if wanted.wants(entry):
                        yield read_entry(raw)
                    follow = follow and entry.type != ColonyDissolved.TYPE

    async def last(
        self,
        log: Log,
        wanted: Filter,
        count: int,
        after: Position = START,
        until: Position | None = None,
    ) -> tuple[Position, Position]:
        """Between which two positions, the second one too, the last events are that are wanted.

        They are looked for from the end; those of a workflow from the beginning, where it is told
        which processes it had. The filter has to be the one that they are read with.

        Raises:
            Corrupt: one of them cannot be read.
        """
        if wanted.learns:
            found = deque[Position](maxlen=min(count, sys.maxsize))
            async for recorded in self.events(log, wanted, after, until):
                found.append(recorded.position)
            return (found[0].previous, found[-1]) if found else (after, after)
        page = await self.store.raw_tail(log.tag, after, until or END, min(count, _PAGE))
        last = position_of(page[0]) if page else after
        while page:
            for raw in page:
                entry = Entry(raw)
                count -= wanted.wants(entry)
                if not count:
                    return entry.position.previous, last
            before = position_of(page[-1]).previous
            page = await self.store.raw_tail(log.tag, after, before, _PAGE)
        return after, last

    async def exported(self, log: Log, write: Callable[[str], object]) -> Sealer:
        """Write a log as a file has it, from its beginning to where it ends now."""
        sealer = Sealer(log.name)
        write(sealer.head())
        async for page in pages(self.store, log.tag, START):
            for raw in page:
                for line in sealer.lines(raw):
                    write(line)
        for line in sealer.end():
            write(line)
        return sealer

    async def _wait(self, log: Log, after: Position) -> None:
        """Return when there is more."""
        key = log.tag.key(keys.EVENTS)
        await self._waits.send("XREAD", "COUNT", 1, "BLOCK", 0, "STREAMS", key, str(after))

    async def people(self, log: Log) -> dict[str, str]:
        """Names by identity: of members as they are called now, and of the owners."""
        names, colony = await self.store.hashes(log.tag, keys.NAMES, keys.COLONY)
        server = (await self.store.hashes(SERVER, keys.SERVER_ROW))[0]
        found: dict[str, str] = {}
        if (owns := ServerRow.read(server)) is not None:
            found[owns.id] = "server owner"
        if (row := ColonyRow.read(colony)) is not None:
            found[row.owner] = "colony owner"
        for field, member_id in names.items():
            found[member_id.decode()] = field.decode().partition("/")[2]
        return found

    async def completed(self, log: Log, kind: str, beginning: str) -> list[str]:
        """The ids of live rows of one kind (as ``broker.keys`` begins them) that begin so."""
        found: list[str] = []
        cursor, pattern = b"0", log.tag.key(f"{kind}:{beginning}*")
        while True:
            cursor, page = await self.store.send("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)
            found += [name.decode().rpartition(":")[2] for name in page]
            if int(cursor) == 0:
                return found


@asynccontextmanager
async def opened(url: str, archive_url: str = "") -> AsyncGenerator[History]:
    """The logs of the store at an address; what was trimmed is read from an archive, if given.

    Raises:
        Unavailable: nothing answers there.
        Malformed: the address of the archive is none, or its driver is missing.
    """
    async with AsyncExitStack() as stack:
        stores: list[EventStore] = []
        for _ in range(2):
            pipeline = way_to(url, _IN_FLIGHT)
            await pipeline.start()
            stack.push_async_callback(pipeline.close)
            stores.append(EventStore(pipeline, fold, StoreClock()))
        if archive_url:
            archive = archive_at(archive_url)
            stack.push_async_callback(archive.close)
            stores[0].older = older_in(archive)
        yield History(*stores)
