"""verify finds nothing on good data, and every kind of difference that is planted."""

from collections.abc import Awaitable, Callable

import pytest

from broker import keys
from broker.aggregates.colony import ColonyDissolved
from broker.aggregates.executor import ExecutorRemoved
from broker.aggregates.file import FilesForgotten, LabelForgotten
from broker.aggregates.process import State
from broker.aggregates.snapshot import LabelTidied, SnapshotCreated, SnapshotRemoved
from broker.decision import Event
from broker.keys import Key
from broker.reading import Link
from broker.revisions import Kept, kept_member
from broker.store import EventStore
from projections.core import fold
from projections.replay import Difference, live_rows, replay, verify
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    PROCESS,
    SECOND,
    T0,
    TAG,
    USER,
    assigned,
    class_added,
    closed,
    inhabited,
    submitted,
)
from tests.filing import REVISION, SECOND_REVISION, SNAPSHOT, added, gone
from tests.store.ground import append

REMOVED = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
FILED: tuple[Event, ...] = (
    added(),
    added(SECOND_REVISION, number=2, first=False),
    SnapshotCreated(subject=SNAPSHOT, actor=USER, at_ns=LATER, label="/a", name="s", number=1),
    gone(REVISION, 1),
    gone(SECOND_REVISION, 2, until=1, ends_file=True, ends_label=True),
    SnapshotRemoved(subject=SNAPSHOT, actor=USER, at_ns=LATER, label="/a", name="s", leaves=True),
    FilesForgotten(
        subject="/a",
        actor="",
        at_ns=LATER,
        members={SECOND_REVISION: kept_member(Kept("x", 2, SECOND_REVISION, 0, 1))},
    ),
    LabelForgotten(subject="/a", actor="", at_ns=LATER),
    LabelTidied(subject="/a", actor="", at_ns=LATER, snapshot=SNAPSHOT),
)
LIFE: tuple[Event, ...] = (
    *inhabited(),
    class_added(),
    submitted(wait_deadline_ns=T0 + 10**9, env={"A": "1"}),
    submitted(SECOND, priority_time=-5, max_exec_s=60, wait_deadline_ns=T0 + 10**10),
    assigned(),
    closed(outcome=State.FAILED),
    REMOVED,
    *FILED,
)
QUEUE = keys.queue(CLI.class_key)


@pytest.fixture
async def lived(store: EventStore) -> EventStore:
    """A store in which things have happened."""
    await append(store, *LIFE)
    return store


@pytest.mark.parametrize("length", range(1, len(LIFE) + 1))
async def test_good_data_shows_no_difference_at_any_moment(store: EventStore, length: int) -> None:
    await append(store, *LIFE[:length])

    verdict = await verify(store, TAG, fold)

    assert (verdict.events, verdict.differences) == (length, ())
    assert verdict.keys > 0


async def test_replay_gives_the_live_rows(lived: EventStore) -> None:
    rows, count = await replay(lived, TAG, fold)

    assert count == len(LIFE)
    assert rows.values() == await live_rows(lived, TAG)


async def test_rows_that_were_emptied_are_gone_on_both_sides(store: EventStore) -> None:
    dissolved = ColonyDissolved(subject=COLONY, actor=OWNER, at_ns=LATER)
    await append(store, *LIFE, dissolved)

    verdict = await verify(store, TAG, fold)

    assert verdict.differences == ()
    assert keys.COLONY not in (await replay(store, TAG, fold))[0].values()


Plant = Callable[[Link], Awaitable[object]]


def told(*command: str | float) -> Plant:
    name, key, *rest = command
    return lambda link: link.call(name, TAG.key(str(key)), *rest)


DIFFERENCES: dict[str, tuple[Key, Plant]] = {
    "changed field": (keys.COLONY, told("HSET", keys.COLONY, "owner", "x")),
    "extra field": (keys.COLONY, told("HSET", keys.COLONY, "more", "x")),
    "missing field": (keys.COLONY, told("HDEL", keys.COLONY, "owner")),
    "missing hash": (keys.process(PROCESS), told("DEL", keys.process(PROCESS))),
    "missing queue": (QUEUE, told("DEL", QUEUE)),
    "extra hash": (keys.process("x"), told("HSET", keys.process("x"), "a", "b")),
    "extra member": (QUEUE, told("ZADD", QUEUE, 0, "x")),
    "missing member": (keys.DUE, told("ZREM", keys.DUE, keys.due_wait(SECOND))),
    "changed score": (keys.DUE, told("ZADD", keys.DUE, 1, keys.due_wait(SECOND))),
    "score off by one": (keys.DUE, told("ZINCRBY", keys.DUE, 1, keys.due_wait(SECOND))),
    "extra set": (keys.held("x"), told("SADD", keys.held("x"), PROCESS)),
}


@pytest.mark.parametrize("name", DIFFERENCES)
async def test_planted_difference_is_found(lived: EventStore, link: Link, name: str) -> None:
    key, plant = DIFFERENCES[name]
    await plant(link)

    verdict = await verify(lived, TAG, fold)

    assert [each.key for each in verdict.differences] == [key]


async def test_difference_shows_both_sides(lived: EventStore, link: Link) -> None:
    await link.call("DEL", TAG.key(QUEUE))

    verdict = await verify(lived, TAG, fold)

    member = keys.queue_member(-5, SECOND).encode()
    assert verdict.differences == (Difference(QUEUE, None, {member: 0.0}),)


async def test_nonces_and_presence_are_no_difference(lived: EventStore, link: Link) -> None:
    await link.call("SET", TAG.key(keys.nonce(OWNER, "n")), "x")
    await link.call("HSET", TAG.key(keys.HEARD), EXECUTOR, 5)

    assert (await verify(lived, TAG, fold)).differences == ()


async def test_other_colonies_are_not_looked_at(lived: EventStore, link: Link) -> None:
    await link.call("HSET", keys.colony_tag("dev2", "0dec0dec").key(keys.COLONY), "a", "b")

    assert (await verify(lived, TAG, fold)).differences == ()
