"""Rows of blueprints, by name; who is of a kind and where; and the newest changes of each."""

from collections.abc import Iterator

from msgspec import Struct

from broker import keys
from broker.aggregates.blueprint import (
    CREATE,
    UPDATE,
    BlueprintAdded,
    BlueprintForced,
    BlueprintRemoved,
    BlueprintStatusChanged,
    BlueprintUpdated,
)
from broker.decision import Write, delete, hdel, hput, hset, sadd, srem, zadd, zkeep, zrem
from broker.packing import packed, unpacked
from projections.projection import Folds, folding

MOST_REMEMBERED = 1_000
"""Changes of one blueprint that its history shows; older ones are in the log alone."""
_TIME_DIGITS = 20


class Change(Struct, frozen=True, kw_only=True):
    """One change in the history of a blueprint; ``kind`` is "create" or "update"."""

    at_ns: int
    history_id: str
    change: str
    by: str
    kind: str
    name: str
    generation: int
    spec: bytes
    status: bytes


def _added(event: BlueprintAdded) -> Iterator[Write]:
    yield hset(keys.blueprint(event.name), id=event.subject, **_fields(event))
    yield hput(keys.BLUEPRINT_IDS, event.subject, event.name)
    yield zadd(keys.BLUEPRINTS, 0, event.name)
    yield from _entered(event.name, event.kind, event.location)
    yield from _changed(event, CREATE)


def _fields(event: BlueprintAdded | BlueprintUpdated) -> dict[str, str | bytes | int]:
    return {
        "kind": event.kind,
        "location": event.location,
        "generation": event.generation,
        "metadata": event.metadata,
        "spec": event.spec,
        "status": event.status,
        "guard": event.at_ns,
    }


def _entered(name: str, kind: str, location: str) -> Iterator[Write]:
    yield zadd(keys.blueprints_of(kind), 0, name)
    yield sadd(keys.blueprints_at(kind, location), name)


def _left(name: str, kind: str, location: str) -> Iterator[Write]:
    yield zrem(keys.blueprints_of(kind), name)
    yield srem(keys.blueprints_at(kind, location), name)


def _changed(event: BlueprintAdded | BlueprintUpdated, change: str) -> Iterator[Write]:
    head = b"%0*d" % (_TIME_DIGITS, event.at_ns)
    body = packed(
        [
            event.history_id,
            change,
            event.actor,
            event.kind,
            event.name,
            event.generation,
            event.spec,
            event.status,
        ]
    )
    history = keys.blueprint_history(event.subject)
    yield zadd(history, 0, head + body)
    yield zkeep(history, MOST_REMEMBERED)


def read_change(stored: bytes) -> Change:
    """A change as it is stored."""
    history_id, change, by, kind, name, generation, spec, status = unpacked(stored[_TIME_DIGITS:])
    return Change(
        at_ns=int(stored[:_TIME_DIGITS]),
        history_id=history_id,
        change=change,
        by=by,
        kind=kind,
        name=name,
        generation=generation,
        spec=spec,
        status=status,
    )


def _updated(event: BlueprintUpdated) -> Iterator[Write]:
    yield hset(keys.blueprint(event.name), **_fields(event))
    if (event.was_kind, event.was_location) != (event.kind, event.location):
        yield from _left(event.name, event.was_kind, event.was_location)
        yield from _entered(event.name, event.kind, event.location)
    if event.history_id:
        yield from _changed(event, UPDATE)


def _status_changed(event: BlueprintStatusChanged) -> Iterator[Write]:
    yield hset(keys.blueprint(event.name), status=event.status)


def _forced(event: BlueprintForced) -> Iterator[Write]:
    yield hset(keys.blueprint(event.name), generation=event.generation, guard=event.at_ns)


def _removed(event: BlueprintRemoved) -> Iterator[Write]:
    yield delete(keys.blueprint(event.name))
    yield delete(keys.blueprint_history(event.subject))
    yield hdel(keys.BLUEPRINT_IDS, event.subject)
    yield zrem(keys.BLUEPRINTS, event.name)
    yield from _left(event.name, event.kind, event.location)


FOLDS: Folds = dict(
    (
        folding(BlueprintAdded, _added),
        folding(BlueprintUpdated, _updated),
        folding(BlueprintStatusChanged, _status_changed),
        folding(BlueprintForced, _forced),
        folding(BlueprintRemoved, _removed),
    )
)
