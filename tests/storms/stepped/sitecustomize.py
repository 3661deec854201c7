"""A wall clock that can be stepped from outside, for the process that starts with this on its path.

Python imports a module of this name when it starts. Stepping the machine's own clock would hit
everybody on it, and a time namespace shifts only the monotonic clocks; so what is shifted here is
what Python code can see of the wall clock: time.time, time.time_ns and datetime. The number of
nanoseconds is in a file that others change while the process runs. Monotonic clocks stay as they
are, as they do on a machine whose clock is stepped.
"""

import ctypes
import datetime as dt
import gc
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

VARIABLE = "STORM_CLOCK"
"""The path of the file."""


def _step(path: Path) -> None:
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def time_ns() -> int:
        return true_ns() + struct.unpack("<q", offset)[0]

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    _teach_dates()


def _teach_dates() -> None:
    """Make datetime ask this clock, too.

    Its type stays the same, because C code compares with it; so it is changed where it is, which
    Python allows for types of its own only.
    """

    def now(cls: type[dt.datetime], tz: dt.tzinfo | None = None) -> dt.datetime:
        return cls.fromtimestamp(time.time(), tz)

    def utcnow(cls: type[dt.datetime]) -> dt.datetime:
        return cls.fromtimestamp(time.time(), dt.UTC).replace(tzinfo=None)

    attributes: Any = gc.get_referents(dt.datetime.__dict__)[0]
    attributes["now"], attributes["utcnow"] = classmethod(now), classmethod(utcnow)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(dt.datetime))


if os.environ.get(VARIABLE):
    _step(Path(os.environ[VARIABLE]))
