"""A program kept running beside us: started again when it ends, and never left behind.

On Linux the kernel ends it (with SIGTERM) when the thread that started it is gone, even when we
are killed; that thread is the one that reads what it says, so it lives exactly as long.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TextIO

_READY_S = 60.0
_STOP_S = 30.0
_PR_SET_PDEATHSIG = 1

# Between us and the program, on Linux: asks the kernel to end it when the thread that started it
# is gone, and makes sure that this has not happened already. A program of its own because Python
# code between fork and exec is not safe in a process with threads.
_DIE_WITH_PARENT = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {int(signal.SIGTERM)})
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and how to know that it is ready."""

    name: str
    command: Sequence[str]
    ready: "re.Pattern[str]"
    """Found in a line of its output once it can be used."""

    environ: Mapping[str, str]
    """All of its environment."""

    inherits: tuple[int, ...] = ()
    """File descriptors that it gets, too."""


class Keeper(threading.Thread):
    """Starts the program, reads what it says into its log, starts it again when it ends."""

    def __init__(self, program: Program, *, log: TextIO, on_restart: Callable[[str], None]) -> None:
        super().__init__(name=program.name, daemon=True)
        self._program = program
        self._log = log
        self._on_restart = on_restart
        self._last: deque[str] = deque(maxlen=8)
        self._process: subprocess.Popen[str] | None = None
        self._told = threading.Event()
        self._stopping = threading.Event()
        self._ready: re.Match[str] | None = None
        self._ended: int | None = None

    def run(self) -> None:
        """Keep the program running until it is stopped or does not start."""
        while not self._stopping.is_set():
            self._ready = None
            try:
                process = self._spawn()
            except OSError as error:
                self._last.append(f"it cannot be started: {error.strerror}")
                break
            with process:
                self._process = process
                self._read(process)
            if not self._ready:
                break
            self._ended = process.returncode
        self._told.set()

    def ready(self) -> "re.Match[str] | None":
        """What it said when it was ready; None when it ended, or said nothing for a minute."""
        return self._ready if self._told.wait(_READY_S) else None

    @property
    def last_words(self) -> str:
        """The last lines of its output."""
        return "\n".join(f"  {line}" for line in self._last)

    def stop(self, ask: Callable[[], bool] | None = None) -> None:
        """End the program: by asking it, where that works, else by a signal; then wait for it."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None and not (ask and ask()):
            process.terminate()
        self.join(_STOP_S)
        if self.is_alive() and process is not None:
            process.kill()
            self.join()

    def _spawn(self) -> "subprocess.Popen[str]":
        command = list(self._program.command)
        if sys.platform == "linux":
            wrapper = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
            command = [*wrapper, *command]
        return subprocess.Popen(  # noqa: S603 - a program we looked up ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._program.environ,
            pass_fds=self._program.inherits,
            # A Ctrl-C of the terminal must reach us alone: we still need it to finish.
            start_new_session=True,
        )

    def _read(self, process: "subprocess.Popen[str]") -> None:
        stream: IO[str] | None = process.stdout
        for line in stream or ():
            self._last.append(line.rstrip())
            self._log.write(line)
            self._log.flush()
            found = self._program.ready.search(line)
            if found:
                self._ready = found
                self._told.set()
                if self._ended is not None:
                    text = f"the {self.name} ended with code {self._ended}, it runs again"
                    self._on_restart(text)
