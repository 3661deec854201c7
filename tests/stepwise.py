"""The command line as a program that does so much and no more, to be killed in the middle of it."""

import os
import subprocess
import sys
from collections.abc import Mapping

from tests.cli.conftest import clean_environ

# Behind the end of its input it goes on without being told.
_PROGRAM = """
import sys
from broker.store import EventStore
from cli.app import main

call, wanted = EventStore.call, sys.argv.pop(1)

async def told(self, script, *args):
    if script.name == wanted:
        sys.stdin.readline()
    return await call(self, script, *args)

EventStore.call = told
main()
"""


class Stepwise:
    """A program that waits for a word before each run of a script in the store."""

    def __init__(self, script: str, arguments: tuple[str, ...], environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", _PROGRAM, script, *arguments],
            env={**clean_environ(), **environ, "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def step(self, times: int) -> None:
        """Let it run the script so often."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n" * times)
        self._process.stdin.flush()

    def kill(self) -> None:
        """End it, before it has ended."""
        self._process.kill()
        self._process.communicate()
        assert self._process.returncode == -9

    def finish(self, patience_s: float) -> int:
        """Let it do the rest; the exit code."""
        try:
            self._process.communicate(timeout=patience_s)
        finally:
            self._process.kill()
        return self._process.returncode
