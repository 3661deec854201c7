"""Executors of a colony."""

from msgspec import UNSET

from api import wire, wire_executor
from api.context import Call, Context, MemberRows
from api.present import executor_of_event, shown_executor
from broker import access, keys
from broker.access import EXECUTOR
from broker.aggregates import executor as aggregate
from broker.aggregates.executor import ExecutorAdded
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Malformed, Missing, NotFound


async def add(
    ctx: Context, call: Call, msg: wire_executor.AddExecutorMsg
) -> wire_executor.Executor:
    """Add an executor, or revive one of the same name where that is allowed."""
    if msg.executor is None:
        raise Invalid("Failed to add executor, executor is nil")
    executor = msg.executor
    command = _command(executor)
    colony, rows = await _both(ctx, call, executor, fresh=True)
    if colony and rows.named and ctx.settings.allow_reregister:
        decided = aggregate.remove(rows.gate, rows.named, ctx.store.clock.now_ns())
        if decided.events and not await ctx.took_effect(call, colony.tag):
            _as_new(command, rows)
            await ctx.store.append(colony.tag, decided, call.unmarked().signed)
        await ctx.requeuer.held_by(colony, rows.named.id)

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await _both(ctx, call, executor, fresh=fresh)

    def decide(rows: MemberRows, now_ns: int) -> Decision:
        return aggregate.add(
            rows.gate,
            command,
            rows.named,
            rows.with_id,
            now_ns,
            allow_reregister=ctx.settings.allow_reregister,
        )

    event = await ctx.write(call, read, decide)
    if not isinstance(event, ExecutorAdded):
        raise Corrupt("an executor that is not in the log")
    return executor_of_event(event, executor.colonyname)


def _as_new(command: aggregate.AddExecutor, rows: MemberRows) -> None:
    """Refuse before the old executor is removed what would be refused after.

    Raises:
        Denied, Invalid: as ``aggregate.add``.
    """
    aggregate.add(rows.gate, command, rows.named, rows.with_id, 0, allow_reregister=True)


def _command(executor: wire_executor.Executor) -> aggregate.AddExecutor:
    blueprint_id, blueprint_gen = executor.blueprintid, executor.blueprintgen
    _time(executor.commissiontime)
    return aggregate.AddExecutor(
        executor_id=executor.executorid,
        name=executor.executorname,
        executor_type=executor.executortype,
        location=executor.locationname or "",
        require_func_reg=executor.requirefuncreg,
        heard_ns=_time(executor.lastheardfromtime),
        capabilities=capabilities_text(executor.capabilities),
        allocations=wire.encode(executor.allocations),
        blueprint_id="" if blueprint_id is UNSET else blueprint_id,
        blueprint_gen=0 if blueprint_gen is UNSET else blueprint_gen,
    )


def _time(text: str) -> int:
    try:
        return wire.parse_time(text)
    except Malformed as error:
        raise Malformed("Failed to add executor, invalid JSON") from error


def capabilities_text(given: wire_executor.Capabilities) -> bytes:
    """Capabilities as they are shown: lists, also when v1.7 sent single objects."""
    hardware, software = given.hardware, given.software
    return wire.encode(
        wire_executor.Capabilities(
            hardware=[hardware] if isinstance(hardware, wire_executor.Hardware) else hardware,
            software=[software] if isinstance(software, wire_executor.Software) else software,
        )
    )


async def _both(
    ctx: Context, call: Call, executor: wire_executor.Executor, *, fresh: bool
) -> tuple[Colony | None, MemberRows]:
    """Who has the name and who has the id of an executor that asks to join."""
    field = aggregate.name_field(executor.executorname)
    return await ctx.member_rows(call, executor.colonyname, field, executor.executorid, fresh=fresh)


async def _of_name(
    ctx: Context, call: Call, msg: wire_executor.OfExecutor, *, fresh: bool
) -> tuple[Colony | None, MemberRows]:
    """The executor that a message names."""
    field = aggregate.name_field(_name(msg))
    return await ctx.member_rows(call, msg.colonyname, field, "", fresh=fresh)


def _name(msg: wire_executor.OfExecutor) -> str:
    """Old clients put the name under ``executorid``."""
    return msg.executorname or msg.executorid


async def approve(ctx: Context, call: Call, msg: wire_executor.ApproveExecutorMsg) -> wire.Empty:
    """Approve an executor."""

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await _of_name(ctx, call, msg, fresh=fresh)

    await ctx.write(call, read, lambda rows, now: aggregate.approve(rows.gate, rows.named, now))
    return wire.Empty()


