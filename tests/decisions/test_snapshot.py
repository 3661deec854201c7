"""Snapshots: what a decision says, given what has happened."""

import pytest

from broker import keys
from broker.access import LONGEST_NAME
from broker.aggregates import snapshot
from broker.aggregates.file import Era
from broker.aggregates.snapshot import (
    CreateSnapshot,
    LabelTidied,
    SnapshotCreated,
    SnapshotRemoved,
    SnapshotRow,
)
from broker.aggregates.user import UserRemoved
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid, Taken
from tests.facts import LATER, OWNER, STRANGER, SUFFIX, T0, USER, inhabited
from tests.filing import REVISION, SNAPSHOT, added, gone
from tests.scenario import Decide, World, given

OTHER = "6" * 56 + SUFFIX
LEFT = UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice")


def made(
    snapshot_id: str = SNAPSHOT, label: str = "/a", name: str = "s", number: int = 1
) -> SnapshotCreated:
    return SnapshotCreated(
        subject=snapshot_id, actor=USER, at_ns=LATER, label=label, name=name, number=number
    )


def removed(*, leaves: bool) -> SnapshotRemoved:
    return SnapshotRemoved(
        subject=SNAPSHOT, actor=USER, at_ns=LATER, label="/a", name="s", leaves=leaves
    )


def create(caller: str = USER, *, label: str = "/a", name: str = "s") -> Decide:
    def decide(world: World) -> Decision:
        command = CreateSnapshot(snapshot_id=SNAPSHOT, label=label, name=name)
        named = world.hash(keys.snapshot_named(name)).get(b"id")
        namesake = named.decode() if named else None
        era = Era.read(world.hash(keys.FILES))
        return snapshot.create(world.gate(caller), command, namesake, era, LATER)

    return decide


def remove(caller: str = USER) -> Decide:
    def decide(world: World) -> Decision:
        row = SnapshotRow.read(SNAPSHOT, world.hash(keys.snapshot(SNAPSHOT)))
        keeps = keys.KEPT_LABELS in world.values
        rows = [row] if row else []
        return snapshot.remove(world.gate(caller), rows, keeps=keeps, now_ns=LATER)

    return decide


def test_snapshots_are_counted() -> None:
    given(*inhabited()).when(create()).then(made()).unless(LEFT)
    given(*inhabited(), made(OTHER, name="t")).when(create()).then(made(number=2))


def test_two_at_once_get_different_numbers() -> None:
    given(*inhabited()).when(create()).unless(made(OTHER, name="t"))


@pytest.mark.parametrize("count", [0, 1, 50])
def test_snapshot_writes_as_much_whatever_there_is(count: int) -> None:
    events = (added(f"{n:056}{SUFFIX}", f"{n}", n, first=True) for n in range(1, count + 1))

    (event,) = create()(World((*inhabited(), *events))).events

    assert event == made()


def test_slash_at_the_end_of_a_label_is_left_out() -> None:
    given(*inhabited()).when(create(label="/a/")).then(made())
    given(*inhabited()).when(create(label="/")).then(made(label=""))


@pytest.mark.parametrize("name", ["", "a:b", "ü\n"])
def test_any_text_may_be_a_name(name: str) -> None:
    given(*inhabited()).when(create(name=name)).then(made(name=name))


@pytest.mark.parametrize("name", ["a\0", "a" * (LONGEST_NAME + 1)])
def test_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=r"^Failed to create snapshot, name"):
        create(name=name)(World(inhabited()))


def test_name_is_taken_once() -> None:
    given(*inhabited(), made(OTHER)).when(create()).rejected(
        Taken, "Snapshot with name <s> in Colony <dev> already exists"
    )


def test_stranger_neither_makes_nor_removes() -> None:
    text = "Access denied, not a member of Colony with name <dev>"

    given(*inhabited()).when(create(STRANGER)).rejected(Denied, text)
    given(*inhabited(), made()).when(remove(STRANGER)).rejected(Denied, text)


KEPT: tuple[Event, ...] = (
    added(),
    made(),
    gone(REVISION, 1, until=1, ends_file=True, ends_label=True),
)


def test_nothing_is_to_be_forgotten_where_nothing_is_kept() -> None:
    once = given(*inhabited(), added(), made()).when(remove())

    once.then(removed(leaves=False)).unless(KEPT[-1]).unless(removed(leaves=False))
    assert keys.UNNAMED not in World((*inhabited(), made(), removed(leaves=False))).values


def test_what_it_alone_named_is_to_be_forgotten() -> None:
    given(*inhabited(), *KEPT).when(remove()).then(removed(leaves=True))

    left = World((*inhabited(), *KEPT, removed(leaves=True)))
    assert left.hash(keys.UNNAMED) == {b"/a": SNAPSHOT.encode()}


def test_label_is_tidy_unless_another_snapshot_went_meanwhile() -> None:
    here = (*inhabited(), *KEPT, made(OTHER, name="t", number=2), removed(leaves=True))
    another = SnapshotRemoved(
        subject=OTHER, actor=USER, at_ns=LATER, label="/a", name="t", leaves=True
    )

    given(*here).when(lambda _: snapshot.tidied("/a", SNAPSHOT, LATER)).then(
        LabelTidied(subject="/a", actor="", at_ns=LATER, snapshot=SNAPSHOT)
    ).unless(another)


def test_snapshot_that_is_not_there_is_removed_already() -> None:
    given(*inhabited()).when(remove()).then()
