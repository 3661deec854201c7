"""Programs on terminals of their own, as a user sits before them."""

import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from fcntl import ioctl

from tests.cli.conftest import PROGRAM, clean_environ


class Terminal:
    """A program on a terminal of its own, as a user sits before it."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self._descriptor = descriptor
        self.process = process
        self.seen = ""

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._descriptor, text.encode())

    def until(self, pattern: str) -> str:
        """Read until a pattern shows; it must."""
        while not re.search(pattern, self.seen):
            more = self._read()
            assert more, f"ended without {pattern!r}: {self.seen}"
            self.seen += more
        return self.seen

    def rest(self) -> str:
        """Read to the end and return everything that was shown."""
        while more := self._read():
            self.seen += more
        return self.seen

    def _read(self) -> str:
        try:
            return os.read(self._descriptor, 65536).decode(errors="replace")
        except OSError:  # how Linux says that the other side has gone
            return ""


@contextmanager
def terminal(environ: Mapping[str, str], *arguments: str, columns: int = 80) -> Generator[Terminal]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, *arguments],
        env={**clean_environ(), "TERM": "xterm", "LANG": "C.UTF-8", **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # Makes the terminal the program's own, so that Ctrl-C becomes a signal to it.
        start_new_session=True,
    )
    os.close(theirs)
    with process:
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
