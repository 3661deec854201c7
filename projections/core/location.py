"""Rows of locations, one field each."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.location import LocationAdded, LocationRemoved
from broker.decision import Write, hdel, hput
from broker.packing import packed, unpacked
from projections.projection import Folds, folding


def _added(event: LocationAdded) -> Iterator[Write]:
    stored = packed([event.location_id, event.description, event.long, event.lat])
    yield hput(keys.LOCATIONS, event.subject, stored)


def _removed(event: LocationRemoved) -> Iterator[Write]:
    yield hdel(keys.LOCATIONS, event.subject)


def read_location(stored: bytes) -> tuple[str, str, float, float]:
    """Id, description, longitude and latitude of a stored location."""
    location_id, description, long, lat = unpacked(stored)
    return location_id, description, long, lat


FOLDS: Folds = dict((folding(LocationAdded, _added), folding(LocationRemoved, _removed)))
