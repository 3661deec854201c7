"""Reading processes back: one by one, by state, and counted.

Listings walk an index in pages of bounded size, so that nobody's long list holds up anybody else.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from heapq import merge
from itertools import islice

from broker import keys
from broker.aggregates.process import DELAYED, HELD, State
from broker.aggregates.process_row import ProcessRow
from broker.clock import US_NS
from broker.directory import Classes
from broker.keys import Tag
from broker.store import EventStore

PAGE = 200

Keep = Callable[[ProcessRow], bool]
"""Whether a row belongs into a listing."""


async def process(store: EventStore, tag: Tag, process_id: str) -> ProcessRow | None:
    """One process."""
    return ProcessRow.read(process_id, (await store.hashes(tag, keys.process(process_id)))[0])


async def processes(store: EventStore, tag: Tag, ids: Iterable[str]) -> list[ProcessRow]:
    """The processes of these ids that still exist, in this order."""
    wanted = list(ids)
    if not wanted:
        return []
    hashes = await store.hashes(tag, *(keys.process(i) for i in wanted))
    rows = (ProcessRow.read(i, h) for i, h in zip(wanted, hashes, strict=True))
    return [row for row in rows if row is not None]


async def nodes(store: EventStore, tag: Tag, workflow_id: str) -> list[str]:
    """The processes of a workflow, in its order."""
    return [i.decode() for i in await store.send("ZRANGE", tag.key(keys.nodes(workflow_id)), 0, -1)]


async def workflows(store: EventStore, tag: Tag, state: State, *, count: int) -> list[str]:
    """The newest workflows in one state."""
    listing = tag.key(keys.workflows(int(state)))
    return [i.decode() for i in await store.send("ZREVRANGE", listing, 0, count - 1)]


async def workflow_counts(store: EventStore, tag: Tag) -> dict[State, int]:
    """How many workflows are in each state."""
    sizes = await store.read(*(("ZCARD", tag.key(keys.workflows(int(s)))) for s in State))
    return {state: int(size) for state, size in zip(State, sizes, strict=True)}


async def counts(store: EventStore, tag: Tag, classes: Classes) -> dict[State, int]:
    """How many processes are in each state."""
    queues = [("ZCARD", queue) for queue in _queues(tag, classes)]
    ended = [("ZCARD", tag.key(keys.listing(state))) for state in State if state]
    sizes = await store.read(*ended, *queues)
    found = {state: int(size) for state, size in zip(list(State)[1:], sizes, strict=False)}
    return {State.WAITING: sum(sizes[len(ended) :]), **found}


async def ids(
    store: EventStore,
    tag: Tag,
    classes: Classes,
    state: State,
    *,
    since_ns: int = 0,
    skip: int = 0,
) -> AsyncIterator[list[str]]:
    """Process ids in one state, a page at a time, in the protocol's order (core.md, 8.5).

    Waiting: priority time ascending, also while they are removed. Running: start ascending. Ended:
    end descending, without the first to ``skip``, and nothing that ended before ``since_ns``.
    """
    if state is State.WAITING:
        async for page in _waiting(store, tag, classes):
            yield page
        return
    command = "ZRANGE" if state is State.RUNNING else "ZREVRANGE"
    listing, low = tag.key(keys.listing(int(state))), since_ns // US_NS
    first, done = skip, False
    while not done:
        flat = await store.send(command, listing, first, first + PAGE - 1, "WITHSCORES")
        pairs = _pairs(flat)
        recent = [member for member, score in pairs if score >= low]
        done = len(pairs) < PAGE or (state is not State.RUNNING and len(recent) < len(pairs))
        first += PAGE
        yield recent


async def _waiting(store: EventStore, tag: Tag, classes: Classes) -> AsyncIterator[list[str]]:
    """Pages over the merged queues of all classes; each queue is read as far as it is needed."""
    after = ""
    while True:
        low = f"({after}" if after else "-"
        ranges = (
            ("ZRANGEBYLEX", queue, low, "+", "LIMIT", 0, PAGE) for queue in _queues(tag, classes)
        )
        heads = await store.read(*ranges)
        page = [member.decode() for member in islice(merge(*heads), PAGE)]
        yield [keys.queued_process(member) for member in page]
        if len(page) < PAGE:
            return
        after = page[-1]


def _queues(tag: Tag, classes: Classes) -> list[str]:
    """Where processes wait: in the queue of a class, for their parents, or out of turn."""
    return [tag.key(keys.queue(name)) for name in (*classes.by_key, HELD, DELAYED)]


async def listed(
    store: EventStore,
    tag: Tag,
    classes: Classes,
    state: State,
    keep: Keep = lambda _: True,
    *,
    count: int | None = None,
    since_ns: int = 0,
) -> list[ProcessRow]:
    """Processes in one state that belong into the listing, at most ``count``."""
    found: list[ProcessRow] = []
    async for page in ids(store, tag, classes, state, since_ns=since_ns):
        rows = await processes(store, tag, page)
        found += [row for row in rows if row.state is state and keep(row)]
        if count is not None and len(found) >= count:
            return found[:count]
    return found


def _pairs(flat: list[bytes] | list[list[bytes]]) -> list[tuple[str, float]]:
    """Members and scores, from a flat reply or from one of pairs."""
    items = [part for pair in flat for part in (pair if isinstance(pair, list) else [pair])]
    return [(m.decode(), float(s)) for m, s in zip(items[::2], items[1::2], strict=True)]
