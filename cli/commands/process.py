"""``colonies process``: look at processes, and do by hand what an executor does."""

from typing import Annotated

from cyclopts import App, Parameter

from api import wire_colony, wire_process
from cli import render, spec
from cli.config import Role
from cli.errors import UsageError
from cli.options import NONE, ONCE, Format, Options, Watch
from cli.processes import COUNT, Filters, blocks, listing, whole_id
from cli.removal import ALL, Which, remove_all
from cli.session import Session
from cli.waiting import finish, output_text

app = App(name="process", help="Manage processes.", help_format="plaintext")

Switch = Annotated[bool, Parameter(negative="")]
Words = Annotated[list[str] | None, Parameter(negative="")]
ProcessId = Annotated[str, Parameter(name=("--processid", "-p"))]
_STATES = {state.value.lower(): number for number, state in enumerate(render.PROCESS_STATES)}


@app.command
async def psw(*, filters: Filters = COUNT, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List waiting processes, the next one first."""
    await _list(render.State.WAITING, filters, watch, options)


@app.command
async def ps(*, filters: Filters = COUNT, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List running processes."""
    await _list(render.State.RUNNING, filters, watch, options)


@app.command
async def pss(*, filters: Filters = COUNT, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List successful processes, the latest first."""
    await _list(render.State.SUCCESSFUL, filters, watch, options)


@app.command
async def psf(*, filters: Filters = COUNT, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List failed processes, the latest first."""
    await _list(render.State.FAILED, filters, watch, options)


@app.command
async def psc(*, filters: Filters = COUNT, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List cancelled processes, the latest first."""
    await _list(render.State.CANCELLED, filters, watch, options)


@app.command
async def ls(
    *,
    state: Annotated[str, Parameter(help=" or ".join(_STATES))] = "running",
    filters: Filters = COUNT,
    watch: Watch = ONCE,
    options: Options = NONE,
) -> None:
    """List processes in a state."""
    number = _STATES.get(state.lower())
    if number is None:
        raise UsageError(f"unknown state {state!r}", hint=f"known are {', '.join(_STATES)}")
    await _list(render.PROCESS_STATES[number], filters, watch, options)


async def _list(state: render.State, filters: Filters, watch: Watch, options: Options) -> None:
    async with Session(options) as session:
        message = filters.message(session.colony, render.PROCESS_STATES.index(state))
        client = session.client()

        async def ask() -> render.Listing:
            found = await client.ask_list(message, wire_process.Process)
            kept = [process for process in found if filters.keeps(process)]
            return listing(kept, state, wide=filters.wide)

        await session.show(ask, watch)


@app.command
async def get(
    processid: ProcessId,
    *,
    out: Switch = False,
    wait: Switch = False,
    within: float | None = None,
    options: Options = NONE,
) -> None:
    """Show a process.

    Args:
        processid: its id, or the beginning of it.
        out: print only its output.
        wait: wait until it has ended; exit code 1 when it failed.
        within: wait at most so many seconds; with --wait.
        options: global options.
    """
    async with Session(options) as session:
        processid = await whole_id(session.client(), session.colony, processid)
        if wait:
            await finish(session, processid, out=out, within_s=within)
            return
        process = await session.client().ask(
            wire_process.GetProcessMsg(processid=processid), wire_process.Process
        )
        if out and session.out.format is Format.TABLE:
            session.out.write(output_text(process) + "\n")
            return
        session.out.show(
            render.Detail(
                blocks=blocks(process),
                data=spec.plain(process),
                ids=(process.processid,),
            )
        )


@app.command
async def assign(
    *,
    wait_s: Annotated[int, Parameter(name=("--timeout",))] = 100,
    availablecpu: str = "",
    availablemem: str = "",
    options: Options = NONE,
) -> None:
    """Assign a waiting process to an executor; signed by the executor.

    Args:
        wait_s: seconds to wait for one; a negative number does not wait (100).
        availablecpu: take only what asks for at most this, such as 1000m.
        availablemem: take only what asks for at most this, such as 4Gi.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_process.AssignProcessMsg(
            colonyname=session.colony,
            timeout=wait_s,
            availablecpu=availablecpu,
            availablemem=availablemem,
        )
        client = session.client(Role.EXECUTOR)
        if session.out.verbose:
            session.out.say("Waiting for a process", level="DEBU", Timeout=str(wait_s))
        process = await client.ask(message, wire_process.Process)
        session.out.done(
            "Assigned process to executor",
            ids=process.processid,
            data=spec.plain(process),
            ExecutorId=process.assignedexecutorid,
            ProcessId=process.processid,
        )


@app.command
async def close(
    processid: ProcessId,
    *,
    out: Words = None,
    failed: Switch = False,
    options: Options = NONE,
) -> None:
    """Close a process as successful; signed by the executor it is assigned to.

    Args:
        processid: its id, or the beginning of it.
        out: its outputs, with commas between them; double quotes protect a comma.
        failed: close it as failed instead, with the outputs as errors.
        options: global options.
    """
    if failed:
        await fail(processid, errors=out, options=options)
        return
    async with Session(options) as session:
        client = session.client(Role.EXECUTOR)
        processid = await whole_id(client, session.colony, processid)
        message = wire_process.CloseSuccessfulMsg(
            processid=processid, output=spec.json_text(spec.split(out))
        )
        await client.tell(message)
        session.out.done("Process closed as Successful", ids=processid, ProcessId=processid)


@app.command
async def fail(processid: ProcessId, *, errors: Words = None, options: Options = NONE) -> None:
    """Close a process as failed; signed by the executor it is assigned to.

    Args:
        processid: its id, or the beginning of it.
        errors: what went wrong, with commas between them; double quotes protect a comma.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client(Role.EXECUTOR)
        processid = await whole_id(client, session.colony, processid)
        message = wire_process.CloseFailedMsg(
            processid=processid, errors=spec.split(errors) or ["No errors specified"]
        )
        await client.tell(message)
        session.out.done("Process closed as Failed", ids=processid, ProcessId=processid)


@app.command
async def cancel(processid: ProcessId, *, options: Options = NONE) -> None:
    """Cancel a waiting or running process.

    Args:
        processid: its id, or the beginning of it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        processid = await whole_id(client, session.colony, processid)
        await client.tell(wire_process.CancelProcessMsg(processid=processid))
        session.out.done("Process cancelled", ids=processid, ProcessId=processid)


@app.command
async def remove(processid: ProcessId, *, options: Options = NONE) -> None:
    """Remove a process that is not running.

    Args:
        processid: its id, or the beginning of it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        processid = await whole_id(client, session.colony, processid)
        await client.tell(wire_process.RemoveProcessMsg(processid=processid))
        session.out.done("Process removed", ids=processid, ProcessId=processid)


@app.command
async def removeall(*, which: Which = ALL, options: Options = NONE) -> None:
    """Remove all processes, or all in one state; signed by the colony owner.

    Those that are running stay, and those of workflows, which go with their workflow: see `colonies
    workflow removeall`. How many were removed is the difference of two counts, before and after:
    what others submit or finish meanwhile is in it.
    """
    async with Session(options) as session:
        await remove_all(
            session,
            "processes",
            which,
            lambda colony, state: wire_process.RemoveAllProcessesMsg(
                colonyname=colony, state=state
            ),
        )


@app.command
async def pause(*, options: Options = NONE) -> None:
    """Stop giving out work in the colony; signed by its owner."""
    async with Session(options) as session:
        message = wire_colony.PauseAssignmentsMsg(colonyname=session.colony)
        await session.client(Role.OWNER).tell(message)
        session.out.done(
            "Colony process assignments have been paused",
            ids=session.colony,
            Colony=session.colony,
        )


@app.command
async def resume(*, options: Options = NONE) -> None:
    """Give out work in the colony again; signed by its owner."""
    async with Session(options) as session:
        message = wire_colony.ResumeAssignmentsMsg(colonyname=session.colony)
        await session.client(Role.OWNER).tell(message)
        session.out.done(
            "Colony process assignments have been resumed",
            ids=session.colony,
            Colony=session.colony,
        )


@app.command
async def status(*, options: Options = NONE) -> None:
    """Show whether the colony gives out work."""
    async with Session(options) as session:
        message = wire_colony.GetPauseStatusMsg(colonyname=session.colony)
        found = await session.client().ask(message, wire_colony.PauseStatus)
        word = "PAUSED" if found.ispaused else "ACTIVE"
        session.out.done(
            f"Colony process assignments are {word}",
            ids=word.lower(),
            data=spec.plain(found),
            Colony=session.colony,
        )
