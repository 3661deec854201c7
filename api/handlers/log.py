"""Log lines: say, read, search."""

from api.context import Call, Context
from api.wire import Empty
from api.wire_log import (
    AddExecutorLogMsg,
    AddLogMsg,
    AddLogsMsg,
    GetLogsMsg,
    Log,
    SearchLogsMsg,
)
from api.wire_realtime import SubscribeLogsMsg
from broker import access, keys, log_search, logs
from broker.access import Gate
from broker.aggregates.process_row import ProcessRow
from broker.clock import DAY_NS
from broker.directory import Colony
from broker.errors import Denied, Invalid, Missing
from broker.keys import Key
from broker.logs import Line, Saying
from projections.core import listings

_MOST_READ = 500
_MOST_FOUND = 100
_MOST_DAYS = 30


async def add(ctx: Context, call: Call, msg: AddLogMsg) -> Empty:
    """Say a line about a process that the caller runs."""
    return await _add(ctx, call, msg.processid, [msg.message])


async def add_many(ctx: Context, call: Call, msg: AddLogsMsg) -> Empty:
    """Say many lines at once: all of them or none."""
    return await _add(ctx, call, msg.processid, msg.messages or [])


async def _add(ctx: Context, call: Call, process_id: str, lines: list[str]) -> Empty:
    logs.check_lines(lines, ctx.settings.limits.max_log_bytes)

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, ProcessRow | None]]:  # noqa: FBT001
        colony, gate = await ctx.gate_of(call, process_id, fresh=fresh)
        row = None if fresh else ctx.assigned.get(process_id)
        if row is None and colony is not None:
            row = await listings.process(ctx.store, colony.tag, process_id)
        return colony, (gate, row)

    await ctx.say(call, read, lambda rows, _now_ns: logs.of_process(*rows, lines), logs.say)
    return Empty()


async def add_of_executor(ctx: Context, call: Call, msg: AddExecutorLogMsg) -> Empty:
    """Say a line about oneself."""
    logs.check_lines([msg.message], ctx.settings.limits.max_log_bytes)

    def decide(gate: Gate, _now_ns: int) -> Saying:
        return logs.of_executor(gate, msg.executorname, [msg.message])

    await ctx.say(call, lambda fresh: ctx.gate(call, msg.colonyname, fresh=fresh), decide, logs.say)
    return Empty()


async def get(ctx: Context, call: Call, msg: GetLogsMsg) -> list[Log]:
    """Read lines of an executor or of a process, ascending."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    if msg.count > _MOST_READ:
        raise Denied(f"Count exceeds max log count ({_MOST_READ})")
    if msg.count < 0:
        raise Invalid("Failed to get logs, count must not be negative")
    if colony is None:
        return []
    index = await index_of(ctx, colony, msg)
    if msg.count == 0:
        return []
    if msg.latest:
        found = await logs.latest(ctx.store, colony.tag, index, count=msg.count)
    else:
        found = await logs.indexed(
            ctx.store, colony.tag, index, after_ns=msg.since, count=msg.count
        )
    return [shown(line, colony.name) for line in found]


async def index_of(ctx: Context, colony: Colony, msg: GetLogsMsg | SubscribeLogsMsg) -> Key:
    """The list of what is asked for; an executor wins over a process.

    Raises:
        Missing: there is no such process or executor.
    """
    if msg.executorname or msg.executorid:
        return keys.executor_log(await _executor(ctx, colony, msg))
    row = await ctx.store.send("EXISTS", colony.tag.key(keys.process(msg.processid)))
    if not row:
        raise Missing("Failed to get logs, process does not exist")
    return keys.process_log(msg.processid)


async def _executor(ctx: Context, colony: Colony, msg: GetLogsMsg | SubscribeLogsMsg) -> str:
    if msg.executorname:
        name = msg.executorname
        row = await ctx.member_named(colony, f"{access.EXECUTOR}/{name}")
        if row is not None or await ctx.store.send(
            "EXISTS", colony.tag.key(keys.executor_log(name))
        ):
            return name
    else:
        row = await ctx.member_with_id(colony, msg.executorid)
        if row is not None and row.kind == access.EXECUTOR:
            return row.name
    raise Missing("Failed to get logs, executor does not exist")


async def search(ctx: Context, call: Call, msg: SearchLogsMsg) -> list[Log]:
    """Look for lines with a text, newest first."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    if msg.count > _MOST_FOUND:
        raise Invalid(f"Count exceeds max log count ({_MOST_FOUND})")
    log_search.check_text(msg.text)
    if msg.days > _MOST_DAYS:
        raise Invalid(f"Count exceeds max day count ({_MOST_DAYS})")
    if colony is None or msg.days <= 0 or msg.count <= 0:
        return []
    since_ns = ctx.store.clock.now_ns() - msg.days * DAY_NS
    found = await log_search.search(
        ctx.store, colony.tag, msg.text, since_ns=since_ns, count=msg.count
    )
    return [shown(line, colony.name) for line in found]


def shown(line: Line, colony_name: str) -> Log:
    """A line as the protocol shows it."""
    return Log(
        processid=line.process_id,
        colonyname=colony_name,
        executorname=line.executor,
        message=line.text,
        timestamp=line.at_ns,
    )
