"""Rows of a colony: owner, settings, pause, and the set of requirement classes."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.colony import (
    AssignmentsPaused,
    AssignmentsResumed,
    ColonyDissolved,
    ColonyFounded,
    ColonyOwnerChanged,
    ColonySettingsChanged,
    RequirementClassAdded,
    RequirementClassRetired,
)
from broker.decision import Write, delete, hdel, hincrby, hput, hset
from projections.projection import Folds, folding


def _founded(event: ColonyFounded) -> Iterator[Write]:
    yield hset(keys.COLONY, name=event.subject, suffix=event.suffix, owner=event.owner, guard=1)


def _owner_changed(event: ColonyOwnerChanged) -> Iterator[Write]:
    yield hset(keys.COLONY, owner=event.owner)
    yield hincrby(keys.COLONY, "guard")


def _settings_changed(event: ColonySettingsChanged) -> Iterator[Write]:
    yield hset(
        keys.COLONY,
        require_nonce=int(event.require_nonce),
        log_retention_s=event.log_retention_s,
        log_retention_bytes=event.log_retention_bytes,
        success_retention_s=event.success_retention_s,
        failed_retention_s=event.failed_retention_s,
        cancelled_retention_s=event.cancelled_retention_s,
    )
    yield from _since_later("file_revisions", event.file_revisions)
    yield from _since_later("file_revision_s", event.file_revision_s)
    yield hincrby(keys.COLONY, "guard")


def _since_later(field: str, value: int) -> Iterator[Write]:
    """A setting that earlier events do not have: rows that were made without it are right still."""
    yield hdel(keys.COLONY, field) if value < 0 else hput(keys.COLONY, field, value)


def _paused(_event: AssignmentsPaused) -> Iterator[Write]:
    yield hset(keys.COLONY, paused=1)
    yield hincrby(keys.COLONY, "guard")


def _resumed(_event: AssignmentsResumed) -> Iterator[Write]:
    yield hset(keys.COLONY, paused=0)
    yield hincrby(keys.COLONY, "guard")


def _dissolved(_event: ColonyDissolved) -> Iterator[Write]:
    yield delete(keys.COLONY)


def _class_added(event: RequirementClassAdded) -> Iterator[Write]:
    yield hput(keys.CLASSES, event.subject, event.requires)
    yield hincrby(keys.CLASSES, keys.EPOCH)


def _class_retired(event: RequirementClassRetired) -> Iterator[Write]:
    yield hdel(keys.CLASSES, event.subject)
    yield hincrby(keys.CLASSES, keys.EPOCH)


FOLDS: Folds = dict(
    (
        folding(ColonyFounded, _founded),
        folding(ColonyOwnerChanged, _owner_changed),
        folding(ColonySettingsChanged, _settings_changed),
        folding(AssignmentsPaused, _paused),
        folding(AssignmentsResumed, _resumed),
        folding(ColonyDissolved, _dissolved),
        folding(RequirementClassAdded, _class_added),
        folding(RequirementClassRetired, _class_retired),
    )
)
