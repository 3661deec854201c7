"""Rows, queues and listings of processes.

Scores of listings are Unix μs: a double holds them exactly, and replies show no more.
"""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.process import (
    DELAYED,
    HELD,
    UNLIMITED_EXEC,
    NodeSubmitted,
    OutputSet,
    ProcessAssigned,
    ProcessCancelled,
    ProcessClosed,
    ProcessFailed,
    ProcessHandedOver,
    ProcessReady,
    ProcessReleased,
    ProcessRemoved,
    ProcessRequeued,
    ProcessRetried,
    ProcessSubmitted,
    State,
    env_attributes,
)
from broker.clock import MS_NS, US_NS
from broker.decision import Arg, Write, delete, hdel, hput, hset, sadd, srem, zadd, zrem
from broker.matching import class_of
from broker.packing import packed
from broker.registry import pack
from projections.projection import Folds, folding

_WAITING = int(State.WAITING)
_RUNNING = int(State.RUNNING)


def _submitted(event: ProcessSubmitted) -> Iterator[Write]:
    return _waits(event, _row(event), class_of(event.requires))


def _node_submitted(event: NodeSubmitted) -> Iterator[Write]:
    row = _row(event)
    row["graph"] = event.graph
    if event.parents:
        row["pending"] = len(set(event.parents))
    if event.input:
        row["in"] = event.input
    yield from _waits(event, row, HELD if event.parents else class_of(event.requires))
    yield zadd(keys.nodes(event.graph), event.order, event.subject)


def _row(event: ProcessSubmitted) -> dict[str, Arg]:
    row: dict[str, Arg] = {
        "given": pack(event),
        "by": event.actor,
        "at": event.at_ns,
        "state": _WAITING,
    }
    if event.max_exec_s > 0:
        row["max_exec"] = event.max_exec_s
    return row


def _waits(event: ProcessSubmitted, row: dict[str, Arg], class_key: str) -> Iterator[Write]:
    process_id = event.subject
    yield hset(keys.process(process_id), **row)
    queued_as = keys.queue_member(event.priority_time, process_id)
    yield zadd(keys.queue(class_key), 0, queued_as)
    if event.env:
        for attribute_id in env_attributes(process_id, event.env):
            yield hput(keys.ATTRIBUTES, attribute_id, process_id)
    if event.wait_deadline_ns:
        yield from _wait_until(process_id, event.wait_deadline_ns)


def _released(event: ProcessReleased) -> Iterator[Write]:
    row = keys.process(event.subject)
    yield hset(row, **{"in": event.input})
    yield hdel(row, "pending")
    yield zrem(keys.queue(HELD), event.queued_as)
    yield zadd(keys.queue(event.class_key), 0, event.queued_as)


