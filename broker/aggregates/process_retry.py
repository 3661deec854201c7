"""What brings a process back to its queue: lost holders and time, which may also be its end."""

from collections.abc import Container

from broker.aggregates.backoff import backoff_in
from broker.aggregates.process import (
    DELAYED,
    ProcessReady,
    ProcessRequeued,
    ProcessRetried,
    State,
)
from broker.aggregates.process_end import failed
from broker.aggregates.process_row import ProcessRow, as_read, held_as_read
from broker.aggregates.process_submit import classes_again
from broker.clock import deadline
from broker.decision import Decision
from broker.matching import class_of

WAITED_TOO_LONG = "Maximum waiting time limit exceeded"
RAN_TOO_LONG = "Maximum execution time limit exceeded"


def requeue(
    rows: list[ProcessRow], holder: str, reason: str, known: Container[str], now_ns: int
) -> Decision:
    """Put processes that ``holder`` runs back where they waited.

    ``known`` is the requirement classes there are; one that was retired meanwhile comes back.
    """
    running = [row for row in rows if row.state is State.RUNNING and row.holder == holder]
    expected, added = classes_again(_requires(running), known, now_ns)
    requeued = tuple(
        ProcessRequeued(
            subject=row.id,
            actor="",
            at_ns=now_ns,
            reason=reason,
            holder=holder,
            class_key=row.class_key,
            queued_as=row.queued_as,
            wait_deadline_ns=row.wait_deadline_ns,
        )
        for row in running
    )
    return Decision(
        expects=(
            *(e for row in running for e in held_as_read(row)),
            *expected,
        ),
        events=(*added, *requeued),
        wakes=tuple(row.class_key for row in running),
    )


def expire(row: ProcessRow | None, known: Container[str], now_ns: int) -> Decision:
    """What the passing of time means for a process: nothing, failure, or another try.

    ``known`` is the requirement classes there are. Times out exactly once: whoever is first.
    """
    if row is None:
        return Decision()
    if row.state is State.WAITING and 0 < row.wait_deadline_ns <= now_ns:
        return Decision(
            expects=as_read(row), events=(failed(row, WAITED_TOO_LONG, "deadline", now_ns),)
        )
    if row.state is not State.RUNNING or not 0 < row.exec_deadline_ns <= now_ns:
        return Decision()
    if 0 <= row.given["max_retries"] <= row.retries:
        return Decision(
            expects=as_read(row), events=(failed(row, RAN_TOO_LONG, "deadline", now_ns),)
        )
    backoff, retry = backoff_in(row.given["spec"]), row.retries + 1
    retried = ProcessRetried(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        cause="deadline",
        holder=row.holder,
        class_key=DELAYED if backoff else row.class_key,
        queued_as=row.queued_as,
        retries=retry,
        wait_deadline_ns=deadline(now_ns, row.given["max_wait_s"]),
        ready_ns=now_ns + backoff.delay_ns(row.id, retry) if backoff else 0,
    )
    if backoff:
        return Decision(expects=as_read(row), events=(retried,))
    expected, added = classes_again(_requires([row]), known, now_ns)
    return Decision(
        expects=(*as_read(row), *expected),
        events=(*added, retried),
        wakes=(row.class_key,),
    )


def offer(row: ProcessRow | None, known: Container[str], now_ns: int) -> Decision:
    """Offer a process again whose delay is over."""
    if row is None or row.state is not State.WAITING or not 0 < row.ready_ns <= now_ns:
        return Decision()
    requires: bytes = row.given["requires"]
    class_key = class_of(requires)
    ready = ProcessReady(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        class_key=class_key,
        queued_as=row.queued_as,
    )
    expected, added = classes_again({class_key: requires}, known, now_ns)
    return Decision(expects=(*as_read(row), *expected), events=(*added, ready), wakes=(class_key,))


def _requires(rows: list[ProcessRow]) -> dict[str, bytes]:
    return {row.class_key: row.given["requires"] for row in rows}
