"""What the store says about colonies, for metrics: depths, ages, lags, memory.

Everything is counted by the store itself, in a bounded number of commands for each colony; nothing
here walks a queue.
"""

import asyncio
from dataclasses import dataclass

from api.census import Census, census
from broker import archived, keys
from broker.aggregates.process import DELAYED, HELD
from broker.clock import MS_NS, SECOND_NS
from broker.directory import Colony, Directory
from broker.errors import Corrupt
from broker.matching import Requirement
from broker.position import Position
from broker.store import EventStore
from projections import ASYNC, checkpoint
from projections.core import listings
from projections.projection import Projection

_SECOND_MS = 1_000
_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Processes that wait and ask for the same.

    ``executor_type`` is "" for those that nobody is offered: their class is ``held`` while they
    wait for parents and ``delayed`` between two tries.
    """

    requirement_class: str
    executor_type: str
    depth: int
    head_age_s: float
    """Since the submission of the one that is next in line, 0 when nothing waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColonyGauges:
    """One colony at one moment, near enough: the counts are read one after the other."""

    name: str
    counted: Census
    queues: list[Queue]
    events: int
    """How many events the colony ever had."""
    lag_s: dict[str, float]
    """Age of the oldest event that an async projection has not applied yet, by projection."""
    archive_lag_s: float | None
    """Age of the oldest event or log line that is not archived yet; None without an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Of the store, in bytes; ``limit`` is 0 without one."""

    used: int
    limit: int


async def every_colony(
    store: EventStore, directory: Directory, *, has_archive: bool = False
) -> list[ColonyGauges]:
    """All colonies, by name; without one that is removed meanwhile."""
    found: list[ColonyGauges | None] = []
    colonies = await directory.every()
    for first in range(0, len(colonies), _AT_ONCE):
        some = colonies[first : first + _AT_ONCE]
        found += await asyncio.gather(
            *(_colony(store, directory, one, has_archive=has_archive) for one in some)
        )
    return [colony for colony in found if colony is not None]


async def memory(store: EventStore) -> Memory:
    """What the store uses."""
    lines = (await store.send("INFO", "memory")).decode().splitlines()
    said = dict(line.split(":", 1) for line in lines if ":" in line)
    return Memory(used=int(said["used_memory"]), limit=int(said["maxmemory"]))


async def _colony(
    store: EventStore, directory: Directory, colony: Colony, *, has_archive: bool
) -> ColonyGauges | None:
    tag = colony.tag
    try:
        stream = await store.send("XINFO", "STREAM", tag.key(keys.EVENTS))
    except Corrupt:
        if await store.send("EXISTS", tag.key(keys.EVENTS)):
            raise
        return None
    about = dict(zip(stream[::2], stream[1::2], strict=True))
    return ColonyGauges(
        name=colony.name,
        counted=await census(store, directory, colony),
        queues=await _queues(store, colony),
        events=int(about[b"entries-added"]),
        lag_s={p.name: await _lag_s(store, colony, p) for p in ASYNC},
        archive_lag_s=await archived.lag_s(store, tag) if has_archive else None,
    )


async def _queues(store: EventStore, colony: Colony) -> list[Queue]:
    classes = colony.classes.by_key if colony.classes else dict[str, Requirement]()
    names = [*classes, HELD, DELAYED]
    keys_of = [colony.tag.key(keys.queue(name)) for name in names]
    depths = await store.read(*(("ZCARD", key) for key in keys_of))
    heads = await store.read(*(("ZRANGE", key, 0, 0) for key in keys_of))
    ages = [await _age_s(store, colony, head[0].decode()) if head else 0.0 for head in heads]
    return [
        Queue(
            requirement_class=name,
            executor_type=classes[name].executor_type if name in classes else "",
            depth=int(depth),
            head_age_s=age,
        )
        for name, depth, age in zip(names, depths, ages, strict=True)
    ]


async def _age_s(store: EventStore, colony: Colony, queue_member: str) -> float:
    process_id = keys.queued_process(queue_member)
    row = await listings.process(store, colony.tag, process_id)
    return 0.0 if row is None else max(0, store.clock.now_ns() - row.submitted_ns) / SECOND_NS


async def _lag_s(store: EventStore, colony: Colony, projection: Projection) -> float:
    lag = await checkpoint.lag(store, colony.tag, projection)
    if not lag.behind:
        return 0.0
    after = f"({lag.applied}" if lag.applied else "-"
    page = await store.send("XRANGE", colony.tag.key(keys.EVENTS), after, "+", "COUNT", 1)
    if not page:
        return 0.0
    age_ms = store.clock.now_ns() // MS_NS - Position.parse(page[0][0]).ms
    return max(0, age_ms) / _SECOND_MS
