"""The log folded from zero, and compared with the rows that are there.

``verify`` is exact on a stream nobody appends to while it runs; it refuses to answer otherwise.
"""

from dataclasses import dataclass

from broker import keys
from broker.decision import Fold
from broker.errors import Unavailable
from broker.keys import Key, Tag
from broker.store import EventStore, as_hash
from projections.rows import Rows, Value

_STEP = 1_000
_NOT_FOLDED = (keys.EVENTS, keys.HEARD, keys.LOGS, keys.LOG_STATE)
_OTHERS = (
    keys.NONCES,
    keys.ASYNC_ROWS,
    keys.PROCESS_LOGS,
    keys.EXECUTOR_LOGS,
    keys.CHANNELS,
    keys.CHANNEL_PACES,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose live value is not what the log says; None is "does not exist"."""

    key: Key
    live: Value | None
    folded: Value | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification looked at, and what it found."""

    events: int
    keys: int
    differences: tuple[Difference, ...]


async def replay(store: EventStore, tag: Tag, fold: Fold) -> tuple[Rows, int]:
    """The rows that the whole stream folds into, and how many events it has."""
    rows, count = Rows(), 0
    async for recorded in store.events(tag):
        count += 1
        for write in fold(recorded.event):
            rows.apply(write)
    return rows, count


async def verify(store: EventStore, tag: Tag, fold: Fold) -> Verdict:
    """Compare the live rows with the folded log, key by key.

    Raises:
        Unavailable: events were appended meanwhile; try again when it is quiet.
    """
    before = await _last(store, tag)
    rows, events = await replay(store, tag, fold)
    folded, live = rows.values(), await live_rows(store, tag)
    if await _last(store, tag) != before:
        raise Unavailable("events were appended while the rows were compared, try again")
    differences = tuple(
        Difference(key, live.get(key), folded.get(key))
        for key in sorted(folded.keys() | live.keys())
        if live.get(key) != folded.get(key)
    )
    return Verdict(events=events, keys=len(folded.keys() | live.keys()), differences=differences)


async def _last(store: EventStore, tag: Tag) -> bytes | None:
    page = await store.send("XREVRANGE", tag.key(keys.EVENTS), "+", "-", "COUNT", 1)
    return page[0][0] if page else None


async def live_rows(store: EventStore, tag: Tag) -> dict[Key, Value]:
    """Every folded row of a tag as it is now."""
    found: dict[Key, Value] = {}
    cursor = b"0"
    while True:
        cursor, page = await store.send("SCAN", cursor, "MATCH", tag.key("*"), "COUNT", _STEP)
        for name in page:
            key = Key(name.decode().removeprefix(tag.key("")))
            if key not in _NOT_FOLDED and not key.startswith(_OTHERS):
                value = await _value(store, name)
                if value is not None:
                    found[key] = value
        if int(cursor) == 0:
            return found


async def _value(store: EventStore, name: bytes) -> Value | None:
    match await store.send("TYPE", name):
        case b"hash":
            return dict(as_hash(await store.send("HGETALL", name)))
        case b"zset":
            flat = await store.send("ZRANGE", name, 0, -1, "WITHSCORES")
            return {m: float(s) for m, s in zip(flat[::2], flat[1::2], strict=True)}
        case b"set":
            return set(await store.send("SMEMBERS", name))
        case b"list":
            return list(await store.send("LRANGE", name, 0, -1))
        case b"none":
            return None
        case other:
            return {b"a key of a type no fold writes": other}
