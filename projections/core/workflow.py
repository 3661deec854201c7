"""Rows and listings of workflows.

The row counts what is ``left``: processes that have not succeeded. How many parents a process still
waits for is counted in its own row.
"""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.process import CHILD, PARENT, State
from broker.aggregates.workflow import (
    REMOVING,
    WorkflowAdvanced,
    WorkflowEnded,
    WorkflowGrew,
    WorkflowLeft,
    WorkflowRemoved,
    WorkflowStarted,
    WorkflowSubmitted,
    WorkflowSwept,
)
from broker.clock import MS_NS, US_NS
from broker.decision import Event, Write, delete, hdel, hincrby, hput, hset, zadd, zrem
from broker.packing import packed
from projections.projection import Folds, folding

_TAKEN_AWAY = 0


def _submitted(event: WorkflowSubmitted) -> Iterator[Write]:
    yield hset(
        keys.workflow(event.subject),
        state=int(State.WAITING),
        by=event.actor,
        by_name=event.initiator_name,
        at=event.at_ns,
        roots=packed(event.roots),
        left=len(event.processes),
        size=len(event.processes),
    )
    submitted_us = event.at_ns // US_NS
    yield zadd(keys.workflows(int(State.WAITING)), submitted_us, event.subject)


def _started(event: WorkflowStarted) -> Iterator[Write]:
    yield hset(keys.workflow(event.subject), state=int(State.RUNNING), started=event.at_ns)
    yield from _moved(event.subject, int(State.WAITING), int(State.RUNNING), event.submitted_us)


def _moved(workflow_id: str, was: int, now: int, submitted_us: int | str) -> Iterator[Write]:
    if was != now:
        yield zrem(keys.workflows(was), workflow_id)
        yield zadd(keys.workflows(now), submitted_us, workflow_id)


def _advanced(event: WorkflowAdvanced) -> Iterator[Write]:
    row = keys.workflow(event.subject)
    yield hincrby(row, "left", -1)
    yield hset(row, ended=event.at_ns)
    for child in event.awaited:
        yield hincrby(keys.process(child), "pending", -1)


def _ended(event: WorkflowEnded) -> Iterator[Write]:
    row = keys.workflow(event.subject)
    yield hset(row, state=event.outcome, ended=event.at_ns)
    yield from _moved(event.subject, event.was, event.outcome, event.submitted_us)
    if event.sweeps >= 0:
        yield hset(row, sweeps=event.sweeps)
        yield from _due_now(event)


def _due_now(event: Event) -> Iterator[Write]:
    yield zadd(keys.DUE, event.at_ns // MS_NS, keys.due_sweep(event.subject))


def _swept(event: WorkflowSwept) -> Iterator[Write]:
    yield hdel(keys.workflow(event.subject), "sweeps")
    yield zrem(keys.DUE, keys.due_sweep(event.subject))


def _grew(event: WorkflowGrew) -> Iterator[Write]:
    workflow, parent = keys.workflow(event.subject), keys.process(event.parent)
    yield hincrby(workflow, "left")
    yield hincrby(workflow, "size")
    yield hput(parent, f"{CHILD}{event.child}", event.at_ns)
    yield hincrby(parent, "links")
    for follower_id in event.followers:
        follower = keys.process(follower_id)
        yield hput(follower, f"{PARENT}{event.child}", event.at_ns)
        if event.inserted:
            yield hput(follower, f"{PARENT}{event.parent}", _TAKEN_AWAY)
            yield hput(parent, f"{CHILD}{follower_id}", _TAKEN_AWAY)
        else:
            yield hincrby(follower, "pending")


def _left(event: WorkflowLeft) -> Iterator[Write]:
    yield hset(keys.workflow(event.subject), state=REMOVING)
    yield zrem(keys.workflows(event.was), event.subject)
    yield from _due_now(event)


def _removed(event: WorkflowRemoved) -> Iterator[Write]:
    yield delete(keys.workflow(event.subject))
    yield delete(keys.nodes(event.subject))
    yield zrem(keys.DUE, keys.due_sweep(event.subject))


FOLDS: Folds = dict(
    (
        folding(WorkflowSubmitted, _submitted),
        folding(WorkflowStarted, _started),
        folding(WorkflowAdvanced, _advanced),
        folding(WorkflowEnded, _ended),
        folding(WorkflowSwept, _swept),
        folding(WorkflowGrew, _grew),
        folding(WorkflowLeft, _left),
        folding(WorkflowRemoved, _removed),
    )
)
