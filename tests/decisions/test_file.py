"""Files: what a decision says, given what has happened."""

from typing import Any

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates import file
from broker.aggregates.file import (
    MOST_BYTES,
    MOST_NAME,
    AddFile,
    Doomed,
    Era,
    FileAdded,
    FileRow,
    FilesForgotten,
    LabelForgotten,
    Removal,
    Site,
    nameable,
)
from broker.aggregates.snapshot import SnapshotCreated, SnapshotRemoved
from broker.aggregates.user import UserRemoved
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid
from broker.labels import MOST_CHARACTERS, MOST_LEVELS
from broker.revisions import Kept, Listed, kept_member
from tests.facts import LATER, OWNER, STRANGER, T0, USER, inhabited
from tests.filing import REVISION, SECOND_REVISION, SNAPSHOT, added, gone
from tests.scenario import Decide, World, given

LEFT = UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice")
SNAPPED = SnapshotCreated(subject=SNAPSHOT, actor=USER, at_ns=T0, label="/a", name="s", number=1)
WISHED = AddFile(
    file_id=SECOND_REVISION,
    label="/a",
    name="x",
    size=1,
    checksum="c",
    checksum_alg="SHA256",
    reference=b"{}",
    object="o",
)


def file_row(world: World, name: str = "x") -> FileRow | None:
    return FileRow.read(world.hash(keys.file("/a", name)))


def era(world: World) -> Era:
    return Era.read(world.hash(keys.FILES))


def highest(world: World) -> int:
    scores: dict[bytes, float] = world.values.get(keys.FILE_NUMBER, {})  # pyright: ignore[reportAssignmentType] - a sorted set
    return int(scores.get(keys.LAST.encode(), 0))


def add(caller: str = USER, **fields: Any) -> Decide:  # noqa: ANN401 - any value
    command = replace(WISHED, **fields)

    def decide(world: World) -> Decision:
        site = Site(file=file_row(world, command.name), highest=highest(world), era=era(world))
        return file.add(world.gate(caller), command, site, LATER)

    return decide


def add_many(*commands: AddFile) -> Decide:
    def decide(world: World) -> Decision:
        wishes = [
            (each, Site(file=file_row(world, each.name), highest=highest(world), era=era(world)))
            for each in commands
        ]
        return file.add_many(world.gate(USER), wishes, LATER)

    return decide


def remove(*ids: str, until: int = 0, caller: str = USER) -> Decide:
    def decide(world: World) -> Decision:
        row = file_row(world)
        assert row is not None
        doomed = [
            Doomed(file_id=each, number=number, made=0, until=until)
            for number, each in enumerate(ids, start=1)
        ]
        in_label = int(world.hash(keys.label("/a"))[b"files"])
        removal = Removal(
            label="/a", name="x", doomed=doomed, file=row, in_label=in_label, era=era(world)
        )
        return file.remove(world.gate(caller), removal, LATER)

    return decide


def next_one(number: int, *, made: int = 0, first: bool = False) -> Event:
    return added(SECOND_REVISION, number=number, at_ns=LATER, object="o", made=made, first=first)


# ---------------------------------------------------------------- add


def test_first_file_is_number_one() -> None:
    given(*inhabited()).when(add()).then(next_one(1, first=True)).unless(added()).unless(LEFT)


def test_revision_follows_the_one_that_was_seen() -> None:
    decided = given(*inhabited(), added()).when(add())

    decided.then(next_one(2)).unless(added(number=2, file_id="c" * 64))


def test_number_is_above_all_of_the_colony() -> None:
    given(*inhabited(), added(number=7, first=True)).when(add(name="y")).then(
        added(SECOND_REVISION, "y", number=8, at_ns=LATER, object="o", first=True)
    )


def test_numbers_go_on_after_all_was_removed() -> None:
    removed = gone(REVISION, 1, ends_file=True, ends_label=True)

    given(*inhabited(), added(), removed).when(add()).then(next_one(2, first=True))


def test_another_file_does_not_get_in_the_way() -> None:
    world = World((*inhabited(), added()))
    decision = add()(world)

    assert (
        World((*inhabited(), added(), added("c" * 64, "y", 2, first=True))).failed(decision) == []
    )


def test_revision_says_how_many_snapshots_there_were() -> None:
    given(*inhabited(), SNAPPED).when(add()).then(next_one(1, made=1, first=True))


def test_snapshot_that_is_made_meanwhile_is_noticed() -> None:
    given(*inhabited()).when(add()).unless(SNAPPED)


def test_stranger_adds_nothing() -> None:
    given(*inhabited()).when(add(STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "/" + MOST_CHARACTERS * "a"},
        {"label": "/a" * (MOST_LEVELS + 1)},
        {"label": "/a\0"},
        {"name": "a\0"},
        {"name": "a" * (MOST_NAME + 1)},
        {"size": -1},
        {"reference": b"x" * MOST_BYTES},
        {"checksum": "x" * MOST_BYTES},
    ],
    ids=["long", "deep", "NUL in label", "NUL", "long name", "negative", "reference", "checksum"],
)
def test_what_cannot_be_kept_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Invalid, match=r"^Failed to add file, "):
        add(USER, **fields)(World(inhabited()))


