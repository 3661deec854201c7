"""Rows of the server: its owner and its directory of colonies."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.server import (
    ColonyIdReleased,
    ColonyIdReserved,
    ColonyPurged,
    ColonyRegistered,
    ColonyUnregistered,
    ServerFounded,
    ServerIdChanged,
)
from broker.decision import Write, hdel, hincrby, hput, hset
from projections.projection import Folds, folding


def _founded(event: ServerFounded) -> Iterator[Write]:
    yield hset(keys.SERVER_ROW, id=event.subject, guard=1)


def _id_changed(event: ServerIdChanged) -> Iterator[Write]:
    yield hset(keys.SERVER_ROW, id=event.subject)
    yield hincrby(keys.SERVER_ROW, "guard")


def _registered(event: ColonyRegistered) -> Iterator[Write]:
    yield hput(keys.COLONIES, event.subject, event.suffix)
    yield hput(keys.SUFFIXES, event.suffix, event.subject)
    yield hput(keys.COLONY_IDS, event.colony_id, event.subject)


def _id_reserved(event: ColonyIdReserved) -> Iterator[Write]:
    yield hput(keys.COLONY_IDS, event.colony_id, event.subject)


def _id_released(event: ColonyIdReleased) -> Iterator[Write]:
    yield hdel(keys.COLONY_IDS, event.colony_id)


def _unregistered(event: ColonyUnregistered) -> Iterator[Write]:
    yield hdel(keys.COLONIES, event.subject)
    yield hdel(keys.SUFFIXES, event.suffix)
    for colony_id in event.colony_ids:
        yield hdel(keys.COLONY_IDS, colony_id)
    tag = keys.colony_tag(event.subject, event.suffix)
    yield hput(keys.REMOVED, tag.text, event.subject)


def _purged(event: ColonyPurged) -> Iterator[Write]:
    yield hdel(keys.REMOVED, event.subject)


FOLDS: Folds = dict(
    (
        folding(ServerFounded, _founded),
        folding(ServerIdChanged, _id_changed),
        folding(ColonyRegistered, _registered),
        folding(ColonyIdReserved, _id_reserved),
        folding(ColonyIdReleased, _id_released),
        folding(ColonyUnregistered, _unregistered),
        folding(ColonyPurged, _purged),
    )
)
