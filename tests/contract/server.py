"""Our server as its users run it: a process of its own, settings from the environment."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
SERVE = ("-m", "api.serve")
START_S = STOP_S = 60


class _Entry(msgspec.Struct):
    """A line of the log, as far as it is read here."""

    event: str = ""
    port: int = 0


@asynccontextmanager
async def running_server(
    environment: Mapping[str, str], command: Sequence[str] = SERVE
) -> AsyncGenerator[str]:
    """The URL of a started server; it is stopped at the end, and has to stop cleanly.

    ``command`` is what Python is told to run.

    Raises:
        AssertionError: it did not start, or ended with an error; with the last lines of its log.
    """
    # The path alone is passed on: a developer's own COLONIES_ variables must not reach the server.
    environ = {"PATH": os.environ["PATH"], **environment}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, env=environ, stderr=PIPE
    )
    log: deque[str] = deque(maxlen=100)
    try:
        port = await _ready_port(process, log)
        draining = asyncio.create_task(_drain(process, log))
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        async with asyncio.timeout(STOP_S):
            await process.wait()
        await draining
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert process.returncode == 0, _report("the server ended with an error", process, log)


async def _ready_port(process: Process, log: deque[str]) -> int:
    """The port of the line that says the server is ready."""
    assert process.stderr is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            async for raw in process.stderr:
                log.append(raw.decode(errors="replace"))
                with contextlib.suppress(msgspec.DecodeError):
                    entry = msgspec.json.decode(raw, type=_Entry)
                    if entry.event == "ready":
                        return entry.port
            await process.wait()
    raise AssertionError(_report("the server did not start", process, log))


async def _drain(process: Process, log: deque[str]) -> None:
    assert process.stderr is not None
    async for raw in process.stderr:
        log.append(raw.decode(errors="replace"))


def _report(what: str, process: Process, log: deque[str]) -> str:
    return f"{what} (status {process.returncode}):\n{''.join(log)}"
