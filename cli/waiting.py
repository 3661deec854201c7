"""Waiting for a process to end."""

import asyncio
import time

from api import wire_process
from cli import render, spec
from cli.client import Client
from cli.errors import CliError
from cli.options import Format
from cli.session import Session

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_ENDED = frozenset({2, 3, 4})
_SUCCESSFUL = 2


async def ended(
    client: Client, processid: str, *, within_s: float | None = None
) -> wire_process.Process:
    """The process once it is successful, failed or cancelled.

    Asked again and again, ever more seldom: the same against every server.

    Raises:
        CliError: it has not ended ``within_s``.
    """
    give_up = None if within_s is None else time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while True:
        process = await client.ask(
            wire_process.GetProcessMsg(processid=processid), wire_process.Process
        )
        if process.state in _ENDED:
            return process
        if give_up is not None and time.monotonic() + pause_s > give_up:
            state = render.state_of(render.PROCESS_STATES, process.state).value.lower()
            raise CliError(f"process {processid} is still {state} after {within_s:g} s")
        await asyncio.sleep(pause_s)
        pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)


async def finish(
    session: Session, processid: str, *, out: bool, within_s: float | None = None
) -> None:
    """Wait for a process, say how it ended, and print its output on request.

    Raises:
        CliError: it failed or was cancelled.
    """
    process = await ended(session.client(), processid, within_s=within_s)
    if session.out.format in {Format.JSON, Format.YAML}:
        data = spec.plain(process)
        session.out.show(render.Detail(blocks=(), data=data))
    elif session.out.format is Format.ID:
        session.out.write(f"{processid}\n")
    elif out:
        session.out.write(output_text(process) + "\n")
    if process.state != _SUCCESSFUL:
        state = render.state_of(render.PROCESS_STATES, process.state).value.lower()
        reasons = "".join(f"\n  {error}" for error in process.errors)
        raise CliError(f"process {processid} {state}{reasons}")
    session.out.say("Process finished successfully", ProcessId=processid)


def output_text(process: wire_process.Process) -> str:
    """The outputs of a process with spaces between them."""
    return spec.words(process.output)
