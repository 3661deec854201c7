"""Snapshots on a store: they hold what they held, as long as they are there and no longer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from api import wire_file
from broker import keys, shelf
from broker.errors import Denied, Invalid, Missing, Taken
from broker.reading import Link
from broker.store import EventStore
from projections.core import fold
from tests.facts import STRANGER
from tests.filing import Filing
from tests.store.ground import everything, types


@pytest.fixture
async def desk(store: EventStore) -> Filing:
    filing = Filing(store)
    await filing.found()
    return filing


@pytest.fixture
def other(desk: Filing, link: Link) -> Filing:
    """Another server on the same store."""
    return Filing(EventStore(link, fold, desk.store.clock))


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "PAGE", 2)


async def filled(desk: Filing) -> dict[str, wire_file.File]:
    """Newest revisions by their label and name."""
    found: dict[str, wire_file.File] = {}
    for label, name in [("/a", "x"), ("/a", "y"), ("/a/b", "x"), ("/ab", "x"), ("no", "x")]:
        await desk.put(label, name)
        found[f"{label} {name}"] = await desk.put(label, name)
    return found


def ids(found: dict[str, wire_file.File], *names: str) -> set[str]:
    return {found[name].fileid for name in names}


async def test_snapshot_holds_the_newest_in_its_label_and_below(
    desk: Filing, small_pages: None
) -> None:
    del small_pages
    found = await filled(desk)

    made = await desk.snap("/a/")

    assert set(made.fileids) == ids(found, "/a x", "/a y", "/a/b x")
    assert (made.label, made.name, made.colonyname) == ("/a", "s", "dev")
    assert await desk.snapshot(made.snapshotid) == await desk.snapshot(name="s") == made


@pytest.mark.parametrize(
    ("label", "names"),
    [("/a/b", ["/a/b x"]), ("no", ["no x"]), ("/", ["/a x", "/a y", "/a/b x", "/ab x", "no x"]),
     ("", ["/a x", "/a y", "/a/b x", "/ab x", "no x"]), ("/nope", [])],
)  # fmt: skip
async def test_any_label_may_be_kept(desk: Filing, label: str, names: list[str]) -> None:
    found = await filled(desk)

    assert set((await desk.snap(label)).fileids) == ids(found, *names)


async def test_parent_without_files_holds_what_is_below(desk: Filing) -> None:
    added = await desk.put("/deep/er/label")

    assert (await desk.snap("/deep")).fileids == [added.fileid]


async def test_later_revisions_and_files_do_not_change_it(desk: Filing) -> None:
    await filled(desk)
    made = await desk.snap("/a")

    await filled(desk)
    await desk.put("/a", "new")
    await desk.put("/a/new", "x")

    assert await desk.snapshot(made.snapshotid) == made


async def test_removed_files_stay_in_it_and_can_be_read(desk: Filing, small_pages: None) -> None:
    del small_pages
    found = await filled(desk)
    made = await desk.snap("/a")

    for label, name in [("/a", "x"), ("/a", "y"), ("/a/b", "x")]:
        await desk.remove(label, name)

    assert await desk.labels() == {"/ab": 2, "no": 2}
    assert set((await desk.snapshot(name="s")).fileids) == set(made.fileids)
    kept = found["/a/b x"]
    assert await desk.look(file_id=kept.fileid) == [kept]
    assert len(await desk.rows("fr:")) == 3 + 4
    await desk.is_sound()


async def test_last_snapshot_takes_what_it_alone_named_with_it(desk: Filing) -> None:
    await filled(desk)
    both = [await desk.snap("/a", "one"), await desk.snap("/", "two")]
    await desk.remove("/a", "x")

    await desk.unsnap(name="one")
    await desk.forget()
    assert set((await desk.snapshot(name="two")).fileids) == set(both[1].fileids)

    await desk.unsnap(both[1].snapshotid)
    await desk.forget()
    assert set(await desk.rows("fk:")) == set()
    assert len(await desk.rows("fr:")) == 8
    assert await desk.store.send("EXISTS", (await desk.tag()).key(keys.KEPT_LABELS)) == 0
    await desk.is_sound()


async def test_superseded_revisions_are_not_kept(desk: Filing) -> None:
    for _ in range(5):
        await desk.put()
    newest = await desk.put()
    await desk.snap()

    await desk.remove("/a", "x")

    assert set(await desk.rows("fr:")) == {f"fr:{newest.fileid}"}


async def test_snapshot_of_another_label_keeps_nothing(desk: Filing) -> None:
    await desk.put()
    for label in ("/a/b", "/ab", "/b", "a"):
        await desk.snap(label, label)

    await desk.remove("/a", "x")

    assert await desk.rows("fr:") == {}


async def test_kept_revision_is_removed_already(desk: Filing) -> None:
    added = await desk.put()
    made = await desk.snap()
    await desk.remove(file_id=added.fileid)
    before = await types(desk.store, await desk.tag())

    await desk.remove(file_id=added.fileid)

    assert await types(desk.store, await desk.tag()) == before
    assert (await desk.snapshot(made.snapshotid)).fileids == [added.fileid]


async def test_file_that_comes_back_is_another(desk: Filing) -> None:
    old = await desk.put()
    await desk.snap(name="one")
    await desk.remove("/a", "x")
    new = await desk.put()
    await desk.snap(name="two")

    assert (await desk.snapshot(name="one")).fileids == [old.fileid]
    assert (await desk.snapshot(name="two")).fileids == [new.fileid]
    assert new.sequencenr > old.sequencenr


async def test_forgetting_goes_in_bounded_steps(
    desk: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.reactors.forget._STEP", 2)
    for name in "abcde":
        await desk.put(name=name)
    await desk.snap()
    for name in "abcde":
        await desk.remove("/a", name)
    await desk.unsnap(name="s")

    await desk.forget()

    written = await types(desk.store, await desk.tag())
    assert written[-5:] == [*["FilesForgotten"] * 3, "LabelForgotten", "LabelTidied"]
    assert await desk.rows("fr:") == {}
    await desk.is_sound()


async def test_two_timers_forget_everything_once(desk: Filing, other: Filing) -> None:
    for name in "abc":
        await desk.put(name=name)
    await desk.snap()
    for name in "abc":
        await desk.remove("/a", name)
    await desk.unsnap(name="s")

    await asyncio.gather(desk.forget(), other.forget())
    await desk.forget()

    written = await types(desk.store, await desk.tag())
    assert [written.count(name) for name in ("FilesForgotten", "LabelForgotten")] == [1, 1]
    assert await desk.store.hashes(await desk.tag(), keys.UNNAMED) == [{}]
    await desk.is_sound()


async def test_nothing_of_snapshots_stays(desk: Filing, link: Link) -> None:
    def rows(found: dict[bytes, Any]) -> set[bytes]:
        return {name for name in found if not name.endswith((b":events", b":files"))}

    await desk.put()
    before = rows(await everything(link))
    for name in ("one", "two"):
        await desk.snap(name=name)

    await desk.unsnap_all()

    assert rows(await everything(link)) == before


# ---------------------------------------------------------------- names and lists


async def test_names_are_taken_once_and_free_again(desk: Filing) -> None:
    await desk.snap()
    with pytest.raises(Taken, match=r"^Snapshot with name <s> in Colony <dev> already exists$"):
        await desk.snap("/b")

    await desk.unsnap(name="s")

    assert (await desk.snap("/b")).label == "/b"


@pytest.mark.parametrize("name", ["a:b", "dev:s", "ü ", "%"])
async def test_any_name_is_listed_and_found(desk: Filing, name: str) -> None:
    made = await desk.snap(name=name)

    assert await desk.snapshots() == [made]
    assert await desk.snapshot(name=name) == made


async def test_snapshot_without_a_name_is_found_by_its_id(desk: Filing) -> None:
    made = await desk.snap(name="")

    assert await desk.snapshot(made.snapshotid) == made
    with pytest.raises(Missing, match=r"^Failed to get snapshot, malformatted msg$"):
        await desk.snapshot()
    with pytest.raises(Missing, match=r"^Failed to remove snapsnot, malformatted msg$"):
        await desk.unsnap()


async def test_id_counts_when_both_are_given(desk: Filing) -> None:
    one, two = await desk.snap(name="one"), await desk.snap(name="two")

    assert await desk.snapshot(one.snapshotid, "two") == one
    await desk.unsnap(one.snapshotid, "two")
    assert await desk.snapshots() == [two]


async def test_unknown_snapshots_are_told_by_what_was_asked(desk: Filing) -> None:
    text = "^Snapshot not found with {} in Colony dev does not exists$"

    with pytest.raises(Missing, match=text.format("Id nope")):
        await desk.snapshot("nope")
    with pytest.raises(Missing, match=text.format("name nope")):
        await desk.snapshot(name="nope")


async def test_unknown_snapshots_are_removed_already(desk: Filing) -> None:
    before = await types(desk.store, await desk.tag())

    await desk.unsnap("nope")
    await desk.unsnap(name="nope")
    await desk.unsnap_all()

    assert await types(desk.store, await desk.tag()) == before


async def test_list_is_newest_first_and_may_be_asked_for_in_parts(
    desk: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.handlers.snapshot._PAGE", 2)
    made = [await desk.snap(name=f"s{n}") for n in range(5)]

    assert await desk.snapshots() == made[::-1]
    assert await desk.snapshots(count=3) == made[:1:-1]
    assert await desk.snapshots(count=3, offset=3) == made[1::-1]
    assert await desk.snapshots(offset=5) == []
    for wrong in ({"count": -1}, {"offset": -1}):
        with pytest.raises(Invalid, match="must not be negative"):
            await desk.snapshots(**wrong)


async def test_all_are_removed_in_steps_once(desk: Filing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.handlers.snapshot._PAGE", 2)
    for n in range(5):
        await desk.snap(name=f"s{n}")

    await desk.unsnap_all(nonce="n1")
    made = await desk.snap()
    await desk.unsnap_all(nonce="n1")

    assert await desk.snapshots() == [made]
    await desk.is_sound()


async def test_repeated_request_makes_one_snapshot(desk: Filing) -> None:
    await desk.put()
    made = await desk.snap(nonce="n1")
    await desk.put()

    assert await desk.snap(nonce="n1") == made
    assert await desk.snapshots() == [made]


# ---------------------------------------------------------------- at the same time


async def test_simultaneous_snapshots_are_all_made(desk: Filing, other: Filing) -> None:
    await desk.put()

    made = await asyncio.gather(*((desk, other)[at % 2].snap(name=f"s{at}") for at in range(20)))

    assert {each.snapshotid for each in await desk.snapshots()} == {
        each.snapshotid for each in made
    }


async def test_of_two_with_one_name_one_is_made(desk: Filing, other: Filing) -> None:

    answers = await asyncio.gather(desk.snap(), other.snap(), return_exceptions=True)

    assert sorted(type(each).__name__ for each in answers) == ["Snapshot", "Taken"]


async def test_snapshot_is_whole_while_its_files_are_removed(
    desk: Filing, other: Filing, small_pages: None
) -> None:
    """Every reading at every moment of the removal finds all of it."""
    del small_pages
    names = [f"{n:02}" for n in range(12)]
    for name in names:
        await desk.put("/a/" + name[0], name)
    made = await desk.snap()

    async def remove() -> None:
        for name in names:
            await other.remove("/a/" + name[0], name)

    await _while(desk, made, remove())
    assert await desk.labels() == {}


async def test_snapshot_is_whole_while_others_go_and_are_forgotten(
    desk: Filing, other: Filing, small_pages: None
) -> None:
    del small_pages
    for name in "abcdef":
        await desk.put(name=name)
    for name in ("one", "two", "three"):
        await desk.snap(name=name)
    made = await desk.snap(name="last")
    for name in "abcdef":
        await desk.remove("/a", name)

    async def unsnap() -> None:
        for name in ("one", "two", "three"):
            await other.unsnap(name=name)
            await other.forget()

    await _while(desk, made, unsnap())


async def _while(desk: Filing, made: wire_file.Snapshot, work: Any) -> None:  # noqa: ANN401
    """A snapshot is read again and again as long as something goes on."""
    held = sorted(made.fileids)
    task, readings = asyncio.create_task(work), 0
    async with AsyncExitStack() as stack:
        stack.callback(task.cancel)
        while not task.done():
            assert sorted((await desk.snapshot(made.snapshotid)).fileids) == held
            readings += 1
        await task
    assert readings > 1


async def test_snapshot_that_goes_while_it_is_read_is_not_shown_in_part(
    desk: Filing, other: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.put()
    made = await desk.snap()
    await desk.remove("/a", "x")
    walk = shelf.named_by

    async def late(*args: Any) -> AsyncIterator[list[str]]:  # noqa: ANN401 - as they come
        await other.unsnap(made.snapshotid)
        await other.forget()
        async for ids in walk(*args):
            yield ids

    monkeypatch.setattr(shelf, "named_by", late)

    with pytest.raises(Missing, match="Snapshot not found"):
        await desk.snapshot(made.snapshotid)


async def test_what_a_new_snapshot_names_is_not_forgotten_with_an_old_one(
    desk: Filing, other: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made and needed between the look at snapshots and that at what is kept."""
    kept, old = await desk.put(), await desk.put(name="old")
    await desk.snap(name="one")
    await desk.remove(file_id=old.fileid)
    await desk.unsnap(name="one")
    pages = shelf.kept_pages

    async def late(*args: Any) -> AsyncIterator[list[bytes]]:  # noqa: ANN401 - as they come
        await other.snap(name="two")
        await other.remove(file_id=kept.fileid)
        async for page in pages(*args):
            yield page

    monkeypatch.setattr(shelf, "kept_pages", late)
    await desk.forget()

    assert (await desk.snapshot(name="two")).fileids == [kept.fileid]
    assert set(await desk.rows("fr:")) == {f"fr:{kept.fileid}"}


async def test_others_see_and_remove_no_snapshots(desk: Filing) -> None:
    await desk.snap()

    for asked in (
        desk.snapshot(name="s", by=STRANGER),
        desk.snap(name="t", by=STRANGER),
    ):
        with pytest.raises(Denied, match="not a member"):
            await asked
