"""What it costs to start the command line: processor time of whole commands, from exec to exit."""

import asyncio
import fcntl
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.connection import Connection, connections
from bench.errors import WrongAnswer
from bench.plan import Stage
from bench.report import FLOOR, Measurement
from bench.servers import Target
from bench.wire import Colony, process_of

_SCENARIO = "startup"
_PROGRAM = (sys.executable, "-c", "from cli.app import main; main()")
_WAITING = 10
_ROWS, _COLUMNS = 50, 120
_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A command, what its output has to hold, and the milliseconds it may take."""

    name: str
    command: Sequence[str]
    says: str = ""
    terminal: bool = False
    most_ms: float | None = None


async def measure(stage: Stage) -> list[Measurement]:
    """Every command as often as is asked for, in turns with an empty interpreter.

    Raises:
        WrongAnswer: a command failed, or did not print what is there.
    """
    found: list[Measurement] = []
    for target in (one for one in stage.targets if one.name != FLOOR):
        colony = Colony.imagine(target.endpoint, _SCENARIO, 0)
        async with connections(target.endpoint, 1) as (connection,):
            await colony.found(connection, target.owner())
            cases = _cases(await _waiting(colony, connection))
        found += await asyncio.to_thread(_in_turns, stage.plan.starts, cases, target, colony)
    return found


async def _waiting(colony: Colony, connection: Connection) -> str:
    """Submit what will be listed; the id of the last."""
    submitted = ""
    for number in range(_WAITING):
        submitted = process_of(await connection.request(colony.submit(f"{number}"))).processid
    return submitted


def _cases(process_id: str) -> tuple[_Case, ...]:
    lists = (*_PROGRAM, "process", "psw")
    return (
        _Case(name="an empty interpreter", command=(sys.executable, "-c", "pass")),
        _Case(name="--help", command=(*_PROGRAM, "--help"), says="Usage:", most_ms=250),
        _Case(name="process psw", command=lists, says=process_id, most_ms=400),
        _Case(
            name="process psw, on a terminal",
            command=lists,
            says=process_id[:10],
            terminal=True,
            most_ms=400,
        ),
    )


def _in_turns(
    starts: int, cases: Sequence[_Case], target: Target, colony: Colony
) -> list[Measurement]:
    with tempfile.TemporaryDirectory(prefix="bench-startup-") as home:
        environ = _environ(target, colony, home)
        turns = [[_started(case, environ) for case in cases] for _ in range(starts + 1)]
    # The first start may have had to compile modules.
    used = zip(*turns[1:], strict=True)
    return [_measured(case, target, seconds) for case, seconds in zip(cases, used, strict=True)]


def _measured(case: _Case, target: Target, seconds: Sequence[float]) -> Measurement:
    values = {
        "cpu ms, least": min(seconds) * 1e3,
        "cpu ms, median": statistics.median(seconds) * 1e3,
    }
    return Measurement(
        scenario=_SCENARIO,
        case=case.name,
        target=target.name,
        round=0,
        count=len(seconds),
        seconds=sum(seconds),
        values=values | ({"cpu ms, at most": case.most_ms} if case.most_ms else {}),
    )


def _environ(target: Target, colony: Colony, home: str) -> Mapping[str, str]:
    foreign = {name: text for name, text in os.environ.items() if not name.startswith("COLONIES_")}
    return {
        **foreign,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "COLONIES_HOME": home,
        "COLONIES_SERVER_HOST": target.endpoint.host,
        "COLONIES_SERVER_PORT": str(target.endpoint.port),
        "COLONIES_TLS": "false",
        "COLONIES_COLONY_NAME": colony.name,
        "COLONIES_PRVKEY": colony.user.identity.prvkey,
    }


def _started(case: _Case, environ: Mapping[str, str]) -> float:
    """Seconds of processor time that one run of a command took.

    Raises:
        WrongAnswer: it failed, or did not print what it should.
    """
    with _output(terminal=case.terminal) as (ours, theirs):
        child = subprocess.Popen(case.command, env=environ, stdout=theirs)  # noqa: S603 - ourselves
        os.close(theirs)
        said = _read(ours)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode or case.says not in said:
        raise WrongAnswer(f"{case.name} ended with {child.returncode} and said {said[:300]!r}")
    return used.ru_utime + used.ru_stime


@contextmanager
def _output(*, terminal: bool) -> Generator[tuple[int, int]]:
    """Two ends of a pipe or of a terminal; the second one is the caller's to close."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def _read(descriptor: int) -> str:
    parts: list[bytes] = []
    # The end of a terminal whose other side has gone is an error.
    with suppress(OSError):
        while part := os.read(descriptor, _AT_ONCE):
            parts.append(part)
    return b"".join(parts).decode()
