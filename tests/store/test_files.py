"""Files and labels on a store: what handlers answer, and what is left in the store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api import listing, wire, wire_file, wire_user
from api.handlers import file, user
from broker import keys, shelf
from broker.decision import Decision
from broker.errors import Denied, Invalid, Malformed, Missing, NotFound, Unavailable
from broker.reading import Link
from broker.store import EventStore, Signed
from projections.core import fold
from tests.facts import COLONY, EXECUTOR, OWNER, SERVER_OWNER, STRANGER, USER
from tests.filing import Filing
from tests.store.ground import everything, types

OTHER_COLONY, OTHER_OWNER = "other", "a1" * 32
S3 = wire_file.S3Object(server="s3.example.org:9000", port=-1, tls=True, object="o1", bucket="b")
REF = wire_file.Reference(protocol="s3", s3object=S3)


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


async def join_another_colony(desk: Filing) -> None:
    """STRANGER is a member of another colony."""
    await desk.add_colony(OTHER_COLONY, OTHER_OWNER)
    stranger = wire_user.User(colonyname=OTHER_COLONY, userid=STRANGER, name="eve")
    await desk.say(user.add, OTHER_OWNER, wire_user.AddUserMsg(user=stranger))


# ---------------------------------------------------------------- many at once


async def add_many(desk: Filing, *names: str, nonce: str = "", **fields: Any) -> None:  # noqa: ANN401
    given = [wire_file.File(label="/a", name=name, **fields) for name in names]
    message = wire_file.AddFilesMsg(colonyname=COLONY, files=given)
    await desk.say(file.add_many, USER, message, nonce=nonce)


async def test_many_are_added_at_once(desk: Filing) -> None:
    await desk.put(name="y")
    await add_many(desk, "x", "y", "z", size=3, ref=REF)

    assert [(each.name, each.size) for each in await desk.listed()] == [
        ("x", 3),
        ("y", 3),
        ("z", 3),
    ]
    assert [each.sequencenr for each in await desk.look("/a", "y")] == [3, 1]
    assert await desk.labels() == {"/a": 4}
    await desk.is_sound()


@pytest.mark.parametrize(
    ("names", "fields"),
    [((), {}), (("x", "x"), {}), (("x", "y"), {"size": -1}), (("x",), {"colonyname": "other"})],
)
async def test_of_many_that_are_refused_none_is_added(
    desk: Filing, link: Link, names: tuple[str, ...], fields: dict[str, Any]
) -> None:
    before = await everything(link)
    with pytest.raises(Invalid):
        await add_many(desk, *names, **fields)
    with pytest.raises(Invalid):
        await add_many(desk, *map(str, range(file.MOST_ADDED + 1)))
    assert await everything(link) == before


async def test_many_that_are_said_twice_are_added_once(desk: Filing) -> None:
    await add_many(desk, "x", "y", nonce="n")
    await add_many(desk, "x", "y", nonce="n")

    assert await desk.labels() == {"/a": 2}


async def test_many_that_meet_another_writer_come_after_it(desk: Filing, other: Filing) -> None:
    names = [str(n) for n in range(10)]
    await asyncio.gather(*(add_many(each, *names) for each in (desk, other, desk, other)))

    assert await desk.labels(distinct=True) == {"/a": 10}
    assert await desk.labels() == {"/a": 40}
    await desk.is_sound()


# ---------------------------------------------------------------- add and look


async def test_file_comes_back_as_it_was_added(desk: Filing) -> None:
    added = await desk.put(
        "/a/b", "x y", size=7, checksum="c0", checksumalg="SHA256", ref=REF, fileid="mine",
        sequencenr=77, added="2001-01-01T00:00:00Z",
    )  # fmt: skip

    assert (await desk.look("/a/b", "x y")) == [added]
    assert (await desk.look(file_id=added.fileid)) == [added]
    assert (added.label, added.name, added.size, added.ref) == ("/a/b", "x y", 7, REF)
    assert (added.fileid != "mine", added.sequencenr) == (True, 1)
    assert not added.added.startswith("2001")
    await desk.is_sound()


async def test_protocol_is_kept_and_s3_if_none_is_given(desk: Filing) -> None:
    given = wire_file.Reference(protocol="ipfs")

    assert (await desk.put(ref=given)).ref.protocol == "ipfs"
    assert (await desk.put()).ref.protocol == "s3"


async def test_revisions_are_listed_newest_first(desk: Filing, small_pages: None) -> None:
    del small_pages
    added = [await desk.put(size=size) for size in range(5)]

    assert await desk.look("/a", "x") == added[::-1]
    assert await desk.look("/a", "x", latest=True) == added[-1:]
    assert [each.sequencenr for each in added] == [1, 2, 3, 4, 5]


async def test_list_shows_the_newest_of_each_file_in_that_label(
    desk: Filing, small_pages: None
) -> None:
    del small_pages
    for label, name in [("/a", "y"), ("/a", "x"), ("/a/b", "z"), ("/ab", "z"), ("/a", "xx")]:
        for size in (1, 2, 3):
            await desk.put(label, name, size=size, checksum=f"{name}{size}", ref=REF)

    found = await desk.listed("/a")

    assert [(each.name, each.size, each.checksum) for each in found] == [
        ("x", 3, "x3"), ("xx", 3, "xx3"), ("y", 3, "y3"),
    ]  # fmt: skip
    assert {each.s3filename for each in found} == {"o1"}
    assert await desk.listed("/a/") == await desk.listed("/") == await desk.listed("/n") == []


async def test_files_are_listed_in_parts(desk: Filing, small_pages: None) -> None:
    del small_pages
    for name in ("a", "b", "c", "d", "e"):
        await desk.put(name=name)
        await desk.put(name=name)

    async def part(**rest: Any) -> list[str]:  # noqa: ANN401 - fields of a message
        return [each.name for each in await desk.listed(**rest)]

    assert await part(count=3) == ["a", "b", "c"]
    assert await part(count=3, after="c") == ["d", "e"]
    assert await part(after="bb") == ["c", "d", "e"]
    assert await part(after="e") == []
    with pytest.raises(Invalid, match="count must not be negative"):
        await part(count=-1)


async def test_what_is_unknown_is_refused_as_in_the_reference(desk: Filing) -> None:
    await desk.put()

    with pytest.raises(Invalid, match=r"^Failed to get file$"):
        await desk.look(file_id="0" * 64)
    for latest in (True, False):
        with pytest.raises(NotFound, match=r"^Failed to get file$"):
            await desk.look("/a", "nope", latest=latest)
    for label, name in [("", ""), ("/a", ""), ("", "x")]:
        with pytest.raises(Missing, match="malformatted get file msg"):
            await desk.look(label, name)


async def test_message_without_a_file_is_refused(desk: Filing) -> None:
    with pytest.raises(Invalid, match=r"Failed to add file, msg\.File is nil"):
        await desk.say(file.add, USER, wire_file.AddFileMsg())


@pytest.mark.parametrize("port", [2**31, -(2**31) - 1, 99_999_999_999])
async def test_port_that_is_none_leaves_nothing_behind(desk: Filing, link: Link, port: int) -> None:
    before = await everything(link)

    with pytest.raises(Invalid, match="is not a number of 32 bits"):
        await desk.put(ref=wire_file.Reference(s3object=wire_file.S3Object(port=port)))

    assert await everything(link) == before


async def test_text_that_is_no_unicode_is_not_read(desk: Filing) -> None:
    del desk
    text = rb'{"file": {"colonyname": "dev", "label": "/a", "name": "\ud800"}}'

    with pytest.raises(Malformed):
        wire.decode(text, wire_file.AddFileMsg)


# ---------------------------------------------------------------- labels


async def labelled(desk: Filing) -> None:
    for label in ("", "/a", "/a", "/a/b", "/a/b/c", "/a_b", "/ab", "/d/e", "no"):
        await desk.put(label)


async def test_labels_by_their_beginning(desk: Filing, small_pages: None) -> None:
    del small_pages
    await labelled(desk)

    assert await desk.labels() == {
        "": 1, "/a": 2, "/a/b": 1, "/a/b/c": 1, "/a_b": 1, "/ab": 1, "/d/e": 1, "no": 1,
    }  # fmt: skip
    assert list(await desk.labels("/a")) == ["/a", "/a/b", "/a/b/c", "/a_b", "/ab"]
    assert await desk.labels("/a/b/") == {"/a/b/c": 1}
    assert await desk.labels("%") == await desk.labels("/z") == {}


async def test_exact_label_and_those_below(desk: Filing, small_pages: None) -> None:
    del small_pages
    await labelled(desk)

    assert await desk.labels("/a", exact=True) == {"/a": 2, "/a/b": 1, "/a/b/c": 1}
    assert await desk.labels("/d", exact=True) == {"/d/e": 1}
    assert await desk.labels("no", exact=True) == {"no": 1}
    assert await desk.labels("/a/", exact=True) == {}
    assert len(await desk.labels("", exact=True)) == 8


async def test_labels_in_parts_and_counted_by_file(desk: Filing, small_pages: None) -> None:
    del small_pages
    await labelled(desk)

    assert list(await desk.labels(count=3)) == ["", "/a", "/a/b"]
    assert list(await desk.labels("/a", after="/a/b", count=2)) == ["/a/b/c", "/a_b"]
    assert await desk.labels("/a", exact=True, after="/a") == {"/a/b": 1, "/a/b/c": 1}
    assert (await desk.labels("/a", distinct=True))["/a"] == 1


async def test_label_goes_with_its_last_file(desk: Filing) -> None:
    first, second = await desk.put(), await desk.put(name="y")
    await desk.remove(file_id=first.fileid)
    assert await desk.labels() == {"/a": 1}

    await desk.remove(file_id=second.fileid)
    assert await desk.labels() == {}
    await desk.is_sound()


# ---------------------------------------------------------------- remove


async def test_revision_goes_and_the_others_keep_their_numbers(desk: Filing) -> None:
    added = [await desk.put() for _ in range(3)]

    await desk.remove(file_id=added[2].fileid)

    assert await desk.look("/a", "x") == [added[1], added[0]]
    assert (await desk.put()).sequencenr == 4
    with pytest.raises(Invalid):
        await desk.look(file_id=added[2].fileid)
    await desk.is_sound()


async def test_file_goes_with_all_revisions_in_bounded_steps(
    desk: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_STEP", 2)
    for _ in range(5):
        await desk.put()
    kept = await desk.put(name="y")

    await desk.remove("/a", "x", nonce="n1")
    await desk.remove("/a", "x", nonce="n1")

    assert await desk.labels() == {"/a": 1}
    assert await desk.look("/a", "y") == [kept]
    assert (await types(desk.store, await desk.tag())).count("FileRemoved") == 5
    assert await desk.rows("fn:") == {
        "fn:2:/ay": {b"revisions": b"1", b"last": b"%d" % kept.sequencenr}
    }
    await desk.is_sound()


async def test_removal_that_was_cut_off_leaves_the_newest_and_is_finished_by_another(
    desk: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_STEP", 2)
    added = [await desk.put() for _ in range(5)]
    append, steps = desk.store.append, 0

    async def dies(tag: keys.Tag, decision: Decision, signed: Signed) -> Any:  # noqa: ANN401
        nonlocal steps
        steps += 1
        if steps > 1:
            raise Unavailable("the server died")
        return await append(tag, decision, signed)

    monkeypatch.setattr(desk.store, "append", dies)
    with pytest.raises(Unavailable):
        await desk.remove("/a", "x", nonce="n1")
    monkeypatch.setattr(desk.store, "append", append)

    assert await desk.look("/a", "x") == added[:1:-1]
    await desk.remove("/a", "x", nonce="n1")
    assert await desk.labels() == {}
    await desk.is_sound()


async def test_what_is_not_there_is_removed_already(desk: Filing) -> None:
    added = await desk.put()
    await desk.remove(file_id=added.fileid)
    before = await types(desk.store, await desk.tag())

    await desk.remove(file_id=added.fileid)
    await desk.remove(file_id="0" * 64)
    await desk.remove("/a", "x")

    assert await types(desk.store, await desk.tag()) == before
    for label, name in [("", ""), ("/a", ""), ("", "x")]:
        with pytest.raises(Invalid, match="malformatted remove file msg"):
            await desk.remove(label, name)


async def test_nothing_of_removed_files_stays(desk: Filing, link: Link) -> None:
    def without_log(found: dict[bytes, Any]) -> dict[bytes, Any]:
        return {k: v for k, v in found.items() if not k.endswith((b":events", b":filenumber"))}

    before = without_log(await everything(link))
    for name in ("x", "x", "y"):
        await desk.put(name=name)

    await desk.remove("/a", "x")
    await desk.remove("/a", "y")

    assert without_log(await everything(link)) == before


# ---------------------------------------------------------------- at the same time


async def test_simultaneous_revisions_on_two_servers_have_an_order(
    desk: Filing, other: Filing
) -> None:
    adds = [(desk, other)[at % 2].put(size=at) for at in range(30)]

    added = await asyncio.gather(*adds)

    numbers = sorted(each.sequencenr for each in added)
    assert len(set(numbers)) == 30
    newest_first = await desk.look("/a", "x")
    assert [each.sequencenr for each in newest_first] == numbers[::-1]
    assert {each.size for each in newest_first} == set(range(30))
    await desk.is_sound()


async def test_files_do_not_get_in_each_others_way(desk: Filing) -> None:
    await asyncio.gather(*(desk.put(name=f"f{at}") for at in range(30)))

    assert desk.store.conflicts == 0
    assert len(await desk.listed()) == 30


async def test_last_two_files_of_a_label_are_removed_at_once(desk: Filing, other: Filing) -> None:
    first, second = await desk.put(), await desk.put(name="y")

    await asyncio.gather(desk.remove(file_id=first.fileid), other.remove(file_id=second.fileid))

    assert await desk.labels() == {}
    await desk.is_sound()


async def test_file_is_removed_while_revisions_are_added(desk: Filing, other: Filing) -> None:
    before = [await desk.put() for _ in range(5)]

    removal = asyncio.create_task(desk.remove("/a", "x"))
    added = await asyncio.gather(*(other.put() for _ in range(5)))
    await removal

    there = {key.removeprefix("fr:") for key in await desk.rows("fr:")}
    assert not there & {each.fileid for each in before}
    assert there <= {each.fileid for each in added}
    await desk.is_sound()


async def test_revision_that_is_added_while_a_file_is_removed_stays(
    desk: Filing, other: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_STEP", 2)
    for _ in range(3):
        await desk.put()
    append, added = desk.store.append, list[wire_file.File]()

    async def meanwhile(tag: keys.Tag, decision: Decision, signed: Signed) -> Any:  # noqa: ANN401
        if not added:
            added.append(await other.put())
        return await append(tag, decision, signed)

    monkeypatch.setattr(desk.store, "append", meanwhile)
    await desk.remove("/a", "x")

    assert await desk.look("/a", "x") == added


async def test_repeated_request_adds_one_revision(desk: Filing) -> None:
    added = await desk.put(nonce="n1")

    assert await desk.put(nonce="n1") == added
    assert await desk.look("/a", "x") == [added]


async def test_newest_is_found_while_it_is_replaced(desk: Filing) -> None:
    await desk.put()

    async def replace() -> None:
        for _ in range(20):
            found = (await desk.look("/a", "x", latest=True))[0]
            await desk.put()
            await desk.remove(file_id=found.fileid)

    async def watch(work: asyncio.Task[None]) -> None:
        while not work.done():
            assert len(await desk.look("/a", "x", latest=True)) == 1

    work = asyncio.create_task(replace())
    await watch(work)
    await work


# ---------------------------------------------------------------- who may

Ask = Callable[[Filing, str], Awaitable[object]]
ASKED: dict[str, Ask] = {
    "add": lambda desk, by: desk.put(by=by),
    "get": lambda desk, by: desk.look("/a", "x", by=by),
    "get by id": lambda desk, by: desk.look(file_id="0" * 64, by=by),
    "get malformed": lambda desk, by: desk.look(by=by),
    "list": lambda desk, by: desk.say(
        file.get_many, by, wire_file.GetFilesMsg(colonyname=COLONY, label="/a")
    ),
    "labels": lambda desk, by: desk.say(
        file.get_labels, by, wire_file.GetFileLabelsMsg(colonyname=COLONY)
    ),
    "remove": lambda desk, by: desk.remove("/a", "x", by=by),
    "remove by id": lambda desk, by: desk.remove(file_id="0" * 64, by=by),
    "remove malformed": lambda desk, by: desk.remove(by=by),
    "snapshot": lambda desk, by: desk.snap(by=by),
    "get snapshot": lambda desk, by: desk.snapshot(name="s", by=by),
    "get malformed snapshot": lambda desk, by: desk.snapshot(by=by),
}


@pytest.mark.parametrize("name", ASKED)
async def test_others_learn_nothing_and_change_nothing(desk: Filing, name: str) -> None:
    await join_another_colony(desk)
    await desk.put()
    await desk.snap()
    before = await types(desk.store, await desk.tag())

    for caller in (STRANGER, OWNER, SERVER_OWNER):
        with pytest.raises(Denied, match="not a member of Colony with name <dev>"):
            await ASKED[name](desk, caller)

    assert await types(desk.store, await desk.tag()) == before


async def test_unapproved_executor_is_no_member(desk: Filing) -> None:
    await desk.add_executor("e9" * 32, "new", approve=False)

    with pytest.raises(Denied, match="not a member"):
        await desk.put(by="e9" * 32)
    assert (await desk.put(by=EXECUTOR)).label == "/a"


async def test_ids_are_looked_up_within_the_colony_alone(desk: Filing) -> None:
    await join_another_colony(desk)
    added = await desk.put()

    with pytest.raises(Invalid, match=r"^Failed to get file$"):
        await desk.look(file_id=added.fileid, by=STRANGER, colony_name=OTHER_COLONY)
    message = wire_file.RemoveFileMsg(colonyname=OTHER_COLONY, fileid=added.fileid)
    await desk.say(file.remove, STRANGER, message)

    assert await desk.look(file_id=added.fileid) == [added]


async def test_unknown_colony_is_told_so(desk: Filing) -> None:
    with pytest.raises(Denied, match=r"^Colony with name <nope> does not exists$"):
        await desk.put(colony_name="nope")


async def test_list_that_is_too_long_is_refused(
    desk: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x", "y", "z"):
        await desk.put(name=name)
    monkeypatch.setattr(listing, "MOST_ANSWERED", 100)

    for refused in (desk.listed(), desk.look("/a", "x")):
        with pytest.raises(Invalid, match="ask for less"):
            await refused
    assert len(await desk.listed(count=1)) == 1
