"""What landmarks must say of a log, as its rows say it."""

from collections import Counter
from typing import cast

from broker import keys
from broker.aggregates.process import State
from broker.keys import Key, Tag
from broker.position import START
from broker.store import EventStore
from projections.core import fold
from projections.replay import live_rows
from projections.rows import Value
from projections.stretch import QUEUES, Stretch, Turn, turn_of

LENGTH = 5


async def told_and_true(store: EventStore, tag: Tag) -> tuple[object, object]:
    """What stretches of LENGTH events add up to, each kept and read back, and what the rows say."""
    page = await store.raw_page(tag, START, 1_000_000)
    counts, members = Counter[Key](), dict[str, bytes | None]()
    waiting = set[Turn]()
    for first in range(0, len(page), LENGTH):
        stretch = Stretch()
        for raw in page[first : first + LENGTH]:
            stretch.add(tag, raw, fold)
        kept = Stretch.of_counts(stretch.packed_counts())
        counts.update(kept.counts)
        members |= kept.members
        assert Stretch.of_names(stretch.packed_names()).named == stretch.named
        queue = Stretch.of_queue(stretch.packed_queue())
        assert queue.left <= waiting
        waiting = (waiting - queue.left) | queue.joined.keys()
    rows = await live_rows(store, tag)
    told = ({k: v for k, v in counts.items() if v}, waiting, _there(members))
    return told, _true(rows)


def _true(rows: dict[Key, Value]) -> tuple[object, object, object]:
    listings = {make(int(state)) for state in State for make in (keys.listing, keys.workflows)}
    counts = {key: len(rows[key]) for key in listings if key in rows}
    queued = [member for key, row in rows.items() if key.startswith("q:") for member in row]
    waiting = {turn_of(member) for member in queued}
    assert len(waiting) == len(queued)
    names = {
        name.decode(): value
        for name, value in _hash(rows, keys.NAMES).items()
        if name.startswith(b"executor/")
    }
    states = {key: _hash(rows, key)[b"state"] for key in rows if key.startswith("m:")}
    return counts | ({QUEUES: len(queued)} if queued else {}), waiting, names | states


def _hash(rows: dict[Key, Value], key: Key) -> dict[bytes, bytes]:
    row = rows.get(key, {})
    assert isinstance(row, dict)
    return cast("dict[bytes, bytes]", row)


def _there(members: dict[str, bytes | None]) -> dict[str, bytes]:
    return {name: value for name, value in members.items() if value is not None}
