"""A wall clock that can be stepped from outside, for the process that starts with this on its path.

Python imports a module of this name when it starts. Stepping the machine's own clock would hit
everybody on it, and a time namespace shifts only the monotonic clocks; so what is shifted here is
what Python code can see of the wall clock: time.time, time.time_ns and datetime. The number of
nanoseconds is in a file that others change while the process runs. Monotonic clocks stay as they
are, as they do on a machine whose clock is stepped.
"""

import datetime as dt
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Self

VARIABLE = "STORM_CLOCK"
"""The path of the file."""

_real = dt.datetime


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        """Dates that C code made are dates, too."""
        return isinstance(instance, _real)


class _Stepped(dt.datetime, metaclass=_Meta):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def today(cls) -> Self:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Self:
        return cls.now(dt.UTC).replace(tzinfo=None)


def _step(path: Path) -> None:
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def time_ns() -> int:
        return true_ns() + struct.unpack("<q", offset)[0]

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    dt.datetime = _Stepped


if os.environ.get(VARIABLE):
    _step(Path(os.environ[VARIABLE]))
