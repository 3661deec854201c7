"""The loop that drives async projections: read from the checkpoint, fold, write with checkpoint.

Any number of projectors may run. Both would apply the same batch; the script compares the
checkpoint the batch started from and refuses the second, so nothing is applied twice, and a
projector that dies anywhere leaves the checkpoint where its effect ends.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

import structlog

from broker import keys
from broker.cluster import BLOCK_MS
from broker.directory import Colony, Directory
from broker.envelope import RawEntry, position_of, read_event, type_of
from broker.errors import Overloaded, Unavailable
from broker.keys import SERVER, Tag
from broker.pace import rest
from broker.position import START, Position
from broker.store import Batch, EventStore
from projections import builds, checkpoint
from projections.merging import merged
from projections.projection import Projection

_log = structlog.get_logger(__name__)
PAGE = 500
_AWAY_S = 0.5
_GATHER_S = 0.05
"""What arrives this soon after the first event of a batch shares its write."""
_LOOK_S = 5.0
"""This often all colonies are looked at, also those of which a stream says nothing new."""


class Projector:
    """Keeps async projections of all colonies up with their streams."""

    def __init__(
        self, store: EventStore, waits: EventStore, projections: Sequence[Projection]
    ) -> None:
        """``waits`` has a connection of its own, on which blocking reads hold nobody up."""
        self._store = store
        self._waits = waits
        self._projections = projections
        self._directory = Directory(store)
        self._stopping = False

    def stop(self) -> None:
        """End after the batch that is under way."""
        self._stopping = True

    async def run(self) -> None:
        """Catch up, wait for events, catch up, until stopped.

        Raises:
            Corrupt: an event that cannot be read. Skipping it would make every later row wrong.
        """
        seen: dict[Tag, Position] = {}
        told: Collection[Tag] | None = None
        looked_s = 0.0
        while not self._stopping:
            try:
                colonies = await self._directory.every()
                if told is None or time.monotonic() - looked_s > _LOOK_S:
                    due, seen, looked_s = colonies, {}, time.monotonic()
                else:
                    due = [one for one in colonies if one.tag in told or one.tag not in seen]
                lost = await self._catch_up_all(due, seen)
                if lost is not None:
                    raise lost
                told = await self._wait(colonies, seen)
            except (Unavailable, Overloaded) as error:
                told = None
                if not self._stopping:
                    _log.warning("projector_postponed", error=str(error))
                    await asyncio.sleep(_AWAY_S)

    async def _catch_up_all(
        self, colonies: Sequence[Colony], seen: dict[Tag, Position]
    ) -> Unavailable | Overloaded | None:
        """All of which the shard is there; what was wrong with another one."""
        lost = None
        for colony in colonies:
            try:
                seen[colony.tag] = await self.catch_up(colony)
            except (Unavailable, Overloaded) as error:
                lost = error
        return lost

    async def catch_up(self, colony: Colony) -> Position:
        """Apply what there is to apply now; how far all projections have come."""
        reached = [await self._project(colony, projection) for projection in self._projections]
        return min(reached, default=START)

    async def _project(self, colony: Colony, projection: Projection) -> Position:
        store, tag = self._store, colony.tag
        build, before = await self._served(tag, projection)
        while not self._stopping:
            began = time.monotonic()
            page = await store.raw_page(tag, before or START, PAGE)
            if not page:
                break
            batch = batch_of(projection, build, before, page)
            if await store.project(tag, batch):
                before = batch.after
                if len(page) < PAGE:
                    break  # what came meanwhile is gathered, too
            else:
                build, before = await self._served(tag, projection)
            await rest(began)
        return before or START

    async def _served(self, tag: Tag, projection: Projection) -> tuple[int, Position | None]:
        """The build that is served and how far it has come."""
        while True:
            build = await builds.served(self._store, tag, projection)
            before = await checkpoint.of_build(self._store, tag, projection, build)
            # Between the two questions another one may have taken its place.
            if before != builds.RETIRED:
                return build, before

    async def _wait(
        self, colonies: Sequence[Colony], seen: Mapping[Tag, Position]
    ) -> Collection[Tag] | None:
        """Return when a stream has an event beyond what was seen: those of which that is known.

        None after a while in which nothing happened.
        """
        streams = {tag.key(keys.EVENTS): tag for tag in (SERVER, *(one.tag for one in colonies))}
        positions = ["$", *(str(seen[one.tag]) for one in colonies)]
        options = ("COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS")
        found = await self._waits.send("XREAD", *options, *streams, *positions)
        await asyncio.sleep(_GATHER_S)
        return {streams[name.decode()] for name, _ in found} if found else None


def batch_of(
    projection: Projection, build: int, before: Position | None, page: Sequence[RawEntry]
) -> Batch:
    """What some entries mean for a build, and the checkpoint behind them."""
    reads = projection.reads
    wanted = (raw for raw in page if reads is None or type_of(raw) in reads)
    writes = merged(write for raw in wanted for write in projection.fold(read_event(raw)))
    return Batch(
        checkpoint=checkpoint.checkpoint_key(projection, build),
        before=before,
        after=position_of(page[-1]),
        writes=tuple(builds.placed(projection, build, writes)),
    )