@pytest.mark.parametrize(
    ("label", "name"),
    [("", ""), ("noslash", "x"), ("/a/", "x\n"), ("/a" * MOST_LEVELS, "/"), ("/ü", "a:b %_")],
)
def test_labels_and_names_are_taken_as_they_are(label: str, name: str) -> None:
    (event,) = add(label=label, name=name)(World(inhabited())).events

    assert isinstance(event, FileAdded)
    assert (event.label, event.name) == (label, name)


# ---------------------------------------------------------------- remove


def test_last_revision_ends_file_and_label() -> None:
    decided = given(*inhabited(), added()).when(remove(REVISION))

    decided.then(gone(REVISION, 1, ends_file=True, ends_label=True))
    decided.unless(added(SECOND_REVISION, number=2)).unless(
        added(SECOND_REVISION, "y", 2, first=True)
    )


def test_one_of_two_revisions_leaves_the_file() -> None:
    two = (added(), added(SECOND_REVISION, number=2))

    decided = given(*inhabited(), *two).when(remove(REVISION)).then(gone(REVISION, 1))

    decided.unless(gone(REVISION, 1)).unless(gone(SECOND_REVISION, 2)).unless(SNAPPED)


def test_only_the_last_event_of_several_ends_the_file() -> None:
    two = (added(), added(SECOND_REVISION, number=2))

    given(*inhabited(), *two).when(remove(REVISION, SECOND_REVISION)).then(
        gone(REVISION, 1), gone(SECOND_REVISION, 2, ends_file=True, ends_label=True)
    )


def test_neighbour_in_the_label_may_come_and_go() -> None:
    here = (*inhabited(), added(), added(SECOND_REVISION, "y", 2, first=True))
    decision = remove(REVISION)(World(here))

    assert World((*here, added("c" * 64, "z", 3, first=True))).failed(decision) == []


def test_what_a_snapshot_may_name_is_not_removed_twice() -> None:
    kept = gone(REVISION, 1, until=1, ends_file=True, ends_label=True)

    given(*inhabited(), added(), SNAPPED).when(remove(REVISION, until=1)).then(kept).unless(kept)


def test_snapshot_that_goes_meanwhile_is_noticed() -> None:
    """Or what it alone named would be kept for nobody."""
    went = SnapshotRemoved(
        subject=SNAPSHOT, actor=USER, at_ns=LATER, label="/a", name="s", leaves=False
    )

    given(*inhabited(), added(), SNAPPED).when(remove(REVISION, until=1)).unless(went)


def test_nothing_there_is_nothing_to_do() -> None:
    given(*inhabited()).when(lambda world: file.remove(world.gate(USER), None, LATER)).then()


def test_stranger_removes_nothing() -> None:
    given(*inhabited(), added()).when(remove(REVISION, caller=STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


@pytest.mark.parametrize(
    ("made", "successor", "now", "span"),
    [(0, None, 0, (1, 0)), (0, None, 3, (1, 3)), (2, None, 3, (3, 3)), (0, 2, 3, (1, 2)),
     (1, 1, 3, (2, 1))],
)  # fmt: skip
def test_snapshots_name_a_revision_from_its_coming_to_its_successor(
    made: int, successor: int | None, now: int, span: tuple[int, int]
) -> None:
    revision = Listed("x", 1, REVISION, made, 1, "c", "o")
    after = None if successor is None else Listed("x", 2, "b", successor, 1, "c", "o")

    assert nameable(revision, after, Era(made=now, gone=0)) == span


# ---------------------------------------------------------------- forget


MEMBER = kept_member(Kept("x", 1, REVISION, 0, 1))
KEPT = (
    *inhabited(),
    added(),
    SNAPPED,
    gone(REVISION, 1, until=1, ends_file=True, ends_label=True),
)
FORGOTTEN = FilesForgotten(subject="/a", actor="", at_ns=LATER, members={REVISION: MEMBER})


def test_forgotten_revision_leaves_its_row_and_the_index() -> None:
    given(*KEPT).when(lambda _: file.forget("/a", [MEMBER], LATER)).then(FORGOTTEN).unless(
        FORGOTTEN
    )

    left = World((*KEPT, FORGOTTEN)).values
    assert keys.revision(REVISION) not in left
    assert keys.kept_in("/a") not in left


def test_label_is_forgotten_once_and_only_when_it_is_empty() -> None:
    event = LabelForgotten(subject="/a", actor="", at_ns=LATER)

    given(*KEPT, FORGOTTEN).when(lambda _: file.forget_label("/a", LATER)).then(event).unless(event)
    assert World(KEPT).failed(file.forget_label("/a", LATER)) != []


# ---------------------------------------------------------------- many at once


def test_many_are_added_in_their_order_and_numbered_upwards() -> None:
    first, second = replace(WISHED, file_id="c" * 64), replace(WISHED, name="y")
    given(*inhabited(), added(name="y", number=7)).when(add_many(first, second)).then(
        added("c" * 64, number=8, at_ns=LATER, object="o", first=True),
        added(SECOND_REVISION, "y", number=9, at_ns=LATER, object="o", first=False),
    )


def test_a_file_that_is_there_twice_is_refused() -> None:
    again = replace(WISHED, file_id="c" * 64)
    given(*inhabited()).when(add_many(WISHED, again)).rejected(
        Invalid, "Failed to add files, x in /a is there twice"
    )


def test_one_that_cannot_be_kept_refuses_all() -> None:
    wrong = replace(WISHED, name="y", size=-1)
    given(*inhabited()).when(add_many(WISHED, wrong)).rejected(
        Invalid, "Failed to add file, size must not be negative"
    )
