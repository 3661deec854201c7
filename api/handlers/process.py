"""Processes: submit, look, close, cancel, remove. Assignment is in ``assign.py``."""

from collections.abc import Callable

from api import wire, wire_process
from api.context import Call, Context
from api.handlers.workflow import sweep_after
from api.present import shown_process, shown_submission
from api.specs import SubmitMsg, check_free_form, colony_of, command_of, json_list
from broker import access, keys
from broker.access import Gate
from broker.aggregates import process_close, process_end, process_submit
from broker.aggregates.process import ProcessSubmitted, State
from broker.aggregates.process_close import CloseProcess
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.process_submit import SubmitProcess
from broker.aggregates.succession import Kin, follow
from broker.clock import SECOND_NS
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, NotFound
from broker.kinship import kin_of
from broker.matching import class_of
from projections.core import listings

_MOST_LISTED = 100
_ANY = -1

Rows = tuple[Gate, ProcessRow | None]
Decide = Callable[[Gate, ProcessRow | None, int], Decision]


async def submit(ctx: Context, call: Call, msg: SubmitMsg) -> bytes:
    """Queue a function spec."""
    if msg.spec is None:
        raise Invalid("Failed to submit process spec, msg.FunctionSpec is nil")
    spec = msg.spec
    check_free_form(spec)
    name = colony_of(spec)
    command: SubmitProcess | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, Colony | None]]:  # noqa: FBT001
        colony, gate = await ctx.gate(call, name, fresh=fresh)
        if colony is not None:
            await ctx.count_waiting(colony)
            await ctx.directory.classes(colony, fresh=fresh)
        return colony, (gate, colony)

    def decide(rows: tuple[Gate, Colony | None], now_ns: int) -> Decision:
        nonlocal command
        gate, colony = rows
        access.member(gate)
        if colony is not None:
            ctx.check_queue(colony)
        if command is None:
            command = command_of(spec, keys.new_id(gate.colony.suffix if gate.colony else ""))
        classes = colony.classes if colony else None
        known = classes is not None and class_of(command.requires) in classes.by_key
        return process_submit.submit(gate, command, now_ns, class_known=known)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, ProcessSubmitted):
        raise Corrupt("a submit that is not in the log")
    return shown_submission(event, name)


async def get(ctx: Context, call: Call, msg: wire_process.GetProcessMsg) -> wire_process.Process:
    """Read a process."""
    colony, (gate, row) = await _located(ctx, call, msg.processid, fresh=True)
    if row is None or colony is None:
        raise NotFound("Failed to get process, process not found")
    access.member(gate)
    return shown_process(row, colony.name)


async def _located(
    ctx: Context, call: Call, process_id: str, *, fresh: bool
) -> tuple[Colony | None, Rows]:
    colony, gate = await ctx.gate_of(call, process_id, fresh=fresh)
    row = await listings.process(ctx.store, colony.tag, process_id) if colony else None
    return colony, (gate, row)


async def _change(ctx: Context, call: Call, process_id: str, decide: Decide) -> wire.Empty:
    async def read(fresh: bool) -> tuple[Colony | None, Rows]:  # noqa: FBT001
        return await _located(ctx, call, process_id, fresh=fresh)

    await ctx.write(call, read, lambda rows, now_ns: decide(*rows, now_ns))
    return wire.Empty()


async def set_output(ctx: Context, call: Call, msg: wire_process.SetOutputMsg) -> wire.Empty:
    """Give a running process output."""
    out = json_list(msg.output, "Failed to set output")

    def decide(gate: Gate, row: ProcessRow | None, now_ns: int) -> Decision:
        return process_close.set_output(gate, row, out, now_ns)

    return await _change(ctx, call, msg.processid, decide)


async def close_successful(
    ctx: Context, call: Call, msg: wire_process.CloseSuccessfulMsg
) -> wire.Empty:
    """Close a process as successful."""
    out = json_list(msg.output, "Failed to close successful")
    outcome = State.SUCCESS
    command = CloseProcess(process_id=msg.processid, outcome=outcome, out=out, errors=[])
    return await _close(ctx, call, command)


