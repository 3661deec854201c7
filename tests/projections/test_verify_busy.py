"""verify while others write, and on rows too large to be read at once."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.process import State
from broker.errors import Corrupt
from broker.keys import Key
from broker.reading import Link
from broker.store import EventStore
from projections.core import fold
from projections.cut import MOST
from projections.replay import Difference, verify
from tests.facts import CLI, SUFFIX, T0, TAG, assigned, class_added, closed, inhabited, submitted
from tests.store.ground import append

MANY = MOST + 200
LIVES = 300
QUEUE = keys.queue(CLI.class_key)


def process_id(number: int) -> str:
    return f"{number:056d}{SUFFIX}"


async def live_once(store: EventStore, number: int, *, whole: bool) -> None:
    """One process is submitted, and perhaps run."""
    name = process_id(number)
    await append(store, submitted(name, priority_time=T0 + number))
    if whole:
        given = replace(assigned(name), queued_as=keys.queue_member(T0 + number, name))
        await append(store, given)
        outcome = State.FAILED if number % 3 else State.SUCCESS
        await append(store, closed(name, outcome))


@asynccontextmanager
async def load(store: EventStore, begin: int = 1) -> AsyncGenerator[Callable[[], int]]:
    """Processes come and most of them go, at most LIVES in a block; how many have so far."""
    numbers, count = iter(range(begin, begin + LIVES)), 0

    async def write() -> None:
        nonlocal count
        for number in numbers:
            await live_once(store, number, whole=number % 5 != 0)
            count += 1

    writers = [asyncio.create_task(write()) for _ in range(3)]
    try:
        yield lambda: count
    finally:
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)


async def test_rows_that_change_meanwhile_show_no_difference(store: EventStore) -> None:
    await append(store, *inhabited(), class_added())
    for turn in range(3):
        async with load(store, turn * LIVES) as count:
            verdict = await verify(store, TAG, fold)
            assert count() > 0, "nothing was written meanwhile"
        assert verdict.differences == ()


async def test_difference_is_found_while_others_write(store: EventStore, link: Link) -> None:
    await append(store, *inhabited(), class_added(), submitted())
    async with load(store):
        await link.call("HSET", TAG.key(keys.COLONY), "owner", "x")
        verdict = await verify(store, TAG, fold)

    assert [each.key for each in verdict.differences] == [keys.COLONY]


@pytest.fixture
async def crowded(store: EventStore) -> EventStore:
    """A queue, a hash and a sorted set with more elements than are read at once."""
    await append(store, *inhabited(), class_added())
    facts = [
        submitted(
            process_id(number),
            priority_time=T0 + number,
            wait_deadline_ns=T0 + 10**9 * number,
            env={"A": "1"},
        )
        for number in range(MANY)
    ]
    for first in range(0, MANY, 100):
        await append(store, *facts[first : first + 100])
    return store


async def test_large_rows_show_no_difference(crowded: EventStore) -> None:
    verdict = await verify(crowded, TAG, fold)

    assert (verdict.differences, verdict.events) == ((), MANY + 5)


MEMBER = keys.queue_member(T0 + 7, process_id(7))
Plant = Callable[[Link], Awaitable[object]]
PLANTED: dict[str, tuple[Plant, Difference]] = {
    "missing member": (
        lambda link: link.call("ZREM", TAG.key(QUEUE), MEMBER),
        Difference(QUEUE, {}, {MEMBER.encode(): 0.0}),
    ),
    "extra member": (
        lambda link: link.call("ZADD", TAG.key(QUEUE), 0, "x"),
        Difference(QUEUE, {b"x": 0.0}, {}),
    ),
    "changed field": (
        lambda link: link.call("HSET", TAG.key(keys.ATTRIBUTES), "x", "y"),
        Difference(keys.ATTRIBUTES, {b"x": b"y"}, {}),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
async def test_difference_in_a_large_row_shows_only_itself(
    crowded: EventStore, link: Link, name: str
) -> None:
    plant, difference = PLANTED[name]
    await plant(link)

    assert (await verify(crowded, TAG, fold)).differences == (difference,)


async def test_large_row_that_is_gone_is_a_difference(crowded: EventStore, link: Link) -> None:
    await link.call("DEL", TAG.key(QUEUE))

    (found,) = (await verify(crowded, TAG, fold)).differences

    assert (found.key, found.live) == (QUEUE, None)
    assert found.folded is not None
    assert len(found.folded) == MANY


@pytest.mark.parametrize("kind", ["set", "list"])
async def test_large_row_that_no_event_made_is_a_difference(
    store: EventStore, link: Link, kind: str
) -> None:
    await append(store, *inhabited())
    key, command = {"set": (Key("h:x"), "SADD"), "list": (Key("a:x"), "RPUSH")}[kind]
    await link.call(command, TAG.key(key), *range(MANY))

    (found,) = (await verify(store, TAG, fold)).differences

    assert (found.key, len(found.live or ()), found.folded) == (key, MANY, {})


async def test_event_that_cannot_be_read_stops_it(store: EventStore, link: Link) -> None:
    await append(store, *inhabited())
    await link.call("XADD", TAG.key(keys.EVENTS), "*", "type", "Unheard", "v", "1")

    with pytest.raises(Corrupt):
        await verify(store, TAG, fold)
