"""Locations: a directory of places. Executors and conditions may name places not in it."""

from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import Gate, checked_name, colony_owner, existing_colony
from broker.decision import Decision, Event, has, lacks
from broker.errors import Invalid


class LocationAdded(Event, frozen=True, kw_only=True):
    """A place was named; ``subject`` is the name. Degrees."""

    TYPE: ClassVar[str] = "LocationAdded"
    location_id: str
    description: str
    long: float
    lat: float


class LocationRemoved(Event, frozen=True, kw_only=True):
    """A place was forgotten; ``subject`` is its name."""

    TYPE: ClassVar[str] = "LocationRemoved"


EVENTS = (LocationAdded, LocationRemoved)


class AddLocation(Struct, frozen=True, kw_only=True):
    """Name a place."""

    name: str
    location_id: str
    description: str
    long: float
    lat: float


def add(gate: Gate, command: AddLocation, now_ns: int, *, taken: bool) -> Decision:
    """Add a location.

    Raises:
        Denied, Invalid: not the owner; no such colony; a bad or taken name.
    """
    existing_colony(gate)
    expects = colony_owner(gate)
    checked_name(command.name, "Location")
    if taken:
        raise Invalid(
            f"A location with name <{command.name}> already exists in Colony with name"
            f" <{gate.colony_name}>"
        )
    return Decision(
        expects=(*expects, lacks(keys.LOCATIONS, command.name)),
        events=(
            LocationAdded(
                subject=command.name,
                actor=gate.caller,
                at_ns=now_ns,
                location_id=command.location_id,
                description=command.description,
                long=command.long,
                lat=command.lat,
            ),
        ),
    )


def remove(gate: Gate, name: str, now_ns: int, *, known: bool) -> Decision:
    """Remove a location.

    Raises:
        Denied, Invalid: not the owner; no such colony or location.
    """
    existing_colony(gate)
    expects = colony_owner(gate)
    if not known:
        raise Invalid(f"Location with name <{name}> not found")
    return Decision(
        expects=(*expects, has(keys.LOCATIONS, name)),
        events=(LocationRemoved(subject=name, actor=gate.caller, at_ns=now_ns),),
    )