async def close_failed(ctx: Context, call: Call, msg: wire_process.CloseFailedMsg) -> wire.Empty:
    """Close a process as failed."""
    command = CloseProcess(
        process_id=msg.processid, outcome=State.FAILED, out=None, errors=msg.errors
    )
    return await _close(ctx, call, command)


async def _close(ctx: Context, call: Call, command: CloseProcess) -> wire.Empty:
    """Decide on the row as it was assigned here, if it was: that saves reading it again."""
    where: Colony | None = None

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Rows, Kin]]:  # noqa: FBT001
        nonlocal where
        row = None if fresh else ctx.assigned.pop(command.process_id, None)
        if row is None:
            where, rows = await _located(ctx, call, command.process_id, fresh=fresh)
        else:
            where, gate = await ctx.gate_of(call, command.process_id, fresh=False)
            rows = gate, row if where else None
        succeeds = command.outcome is State.SUCCESS
        return where, (rows, await _kin(ctx, where, rows[1], succeeds=succeeds, fresh=fresh))

    def decide(rows: tuple[Rows, Kin], now_ns: int) -> Decision:
        (gate, row), kin = rows
        closed = process_close.close(gate, command, row, now_ns)
        if row is None or where is None or where.classes is None:
            return closed
        return follow(closed, row, kin, where.classes.by_key)

    event = await ctx.write(call, read, decide)
    await sweep_after(ctx, where, event)
    return wire.Empty()


async def _kin(
    ctx: Context, colony: Colony | None, row: ProcessRow | None, *, succeeds: bool, fresh: bool
) -> Kin:
    """What the end of a process is judged by, if it is part of a workflow."""
    if colony is None or row is None or not row.graph:
        return Kin(workflow=None)
    await ctx.directory.classes(colony, fresh=fresh)
    return await kin_of(ctx.store, colony.tag, row, succeeds=succeeds)


async def cancel(ctx: Context, call: Call, msg: wire_process.CancelProcessMsg) -> wire.Empty:
    """Cancel a process."""
    return await _change(ctx, call, msg.processid, process_end.cancel)


async def remove(ctx: Context, call: Call, msg: wire_process.RemoveProcessMsg) -> wire.Empty:
    """Remove a process."""
    return await _change(ctx, call, msg.processid, process_end.remove)


async def get_many(
    ctx: Context, call: Call, msg: wire_process.GetProcessesMsg
) -> list[wire_process.Process]:
    """List processes in one state; the first of the filters that is set applies."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.reader(gate)
    if msg.count > _MOST_LISTED:
        raise Invalid(f"Count is larger than MaxCount limit <{_MOST_LISTED}>")
    if msg.count < 0:
        raise Invalid("Failed to get processes, count must not be negative")
    if msg.processgraphid:
        return await _of_workflow(ctx, colony, msg)
    keep = await _filter(ctx, colony, msg)
    if msg.state not in set(State):
        raise Invalid("Failed to get processes, invalid msg.State")
    if msg.count == 0 or colony is None:
        return []
    classes = await ctx.directory.classes(colony, fresh=True)
    rows = await listings.listed(
        ctx.store, colony.tag, classes, State(msg.state), keep, count=msg.count
    )
    return [shown_process(row, colony.name) for row in rows]


async def _of_workflow(
    ctx: Context, colony: Colony | None, msg: wire_process.GetProcessesMsg
) -> list[wire_process.Process]:
    """The processes of one workflow in its order, in one state or (-1) in any."""
    if msg.state not in {_ANY, *State}:
        raise Invalid("Failed to get processes, invalid msg.State")
    if colony is None:
        return []
    ids = await listings.nodes(ctx.store, colony.tag, msg.processgraphid)
    found = list[wire_process.Process]()
    for first in range(0, len(ids), listings.PAGE):
        page = await listings.processes(ctx.store, colony.tag, ids[first : first + listings.PAGE])
        kept = (row for row in page if msg.state in {_ANY, row.state})
        found += (shown_process(row, colony.name) for row in kept)
        if len(found) >= msg.count:
            break
    return found[: msg.count]


async def _filter(
    ctx: Context, colony: Colony | None, msg: wire_process.GetProcessesMsg
) -> listings.Keep:
    if msg.executortype:
        return lambda row: row.requirement.executor_type == msg.executortype
    if msg.initiator:
        user = await ctx.member_named(colony, f"{access.USER}/{msg.initiator}")
        if user is None:
            raise Invalid(f"User <{msg.initiator}> does not exist")
        return lambda row: row.given["initiator_name"] == user.name
    if msg.label:
        return lambda row: row.given["label"] == msg.label
    return lambda _: True


async def history(
    ctx: Context, call: Call, msg: wire_process.GetProcessHistMsg
) -> list[wire_process.Process]:
    """List processes submitted within the last seconds, ascending by submission."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.reader(gate)
    if msg.state not in set(State):
        raise Invalid("Failed to get process history, invalid msg.State")
    if colony is None:
        return []
    since_ns = ctx.store.clock.now_ns() - msg.seconds * SECOND_NS

    def keep(row: ProcessRow) -> bool:
        by = not msg.executorid or row.holder == msg.executorid
        return by and row.submitted_ns >= since_ns

    classes = await ctx.directory.classes(colony, fresh=True)
    rows = await listings.listed(
        ctx.store, colony.tag, classes, State(msg.state), keep, since_ns=max(since_ns, 0)
    )
    rows.sort(key=lambda row: row.submitted_ns)
    return [shown_process(row, colony.name) for row in rows]


