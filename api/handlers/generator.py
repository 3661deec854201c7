"""Generators: add, look, pack, remove."""

from contextlib import AsyncExitStack

from msgspec.structs import replace

from api import wire_generator as wire
from api.context import Call, Context
from api.wire import Empty, rfc3339
from api.workflowspec import template_in
from broker import access, keys
from broker.access import Gate
from broker.aggregates import generator as aggregate
from broker.aggregates.generator import AddGenerator, Batch, GeneratorAdded, GeneratorRow
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Missing
from broker.occasion import generator_row

_ATTEMPTS = 64
"""Where each pack starts a workflow, or nearly, servers often are faster than one another."""
_Packing = tuple[Gate, GeneratorRow | None, Batch | None]


async def add(ctx: Context, call: Call, msg: wire.AddGeneratorMsg) -> wire.Generator:
    """Add a generator."""
    if msg.generator is None:
        raise Invalid("Failed to add generator, msg.Generator is nil")
    given = msg.generator
    command: AddGenerator | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, str | None]]:  # noqa: FBT001
        nonlocal command
        colony, gate = await ctx.gate(call, given.colonyname, fresh=fresh)
        access.member(gate)
        if colony is None:
            raise Corrupt("a member of no colony")
        if command is None:
            command = _command(ctx, given, colony)
        return colony, (gate, await ctx.id_named(colony, keys.GENERATOR_NAMES, given.name))

    def decide(rows: tuple[Gate, str | None], now_ns: int) -> Decision:
        if command is None:
            raise Corrupt("decided before it was read")
        return aggregate.add(rows[0], command, rows[1], now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, GeneratorAdded):
        raise Corrupt("a generator that is not in the log")
    return _of_event(event, given.colonyname)


def _command(ctx: Context, given: wire.Generator, colony: Colony) -> AddGenerator:
    template, roots = template_in(ctx, given.workflowspec, colony)
    command = AddGenerator(
        generator_id=keys.new_id(colony.suffix),
        name=given.name,
        trigger=given.trigger,
        timeout=given.timeout,
        workflow=given.workflowspec,
        template=template,
        roots=roots,
    )
    aggregate.check(command)
    return command


def _of_event(event: GeneratorAdded, colony_name: str) -> wire.Generator:
    return wire.Generator(
        generatorid=event.subject,
        initiatorid=event.actor,
        initiatorname=event.initiator_name,
        colonyname=colony_name,
        name=event.name,
        workflowspec=event.workflow,
        trigger=event.trigger,
        timeout=event.timeout,
    )


def _shown(row: GeneratorRow, colony_name: str) -> wire.Generator:
    given = row.given
    return wire.Generator(
        generatorid=row.id,
        initiatorid=row.initiator_id,
        initiatorname=given["initiator_name"],
        colonyname=colony_name,
        name=given["name"],
        workflowspec=given["workflow"],
        trigger=given["trigger"],
        timeout=given["timeout"],
        firstpack=rfc3339(row.first_ns),
        lastrun=rfc3339(row.last_ns),
    )


async def get(ctx: Context, call: Call, msg: wire.GetGeneratorMsg) -> wire.Generator:
    """Read a generator, with how much waits in it."""
    colony, (gate, row) = await _located(ctx, call, msg.generatorid, fresh=True)
    if row is None or colony is None:
        raise Missing("Failed to get generator, generator is nil")
    access.member(gate)
    period = ctx.settings.generator_checker_ms
    return replace(_shown(row, colony.name), queuesize=row.waiting, checkerperiod=period)


async def _located(
    ctx: Context, call: Call, generator_id: str, *, fresh: bool
) -> tuple[Colony | None, tuple[Gate, GeneratorRow | None]]:
    colony, gate = await ctx.gate_of(call, generator_id, fresh=fresh)
    row = await generator_row(ctx.store, colony.tag, generator_id) if colony else None
    return colony, (gate, row)


async def resolve(ctx: Context, call: Call, msg: wire.ResolveGeneratorMsg) -> wire.Generator:
    """Read a generator by its name."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    names = keys.GENERATOR_NAMES
    found = await ctx.id_named(colony, names, msg.generatorname) if colony else None
    row = await generator_row(ctx.store, colony.tag, found) if colony and found else None
    if row is None:
        raise Missing("Failed to resolve generator, generator is nil")
    access.member(gate)
    return _shown(row, msg.colonyname)


async def get_many(ctx: Context, call: Call, msg: wire.GetGeneratorsMsg) -> list[wire.Generator]:
    """List generators, oldest first."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    if msg.count < 0:
        raise Invalid("Failed to get generators, count must not be negative")
    ids = await ctx.first_ids(colony, keys.GENERATORS, msg.count)
    rows = await ctx.rows(colony, *(keys.generator(i) for i in ids)) if ids else []
    found = (GeneratorRow.read(i, row) for i, row in zip(ids, rows, strict=True))
    return [_shown(row, msg.colonyname) for row in found if row is not None]


async def pack(ctx: Context, call: Call, msg: wire.PackGeneratorMsg) -> Empty:
    """Put an argument into a generator; the one that fills it starts a workflow.

    The first try assumes that it is not that one. Those for which that was wrong take turns.
    """
    generator_id, has_turn = msg.generatorid, False
    async with AsyncExitStack() as turns:

        async def read(fresh: bool) -> tuple[Colony | None, _Packing]:  # noqa: FBT001
            nonlocal has_turn
            if not has_turn and (fresh or ctx.packing.must_queue(generator_id)):
                await turns.enter_async_context(ctx.packing.turn(generator_id))
                has_turn = True
            colony, gate = await ctx.gate_of(call, generator_id, fresh=fresh)
            if colony is None:
                return None, (gate, None, None)
            assumed = None if has_turn else ctx.packing.assumed(generator_id)
            row = assumed or await generator_row(ctx.store, colony.tag, generator_id)
            ctx.packing.remember(generator_id, row)
            is_last = row is not None and row.room <= 1
            batch = await ctx.generators.batch(colony, row) if row and is_last else None
            return colony, (gate, row, batch)

        def decide(rows: _Packing, now_ns: int) -> Decision:
            gate, row, batch = rows
            return aggregate.pack(gate, row, msg.arg, batch, now_ns)

        await ctx.write(call, read, decide, attempts=_ATTEMPTS)
    return Empty()


async def remove(ctx: Context, call: Call, msg: wire.RemoveGeneratorMsg) -> Empty:
    """Remove a generator with what waits in it."""

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, GeneratorRow | None]]:  # noqa: FBT001
        return await _located(ctx, call, msg.generatorid, fresh=fresh)

    await ctx.write(call, read, lambda rows, now_ns: aggregate.remove(*rows, now_ns))
    return Empty()
