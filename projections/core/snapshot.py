"""Rows of snapshots, and which there are, of all labels and of each."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.snapshot import LabelTidied, SnapshotCreated, SnapshotRemoved
from broker.decision import Write, delete, hdel, hincrby, hput, hset, zadd, zrem
from broker.registry import pack
from projections.projection import Folds, folding


def _created(event: SnapshotCreated) -> Iterator[Write]:
    yield hset(keys.snapshot(event.subject), given=pack(event), at=event.at_ns)
    yield hset(keys.snapshot_named(event.name), id=event.subject)
    yield zadd(keys.SNAPSHOTS, event.number, event.subject)
    yield zadd(keys.snapshots_of(event.label), event.number, event.subject)
    yield hset(keys.FILES, made=event.number)


def _removed(event: SnapshotRemoved) -> Iterator[Write]:
    yield delete(keys.snapshot(event.subject))
    yield delete(keys.snapshot_named(event.name))
    yield zrem(keys.SNAPSHOTS, event.subject)
    yield zrem(keys.snapshots_of(event.label), event.subject)
    yield hincrby(keys.FILES, "gone")
    if event.leaves:
        yield hput(keys.UNNAMED, event.label, event.subject)


def _tidied(event: LabelTidied) -> Iterator[Write]:
    yield hdel(keys.UNNAMED, event.subject)


FOLDS: Folds = dict(
    (
        folding(SnapshotCreated, _created),
        folding(SnapshotRemoved, _removed),
        folding(LabelTidied, _tidied),
    )
)
