"""How far an async projection has come in a stream."""

from dataclasses import dataclass

from broker import keys
from broker.keys import Key, Tag
from broker.position import Position
from broker.store import EventStore
from projections import builds
from projections.projection import Projection


def checkpoint_key(projection: Projection, build: int) -> Key:
    """Where a build of a projection keeps its checkpoint."""
    return builds.place(projection, build, keys.checkpoint(projection.name, projection.version))


async def load(store: EventStore, tag: Tag, projection: Projection) -> Position | None:
    """The last position the build that is served has applied, None for nothing yet."""
    build = await builds.served(store, tag, projection)
    return await of_build(store, tag, projection, build)


async def of_build(
    store: EventStore, tag: Tag, projection: Projection, build: int
) -> Position | None:
    """The same of some build."""
    text: bytes | None = await store.send("GET", tag.key(checkpoint_key(projection, build)))
    return Position.parse(text) if text else None


@dataclass(frozen=True, slots=True)
class Lag:
    """The last event of a stream, and the last one a projection has applied."""

    last: Position | None
    applied: Position | None

    @property
    def behind(self) -> bool:
        """Whether there is anything left to apply."""
        return self.last is not None and (self.applied is None or self.applied < self.last)


async def lag(store: EventStore, tag: Tag, projection: Projection) -> Lag:
    """How far a projection is behind its stream."""
    build = await builds.served(store, tag, projection)
    newest, applied = await store.read(
        ("XREVRANGE", tag.key(keys.EVENTS), "+", "-", "COUNT", 1),
        ("GET", tag.key(checkpoint_key(projection, build))),
    )
    last = Position.parse(newest[0][0]) if newest else None
    return Lag(last, Position.parse(applied) if applied else None)
