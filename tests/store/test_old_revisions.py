"""Old revisions of files are removed by number and age; the newest and what snapshots name stay."""

import asyncio

import pytest

from api import wire_colony
from api.handlers import colony
from broker.aggregates.file import FileRemoved
from broker.errors import Invalid
from broker.reactors import old_revisions
from broker.reactors.old_revisions import KeepRevisions, OldRevisions
from broker.store import EventStore
from tests.facts import COLONY, OWNER
from tests.filing import Filing
from tests.store.ground import types


class Keeper(Filing):
    """A stage with a timer that removes old revisions."""

    def reactor(self, count: int = 0, age_s: int = 0) -> OldRevisions:
        """What removes."""
        keep = KeepRevisions(count=count, age_s=age_s)
        return OldRevisions(store=self.store, happened=self.context.happened, default=keep)

    async def tidy(
        self, count: int = 0, age_s: int = 0, *, reactor: OldRevisions | None = None
    ) -> int:
        """What the timer does every now and then; how many it removed."""
        (known,) = await self.context.directory.every()
        return await (reactor or self.reactor(count, age_s)).remove(known)

    async def put_some(self, count: int, *, label: str = "/a", name: str = "x") -> list[str]:
        """So many revisions of a file; their ids."""
        return [(await self.put(label, name)).fileid for _ in range(count)]

    async def set_retention(self, count: int, age_s: int) -> None:
        """The owner says what the colony keeps."""
        settings = wire_colony.WishedSettings(filerevisions=count, filerevisionseconds=age_s)
        message = wire_colony.SetColonySettingsMsg(colonyname=COLONY, settings=settings)
        answer: wire_colony.ColonySettings = await self.say(colony.set_settings, OWNER, message)
        assert (answer.filerevisions, answer.filerevisionseconds) == (count, age_s)

    async def ids(self, label: str = "/a", name: str = "x") -> list[str]:
        """The revisions of a file that are there, oldest first."""
        return [each.fileid for each in reversed(await self.look(label, name))]


@pytest.fixture
async def keeper(store: EventStore) -> Keeper:
    keeper = Keeper(store)
    await keeper.found()
    return keeper


async def test_all_stay_unless_said(keeper: Keeper) -> None:
    await keeper.put_some(3)
    keeper.pass_time(10**9)

    assert await keeper.tidy() == 0


async def test_so_many_of_each_file_stay(keeper: Keeper) -> None:
    first, second = await keeper.put_some(4), await keeper.put_some(2, name="y")
    other = await keeper.put_some(3, label="/a/b")

    assert await keeper.tidy(count=2) == 3

    assert await keeper.ids() == first[2:]
    assert await keeper.ids(name="y") == second
    assert await keeper.ids("/a/b") == other[1:]
    await keeper.is_sound()


async def test_age_counts_from_when_a_revision_was_replaced(keeper: Keeper) -> None:
    oldest = await keeper.put_some(1)
    keeper.pass_time(1_000)
    replaced = await keeper.put_some(1)
    keeper.pass_time(100)
    newest = await keeper.put_some(1)

    assert await keeper.tidy(age_s=200) == 0
    keeper.pass_time(150)
    assert await keeper.tidy(age_s=200) == 1
    assert await keeper.ids() == [*replaced, *newest]
    assert oldest != replaced
    keeper.pass_time(10**9)
    assert await keeper.tidy(age_s=200) == 1
    assert await keeper.ids() == newest


async def test_either_reason_is_enough(keeper: Keeper) -> None:
    ids = await keeper.put_some(4)
    keeper.pass_time(50)
    ids += await keeper.put_some(3)
    keeper.pass_time(10)

    # Of the first four only the last is replaced by one that came fifty seconds later.
    assert await keeper.tidy(count=6, age_s=40) == 3
    assert await keeper.ids() == ids[3:]
    assert await keeper.tidy(count=2, age_s=40) == 2
    assert await keeper.ids() == ids[5:]


