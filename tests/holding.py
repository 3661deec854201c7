"""What a store holds, by its parts."""

from dataclasses import dataclass

from broker import keys
from broker.keys import Tag
from broker.store import EventStore
from projections.landmarks import INDEXES


@dataclass(frozen=True, kw_only=True)
class Held:
    """Bytes of the rows, the log, its landmarks, and the rest, as the store can tell its parts."""

    rows: int
    log: int
    landmarks: int
    rest: int


async def held(store: EventStore, tag: Tag) -> Held:
    """What the store holds now."""
    told = (await store.send("INFO", "memory")).decode().splitlines()
    said = dict(line.split(":", 1) for line in told if ":" in line)
    names: list[bytes] = await store.send("KEYS", "*")
    sizes = await store.read(*(("MEMORY", "USAGE", name, "SAMPLES", 0) for name in names))
    each = dict(zip(names, sizes, strict=True))
    log = each.pop(tag.key(keys.EVENTS).encode())
    marks = sum(each.pop(tag.key(key).encode(), 0) for key in INDEXES.values())
    rows = sum(each.values())
    rest = int(said["used_memory_dataset"]) - rows - log - marks
    return Held(rows=rows, log=log, landmarks=marks, rest=rest)