def _wait_until(process_id: str, deadline_ns: int) -> Iterator[Write]:
    if deadline_ns:
        yield hset(keys.process(process_id), wait=deadline_ns)
        yield zadd(keys.DUE, deadline_ns // MS_NS, keys.due_wait(process_id))


def _assigned(event: ProcessAssigned) -> Iterator[Write]:
    process_id, holder = event.subject, event.actor
    yield zrem(keys.queue(event.class_key), event.queued_as)
    yield hset(keys.process(process_id), state=_RUNNING, holder=holder, started=event.at_ns)
    yield zadd(keys.listing(_RUNNING), event.at_ns // US_NS, process_id)
    yield sadd(keys.held(holder), process_id)
    yield zrem(keys.DUE, keys.due_wait(process_id))
    if event.max_exec_s != UNLIMITED_EXEC:
        due_ms = event.at_ns // MS_NS + int(event.max_exec_s) * 1000
        yield zadd(keys.DUE, due_ms, keys.due_exec(process_id))


def _output_set(event: OutputSet) -> Iterator[Write]:
    yield hset(keys.process(event.subject), out=event.out)


def _closed(event: ProcessClosed) -> Iterator[Write]:
    process_id = event.subject
    row: dict[str, Arg] = {"state": event.outcome, "ended": event.at_ns}
    if event.out is not None:
        row["out"] = event.out
    if event.errors:
        row["errors"] = packed(event.errors)
    yield hset(keys.process(process_id), **row)
    yield from _leave_running(process_id, event.actor, timed=event.timed)
    yield zadd(keys.listing(event.outcome), event.at_ns // US_NS, process_id)


def _leave_running(process_id: str, holder: str, *, timed: bool = True) -> Iterator[Write]:
    yield zrem(keys.listing(_RUNNING), process_id)
    yield srem(keys.held(holder), process_id)
    if timed:
        yield zrem(keys.DUE, keys.due_exec(process_id))


def _cancelled(event: ProcessCancelled) -> Iterator[Write]:
    process_id, cancelled = event.subject, int(State.CANCELLED)
    yield hset(keys.process(process_id), state=cancelled, ended=event.at_ns)
    if event.was == _RUNNING:
        yield from _leave_running(process_id, event.holder)
    else:
        yield from _leave_queue(process_id, event.class_key, event.queued_as)
    yield zadd(keys.listing(cancelled), event.at_ns // US_NS, process_id)


def _leave_queue(process_id: str, class_key: str, queued_as: str) -> Iterator[Write]:
    yield zrem(keys.queue(class_key), queued_as)
    yield zrem(keys.DUE, keys.due_wait(process_id))
    if class_key == DELAYED:
        yield zrem(keys.DUE, keys.due_ready(process_id))


def _requeued(event: ProcessRequeued) -> Iterator[Write]:
    process_id = event.subject
    yield hset(keys.process(process_id), state=_WAITING)
    yield hdel(keys.process(process_id), "holder", "started", "ended")
    yield from _leave_running(process_id, event.holder)
    yield zadd(keys.queue(event.class_key), 0, event.queued_as)
    yield from _wait_until(process_id, event.wait_deadline_ns)


def _failed(event: ProcessFailed) -> Iterator[Write]:
    process_id, failed = event.subject, int(State.FAILED)
    errors = packed([event.error])
    yield hset(keys.process(process_id), state=failed, ended=event.at_ns, errors=errors)
    if event.was == _RUNNING:
        yield from _leave_running(process_id, event.holder)
    else:
        yield from _leave_queue(process_id, event.class_key, event.queued_as)
    yield zadd(keys.listing(failed), event.at_ns // US_NS, process_id)


def _retried(event: ProcessRetried) -> Iterator[Write]:
    """The end it shows is that of the try that took too long, as the reference has it."""
    process_id = event.subject
    row = keys.process(process_id)
    yield hset(row, state=_WAITING, retries=event.retries, ended=event.at_ns)
    yield hdel(row, "holder")
    yield from _leave_running(process_id, event.holder)
    yield zadd(keys.queue(event.class_key), 0, event.queued_as)
    yield from _wait_until(process_id, event.wait_deadline_ns)
    if event.ready_ns:
        yield hset(row, ready=event.ready_ns)
        yield zadd(keys.DUE, event.ready_ns // MS_NS, keys.due_ready(process_id))


def _ready(event: ProcessReady) -> Iterator[Write]:
    yield hdel(keys.process(event.subject), "ready")
    yield zrem(keys.queue(DELAYED), event.queued_as)
    yield zadd(keys.queue(event.class_key), 0, event.queued_as)
    yield zrem(keys.DUE, keys.due_ready(event.subject))


def _handed_over(event: ProcessHandedOver) -> Iterator[Write]:
    yield hset(keys.process(event.subject), holder=event.new_holder)
    yield srem(keys.held(event.holder), event.subject)
    yield sadd(keys.held(event.new_holder), event.subject)


def _removed(event: ProcessRemoved) -> Iterator[Write]:
    process_id = event.subject
    yield delete(keys.process(process_id))
    yield delete(keys.process_log(process_id))
    for name in event.channels:
        yield delete(keys.channel(process_id, name))
    if event.channels:
        yield delete(keys.channel_pace(process_id))
    if event.was == _WAITING:
        yield from _leave_queue(process_id, event.class_key, event.queued_as)
    else:
        yield zrem(keys.listing(event.was), process_id)
    for attribute_id in event.attributes:
        yield hdel(keys.ATTRIBUTES, attribute_id)


FOLDS: Folds = dict(
    (
        folding(ProcessSubmitted, _submitted),
        folding(NodeSubmitted, _node_submitted),
        folding(ProcessReleased, _released),
        folding(ProcessAssigned, _assigned),
        folding(OutputSet, _output_set),
        folding(ProcessClosed, _closed),
        folding(ProcessCancelled, _cancelled),
        folding(ProcessRequeued, _requeued),
        folding(ProcessHandedOver, _handed_over),
        folding(ProcessFailed, _failed),
        folding(ProcessRetried, _retried),
        folding(ProcessReady, _ready),
        folding(ProcessRemoved, _removed),
    )
)
