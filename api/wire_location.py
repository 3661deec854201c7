"""Messages about locations, as the protocol spells them (core.md, section 6.9)."""

from api import wire


class Location(wire.Wire):
    """A place executors may say they are at; degrees."""

    locationid: str = ""
    name: str = ""
    colonyname: str = ""
    description: str = ""
    long: float = 0
    lat: float = 0


class AddLocationMsg(wire.Message):
    """Add a location."""

    location: Location | None = None


class GetLocationsMsg(wire.OfColony):
    """List locations."""


class GetLocationMsg(wire.OfColony):
    """Read a location."""

    name: str = ""


class RemoveLocationMsg(wire.OfColony):
    """Remove a location."""

    name: str = ""