async def reject(ctx: Context, call: Call, msg: wire_executor.RejectExecutorMsg) -> wire.Empty:
    """Reject an executor; what it was running is queued again."""

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await _of_name(ctx, call, msg, fresh=fresh)

    event = await ctx.write(
        call, read, lambda rows, now: aggregate.reject(rows.gate, rows.named, now)
    )
    await _release(ctx, msg.colonyname, event.subject if event else "")
    return wire.Empty()


async def remove(ctx: Context, call: Call, msg: wire_executor.RemoveExecutorMsg) -> wire.Empty:
    """Unregister an executor; what it was running is queued again."""

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await _of_name(ctx, call, msg, fresh=fresh)

    event = await ctx.write(
        call, read, lambda rows, now: aggregate.remove(rows.gate, rows.named, now)
    )
    await _release(ctx, msg.colonyname, event.subject if event else "")
    return wire.Empty()


async def _release(ctx: Context, colony_name: str, executor_id: str) -> None:
    """Queue at once what the executor held; the timer does it if we do not get to it."""
    colony = await ctx.directory.named(colony_name)
    if colony is not None and executor_id:
        await ctx.requeuer.held_by(colony, executor_id)


async def get_all(
    ctx: Context, call: Call, msg: wire_executor.GetExecutorsMsg
) -> list[wire_executor.Executor]:
    """List executors in every state, in the order they joined."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.reader(gate, approved=False)
    if colony is None:
        return []
    heard = await ctx.presence.last(colony.tag)
    rows = await ctx.members(colony, EXECUTOR)
    rows.sort(key=lambda row: int(row.row[b"commissioned"]))
    return [shown_executor(row, colony.name, heard.get(row.id, 0)) for row in rows]


async def get(
    ctx: Context, call: Call, msg: wire_executor.GetExecutorMsg
) -> wire_executor.Executor:
    """Read an executor by name."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    row = await ctx.member_named(colony, aggregate.name_field(_name(msg)))
    if row is None or colony is None:
        raise Missing("Failed to get executor, executor is nil")
    access.member(gate)
    heard = await ctx.presence.last(colony.tag)
    return shown_executor(row, colony.name, heard.get(row.id, 0))


async def get_by_id(
    ctx: Context, call: Call, msg: wire_executor.GetExecutorByIdMsg
) -> wire_executor.Executor:
    """Read an executor by id, in the colony named, else in whichever has it."""
    for colony in await ctx.candidates(msg.colonyname):
        row = await ctx.member_with_id(colony, msg.executorid)
        if row is not None and row.kind == EXECUTOR:
            _, gate = await ctx.gate(call, colony.name)
            access.member(gate)
            heard = await ctx.presence.last(colony.tag)
            return shown_executor(row, colony.name, heard.get(row.id, 0))
    raise NotFound("Failed to get executor by ID, executor is nil")


async def report_allocation(
    ctx: Context, call: Call, msg: wire_executor.ReportAllocationMsg
) -> wire.Empty:
    """Replace the allocations of the calling executor."""
    allocations = wire.encode(msg.allocations or wire_executor.Allocations())

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await _of_name(ctx, call, msg, fresh=fresh)

    def decide(rows: MemberRows, now_ns: int) -> Decision:
        return aggregate.report_allocations(
            rows.gate, rows.named, msg.executorname, allocations, now_ns
        )

    await ctx.write(call, read, decide)
    return wire.Empty()


async def update(ctx: Context, call: Call, msg: wire_executor.UpdateExecutorMsg) -> wire.Empty:
    """Replace the capabilities of the calling executor."""
    capabilities = capabilities_text(msg.capabilities or wire_executor.Capabilities())

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await _of_name(ctx, call, msg, fresh=fresh)

    def decide(rows: MemberRows, now_ns: int) -> Decision:
        return aggregate.update_capabilities(
            rows.gate, rows.named, msg.executorname, capabilities, now_ns
        )

    await ctx.write(call, read, decide)
    return wire.Empty()


async def change_id(ctx: Context, call: Call, msg: wire_executor.ChangeExecutorIdMsg) -> bytes:
    """Move the calling executor, with what it runs, to another key."""

    async def read(fresh: bool) -> tuple[Colony | None, tuple[MemberRows, list[str]]]:  # noqa: FBT001
        colony, rows = await ctx.member_rows(call, msg.colonyname, "", msg.executorid, fresh=fresh)
        if colony is None:
            return None, (rows, [])
        held = await ctx.store.send("SMEMBERS", colony.tag.key(keys.held(call.caller)))
        return colony, (rows, sorted(member.decode() for member in held))

    def decide(both: tuple[MemberRows, list[str]], now_ns: int) -> Decision:
        rows, holding = both
        taken = rows.with_id is not None
        return aggregate.change_id(rows.gate, msg.executorid, holding, now_ns, taken=taken)

    await ctx.write(call, read, decide)
    return call.payload
