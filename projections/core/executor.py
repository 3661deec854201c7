"""Rows of executors.

One that leaves stays listed; LEAVING says that what it held has to be queued again, until that is
done or it is approved once more.
"""

from collections.abc import Iterator

from broker import keys
from broker.access import EXECUTOR, MemberState
from broker.aggregates.executor import (
    AllocationsReported,
    CapabilitiesUpdated,
    ExecutorAdded,
    ExecutorApproved,
    ExecutorIdChanged,
    ExecutorRejected,
    ExecutorReleased,
    ExecutorRemoved,
    name_field,
)
from broker.clock import MS_NS
from broker.decision import Event, Write, delete, hput, hset, zadd, zrem
from projections.projection import Folds, folding


def _added(event: ExecutorAdded) -> Iterator[Write]:
    if event.replaces:
        yield delete(keys.member(event.replaces))
    yield hset(
        keys.member(event.subject),
        kind=EXECUTOR,
        name=event.name,
        state=int(MemberState.PENDING),
        guard=event.at_ns,
        type=event.executor_type,
        location=event.location,
        require_func_reg=int(event.require_func_reg),
        commissioned=event.at_ns,
        heard=event.heard_ns,
        capabilities=event.capabilities,
        allocations=event.allocations,
        blueprint_id=event.blueprint_id,
        blueprint_gen=event.blueprint_gen,
    )
    yield hput(keys.NAMES, name_field(event.name), event.subject)


def _approved(event: ExecutorApproved) -> Iterator[Write]:
    yield _state(event, MemberState.APPROVED)
    yield zrem(keys.LEAVING, event.subject)


def _rejected(event: ExecutorRejected) -> Iterator[Write]:
    yield _state(event, MemberState.REJECTED)
    yield _leaving(event)


def _removed(event: ExecutorRemoved) -> Iterator[Write]:
    yield _state(event, MemberState.UNREGISTERED)
    yield delete(keys.functions(event.name))
    yield _leaving(event)


def _state(event: Event, state: MemberState) -> Write:
    return hset(keys.member(event.subject), state=int(state), guard=event.at_ns)


def _leaving(event: Event) -> Write:
    return zadd(keys.LEAVING, event.at_ns // MS_NS, event.subject)


def _released(event: ExecutorReleased) -> Iterator[Write]:
    yield zrem(keys.LEAVING, event.subject)


def _allocations(event: AllocationsReported) -> Iterator[Write]:
    yield hset(keys.member(event.subject), allocations=event.allocations, guard=event.at_ns)


def _capabilities(event: CapabilitiesUpdated) -> Iterator[Write]:
    yield hset(keys.member(event.subject), capabilities=event.capabilities, guard=event.at_ns)


def _id_changed(event: ExecutorIdChanged) -> Iterator[Write]:
    yield delete(keys.member(event.old_id))
    yield hset(keys.member(event.subject), **{**event.row, "guard": event.at_ns})
    yield zrem(keys.LEAVING, event.old_id)
    if MemberState(int(event.row["state"])) in {MemberState.REJECTED, MemberState.UNREGISTERED}:
        yield _leaving(event)
    yield hput(keys.NAMES, name_field(event.name), event.subject)


FOLDS: Folds = dict(
    (
        folding(ExecutorAdded, _added),
        folding(ExecutorApproved, _approved),
        folding(ExecutorRejected, _rejected),
        folding(ExecutorRemoved, _removed),
        folding(ExecutorReleased, _released),
        folding(AllocationsReported, _allocations),
        folding(CapabilitiesUpdated, _capabilities),
        folding(ExecutorIdChanged, _id_changed),
    )
)
