"""A new build of a projection: the same as a fold from zero, and nothing stops for it."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.process import ProcessClosed, State
from broker.directory import Colony
from broker.errors import Corrupt
from broker.keys import Key
from broker.reading import Link
from broker.store import EventStore
from projections import builds, checkpoint
from projections.functions import FUNCTIONS, read
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.facts import COLONY, SUFFIX, TAG, closed, inhabited
from tests.store.ground import append

PAIRS = [("worker", "echo"), ("worker", "sum")]
HERE = Colony(COLONY, SUFFIX, TAG)


def ends(count: int) -> Sequence[ProcessClosed]:
    """So many processes that ran longer and longer, and some that failed."""
    return [
        replace(
            closed(outcome=State.FAILED if number % 7 == 0 else State.SUCCESS),
            subject=f"{number:056d}{SUFFIX}",
            function="echo" if number % 3 else "sum",
            ran_ns=number * 10**6,
        )
        for number in range(1, count + 1)
    ]


def projector(store: EventStore) -> Projector:
    return Projector(store, store, [FUNCTIONS])


@pytest.fixture
async def counted(store: EventStore) -> EventStore:
    """A store in which things have happened and were counted."""
    await append(store, *inhabited())
    for first in range(0, 1200, 100):
        await append(store, *ends(1200)[first : first + 100])
    await projector(store).catch_up(HERE)
    return store


async def rows(link: Link) -> list[str]:
    """The keys of the projection, without those that say which build is served."""
    found = await link.call("KEYS", TAG.key(f"{keys.ASYNC_ROWS}functions*"))
    return sorted(name.decode().removeprefix(TAG.prefix) for name in found)


async def test_new_build_says_what_the_old_one_said(counted: EventStore) -> None:
    before = await read(counted, TAG, PAIRS)

    done = await rebuild(counted, TAG, FUNCTIONS)

    assert (done.build, await builds.served(counted, TAG, FUNCTIONS)) == (1, 1)
    assert done.events == 1204
    assert before[0].count > 0
    assert await read(counted, TAG, PAIRS) == before


async def test_damaged_rows_are_right_again(counted: EventStore, link: Link) -> None:
    before = await read(counted, TAG, PAIRS)
    row = TAG.key(keys.projected("functions", 1, "sums:worker/echo"))
    await link.call("HINCRBY", row, "count", 5)
    assert await read(counted, TAG, PAIRS) != before

    await rebuild(counted, TAG, FUNCTIONS)

    assert await read(counted, TAG, PAIRS) == before


async def test_old_rows_are_deleted(counted: EventStore, link: Link) -> None:
    count = len(await rows(link))

    for number in (1, 2, 3):
        done = await rebuild(counted, TAG, FUNCTIONS)
        assert done.deleted == count - 1
        left = [n for n in await rows(link) if not n.endswith(":checkpoint")]
        assert len(left) == count - 1
        assert all(name.startswith(f"v:functions:1.{number}:") for name in left)


async def test_projector_goes_on_with_the_new_build(counted: EventStore) -> None:
    await rebuild(counted, TAG, FUNCTIONS)
    before = (await read(counted, TAG, PAIRS))[0].count
    await append(counted, replace(closed(), function="echo"))

    assert (await checkpoint.lag(counted, TAG, FUNCTIONS)).behind
    await projector(counted).catch_up(HERE)

    assert (await read(counted, TAG, PAIRS))[0].count == before + 1
    assert not (await checkpoint.lag(counted, TAG, FUNCTIONS)).behind


async def test_build_that_was_left_is_gone_on_with(counted: EventStore) -> None:
    before = await read(counted, TAG, PAIRS)
    for steps in (3, 5, 8):
        left = asyncio.create_task(rebuild(counted, TAG, FUNCTIONS))
        for _ in range(steps):
            await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        assert await read(counted, TAG, PAIRS) == before

    await rebuild(counted, TAG, FUNCTIONS)

    assert await read(counted, TAG, PAIRS) == before


async def test_several_at_once_with_a_projector_and_writers_count_all_once(
    counted: EventStore,
) -> None:
    before = (await read(counted, TAG, PAIRS))[0].count
    more = [replace(each, function="echo") for each in ends(300) if each.outcome == State.SUCCESS]

    async def write() -> None:
        for each in more:
            await append(counted, each)

    async def project() -> None:
        for _ in range(20):
            await projector(counted).catch_up(HERE)

    again = (rebuild(counted, TAG, FUNCTIONS) for _ in range(3))
    await asyncio.gather(write(), project(), project(), *again)
    await projector(counted).catch_up(HERE)

    assert (await read(counted, TAG, PAIRS))[0].count == before + len(more)


async def test_event_that_cannot_be_read_leaves_the_old_build(
    counted: EventStore, link: Link
) -> None:
    before = await read(counted, TAG, PAIRS)
    fields = ("v", "9", "subject", "x", "actor", "", "at", "1", "cause", "", "body", "")
    await link.call("XADD", TAG.key(keys.EVENTS), "*", "type", "ProcessClosed", *fields)

    with pytest.raises(Corrupt):
        await rebuild(counted, TAG, FUNCTIONS)

    assert await builds.served(counted, TAG, FUNCTIONS) == 0
    assert await read(counted, TAG, PAIRS) == before


def test_rows_of_builds_have_places_of_their_own() -> None:
    row = Key("v:functions:1:sums:a/b")

    assert builds.place(FUNCTIONS, 0, row) == row
    assert builds.place(FUNCTIONS, 12, row) == "v:functions:1.12:sums:a/b"
