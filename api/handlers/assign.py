"""Assignment: claim the first process an executor can take, or wait until there is one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from api import wire, wire_colony, wire_process
from api.context import Call, Context
from api.present import shown_assignment
from broker import access, keys
from broker.access import Gate, MemberRow
from broker.aggregates import colony as colony_aggregate
from broker.aggregates import executor as executor_aggregate
from broker.aggregates.process import ProcessAssigned
from broker.aggregates.process_retry import requeue
from broker.aggregates.process_row import ProcessRow
from broker.decision import Decision
from broker.directory import Classes, Colony, Matching
from broker.errors import (
    Corrupt,
    Denied,
    Invalid,
    NothingAvailable,
    Overloaded,
    Paused,
    PausedWhileWaiting,
    Rejected,
    Unavailable,
)
from broker.keys import Tag
from broker.matching import Offer
from broker.resources import in_bytes, millicores
from broker.store import BY_SERVER, Claim, Claimed, Done, NotClaimed, Repeat
from projections.core import listings

_MOST_WAIT_S = 7 * 24 * 3600
_PATIENCE_S = (0.05, 0.2, 1.0, 5.0, 15.0, 30.0, 60.0)
_MOST_QUEUES = 256
"""Heads that the claim compares in one step, during which the store does nothing else."""
_NOTED_S = 60.0
"""A waiting executor is noted as present, and tries again, this often."""
_UNDELIVERED = "the reply could not be delivered"


async def assign(ctx: Context, call: Call, msg: wire_process.AssignProcessMsg) -> bytes:
    """Give the caller a process, waiting up to ``timeout`` seconds for one."""
    attempt = await _attempt(ctx, call, msg)
    call.watch()
    row = await _claimed(ctx, attempt, msg.timeout)
    if call.is_gone():
        ctx.spawn(_surely(lambda: _give_back(ctx, attempt, row)))
        raise NothingAvailable("the client has gone; the process is queued again")
    call.on_undelivered(lambda: ctx.spawn(_surely(lambda: _give_back(ctx, attempt, row))))
    return shown_assignment(row, attempt.colony.name)


@dataclass(slots=True)
class _Attempt:
    """One executor asking in one colony."""

    call: Call
    colony: Colony
    gate: Gate
    offer: Offer


async def _attempt(ctx: Context, call: Call, msg: wire_process.AssignProcessMsg) -> _Attempt:
    """Check the request; a refusal on remembered rows is checked against fresh ones."""
    try:
        return await _checked(ctx, call, msg, fresh=False)
    except Rejected:
        return await _checked(ctx, call, msg, fresh=True)


async def _checked(
    ctx: Context, call: Call, msg: wire_process.AssignProcessMsg, *, fresh: bool
) -> _Attempt:
    colony, gate = await ctx.gate(call, msg.colonyname, fresh=fresh)
    access.member(gate)
    if msg.timeout == 0:
        raise Invalid("Invalid timeout value, timeout cannot be zero")
    executor = executor_aggregate.assigning(gate)
    if colony is None:
        raise Denied("unreachable: a member of no colony")
    cpu = millicores(msg.availablecpu) if msg.availablecpu else None
    mem = in_bytes(msg.availablemem) if msg.availablemem else None
    return _Attempt(call, colony, gate, _offer(executor, cpu, mem))


def _offer(executor: MemberRow, cpu: int | None, mem: int | None) -> Offer:
    return Offer(
        executor_id=executor.id,
        executor_type=executor.executor_type,
        name=executor.name,
        location=executor.location,
        cpu=cpu,
        mem=mem,
    )


async def _claimed(ctx: Context, attempt: _Attempt, timeout_s: int) -> ProcessRow:
    outcome = await _claim(ctx, attempt)
    if isinstance(outcome, ProcessRow):
        return outcome
    if timeout_s < 0:
        if outcome == "paused":
            raise Paused("No processes available: colony assignments are paused")
        raise NothingAvailable("No process available for assignment")
    return await _wait(ctx, attempt, min(timeout_s, _MOST_WAIT_S))


async def _wait(ctx: Context, attempt: _Attempt, timeout_s: int) -> ProcessRow:
    """Register, try once more, and then wait to be woken; nothing falls between."""
    until = asyncio.get_running_loop().time() + timeout_s
    channel = keys.wake_channel(attempt.colony.tag)
    waiter = ctx.waiting.enter(channel, attempt.offer)
    attempt.call.on_gone(waiter.abandon)
    outcome: ProcessRow | str = "empty"
    try:
        await ctx.listen(channel)
        while not waiter.gone:
            waiter.begin_try()
            outcome = await _claim(ctx, attempt)
            if isinstance(outcome, ProcessRow):
                waiter.end_try(outcome.class_key)
                return outcome
            waiter.end_try(None)
            ctx.presence.heard(attempt.colony.tag, attempt.call.caller)
            now = asyncio.get_running_loop().time()
            if not await ctx.waiting.wait(waiter, min(until, now + _NOTED_S)) and now >= until:
                break
    finally:
        ctx.waiting.leave(channel, waiter)
    if outcome == "paused":
        raise PausedWhileWaiting("Assignment timeout: colony assignments are paused")
    raise NothingAvailable("No process available for assignment")


async def _claim(ctx: Context, attempt: _Attempt) -> ProcessRow | str:
    """One try, repeated while what it rests on changes under it; "empty" or "paused" if in vain."""
    while True:
        outcome = await _claim_once(ctx, attempt)
        match outcome:
            case Claimed():
                return _given_out(ctx, attempt, outcome)
            case Repeat():
                return await _as_first_time(ctx, attempt, outcome)
            case NotClaimed(why="empty" | "paused"):
                return outcome.why
            case NotClaimed(why="classes"):
                await ctx.directory.classes(attempt.colony, fresh=True)
            case NotClaimed():
                await _recheck(ctx, attempt)


async def _claim_once(ctx: Context, attempt: _Attempt) -> Claimed | NotClaimed | Repeat:
    colony = attempt.colony
    classes = await ctx.directory.classes(colony, fresh=False)
    matching = colony.matching(attempt.offer, classes)
    if len(matching.queues) <= _MOST_QUEUES:
        return await _claim_from(ctx, attempt, matching)
    while True:
        foremost, all_of_them = await _foremost(ctx, matching)
        outcome = await _claim_from(ctx, attempt, foremost)
        if all_of_them or outcome != NotClaimed("empty"):
            return outcome


async def _foremost(ctx: Context, matching: Matching) -> tuple[Matching, bool]:
    """Of very many classes those whose heads come first now, and whether no others have any.

    What comes to wait behind this look is told to whoever waits, as ever.
    """
    heads = await ctx.store.read(*(("ZRANGE", queue, 0, 0) for queue in matching.queues))
    found = sorted((head[0], at) for at, head in enumerate(heads) if head)
    first = [at for _, at in found[:_MOST_QUEUES]]
    foremost = Matching(
        of=matching.of,
        classes=tuple(matching.classes[at] for at in first),
        queues=tuple(matching.queues[at] for at in first),
    )
    return foremost, len(found) <= _MOST_QUEUES


async def _claim_from(
    ctx: Context, attempt: _Attempt, matching: Matching
) -> Claimed | NotClaimed | Repeat:
    colony, row = attempt.colony, attempt.gate.colony
    claim = Claim(
        executor_id=attempt.call.caller,
        guard=row.guard if row else 0,
        member_guard=attempt.gate.member.guard if attempt.gate.member else 0,
        epoch=matching.of.epoch,
        classes=matching.classes,
        queues=matching.queues,
        now_ns=ctx.store.clock.now_ns(),
    )
    try:
        return await ctx.store.claim(colony.tag, claim, attempt.call.signed)
    except (Unavailable, asyncio.CancelledError):
        if not attempt.call.signed.nonce:
            ctx.spawn(_surely(lambda: _give_back_if_claimed(ctx, attempt, claim.now_ns)))
        raise


async def _recheck(ctx: Context, attempt: _Attempt) -> None:
    """The colony or the executor changed: is the caller still entitled?

    Raises:
        Denied, Missing: it is not.
        NothingAvailable: it is, but as somebody else: the colony or the executor was added anew.
    """
    colony, attempt.gate = await ctx.gate(attempt.call, attempt.colony.name, fresh=True)
    executor = executor_aggregate.assigning(attempt.gate)
    offer = _offer(executor, attempt.offer.cpu, attempt.offer.mem)
    if colony is not attempt.colony or offer != attempt.offer:
        raise NothingAvailable("No process available for assignment")


def _given_out(ctx: Context, attempt: _Attempt, claimed: Claimed) -> ProcessRow:
    row = ProcessRow(id=claimed.process_id, row=claimed.row)
    ctx.remember_assigned(row)
    if not ctx.observers:
        return row
    event = ProcessAssigned(
        subject=row.id,
        actor=attempt.call.caller,
        at_ns=row.started_ns,
        class_key=row.class_key,
        queued_as=row.queued_as,
        max_exec_s=row.row.get(b"max_exec", b"0").decode().zfill(10),
    )
    ctx.published(attempt.colony, (event,))
    return row


async def _as_first_time(ctx: Context, attempt: _Attempt, repeat: Repeat) -> ProcessRow:
    """The process as it was given out to the first request with this nonce."""
    if not repeat.last:
        raise Corrupt("an assignment without an event")
    event = await ctx.store.event_at(attempt.colony.tag, repeat.last)
    row = await listings.process(ctx.store, attempt.colony.tag, event.subject)
    if row is None or (row.holder, row.started_ns) != (event.actor, event.at_ns):
        raise NothingAvailable("No process available for assignment")
    then = {b"state": b"1", b"holder": event.actor.encode(), b"started": b"%d" % event.at_ns}
    earlier = row.attributes_until(event.at_ns)
    since = {b"out", b"errors"} | {
        b"a:" + name.encode() for name in row.added_attributes if name not in earlier
    }
    if row.ended_ns > event.at_ns:  # else it is the end of an earlier try
        since.add(b"ended")
    now = {k: v for k, v in row.row.items() if k not in since}
    return ProcessRow(id=row.id, row=now | then)


async def _surely(give_back: Callable[[], Awaitable[None]]) -> None:
    """Give back as soon as the store lets us: nobody else knows that nobody runs it."""
    for pause_s in (*_PATIENCE_S, None):
        try:
            await give_back()
        except (Unavailable, Overloaded):
            if pause_s is None:
                raise
            await asyncio.sleep(pause_s)
        else:
            return


async def _give_back_if_claimed(ctx: Context, attempt: _Attempt, claimed_ns: int) -> None:
    """Give back what a claim took of which no answer came; its moment names the hold."""
    tag, caller = attempt.colony.tag, attempt.call.caller
    held = await ctx.store.send("SMEMBERS", tag.key(keys.held(caller)))
    rows = await listings.processes(ctx.store, tag, (member.decode() for member in held))
    for row in rows:
        if row.started_ns == claimed_ns:
            await _give_back(ctx, attempt, row)


async def _give_back(ctx: Context, attempt: _Attempt, given: ProcessRow) -> None:
    """Queue a process again that its executor never heard of."""
    colony = attempt.colony

    async def read(_fresh: bool) -> tuple[Tag, tuple[list[ProcessRow], Classes]]:  # noqa: FBT001
        rows = await listings.processes(ctx.store, colony.tag, [given.id])
        return colony.tag, (rows, await ctx.directory.classes(colony, fresh=True))

    def decide(current: tuple[list[ProcessRow], Classes], now_ns: int) -> Decision:
        rows, classes = current
        same = [row for row in rows if row.started_ns == given.started_ns]
        return requeue(same, attempt.call.caller, _UNDELIVERED, classes.by_key, now_ns)

    outcome = await ctx.store.run(read, decide, BY_SERVER)
    if isinstance(outcome, Done):
        ctx.happened(colony, outcome)


async def pause(ctx: Context, call: Call, msg: wire_colony.PauseAssignmentsMsg) -> wire.Empty:
    """Stop giving out work."""
    await ctx.write(
        call,
        lambda fresh: ctx.gate(call, msg.colonyname, fresh=fresh),
        colony_aggregate.pause,
    )
    return wire.Empty()


async def resume(ctx: Context, call: Call, msg: wire_colony.ResumeAssignmentsMsg) -> wire.Empty:
    """Give out work again."""
    await ctx.write(
        call,
        lambda fresh: ctx.gate(call, msg.colonyname, fresh=fresh),
        colony_aggregate.resume,
    )
    return wire.Empty()


async def pause_status(
    ctx: Context, call: Call, msg: wire_colony.GetPauseStatusMsg
) -> wire_colony.PauseStatus:
    """Whether work is given out."""
    _, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate, approved=False)
    paused = gate.colony is not None and gate.colony.paused
    return wire_colony.PauseStatus(colonyname=msg.colonyname, ispaused=paused)
