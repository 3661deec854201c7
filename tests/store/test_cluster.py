"""Redis Cluster behind a Link: each colony on its shard, through the loss of a primary."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import pytest
from msgspec.structs import replace

from broker import keys
from broker.clock import StoreClock
from broker.cluster import Cluster
from broker.decision import Decision, has, matches
from broker.directory import Directory
from broker.durability import check_durability
from broker.errors import Malformed, Overloaded, Unavailable
from broker.keys import Tag
from broker.settings import Durability
from broker.store import BY_SERVER, Done, EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import (
    CLI,
    EXECUTOR,
    OTHER,
    PROCESS,
    SECOND,
    SUFFIX,
    T0,
    TAG,
    approved,
    assigned,
    class_added,
    closed,
    executor_added,
    inhabited,
    submitted,
)
from tests.patience import until_answer
from tests.shards import CALM_MS, QUICK_MS, Shards, running_cluster
from tests.store.ground import append, claim

pytestmark = pytest.mark.real
TAGS = [Tag(f"colony{number}") for number in range(8)]
IN_FLIGHT = 1_000
SET = "return redis.call('SET', KEYS[1], 'kept') and 1"


@pytest.fixture(scope="module")
def shards() -> Iterator[Shards]:
    with running_cluster() as shards:
        yield shards


@pytest.fixture
async def cluster(shards: Shards) -> AsyncGenerator[Cluster]:
    cluster = Cluster(shards.url, IN_FLIGHT)
    await cluster.start()
    yield cluster
    await cluster.close()


async def test_each_colony_is_on_one_shard_and_they_are_spread(
    shards: Shards, cluster: Cluster
) -> None:
    for tag in TAGS:
        await cluster.call("SET", tag.key("row"), tag.text)

    assert [await cluster.call("GET", tag.key("row")) for tag in TAGS] == [
        tag.text.encode() for tag in TAGS
    ]
    assert len({shards.primary_of(tag).port for tag in TAGS}) > 1


async def test_scripts_run_where_their_colony_is(cluster: Cluster) -> None:
    store = EventStore(cluster, fold, StoreClock())
    await store.look_at_clock()

    outcome = await append(store, *inhabited(), class_added(), submitted())

    assert isinstance(outcome, Done)
    assert (await verify(store, TAG, fold)).differences == ()
    assert await Directory(store).every() == []


async def test_write_without_room_for_asking_the_replicas_has_no_effect(shards: Shards) -> None:
    cluster = Cluster(shards.url, max_in_flight=1, replicas=1)
    await cluster.start()
    key = TAGS[0].key("crowded")

    with pytest.raises(Overloaded):
        await cluster.call("EVAL", SET, 1, key)

    assert await cluster.call("GET", key) is None
    await cluster.close()


async def test_streams_of_several_shards_are_waited_for_together(cluster: Cluster) -> None:
    streams = [tag.key("events") for tag in TAGS]
    for stream in streams[:2]:
        await cluster.call("XADD", stream, "*", "before", "x")
    read = ("XREAD", "COUNT", 5, "BLOCK", 0, "STREAMS", *streams, *["$"] * len(streams))
    reading = asyncio.ensure_future(cluster.call(*read))
    last = await cluster.call("XREVRANGE", streams[0], "+", "-", "COUNT", 1)
    assert last

    async def told() -> bytes:
        position = await cluster.call("XADD", streams[-1], "*", "now", "y")
        await asyncio.wait([reading], timeout=0.2)
        return b"told" if reading.done() else position

    await until_answer(told, b"told")
    ((name, entries),) = await reading
    assert name == streams[-1].encode()
    assert {tuple(fields) for _, fields in entries} == {(b"now", b"y")}


async def test_wait_for_streams_can_be_ended_from_elsewhere(
    shards: Shards, cluster: Cluster
) -> None:
    other = Cluster(shards.url, IN_FLIGHT)
    await other.start()
    number = await cluster.call("CLIENT", "ID")
    read = ("XREAD", "COUNT", 5, "BLOCK", 0, "STREAMS", TAG.key("quiet"), "0-0")
    reading = asyncio.ensure_future(cluster.call(*read))

    await until_answer(lambda: _said(other, "CLIENT", "UNBLOCK", number), 1)

    assert await reading is None
    assert await other.call("CLIENT", "UNBLOCK", number) == 0
    await other.close()


async def _said(cluster: Cluster, *command: object) -> object:
    return await cluster.call(*command)


async def test_walk_over_the_keys_of_a_colony_finds_them_all(cluster: Cluster) -> None:
    tag = Tag("walked")
    for number in range(50):
        await cluster.call("SET", tag.key(f"row{number}"), "x")
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, page = await cluster.call("SCAN", cursor, "MATCH", tag.key("*"), "COUNT", 10)
        found |= set(page)
        if int(cursor) == 0:
            break

    assert len(found) == 50


async def test_one_node_that_keeps_less_than_promised_is_refused(
    shards: Shards, cluster: Cluster
) -> None:
    store = EventStore(cluster, fold, StoreClock())
    await check_durability(store, Durability.ALWAYS)
    node = shards.primary_of(TAGS[0])
    node.ask("CONFIG", "SET", "appendfsync", "everysec")

    with pytest.raises(Malformed, match="always and everysec"):
        await check_durability(store, Durability.ALWAYS)

    node.ask("CONFIG", "SET", "appendfsync", "always")


async def test_command_that_is_sent_elsewhere_arrives(shards: Shards, cluster: Cluster) -> None:
    tag = TAGS[0]
    await cluster.call("SET", tag.key("moved"), "x")
    wrong = next(node.name for node in shards.nodes[:3] if node is not shards.primary_of(tag))
    known = cluster._slots  # pyright: ignore[reportPrivateUsage] - no node forgets at one's wish
    known[:] = [wrong] * len(known)

    assert await cluster.call("GET", tag.key("moved")) == b"x"


async def submits(store: EventStore, tag: Tag) -> object:
    event = submitted(SECOND, max_exec_s=60, wait_deadline_ns=T0 + 10**9)
    known = has(keys.CLASSES, CLI.class_key)
    return await store.append(tag, Decision(expects=(known,), events=(event,)), BY_SERVER)


async def closes(store: EventStore, tag: Tag) -> object:
    running = matches(keys.process(PROCESS), state=1, holder=EXECUTOR, started=T0 + 5)
    return await store.append(tag, Decision(expects=(running,), events=(closed(),)), BY_SERVER)


async def claims(store: EventStore, tag: Tag) -> object:
    queue = tag.key(keys.queue(CLI.class_key))
    asked = replace(claim(epoch=1, executor_id=OTHER), queues=(queue,))
    return await store.claim(tag, asked, BY_SERVER)


@pytest.mark.parametrize("write", [submits, closes, claims])
async def test_write_while_its_slot_is_moved_is_refused_as_a_whole(
    shards: Shards, cluster: Cluster, write: Callable[[EventStore, Tag], Awaitable[object]]
) -> None:
    """A cluster refuses a key that is not there yet: it may be where the slot is moved to."""
    store, tag = EventStore(cluster, fold, StoreClock()), Tag(f"moved{write.__name__}")
    people = (*inhabited(), executor_added(OTHER, "other"), approved(OTHER))
    third = "3" * 56 + SUFFIX
    await append(store, *people, class_added(), submitted(), assigned(), submitted(third), tag=tag)

    with shards.moving(tag), pytest.raises(Unavailable):
        await write(store, tag)

    assert (await verify(store, tag, fold)).differences == ()
    await write(store, tag)
    assert (await verify(store, tag, fold)).events == len(people) + 5


async def test_store_is_unavailable_when_no_node_answers() -> None:
    cluster = Cluster("redis+cluster://127.0.0.1:1,127.0.0.1:2", IN_FLIGHT)

    with pytest.raises(Unavailable, match="no node of the cluster"):
        await cluster.start()

    await cluster.close()


async def test_cluster_without_some_slots_is_left_without_a_connection(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(shards.url, IN_FLIGHT)
    monkeypatch.setattr(cluster, "_is_whole", lambda: False)

    with pytest.raises(Unavailable, match="all slots"):
        await cluster.start()

    async def alone() -> bool:
        return not any("colonies" in str(node.ask("CLIENT", "LIST")) for node in shards.nodes)

    await until_answer(alone, wanted=True)


async def test_write_that_no_replica_has_is_not_acknowledged(shards: Shards) -> None:
    cluster = Cluster(shards.url, IN_FLIGHT, replicas=2)
    await cluster.start()

    with pytest.raises(Unavailable, match=r"[01] of 2 replicas have this"):
        await cluster.call("EVAL", SET, 1, TAGS[0].key("half"))

    await cluster.close()


async def test_colony_goes_on_at_the_replica_and_the_others_never_notice(
    shards: Shards,
) -> None:
    cluster = Cluster(shards.url, IN_FLIGHT, replicas=1)
    await cluster.start()
    try:
        victim = shards.primary_of(TAGS[0])
        fine = [tag for tag in TAGS if shards.primary_of(tag) is not victim]
        write = ("EVAL", SET, 1, TAGS[0].key("kept"))
        # A write waits for the replica for a second, and an fsync there may take longer.
        await until_answer(lambda: _said(cluster, *write), 1)
        shards.give_up_after(QUICK_MS)

        await asyncio.to_thread(victim.kill)
        with pytest.raises(Unavailable):
            await cluster.call("GET", TAGS[0].key("kept"))
        while shards.primary_of(TAGS[0]) is victim:
            for tag in fine:
                assert await cluster.call("GET", tag.key("nothing")) is None

        await until_answer(lambda: _said(cluster, "GET", TAGS[0].key("kept")), b"kept")
        await asyncio.to_thread(victim.start)
        await asyncio.to_thread(shards.whole)
        # A replica that has just come back may need more than the second that a write waits for it.
        await until_answer(lambda: _said(cluster, *write), 1)
    finally:
        await cluster.close()
        shards.give_up_after(CALM_MS)
