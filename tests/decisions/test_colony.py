"""A colony: its beginning and end, its owner, its settings, and whether it gives out work."""

from collections.abc import Callable

import pytest

from broker import keys
from broker.aggregates import colony
from broker.aggregates.colony import (
    RESUMED,
    AssignmentsPaused,
    AssignmentsResumed,
    ColonyDissolved,
    ColonyOwnerChanged,
    ColonySettingsChanged,
    RequirementClassRetired,
)
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    SERVER_OWNER,
    STRANGER,
    SUFFIX,
    T0,
    USER,
    assigned,
    class_added,
    founded,
    inhabited,
    submitted,
)
from tests.scenario import Decide, World, given

NEW = "a9" * 32
SOLD = ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner=NEW)
PAUSED = AssignmentsPaused(subject=COLONY, actor=OWNER, at_ns=LATER)
ACTIVE = AssignmentsResumed(subject=COLONY, actor=OWNER, at_ns=LATER)
STRICT = ColonySettingsChanged(subject=COLONY, actor=OWNER, at_ns=LATER, require_nonce=True)
DISSOLVED = ColonyDissolved(subject=COLONY, actor="", at_ns=LATER)
RETIRED = RequirementClassRetired(subject=CLI.class_key, actor="", at_ns=LATER)


def change_owner(caller: str = OWNER, owner: str = NEW) -> Decide:
    return lambda world: colony.change_owner(world.gate(caller), owner, LATER)


def change_settings(caller: str = OWNER) -> Decide:
    command = colony.ChangeSettings(require_nonce=True)
    return lambda world: colony.change_settings(world.gate(caller), command, LATER)


def pause(caller: str = OWNER) -> Decide:
    return lambda world: colony.pause(world.gate(caller), LATER)


def resume(caller: str = OWNER) -> Decide:
    return lambda world: colony.resume(world.gate(caller), LATER)


COMMANDS = [change_owner, change_settings, pause, resume]


def test_colony_begins_once() -> None:
    def establish(world: World) -> Decision:
        del world
        return colony.establish(COLONY, SUFFIX, OWNER, SERVER_OWNER, T0)

    given().when(establish).then(founded()).unless(founded())


def test_owner_hands_the_colony_over() -> None:
    given(founded()).when(change_owner()).then(SOLD).unless(SOLD).unless(DISSOLVED)


def test_old_owner_has_no_say_any_more() -> None:
    given(founded(), SOLD).when(pause()).rejected(Denied, "Access denied, not colony owner")


@pytest.mark.parametrize(
    ("owner", "text"),
    [
        ("ab", "Failed to change colony Id, new colony Id is not 64 characters"),
        ("AB" * 32, "Failed to change colony Id, new colony Id is not lower-case hex"),
    ],
)
def test_new_owner_has_to_be_a_key(owner: str, text: str) -> None:
    given(founded()).when(change_owner(owner=owner)).rejected(Invalid, text)


def test_empty_owner_is_refused() -> None:
    with pytest.raises(Invalid, match="Failed to change colony Id, colony Id is empty"):
        colony.checked_new_owner("")


def test_owner_changes_settings() -> None:
    given(founded()).when(change_settings()).then(STRICT).unless(SOLD).unless(STRICT)


def test_owner_pauses_and_resumes() -> None:
    given(founded()).when(pause()).then(PAUSED).unless(SOLD)
    given(founded(), PAUSED).when(resume()).then(ACTIVE).unless(SOLD).wakes(RESUMED)


def test_pausing_or_resuming_again_changes_nothing() -> None:
    given(founded(), PAUSED).when(pause()).then().unless(ACTIVE)
    given(founded()).when(resume()).then().unless(PAUSED)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("caller", [USER, EXECUTOR, SERVER_OWNER, STRANGER])
def test_only_the_owner_decides(command: Callable[[str], Decide], caller: str) -> None:
    given(*inhabited()).when(command(caller)).rejected(Denied, "Access denied, not colony owner")


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_colony_has_no_owner(command: Callable[[], Decide]) -> None:
    given().when(command()).rejected(Denied, f"Colony with name <{COLONY}> does not exists")


def test_empty_name_is_no_colony() -> None:
    given(founded()).when(lambda world: colony.pause(world.gate(OWNER, ""), LATER)).rejected(
        Denied, "Empty Colony name"
    )


def test_dissolved_colony_takes_no_more_commands() -> None:
    def dissolve(world: World) -> Decision:
        del world
        return colony.dissolve(COLONY, "", LATER)

    given(founded()).when(dissolve).then(DISSOLVED).unless(DISSOLVED)


# ---------------------------------------------------------------- requirement classes


def retire(world: World) -> Decision:
    del world
    return colony.retire_class(CLI.class_key, LATER)


def test_class_in_which_nothing_waits_is_retired_once() -> None:
    given(founded(), class_added()).when(retire).then(RETIRED).unless(RETIRED).unless(submitted())


def test_class_that_emptied_is_retired() -> None:
    given(*inhabited(), class_added(), submitted(), assigned()).when(retire).then(RETIRED)


@pytest.mark.parametrize("fact", [class_added(), RETIRED], ids=lambda event: event.TYPE)
def test_every_change_of_the_classes_is_another_epoch(fact: Event) -> None:
    before = World((founded(), class_added())).hash(keys.CLASSES)
    after = World((founded(), class_added(), fact)).hash(keys.CLASSES)

    assert int(after[b"epoch"]) == int(before[b"epoch"]) + 1