async def remove_all(
    ctx: Context, call: Call, msg: wire_process.RemoveAllProcessesMsg
) -> wire.Empty:
    """Remove all processes in one state, or in every state but running, in bounded steps."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.colony_owner(gate)
    if msg.state == State.RUNNING:
        raise Invalid("Not possible to remove running processes")
    if msg.state != -1 and msg.state not in set(State):
        raise Invalid("Invalid state when deleting all processes")
    if colony is None or await ctx.took_effect(call, colony.tag):
        return wire.Empty()
    states = [s for s in State if s is not State.RUNNING] if msg.state == -1 else [State(msg.state)]
    for state in states:
        await _remove_state(ctx, call, colony, state)
    await ctx.store.append(colony.tag, Decision(), call.signed)
    return wire.Empty()


async def _remove_state(ctx: Context, call: Call, colony: Colony, state: State) -> None:
    """As many as were in the state when asked; what arrives meanwhile may stay."""
    classes = await ctx.directory.classes(colony, fresh=True)
    if state is State.WAITING:
        async for page in listings.ids(ctx.store, colony.tag, classes, state):
            await _remove_page(ctx, call, colony, state, page)
        return
    left = (await listings.counts(ctx.store, colony.tag, classes))[state]
    kept = 0
    while left > 0:
        pages = listings.ids(ctx.store, colony.tag, classes, state, skip=kept)
        page = await anext(pages, list[str]())
        if not page:
            return
        left -= len(page)
        kept += await _remove_page(ctx, call, colony, state, page)


async def _remove_page(
    ctx: Context, call: Call, colony: Colony, state: State, page: list[str]
) -> int:
    """How many of the page stay: processes of workflows go with their workflow."""
    stay = 0

    async def read(fresh: bool) -> tuple[Colony, tuple[Gate, list[ProcessRow]]]:  # noqa: FBT001
        _, gate = await ctx.gate(call, colony.name, fresh=fresh)
        return colony, (gate, await listings.processes(ctx.store, colony.tag, page))

    def decide(rows: tuple[Gate, list[ProcessRow]], now_ns: int) -> Decision:
        nonlocal stay
        allowed = access.colony_owner(rows[0])
        inside = [row for row in rows[1] if row.state is state]
        stay = sum(bool(row.graph) for row in inside)
        return process_end.remove_many(allowed, inside, call.caller, now_ns)

    await ctx.write(call.unmarked(), read, decide)
    return stay
