"""What the server does by itself: requeue, purge, retire, and note who is there."""

import asyncio

import pytest

from api import wire_colony
from api.handlers import colony
from broker import keys
from broker.aggregates import server as aggregate
from broker.aggregates.colony import RequirementClassAdded
from broker.aggregates.executor import ExecutorRejected, ExecutorRemoved
from broker.clock import StoreClock
from broker.decision import Event
from broker.directory import Colony, Directory
from broker.errors import Denied, Unavailable
from broker.keys import SERVER, Tag
from broker.matching import Requirement
from broker.presence import Presence
from broker.reactors import classes
from broker.reactors.classes import retire_empty
from broker.reactors.purge import purge_removed
from broker.reactors.reactor import forget_gone
from broker.reactors.requeue import Requeuer
from broker.reading import Link
from broker.store import BY_SERVER, Done, EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    SERVER_OWNER,
    SUFFIX,
    TAG,
    approved,
    assigned,
    class_added,
    founded,
    inhabited,
    submitted,
)
from tests.stage import Stage
from tests.store.ground import append, everything, types

REMOVED = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
REJECTED = ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER)
IDS = [f"{n:056d}{SUFFIX}" for n in range(250)]


class Yard:
    """A colony and a requeuer that tells what it did."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.colony = Colony(COLONY, SUFFIX, TAG)
        self.told: list[Done] = []
        self.requeuer = Requeuer(
            store=store, directory=Directory(store), happened=lambda _, done: self.told.append(done)
        )

    async def rows(self) -> tuple[int, int, int]:
        """How many wait, are held, and are leaving."""
        queue, held = keys.queue(CLI.class_key), keys.held(EXECUTOR)
        waiting = await self.store.send("ZCARD", TAG.key(queue))
        holding = await self.store.send("SCARD", TAG.key(held))
        return waiting, holding, await self.store.send("ZCARD", TAG.key(keys.LEAVING))


@pytest.fixture
def yard(store: EventStore) -> Yard:
    return Yard(store)


async def busy(store: EventStore, ids: list[str], *then: Event) -> None:
    """An executor that runs all of these."""
    await append(store, *inhabited(), class_added(), *map(submitted, ids))
    await append(store, *(assigned(each) for each in ids), *then)


@pytest.mark.parametrize("fact", [REMOVED, REJECTED], ids=lambda event: event.TYPE)
@pytest.mark.parametrize("count", [0, 1, 250])
async def test_all_that_an_executor_held_waits_again(yard: Yard, fact: Event, count: int) -> None:
    await busy(yard.store, IDS[:count], fact)

    await yard.requeuer.all_leaving(yard.colony)

    assert await yard.rows() == (count, 0, 0)
    assert sum(len(done.wakes) for done in yard.told) == count
    assert (await verify(yard.store, TAG, fold)).differences == ()


async def test_requeuing_again_changes_nothing(yard: Yard, link: Link) -> None:
    await busy(yard.store, IDS[:3], REMOVED)
    await yard.requeuer.all_leaving(yard.colony)
    before = await everything(link)

    await yard.requeuer.all_leaving(yard.colony)
    await yard.requeuer.held_by(yard.colony, EXECUTOR)

    assert await everything(link) == before


async def test_two_servers_requeue_everything_once(store: EventStore) -> None:
    await busy(store, IDS, REMOVED)
    yards = Yard(store), Yard(store)

    await asyncio.gather(*(yard.requeuer.all_leaving(yard.colony) for yard in yards))

    told = await types(store)
    assert told.count("ProcessRequeued") == len(IDS)
    assert told.count("ExecutorReleased") == 1


async def test_executor_that_was_approved_again_keeps_its_work(yard: Yard, link: Link) -> None:
    await busy(yard.store, IDS[:3], REMOVED, approved())
    before = await everything(link)

    await yard.requeuer.held_by(yard.colony, EXECUTOR)

    assert await everything(link) == before


# ---------------------------------------------------------------- purge


async def test_removed_colony_leaves_no_key_behind(store: EventStore, link: Link) -> None:
    stage = Stage(store)
    await stage.found()
    await stage.submit()
    tag = await stage.tag()
    from_before = await link.call("KEYS", tag.key("*"))
    await _remove(stage)

    deleted = await purge_removed(store)

    assert deleted >= len(from_before) - 1
    assert await link.call("KEYS", tag.key("*")) == []
    assert keys.REMOVED not in {name.decode() for name in await link.call("KEYS", "*")}
    assert (await verify(store, SERVER, fold)).differences == ()


async def test_purging_twice_at_once_is_told_once(store: EventStore) -> None:
    stage = Stage(store)
    await stage.found()
    await _remove(stage)

    await asyncio.gather(purge_removed(store), purge_removed(store))

    assert (await types(store, SERVER)).count("ColonyPurged") == 1


async def test_colony_added_again_is_not_purged(store: EventStore) -> None:
    stage = Stage(store)
    await stage.found()
    await _remove(stage)
    await stage.found()
    given = await stage.submit()

    await purge_removed(store)

    assert (await stage.look(given.processid)).state == 0


async def test_removal_that_stopped_half_way_is_finished(store: EventStore, link: Link) -> None:
    """The server knows that the colony is gone, the colony does not know it yet."""
    stage = Stage(store)
    await stage.found()
    tag = await stage.tag()
    await _begin_to_remove(stage)

    await purge_removed(store)

    assert await link.call("KEYS", tag.key("*")) == []


async def test_what_arrives_in_a_removal_that_stopped_half_way_goes_with_it(
    store: EventStore, link: Link
) -> None:
    """Nobody was told that the colony is gone, so a server that remembers it is not wrong yet."""
    stage, remembering = Stage(store), Stage(store)
    await stage.found()
    await remembering.submit()
    tag = await stage.tag()
    await _begin_to_remove(stage)
    await remembering.submit()

    await purge_removed(store)

    with pytest.raises(Denied):
        await remembering.submit()
    assert await link.call("KEYS", tag.key("*")) == []


async def _begin_to_remove(stage: Stage) -> None:
    """All that a server does which dies then."""
    row = await stage.context.directory.server()
    suffix = (await stage.tag()).text.rpartition(".")[2]
    entry = aggregate.Entry(suffix=suffix, colony_ids=(OWNER,))
    decided = aggregate.unregister(SERVER_OWNER, row, entry, COLONY, LATER)
    await stage.store.append(SERVER, decided, BY_SERVER)


async def _remove(stage: Stage) -> None:
    message = wire_colony.RemoveColonyMsg(colonyname=COLONY)
    await stage.say(colony.remove, SERVER_OWNER, message)


# ---------------------------------------------------------------- retire


def many(count: int) -> list[RequirementClassAdded]:
    return [class_added(Requirement(executor_type="cli", cpu=n)) for n in range(count)]


async def test_empty_classes_beyond_the_kept_ones_are_retired(store: EventStore) -> None:
    yard = Yard(store)
    await append(store, founded(), *many(classes.KEPT + 10))

    assert await retire_empty(store, Directory(store), yard.colony) == 10

    rows = (await store.hashes(TAG, keys.CLASSES))[0]
    assert len(rows) == classes.KEPT + 1
    assert await retire_empty(store, Directory(store), yard.colony) == 0


async def test_class_in_which_work_waits_is_kept(store: EventStore) -> None:
    used = [Requirement(executor_type="cli", cpu=n) for n in range(classes.KEPT + 5)]
    waiting = [submitted(i, requirement=r) for i, r in zip(IDS, used, strict=False)]
    await append(store, *inhabited(), *many(classes.KEPT + 5), *waiting)

    assert await retire_empty(store, Directory(store), Yard(store).colony) == 0


# ---------------------------------------------------------------- presence


async def test_presence_is_written_and_read_elsewhere(store: EventStore) -> None:
    here, there = Presence(store), Presence(store)
    here.heard(TAG, EXECUTOR)
    await append(store, founded())
    known = await here.last(TAG)

    await here.write()

    assert await there.last(TAG) == known
    assert set(known) == {EXECUTOR}


async def test_looking_at_presence_leaves_nothing_to_write(store: EventStore, link: Link) -> None:
    presence = Presence(store)
    await presence.last(TAG)

    await presence.write()

    assert not any(presence._heard.values())  # pyright: ignore[reportPrivateUsage] - what it keeps
    assert await everything(link) == {}


async def test_presence_is_kept_while_the_store_is_away(store: EventStore) -> None:
    del store
    presence = Presence(EventStore(Away(), fold, StoreClock()))
    presence.heard(TAG, EXECUTOR)

    await presence.write()

    assert presence._heard[TAG].keys() == {EXECUTOR}  # pyright: ignore[reportPrivateUsage]


class Away:
    """A store that does not answer."""

    def call(self, *args: object) -> "asyncio.Future[bytes]":
        """Fail."""
        raise Unavailable(str(args[:1]))


def test_what_was_seen_of_colonies_that_are_gone_is_forgotten() -> None:
    seen = {TAG: "here", Tag("gone"): "not here"}
    forget_gone(seen, [Colony(name=COLONY, suffix=SUFFIX, tag=TAG)])
    assert seen == {TAG: "here"}