async def test_what_a_snapshot_names_is_kept_for_it(keeper: Keeper) -> None:
    named, *_ = await keeper.put_some(1)
    snapshot = await keeper.snap("/a")
    await keeper.put_some(2)

    assert await keeper.tidy(count=1) == 2

    assert (await keeper.snapshot(snapshot.snapshotid)).fileids == [named]
    assert [each.fileid for each in await keeper.look(file_id=named)] == [named]
    await keeper.unsnap(snapshot.snapshotid)
    await keeper.forget()
    assert set(await keeper.rows("fr:")) == {f"fr:{each}" for each in await keeper.ids()}
    await keeper.is_sound()


async def test_many_go_in_steps_that_are_events(keeper: Keeper, store: EventStore) -> None:
    """Two servers at once: each revision goes once."""
    count = old_revisions._STEP + 20  # pyright: ignore[reportPrivateUsage] - its bound is meant
    ids = await keeper.put_some(count)

    removed = await asyncio.gather(*(keeper.tidy(count=1) for _ in range(2)))

    assert sum(removed) == count - 1
    assert await keeper.ids() == ids[-1:]
    told = await types(store, await keeper.tag())
    assert told.count(FileRemoved.TYPE) == count - 1
    await keeper.is_sound()


async def test_label_is_not_looked_into_before_something_is_due(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeper.put_some(2)
    reactor, looks = keeper.reactor(age_s=100), list[str]()
    original = OldRevisions._in_file  # pyright: ignore[reportPrivateUsage] - counted here

    async def counted(self: OldRevisions, *place: object) -> tuple[int, int]:
        looks.append(str(place[2]))
        return await original(self, *place)  # pyright: ignore[reportArgumentType] - passed on

    monkeypatch.setattr(OldRevisions, "_in_file", counted)
    for _ in range(3):
        assert await keeper.tidy(reactor=reactor) == 0
    assert looks == ["x"]
    await keeper.put_some(1, name="y")
    assert await keeper.tidy(reactor=reactor) == 0
    assert looks == ["x", "x"]
    keeper.pass_time(101)
    assert await keeper.tidy(reactor=reactor) == 1
    assert looks == ["x", "x", "x"]


async def test_owner_decides_for_a_colony(keeper: Keeper) -> None:
    await keeper.put_some(3)
    await keeper.set_retention(count=2, age_s=0)
    keeper.pass_time(100)
    assert await keeper.tidy(age_s=1) == 1

    await keeper.set_retention(count=-1, age_s=-1)
    assert await keeper.tidy(age_s=1) == 1
    await keeper.is_sound()


async def test_a_number_that_is_none_is_refused(keeper: Keeper) -> None:
    with pytest.raises(Invalid, match=r"is -1 \(as the server has it\)"):
        await keeper.set_retention(count=-2, age_s=0)
    with pytest.raises(Invalid, match=r"is -1 \(as the server has it\)"):
        await keeper.set_retention(count=0, age_s=-2)


async def test_revisions_that_went_from_one_file_to_another_are_noticed_within_an_hour(
    keeper: Keeper,
) -> None:
    first, second = await keeper.put_some(3), await keeper.put_some(3, name="y")
    reactor = keeper.reactor(count=3)
    assert await keeper.tidy(reactor=reactor) == 0
    for file_id in second[:2]:
        await keeper.remove(file_id=file_id)
    first += await keeper.put_some(2)

    keeper.pass_time(3_600)

    assert await keeper.tidy(reactor=reactor) == 2
    assert await keeper.ids() == first[2:]
    await keeper.is_sound()


async def test_a_label_that_came_again_is_looked_at_as_a_new_one(keeper: Keeper) -> None:
    await keeper.put_some(2)
    reactor = keeper.reactor(age_s=100)
    assert await keeper.tidy(reactor=reactor) == 0
    for file_id in await keeper.ids():
        await keeper.remove(file_id=file_id)
    assert await keeper.tidy(reactor=reactor) == 0
    await keeper.put_some(2)
    keeper.pass_time(101)
    assert await keeper.tidy(reactor=reactor) == 1
