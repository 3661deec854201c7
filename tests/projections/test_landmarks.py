"""Landmarks: left once, by whoever comes first, and the way back leads past them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api import wire_process
from api.census import Census, statistics
from api.history.log import History, Log
from api.history.moment import Past
from api.present import shown_process
from broker import keys
from broker.access import MemberState
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.directory import Colony
from broker.envelope import position_of
from broker.errors import Corrupt
from broker.keys import Tag
from broker.pace import Leisure
from broker.position import START, Position
from broker.reading import Link
from broker.store import EventStore
from projections import landmarks
from projections.core import fold
from projections.landmarks import EVERY, Leg, Surveyor, legs
from projections.replay import Replay
from projections.rows import Rows
from projections.stretch import Stretch
from tests.facts import COLONY, OTHER
from tests.workshop import DIAMOND, Workshop

END = Position(2**63, 0)


async def lived(store: EventStore) -> Log:
    """A colony in which a bit of everything has happened to processes, workflows and executors."""
    shop = Workshop(store)
    await shop.found()
    await shop.add_executor(OTHER, "other")
    graph = await shop.begin(*DIAMOND)
    for priority in (0, 3, 1):
        await shop.submit(priority=priority)
    held = await shop.assign()
    await shop.assign(OTHER)
    await shop.remove_executor("other")
    await shop.settle()
    await shop.finish(held.processid, "done")
    for process_id in (await shop.take()).values():
        await shop.finish(process_id, 1)
    await shop.remove_all_processes(int(State.SUCCESS))
    await shop.fail(next(iter((await shop.take()).values())))
    await shop.remove(graph.processgraphid)
    await shop.settle()
    await shop.submit()
    return Log(COLONY, await shop.tag())


@pytest.fixture
async def log(store: EventStore) -> Log:
    """The log of a colony that has lived."""
    return await lived(store)


def here(log: Log) -> Colony:
    return Colony(log.name, log.tag.text[-keys.SUFFIX_DIGITS :], log.tag)


async def positions(store: EventStore, tag: Tag) -> list[Position]:
    return [position_of(raw) for raw in await store.raw_page(tag, START, 10_000)]


async def way(store: EventStore, tag: Tag) -> list[tuple[Position, Position, Stretch]]:
    found: AsyncIterator[Leg] = legs(store, tag, "counts", END)
    return [(leg.after, leg.until, leg.tell()) async for leg in found]


# ---------------------------------------------------------------- how it was


@pytest.mark.parametrize("every", [1, 7, EVERY])
async def test_every_moment_is_as_the_rows_were(store: EventStore, log: Log, every: int) -> None:
    await Surveyor(store, fold, every).advance(here(log))
    history, replayed = History(store, store), Replay(store, log.tag, fold)
    ids = {each.event.subject async for each in store.events(log.tag)}

    for position in await positions(store, log.tag):
        await replayed.run(position)
        past, rows = Past(history, log, position), replayed.rows
        assert await past.statistics() == statistics([counted(rows)])
        queue = await past.queue(3)
        waiting = waits(rows)
        assert [one.processid for one in queue.first] == waiting[:3]
        assert queue.waiting == len(waiting)
        assert queue.first == [shown(rows, each) for each in waiting[:3]]
        for process_id in ids:
            assert await past.process(process_id) == shown(rows, process_id)


def shown(rows: Rows, process_id: str) -> wire_process.Process | None:
    row = ProcessRow.read(process_id, rows.hash(keys.process(process_id)))
    return shown_process(row, COLONY) if row else None


def waits(rows: Rows) -> list[str]:
    queues = [key for key in rows.values() if key.startswith("q:")]
    members = sorted(member.decode() for key in queues for member in rows.members(key))
    return [keys.queued_process(member) for member in members]


def counted(rows: Rows) -> Census:
    """As the rows have it."""
    processes = {state: len(rows.members(keys.listing(int(state)))) for state in State}
    names = rows.hash(keys.NAMES).items()
    ids = [value.decode() for name, value in names if name.startswith(b"executor/")]
    return Census(
        members=[MemberState(int(rows.hash(keys.member(each))[b"state"])) for each in ids],
        processes=processes | {State.WAITING: len(waits(rows))},
        workflows={state: len(rows.members(keys.workflows(int(state)))) for state in State},
    )


async def test_one_that_is_not_there_yet_is_not_shown(store: EventStore, log: Log) -> None:
    past = Past(History(store, store), log, START)

    assert (await past.queue(5)).waiting == 0
    assert await past.process("0" * 64) is None
    assert await past.statistics() == statistics([counted(Rows())])


# ---------------------------------------------------------------- how they are left


async def test_landmarks_follow_each_other_without_a_gap(store: EventStore, log: Log) -> None:
    await Surveyor(store, fold, 4).advance(here(log))

    found, events = await way(store, log.tag), await positions(store, log.tag)

    ends = [until for _, until, _ in found]
    assert [after for after, _, _ in found] == [START, *ends[:-1]]
    assert ends == events[3::4]
    assert await landmarks.reached(store, log.tag) == ends[-1]


async def test_several_surveyors_leave_what_one_would(store: EventStore, log: Log) -> None:
    surveyors = [Surveyor(store, fold, 4) for _ in range(3)]

    await asyncio.gather(*(each.advance(here(log)) for each in surveyors))

    found, events = await way(store, log.tag), await positions(store, log.tag)
    assert [until for _, until, _ in found] == events[3::4]


async def test_surveyor_goes_on_with_what_it_has_begun(store: EventStore, log: Log) -> None:
    count = len(await positions(store, log.tag))
    surveyor = Surveyor(store, fold, count + 2)
    await surveyor.advance(here(log))
    assert await way(store, log.tag) == []

    shop = Workshop(store)
    await shop.submit()
    await surveyor.survey()
    assert await way(store, log.tag) == []
    await shop.submit()
    await surveyor.survey()

    (leg,) = await way(store, log.tag)
    whole = Surveyor(store, fold, count + 2)
    await store.send("UNLINK", *map(log.tag.key, landmarks.INDEXES.values()))
    await store.send("DEL", log.tag.key(keys.checkpoint(landmarks.NAME, landmarks.VERSION)))
    await whole.survey()
    assert await way(store, log.tag) == [leg]


async def test_surveyor_that_stops_leaves_the_rest_to_the_next(store: EventStore, log: Log) -> None:
    surveyor = Surveyor(store, fold, 4)
    surveyor.stop()
    await surveyor.survey()
    assert await way(store, log.tag) == []

    await Surveyor(store, fold, 4).survey()
    assert await way(store, log.tag)


async def test_event_that_cannot_be_read_is_not_passed(
    store: EventStore, log: Log, link: Link
) -> None:
    before = len(await positions(store, log.tag))
    await link.call("XADD", log.tag.key(keys.EVENTS), "*", "type", "Unheard", "v", "1")

    with pytest.raises(Corrupt):
        await Surveyor(store, fold, before + 1).advance(here(log))
    assert await way(store, log.tag) == []


async def test_fold_that_hides_what_it_takes_away_is_refused() -> None:
    """Landmarks count writes; a fold that empties a listing at once could not be counted."""
    with pytest.raises(Corrupt, match="nothing can count"):
        Stretch().apply(("UNLINK", keys.listing(1), ()))


class Watched(Leisure):
    """Leisure of a process in which nothing is left of it, and which tells who hurried."""

    def __init__(self) -> None:
        super().__init__()
        self.hurried: list[bool] = []

    async def rest(self, *, hurry: bool = False) -> None:
        """No rest at all."""
        self.hurried.append(hurry)


async def test_landmarks_that_are_late_are_not_left_to_spare_time(store: EventStore) -> None:
    shop = Workshop(store)
    await shop.found()
    log = Log(COLONY, await shop.tag())
    leisure = Watched()
    surveyor = Surveyor(store, fold, every=2, leisure=leisure)

    await surveyor.advance(here(log))
    in_time, leisure.hurried = leisure.hurried, []
    await shop.submit()
    await shop.submit()
    shop.pass_time(11 * 60)
    await surveyor.advance(here(log))

    assert in_time
    assert not any(in_time)
    assert leisure.hurried
    assert all(leisure.hurried)


async def test_nothing_is_left_of_a_colony_that_goes_while_its_events_are_read(
    store: EventStore, log: Log
) -> None:
    class Slow(Leisure):
        """Rests for as long as it takes to delete the colony."""

        async def rest(self, *, hurry: bool = False) -> None:
            del hurry
            every: list[bytes] = await store.send("KEYS", log.tag.key("*"))
            if every:
                await store.send("UNLINK", *every)

    await Surveyor(store, fold, every=5, leisure=Slow()).advance(here(log))

    assert await store.send("KEYS", log.tag.key("*")) == []
