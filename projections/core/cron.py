"""Rows of crons, and when each is due.

One that is held is not due: what it waits for is the end of a workflow.
"""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.cron import CronAdded, CronFired, CronHeld, CronRemoved, CronSkipped
from broker.clock import MS_NS, US_NS
from broker.decision import Write, delete, hdel, hincrby, hput, hset, sadd, srem, zadd, zrem
from broker.registry import pack
from projections.projection import Folds, folding


def _added(event: CronAdded) -> Iterator[Write]:
    cron_id = event.subject
    yield hset(keys.cron(cron_id), given=pack(event), by=event.actor, at=event.at_ns, runs=0)
    yield hput(keys.CRON_NAMES, event.name, cron_id)
    yield zadd(keys.CRONS, event.at_ns // US_NS, cron_id)
    yield from _due(cron_id, event.next_ns)


def _due(cron_id: str, next_ns: int) -> Iterator[Write]:
    yield hset(keys.cron(cron_id), next=next_ns)
    if next_ns:
        yield zadd(keys.DUE, next_ns // MS_NS, keys.due_cron(cron_id))
    else:
        yield zrem(keys.DUE, keys.due_cron(cron_id))


def _fired(event: CronFired) -> Iterator[Write]:
    row = keys.cron(event.subject)
    yield hset(row, last=event.at_ns, prev=event.workflow)
    yield hincrby(row, "runs")
    yield from _no_longer_held(event.subject)
    yield from _due(event.subject, event.next_ns)


def _held(event: CronHeld) -> Iterator[Write]:
    yield hset(keys.cron(event.subject), held=1)
    yield sadd(keys.HELD_CRONS, event.subject)
    yield zrem(keys.DUE, keys.due_cron(event.subject))


def _no_longer_held(cron_id: str) -> Iterator[Write]:
    yield hdel(keys.cron(cron_id), "held")
    yield srem(keys.HELD_CRONS, cron_id)


def _skipped(event: CronSkipped) -> Iterator[Write]:
    yield from _no_longer_held(event.subject)
    yield from _due(event.subject, event.next_ns)


def _removed(event: CronRemoved) -> Iterator[Write]:
    yield delete(keys.cron(event.subject))
    yield hdel(keys.CRON_NAMES, event.name)
    yield zrem(keys.CRONS, event.subject)
    yield zrem(keys.DUE, keys.due_cron(event.subject))
    yield srem(keys.HELD_CRONS, event.subject)


FOLDS: Folds = dict(
    (
        folding(CronAdded, _added),
        folding(CronFired, _fired),
        folding(CronHeld, _held),
        folding(CronSkipped, _skipped),
        folding(CronRemoved, _removed),
    )
)
