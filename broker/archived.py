"""How far the archive is, as the store knows it: what may be deleted, and what was.

The archive itself knows better; these marks are set after it has committed, so they are never ahead
of it. They let everybody who cannot ask the archive wait for it.
"""

from dataclasses import dataclass

from broker import keys
from broker.clock import MS_NS
from broker.keys import SERVER, Key, Tag
from broker.position import START, Position
from broker.reading import as_hash
from broker.script import ARCHIVED
from broker.store import EventStore

EVENTS, LINES = "events", "lines"
_SILENT_S = 60
STREAMS: dict[str, Key] = {EVENTS: keys.EVENTS, LINES: keys.LOGS}
"""The logs of a colony, and the streams that they are."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Up to where the logs of a colony are archived, and up to where events were trimmed."""

    events: Position = START
    lines: Position = START
    trimmed: Position = START


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What an archiver said last, and when (Unix ms): ``why`` is "" while all goes well."""

    why: str
    at_ms: int


async def marks(store: EventStore, tag: Tag) -> Marks:
    """The marks of a colony."""
    found = (await store.hashes(tag, keys.ARCHIVED))[0]
    return Marks(**{name.decode(): Position.parse(text) for name, text in found.items()})


async def mark(store: EventStore, tag: Tag, log: str, position: Position) -> None:
    """Say that a log is archived up to a position; a mark never goes back."""
    names = [tag.key(keys.ARCHIVED), tag.key(STREAMS[log])]
    await store.call(ARCHIVED, names, [log, str(position)])


async def is_whole(store: EventStore, tag: Tag) -> bool:
    """Whether everything that a colony's logs hold is archived."""
    done = await marks(store, tag)
    ends = await store.read(
        *(("XREVRANGE", tag.key(STREAMS[log]), "+", "-", "COUNT", 1) for log in (EVENTS, LINES))
    )
    return all(
        not end or Position.parse(end[0][0]) <= position
        for end, position in zip(ends, (done.events, done.lines), strict=True)
    )


async def say_state(store: EventStore, why: str) -> None:
    """Say how the archiving goes."""
    now_ms = store.clock.now_ns() // MS_NS
    await store.send("HSET", SERVER.key(keys.ARCHIVE), "why", why, "at", now_ms)


async def state(store: EventStore) -> State | None:
    """What an archiver said last, None when there never was one."""
    flat = as_hash(await store.send("HGETALL", SERVER.key(keys.ARCHIVE)))
    return State(why=flat[b"why"].decode(), at_ms=int(flat[b"at"])) if flat else None


def trouble(said: State | None, now_ns: int) -> str:
    """Why archiving does not go on, "" when it does."""
    if said is None:
        return "no archiver has been heard of"
    silent_s = (now_ns // MS_NS - said.at_ms) // 1_000
    if silent_s > _SILENT_S:
        return f"no archiver was heard of for {silent_s} s" + (f": {said.why}" if said.why else "")
    return said.why


async def lag_s(store: EventStore, tag: Tag) -> float:
    """Age of the oldest entry of a colony that is not archived yet."""
    done = await marks(store, tag)
    first = await store.read(
        ("XRANGE", tag.key(keys.EVENTS), f"({done.events}", "+", "COUNT", 1),
        ("XRANGE", tag.key(keys.LOGS), f"({done.lines}", "+", "COUNT", 1),
    )
    oldest = [Position.parse(page[0][0]).ms for page in first if page]
    now_ms = store.clock.now_ns() // MS_NS
    return max(0, now_ms - min(oldest)) / 1_000 if oldest else 0.0
