"""Crons: add, look, run now, remove."""

import secrets

from msgspec import UNSET
from msgspec.structs import replace

from api import wire_cron as wire
from api.context import Call, Context
from api.wire import Empty, rfc3339
from api.workflowspec import template_in
from broker import access, keys
from broker.access import Gate
from broker.aggregates import cron as aggregate
from broker.aggregates.cron import AddCron, CronAdded, CronFired, CronRow, Draft, Occasion
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Missing, Replayed
from broker.occasion import cron_row

_Run = tuple[Gate, Occasion, Draft | None]


async def add(ctx: Context, call: Call, msg: wire.AddCronMsg) -> wire.Cron:
    """Add a cron; the protocol shows no times in this reply."""
    if msg.cron is None:
        raise Invalid("Failed to add cron, msg.Cron is nil")
    given = msg.cron
    command: AddCron | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, str | None]]:  # noqa: FBT001
        nonlocal command
        colony, gate = await ctx.gate(call, given.colonyname, fresh=fresh)
        access.member(gate)
        if colony is None:
            raise Corrupt("a member of no colony")
        if command is None:
            command = _command(ctx, given, colony)
        return colony, (gate, await ctx.id_named(colony, keys.CRON_NAMES, given.name))

    def decide(rows: tuple[Gate, str | None], now_ns: int) -> Decision:
        if command is None:
            raise Corrupt("decided before it was read")
        return aggregate.add(rows[0], command, rows[1], ctx.zone, now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, CronAdded):
        raise Corrupt("a cron that is not in the log")
    return _of_event(event, given.colonyname)


def _command(ctx: Context, given: wire.Cron, colony: Colony) -> AddCron:
    template, _ = template_in(ctx, given.workflowspec, colony)
    command = AddCron(
        cron_id=keys.new_id(colony.suffix),
        name=given.name,
        expression=given.cronexpression,
        interval=given.interval,
        random=given.random,
        waits=given.waitforprevprocessgraph,
        missed=given.missed or aggregate.SKIP,
        workflow=given.workflowspec,
        template=template,
        chance=secrets.randbelow(max(given.interval, 1)) + 1,
    )
    aggregate.check(command, ctx.zone)
    return command


def _of_event(event: CronAdded, colony_name: str) -> wire.Cron:
    return wire.Cron(
        cronid=event.subject,
        initiatorid=event.actor,
        initiatorname=event.initiator_name,
        colonyname=colony_name,
        name=event.name,
        cronexpression=event.expression,
        interval=event.interval,
        random=event.random,
        workflowspec=event.workflow,
        waitforprevprocessgraph=event.waits,
        missed=UNSET if event.missed == aggregate.SKIP else event.missed,
    )


def _shown(row: CronRow, colony_name: str) -> wire.Cron:
    given = row.given
    return wire.Cron(
        cronid=row.id,
        initiatorid=row.initiator_id,
        initiatorname=given["initiator_name"],
        colonyname=colony_name,
        name=given["name"],
        cronexpression=given["expression"],
        interval=given["interval"],
        random=given["random"],
        nextrun=rfc3339(row.next_ns),
        lastrun=rfc3339(row.last_ns),
        workflowspec=given["workflow"],
        prevprocessgraphid=row.previous,
        waitforprevprocessgraph=given["waits"],
        missed=UNSET if given["missed"] == aggregate.SKIP else given["missed"],
    )


async def get(ctx: Context, call: Call, msg: wire.GetCronMsg) -> wire.Cron:
    """Read a cron."""
    colony, (gate, row) = await _located(ctx, call, msg.cronid, fresh=True)
    if row is None or colony is None:
        raise Missing("Failed to get cron, cron is nil")
    access.member(gate)
    return replace(_shown(row, colony.name), checkerperiod=ctx.settings.cron_checker_ms)


async def _located(
    ctx: Context, call: Call, cron_id: str, *, fresh: bool
) -> tuple[Colony | None, tuple[Gate, CronRow | None]]:
    colony, gate = await ctx.gate_of(call, cron_id, fresh=fresh)
    return colony, (gate, await cron_row(ctx.store, colony.tag, cron_id) if colony else None)


async def get_many(ctx: Context, call: Call, msg: wire.GetCronsMsg) -> list[wire.Cron]:
    """List crons, oldest first."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    if msg.count < 0:
        raise Invalid("Failed to get crons, count must not be negative")
    ids = await ctx.first_ids(colony, keys.CRONS, msg.count)
    rows = await ctx.rows(colony, *(keys.cron(i) for i in ids)) if ids else []
    found = (CronRow.read(i, row) for i, row in zip(ids, rows, strict=True))
    return [_shown(row, msg.colonyname) for row in found if row is not None]


async def run(ctx: Context, call: Call, msg: wire.RunCronMsg) -> wire.Cron:
    """Start the workflow of a cron now; the reply shows the cron as it was before."""
    seen: CronRow | None = None

    async def read(fresh: bool) -> tuple[Colony | None, _Run]:  # noqa: FBT001 - run's own shape
        nonlocal seen
        colony, gate = await ctx.gate_of(call, msg.cronid, fresh=fresh)
        if colony is None:
            return None, (gate, Occasion(cron=None), None)
        occasion, draft = await ctx.crons.occasion(colony, msg.cronid, fresh=fresh)
        seen = occasion.cron
        return colony, (gate, occasion, draft)

    def decide(rows: _Run, now_ns: int) -> Decision:
        return aggregate.run(*rows, ctx.zone, now_ns)

    event = await ctx.write(call, read, decide)
    colony = await ctx.directory.of_id(msg.cronid)
    if seen is None or colony is None:
        raise Replayed("this cron was run by the first such request, and has been removed since")
    shown = _shown(seen, colony.name)
    return _before(shown, event) if isinstance(event, CronFired) else shown


def _before(shown: wire.Cron, fired: CronFired) -> wire.Cron:
    return replace(
        shown,
        nextrun=rfc3339(fired.was_next_ns),
        lastrun=rfc3339(fired.was_last_ns),
        prevprocessgraphid=fired.was_workflow,
    )


async def remove(ctx: Context, call: Call, msg: wire.RemoveCronMsg) -> Empty:
    """Remove a cron."""

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, CronRow | None]]:  # noqa: FBT001
        return await _located(ctx, call, msg.cronid, fresh=fresh)

    await ctx.write(call, read, lambda rows, now_ns: aggregate.remove(*rows, now_ns))
    return Empty()
