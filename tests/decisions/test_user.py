"""Users: joining, leaving, and moving to another key."""

import pytest

from broker.aggregates import user
from broker.aggregates.colony import ColonyOwnerChanged
from broker.aggregates.user import AddUser, UserAdded, UserIdChanged, UserRemoved
from broker.decision import Decision
from broker.errors import Denied, Invalid
from tests.facts import (
    COLONY,
    EXECUTOR,
    LATER,
    OTHER,
    OWNER,
    STRANGER,
    T0,
    USER,
    founded,
    inhabited,
    user_added,
)
from tests.scenario import Decide, World, given

NEW = "b9" * 32
FIELD = user.name_field("alice")
GONE = UserRemoved(subject=USER, actor=OWNER, at_ns=LATER, name="alice")
SOLD = ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner=STRANGER)
NO_COLONY = f"Colony with name <{COLONY}> does not exists"


def add(caller: str = OWNER, user_id: str = USER, name: str = "alice") -> Decide:
    command = AddUser(user_id=user_id, name=name, email="a@b", phone="1")
    return lambda world: user.add(
        world.gate(caller),
        command,
        T0,
        name_taken=world.named(user.name_field(name)) is not None,
        id_taken=world.member(user_id) is not None,
    )


def test_owner_adds_a_user() -> None:
    given(founded()).when(add()).then(user_added()).unless(SOLD).unless(
        user_added(OTHER, "alice")
    ).unless(user_added(USER, "bob"))


def test_unknown_colony_has_no_users() -> None:
    given().when(add()).rejected(Invalid, NO_COLONY)


@pytest.mark.parametrize("caller", [USER, EXECUTOR, STRANGER])
def test_only_the_owner_adds(caller: str) -> None:
    given(*inhabited()).when(add(caller, NEW, "new")).rejected(
        Denied, "Access denied, not colony owner"
    )


def test_name_is_taken_once() -> None:
    given(*inhabited()).when(add(user_id=NEW)).rejected(
        Invalid, f"A user with name <alice> already exists in Colony with name <{COLONY}>"
    )


@pytest.mark.parametrize("taken", [USER, EXECUTOR])
def test_id_is_taken_once(taken: str) -> None:
    given(*inhabited()).when(add(user_id=taken, name="new")).rejected(
        Invalid, f"A user with Id <{taken}> already exists in Colony with name <{COLONY}>"
    )


def test_user_may_have_the_name_of_an_executor() -> None:
    given(*inhabited()).when(add(user_id=NEW, name="worker")).then(user_added(NEW, "worker"))


@pytest.mark.parametrize("wrong", ["", "b1", "B1" * 32])
def test_id_is_64_lower_case_hex_digits(wrong: str) -> None:
    given(founded()).when(add(user_id=wrong)).rejected(
        Invalid, "Failed to add user, user Id is not 64 lower-case hex digits"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "User name is empty"),
        ("a:b", "User name <a:b> has a character that is not allowed (colon or control)"),
    ],
)
def test_name_has_to_be_storable(name: str, text: str) -> None:
    given(founded()).when(add(name=name)).rejected(Invalid, text)


# ---------------------------------------------------------------- leaving


def remove(caller: str = OWNER, name: str = "alice") -> Decide:
    def decide(world: World) -> Decision:
        row = world.named(user.name_field(name))
        return user.remove(world.gate(caller), name, row.id if row else None, LATER)

    return decide


def test_owner_removes_a_user() -> None:
    given(*inhabited()).when(remove()).then(GONE).unless(GONE).unless(SOLD)


def test_name_that_went_to_somebody_else_meanwhile_is_not_removed() -> None:
    given(*inhabited()).when(remove()).unless(GONE, user_added(NEW))


def test_unknown_user_is_not_removed() -> None:
    given(*inhabited()).when(remove(name="none")).rejected(
        Invalid, "User with name <none> not found"
    )


def test_only_the_owner_removes() -> None:
    given(*inhabited()).when(remove(USER)).rejected(Denied, "Access denied, not colony owner")


def test_nobody_is_removed_from_an_unknown_colony() -> None:
    given().when(remove()).rejected(Invalid, NO_COLONY)


# ---------------------------------------------------------------- another key


def change_id(new_id: str = NEW, caller: str = USER) -> Decide:
    return lambda world: user.change_id(
        world.gate(caller), new_id, LATER, taken=world.member(new_id) is not None
    )


MOVED = UserIdChanged(
    subject=NEW, actor=USER, at_ns=LATER, old_id=USER, name="alice", email="a@b", phone="1"
)


def test_user_moves_to_another_key() -> None:
    given(*inhabited()).when(change_id()).then(MOVED).unless(user_added(NEW, "new")).unless(GONE)


def test_user_that_was_added_anew_meanwhile_is_not_overwritten() -> None:
    anew = UserAdded(subject=USER, actor=OWNER, at_ns=LATER, name="bob", email="b@b", phone="2")

    given(*inhabited()).when(change_id()).unless(GONE, anew)


def test_old_key_is_dead_at_once() -> None:
    given(*inhabited(), MOVED).when(change_id("b8" * 32)).rejected(
        Denied, f"Access denied, not a member of Colony with name <{COLONY}>"
    )


def test_same_key_changes_nothing() -> None:
    given(*inhabited()).when(change_id(USER)).then()


@pytest.mark.parametrize(
    ("new_id", "text"),
    [
        ("", "user Id is empty"),
        ("ab", "new user Id is not 64 characters"),
        ("AB" * 32, "new user Id is not lower-case hex"),
        (EXECUTOR, "the new user Id is already in use"),
    ],
    ids=["empty", "short", "upper", "taken"],
)
def test_new_key_has_to_be_free_and_a_key(new_id: str, text: str) -> None:
    given(*inhabited()).when(change_id(new_id)).rejected(
        Invalid, f"Failed to change user Id, {text}"
    )


def test_executor_is_no_user() -> None:
    given(*inhabited()).when(change_id(caller=EXECUTOR)).rejected(
        Invalid, "Failed to change user Id, user not found"
    )
