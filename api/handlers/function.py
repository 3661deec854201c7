"""The registry of functions."""

from dataclasses import dataclass

from msgspec import UNSET

from api import wire, wire_function
from api.context import Call, Context
from api.present import shown_function
from broker import access, keys
from broker.access import EXECUTOR, Gate, MemberRow
from broker.aggregates import executor as executors
from broker.aggregates import function as aggregate
from broker.aggregates.function import FunctionRow
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, NotFound
from projections import functions
from projections.core.function import read_function
from projections.functions import FUNCTIONS, NEVER_RUN


@dataclass(frozen=True, slots=True)
class _Rows:
    gate: Gate
    named: MemberRow | None
    registered: list[FunctionRow]


async def _functions(ctx: Context, colony: Colony | None, executor: str) -> list[FunctionRow]:
    stored = (await ctx.rows(colony, keys.functions(executor)))[0]
    return [read_function(i.decode(), row) for i, row in stored.items()]


async def add(
    ctx: Context, call: Call, msg: wire_function.AddFunctionMsg
) -> wire_function.Function:
    """Register a function; the same one again answers with what is registered."""
    if msg.fun is None:
        raise Invalid("Failed to add function, msg.Function is nil")
    fun = msg.fun
    described = wire_function.Function(description=fun.description or UNSET, args=fun.args or UNSET)

    async def read(fresh: bool) -> tuple[Colony | None, _Rows]:  # noqa: FBT001
        colony, gate = await ctx.gate(call, fun.colonyname, fresh=fresh)
        named = await ctx.member_named(colony, executors.name_field(fun.executorname))
        return colony, _Rows(gate, named, await _functions(ctx, colony, fun.executorname))

    _, before = await read(fresh=True)
    function_id = fun.functionid or keys.new_id(
        before.gate.colony.suffix if before.gate.colony else ""
    )
    command = aggregate.AddFunction(
        function_id=function_id,
        executor=fun.executorname,
        name=fun.funcname,
        described=wire.encode(described),
    )

    def decide(rows: _Rows, now_ns: int) -> Decision:
        same_id = next((r for r in rows.registered if r.function_id == function_id), None)
        return aggregate.add(rows.gate, command, rows.named, same_id, now_ns)

    same = (command.name, command.described)
    known = next((row for row in before.registered if (row.name, row.described) == same), None)
    if known is not None:
        decide(_Rows(before.gate, before.named, []), 0)
        return shown_function(known, fun.colonyname, NEVER_RUN)
    event = await ctx.write(call, read, decide)
    if not isinstance(event, aggregate.FunctionAdded):
        raise Corrupt("a function that is not in the log")
    row = FunctionRow(
        function_id=event.subject,
        executor=event.executor,
        executor_type=event.executor_type,
        name=event.name,
        location=event.location,
        described=event.described,
    )
    return shown_function(row, fun.colonyname, NEVER_RUN)


async def get_all(
    ctx: Context, call: Call, msg: wire_function.GetFunctionsMsg
) -> list[wire_function.Function]:
    """List functions of one executor or of all."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    if msg.executorname:
        executors_named = [msg.executorname]
    else:
        executors_named = [row.name for row in await ctx.members(colony, EXECUTOR)]
    if colony is None:
        return []
    rows = [row for name in executors_named for row in await _functions(ctx, colony, name)]
    await ctx.progress.caught_up(colony.tag, FUNCTIONS)
    pairs = [(row.executor, row.name) for row in rows]
    statistics = await functions.read(ctx.store, colony.tag, pairs)
    return [
        shown_function(row, msg.colonyname, taken)
        for row, taken in zip(rows, statistics, strict=True)
    ]


async def remove(ctx: Context, call: Call, msg: wire_function.RemoveFunctionMsg) -> wire.Empty:
    """Forget a function."""
    if not msg.functionid:
        raise Invalid("Failed to remove function, msg.FunctionID is empty")
    colony = await ctx.directory.of_id(msg.functionid) or await _colony_of(ctx, msg.functionid)
    if colony is None:
        raise NotFound("Failed to remove function, function does not exist")

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, FunctionRow | None]]:  # noqa: FBT001
        found, gate = await ctx.gate(call, colony.name, fresh=fresh)
        return found, (gate, await _row(ctx, found, msg.functionid))

    await ctx.write(call, read, lambda rows, now: aggregate.remove(*rows, now))
    return wire.Empty()


async def _colony_of(ctx: Context, function_id: str) -> Colony | None:
    """Ids we made name their colony; ids that clients chose are looked for everywhere."""
    for colony in await ctx.candidates_of_id(function_id):
        if await _row(ctx, colony, function_id) is not None:
            return colony
    return None


async def _row(ctx: Context, colony: Colony | None, function_id: str) -> FunctionRow | None:
    for executor in await ctx.members(colony, EXECUTOR):
        for row in await _functions(ctx, colony, executor.name):
            if row.function_id == function_id:
                return row
    return None
