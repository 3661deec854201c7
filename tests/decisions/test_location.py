"""Locations: names of places, kept by the owner."""

import pytest

from broker import keys
from broker.aggregates import location
from broker.aggregates.colony import ColonyOwnerChanged
from broker.aggregates.location import AddLocation, LocationAdded, LocationRemoved
from broker.decision import Decision
from broker.errors import Denied, Invalid
from tests.facts import COLONY, EXECUTOR, LATER, OWNER, STRANGER, USER, founded, inhabited
from tests.scenario import Decide, World, given

ADDED = LocationAdded(
    subject="home",
    actor=OWNER,
    at_ns=LATER,
    location_id="x",
    description="here",
    long=18.07,
    lat=-59.3,
)
GONE = LocationRemoved(subject="home", actor=OWNER, at_ns=LATER)
SOLD = ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner=STRANGER)
NO_COLONY = f"Colony with name <{COLONY}> does not exists"


def known(world: World, name: str) -> bool:
    return name.encode() in world.hash(keys.LOCATIONS)


def add(caller: str = OWNER, name: str = "home") -> Decide:
    command = AddLocation(name=name, location_id="x", description="here", long=18.07, lat=-59.3)
    return lambda world: location.add(world.gate(caller), command, LATER, taken=known(world, name))


def remove(caller: str = OWNER) -> Decide:
    def decide(world: World) -> Decision:
        return location.remove(world.gate(caller), "home", LATER, known=known(world, "home"))

    return decide


def test_owner_adds_a_location() -> None:
    given(founded()).when(add()).then(ADDED).unless(ADDED).unless(SOLD)


def test_name_is_taken_once() -> None:
    given(founded(), ADDED).when(add()).rejected(
        Invalid, f"A location with name <home> already exists in Colony with name <{COLONY}>"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Location name is empty"),
        ("a:b", "Location name <a:b> has a character that is not allowed (colon or control)"),
    ],
)
def test_name_has_to_be_storable(name: str, text: str) -> None:
    given(founded()).when(add(name=name)).rejected(Invalid, text)


def test_owner_removes_a_location() -> None:
    given(founded(), ADDED).when(remove()).then(GONE).unless(GONE).unless(SOLD)


def test_unknown_location_is_not_removed() -> None:
    given(founded()).when(remove()).rejected(Invalid, "Location with name <home> not found")


@pytest.mark.parametrize("caller", [USER, EXECUTOR, STRANGER])
def test_only_the_owner_keeps_locations(caller: str) -> None:
    refusal = "Access denied, not colony owner"
    given(*inhabited()).when(add(caller)).rejected(Denied, refusal)
    given(*inhabited(), ADDED).when(remove(caller)).rejected(Denied, refusal)


def test_unknown_colony_has_no_locations() -> None:
    given().when(add()).rejected(Invalid, NO_COLONY)
    given().when(remove()).rejected(Invalid, NO_COLONY)
