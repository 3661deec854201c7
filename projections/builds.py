"""Builds of an async projection: one is served, and the next one may be built beside it.

The first build has the number 0. Which one is served is said in one place; projectors look there
before each batch of reading, and readers after they have read.
"""

from collections.abc import Iterable, Iterator

from broker import keys
from broker.decision import Write
from broker.keys import Key, Tag
from broker.position import Position
from broker.script import BEGIN_BUILD, SWITCH_BUILD
from broker.store import EventStore
from projections.projection import Projection

_STEP = 1_000
_CHECKPOINT = "checkpoint"
RETIRED = Position(2**64 - 1, 0)
"""The checkpoint of a build that is served no more: beyond the end of any log."""


def name_of(projection: Projection) -> str:
    """What a projection is called among builds."""
    return f"{projection.name}:{projection.version}"


def place(projection: Projection, build: int, key: Key) -> Key:
    """Where a build has a row that the fold calls ``key``."""
    if not build:
        return key
    prefix = keys.projected(projection.name, projection.version, "")
    return Key(f"{prefix[:-1]}.{build}:{key.removeprefix(prefix)}")


def placed(projection: Projection, build: int, writes: Iterable[Write]) -> Iterator[Write]:
    """The writes of a fold, in a build."""
    return ((command, place(projection, build, key), args) for command, key, args in writes)


def asking(tag: Tag, projection: Projection) -> tuple[str, str, str]:
    """The command that asks which build is served."""
    return ("HGET", tag.key(keys.BUILDS), name_of(projection))


def told(reply: bytes | None) -> int:
    """Its answer."""
    return int(reply or 0)


async def served(store: EventStore, tag: Tag, projection: Projection) -> int:
    """The build that is served."""
    return told(await store.send(*asking(tag, projection)))


async def coming(store: EventStore, tag: Tag, projection: Projection) -> int:
    """The build that was begun and is not served yet, 0 when there is none."""
    return told(await store.send("HGET", tag.key(keys.BUILDS), f"{name_of(projection)}:next"))


async def begin(store: EventStore, tag: Tag, projection: Projection) -> tuple[int, int]:
    """The build that is served, and the one to build: one that was begun and left, if any."""
    reply = await store.call(BEGIN_BUILD, [tag.key(keys.BUILDS)], [name_of(projection)])
    return int(reply[0]), int(reply[1])


async def switch(store: EventStore, tag: Tag, projection: Projection, old: int, new: int) -> bytes:
    """Serve another build if it is as far as the old one: "done", "behind" or "other"."""
    checkpoint = keys.checkpoint(projection.name, projection.version)
    names = [
        tag.key(keys.BUILDS),
        tag.key(place(projection, old, checkpoint)),
        tag.key(place(projection, new, checkpoint)),
    ]
    args = [name_of(projection), old, new, str(RETIRED), keys.progress_channel(tag)]
    reply = await store.call(SWITCH_BUILD, names, args)
    return reply[0]


async def sweep(store: EventStore, tag: Tag, projection: Projection, keep: Iterable[int]) -> int:
    """Delete the rows of all builds but some, a few at a time; how many there were.

    The checkpoint of a retired build stays: it keeps a projector away that looked before.
    """
    prefix = keys.projected(projection.name, projection.version, "")[:-1]
    kept = tuple(f"{prefix}.{build}:" if build else f"{prefix}:" for build in keep)
    cursor, count = b"0", 0
    while True:
        pattern = tag.key(f"{prefix}*")
        cursor, page = await store.send("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)
        found = [name.decode() for name in page]
        rows = [name for name in found if _is_left(name.removeprefix(tag.prefix), prefix, kept)]
        if rows:
            count += await store.send("UNLINK", *rows)
        if int(cursor) == 0:
            return count


def _is_left(key: str, prefix: str, kept: tuple[str, ...]) -> bool:
    """A key of this version, of a build that is not kept, and not its checkpoint."""
    ours = key.startswith((f"{prefix}:", f"{prefix}."))
    row = key.removeprefix(prefix).partition(":")[2]
    return ours and not key.startswith(kept) and row != _CHECKPOINT
