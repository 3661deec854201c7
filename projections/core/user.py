"""Rows of users."""

from collections.abc import Iterator

from broker import keys
from broker.access import USER, MemberState
from broker.aggregates.user import UserAdded, UserIdChanged, UserRemoved, name_field
from broker.decision import Write, delete, hdel, hput, hset
from projections.projection import Folds, folding


def _row(event: UserAdded | UserIdChanged) -> Write:
    return hset(
        keys.member(event.subject),
        kind=USER,
        name=event.name,
        state=int(MemberState.APPROVED),
        guard=event.at_ns,
        email=event.email,
        phone=event.phone,
    )


def _added(event: UserAdded) -> Iterator[Write]:
    yield _row(event)
    yield hput(keys.NAMES, name_field(event.name), event.subject)


def _removed(event: UserRemoved) -> Iterator[Write]:
    yield delete(keys.member(event.subject))
    yield hdel(keys.NAMES, name_field(event.name))


def _id_changed(event: UserIdChanged) -> Iterator[Write]:
    yield delete(keys.member(event.old_id))
    yield _row(event)
    yield hput(keys.NAMES, name_field(event.name), event.subject)


FOLDS: Folds = dict(
    (
        folding(UserAdded, _added),
        folding(UserRemoved, _removed),
        folding(UserIdChanged, _id_changed),
    )
)
