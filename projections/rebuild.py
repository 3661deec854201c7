"""A new build of an async projection beside the one that is served, switched when it caught up."""

from dataclasses import dataclass

from broker.keys import Tag
from broker.position import START, Position
from broker.store import EventStore
from projections import builds, checkpoint
from projections.projection import Projection
from projections.projector import PAGE, batch_of


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Which build is served now, up to where it had come, and how many old rows were deleted."""

    build: int
    position: Position
    events: int
    deleted: int


async def rebuild(store: EventStore, tag: Tag, projection: Projection) -> Rebuilt:
    """Build anew from the beginning of the log, and serve that.

    Nothing stops meanwhile: projectors go on with the old build until the switch, which is one
    step. One that was begun and left is gone on with; two at a time help each other.

    Raises:
        Corrupt: an event that cannot be read; the old build goes on being served.
    """
    served, coming = await builds.begin(store, tag, projection)
    await builds.sweep(store, tag, projection, (served, coming))
    events = 0
    while True:
        events += await _caught_up(store, tag, projection, coming)
        answer = await builds.switch(store, tag, projection, served, coming)
        if answer != b"behind":
            break
    position = await checkpoint.load(store, tag, projection) or START
    now = await builds.served(store, tag, projection)
    deleted = await builds.sweep(store, tag, projection, (now, now + 1))
    return Rebuilt(now, position, events, deleted)


async def _caught_up(store: EventStore, tag: Tag, projection: Projection, build: int) -> int:
    """Apply what a build has not applied yet; how many events that were."""
    count = 0
    while True:
        before = await checkpoint.of_build(store, tag, projection, build)
        page = await store.raw_page(tag, before or START, PAGE)
        if not page:
            return count
        if await store.project(tag, batch_of(projection, build, before, page)):
            count += len(page)
