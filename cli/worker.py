"""An executor in one line: asks for work, runs a command for each process, closes it.

The command reads the process as JSON on its standard input and finds the most needed of it in its
environment. Its standard output becomes the output of the process; a non-zero exit code fails it.
All that it prints goes to the log of the process, too, while it runs.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from api import wire, wire_process, wire_spec
from cli import child, spec
from cli.child import Ran
from cli.client import Client
from cli.errors import RpcError, Unreachable
from cli.given import given_json
from cli.loglines import LogLines

_ASK_S = 20
_RETRY_S = 1.0
_CLOSE_S = 240.0
_NOTHING = 404
_PAUSED = 408

Say = Callable[..., None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What an executor does with a process."""

    colony: str
    command: Sequence[str]
    function: str = ""
    parallel: int = 1
    returnable: bool = False
    """Whether work that is not closed goes back to the queue when this executor is removed."""


@dataclass(slots=True)
class Worker:
    """Runs a command for processes until it is told to stop."""

    client: Client
    work: Work
    say: Say
    done: int = 0
    failed: int = 0
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _ending: bool = False
    _held: int = 0
    _asking: set[asyncio.Task[wire_process.Process]] = field(
        default_factory=set[asyncio.Task[wire_process.Process]]
    )
    _running: dict[str, asyncio.subprocess.Process] = field(
        default_factory=dict[str, asyncio.subprocess.Process]
    )

    async def run(self) -> None:
        """Ask, run and close in so many lanes side by side; returns when all have finished.

        Raises:
            RpcError: the server does not give work to this executor.
        """
        async with asyncio.TaskGroup() as lanes:
            for _ in range(self.work.parallel):
                lanes.create_task(self._lane())

    def stop(self) -> None:
        """Ask for no more work and let what is running finish; told again, end it."""
        if self._stopping.is_set():
            self._end_all()
            return
        if self._held:
            self.say(f"Finishing {self._held} running; press Ctrl-C again to end it")
        self._stopping.set()
        for task in self._asking:
            task.cancel()

    def _end_all(self) -> None:
        if self._held and not self._ending:
            self.say(f"Ending {self._held} running", level="WARN")
        self._ending = True
        for process in self._running.values():
            _end(process)

    async def _lane(self) -> None:
        while not self._stopping.is_set():
            process = await self._next()
            if process is not None:
                self._held += 1
                await self._handle(process)
                self._held -= 1

    async def _next(self) -> wire_process.Process | None:
        message = wire_process.AssignProcessMsg(colonyname=self.work.colony, timeout=_ASK_S)
        task = asyncio.create_task(self.client.ask(message, wire_process.Process))
        self._asking.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            return None
        except RpcError as error:
            if error.status not in {_NOTHING, _PAUSED}:
                raise
            return None
        except Unreachable as error:
            self.say(f"{error.message}, trying again", level="WARN")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _RETRY_S)
            return None
        finally:
            self._asking.discard(task)

    async def _handle(self, process: wire_process.Process) -> None:
        function = wire.decode(bytes(process.spec), wire_spec.FunctionSpec)
        name = function.funcname or ""
        self.say("Process assigned", ProcessId=process.processid, FuncName=name)
        wanted = self.work.function
        if wanted and name != wanted:
            await self._close(process, [f"this executor runs {wanted!r} only, not {name!r}"], "")
            return
        try:
            ran = await self._execute(process, function)
        except OSError as error:
            problems = [f"{self.work.command[0]} cannot be run: {error.strerror}"]
            await self._close(process, problems, "")
            return
        if ran.code and self._ending and self.work.returnable:
            self.say("Process goes back to the queue", level="WARN", ProcessId=process.processid)
            return
        problems = [f"exit code {ran.code}", *ran.errors] if ran.code else []
        await self._close(process, problems, ran.output)

    async def _execute(
        self, process: wire_process.Process, function: wire_spec.FunctionSpec
    ) -> Ran:
        environ = {**os.environ, **environment(process, function)}
        running = await child.start(self.work.command, environ)
        self._running[process.processid] = running
        if self._ending:
            _end(running)
        lines = LogLines(self.client.patient(_CLOSE_S), process.processid)
        try:
            async with lines:
                ran = await child.finish(running, wire.encode(process), lines.say)
        finally:
            del self._running[process.processid]
            if running.returncode is None:
                _end(running)
        if lines.lost:
            self.say(
                f"{lines.lost} log lines lost: {lines.reason}",
                level="WARN",
                ProcessId=process.processid,
            )
        return ran

    async def _close(self, process: wire_process.Process, problems: list[str], output: str) -> None:
        identity = process.processid
        message: wire.Message
        if problems:
            message = wire_process.CloseFailedMsg(processid=identity, errors=problems)
        else:
            message = wire_process.CloseSuccessfulMsg(
                processid=identity, output=spec.json_text([output])
            )
        try:
            # What was done is not thrown away because the server restarts in this moment.
            await self.client.patient(_CLOSE_S).tell(message)
        except RpcError as error:
            # It ran too long or was cancelled: somebody else's work by now, not ours to insist.
            self.say(f"Process not closed: {error.message}", level="WARN", ProcessId=identity)
            return
        if problems:
            self.failed += 1
            self.say("Process closed as Failed", level="WARN", ProcessId=identity)
        else:
            self.done += 1
            self.say("Process closed as Successful", ProcessId=identity)


def _end(running: asyncio.subprocess.Process) -> None:
    """End a command and whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGTERM)


def environment(
    process: wire_process.Process, function: wire_spec.FunctionSpec
) -> Mapping[str, str]:
    """What a command finds in its environment; the process' own variables do not go before ours."""
    arguments = given_json(bytes(function.args) or b"[]")
    words = cast("list[object]", arguments) if isinstance(arguments, list) else []
    return {
        **(function.env or {}),
        "COLONIES_PROCESS_ID": process.processid,
        "COLONIES_FUNC_NAME": function.funcname or "",
        "COLONIES_ARGS": json.dumps(words),
        "COLONIES_KWARGS": bytes(function.kwargs).decode() or "{}",
    }
