"""Waiting for a process to end."""

import asyncio
from collections.abc import Generator
from contextlib import aclosing, contextmanager

from api import wire_process
from api.wire_realtime import SubscribeProcessMsg
from cli import render, spec
from cli.client import Client
from cli.errors import CliError, Interrupted, RpcError
from cli.options import Format
from cli.session import Session

ENDS = (2, 3, 4)
_SUCCESSFUL = 2
_SUBSCRIBED_S = 100
"""How long one subscription lasts. It begins with the state that there is, so what a server does
not tell (the reference: some ends of processes of workflows) is found out by the next one."""


async def ended(
    client: Client, processid: str, *, within_s: float | None = None
) -> wire_process.Process:
    """The process once it is successful, failed or cancelled.

    Raises:
        CliError: it has not ended ``within_s``.
        RpcError: it is not there, or not any more.
    """
    process = await look(client, processid)
    # A server has answered by now: if it dies, another one is waited for.
    patient = client.patient(client.timeouts.reply_s)
    try:
        async with asyncio.timeout(within_s):
            while process.state not in ENDS:
                await _signalled(patient, processid)
                process = await look(patient, processid)
    except TimeoutError as error:
        state = _state_of(process)
        raise CliError(f"process {processid} is still {state} after {within_s:g} s") from error
    return process


async def look(client: Client, processid: str) -> wire_process.Process:
    """The process as it is now."""
    return await client.ask(wire_process.GetProcessMsg(processid=processid), wire_process.Process)


def to_process(processid: str, *states: int) -> list[SubscribeProcessMsg]:
    """The subscriptions that tell when a process is in one of some states."""
    return [
        SubscribeProcessMsg(processid=processid, state=state, timeout=_SUBSCRIBED_S)
        for state in states
    ]


async def _signalled(client: Client, processid: str) -> None:
    """Until the server says that the process has ended.

    Raises:
        RpcError: it was removed.
    """
    # Commands that wait for nothing start without this.
    from cli.subscription import frames  # noqa: PLC0415

    try:
        async with aclosing(frames(client, lambda: to_process(processid, *ENDS))) as told:
            await anext(told)
    except RpcError:
        # Who asks for one that was removed is told so in better words.
        await look(client, processid)
        raise


@contextmanager
def going_on(thing: str, again: str) -> Generator[None]:
    """Around a wait for something: Ctrl-C ends the wait, and not the thing.

    Raises:
        Interrupted: by Ctrl-C; ``again`` is the command that waits again.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        hint = f"`colonies {again}` waits for it again"
        raise Interrupted(f"interrupted, {thing} goes on", hint=hint) from error


async def finish(
    session: Session, processid: str, *, out: bool, within_s: float | None = None
) -> None:
    """Wait for a process, say how it ended, and print its output on request.

    Raises:
        CliError: it failed or was cancelled.
        Interrupted: by Ctrl-C.
    """
    again = f"process get {processid} --wait{' --out' if out else ''}"
    with going_on(f"process {processid}", again):
        process = await ended(session.client(), processid, within_s=within_s)
    show_end(session, process, out=out)


def show_end(session: Session, process: wire_process.Process, *, out: bool) -> None:
    """Say how a process ended, and print its output on request.

    Raises:
        CliError: it failed or was cancelled.
    """
    processid = process.processid
    if session.out.format in {Format.JSON, Format.YAML}:
        data = spec.plain(process)
        session.out.show(render.Detail(blocks=(), data=data))
    elif session.out.format is Format.ID:
        session.out.write(f"{processid}\n")
    elif out:
        session.out.write(output_text(process) + "\n")
    tell_end(session, process)


def tell_end(session: Session, process: wire_process.Process) -> None:
    """Say how a process ended.

    Raises:
        CliError: it failed or was cancelled.
    """
    processid = process.processid
    if process.state != _SUCCESSFUL:
        state = _state_of(process)
        reasons = "".join(f"\n  {error}" for error in process.errors)
        raise CliError(f"process {processid} {state}{reasons}")
    session.out.say("Process finished successfully", ProcessId=processid)


def _state_of(process: wire_process.Process) -> str:
    return render.state_of(render.PROCESS_STATES, process.state).value.lower()


def output_text(process: wire_process.Process) -> str:
    """The outputs of a process with spaces between them."""
    return spec.words(process.output)
