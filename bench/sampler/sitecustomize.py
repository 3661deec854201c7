"""A sampling profiler for server processes, put in front by PYTHONPATH; see ``bench.sampling``.

Every two milliseconds of processor time (not of waiting) the Python stack is counted. SIGUSR1
begins anew, SIGUSR2 writes what was counted. Time in C, and in the kernel on behalf of C, goes to
the Python line that called it.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

_FOLDER = os.environ.get("BENCH_SAMPLES", "")
_EVERY_S = 0.002
_counted: Counter[str] = Counter()


def _sample(_signal: int, frame: FrameType | None) -> None:
    stack: list[str] = []
    while frame is not None:
        code = frame.f_code
        stack.append(f"{code.co_filename}:{code.co_name}")
        frame = frame.f_back
    _counted[";".join(reversed(stack))] += 1


def _begin(_signal: int, _frame: FrameType | None) -> None:
    _counted.clear()
    signal.setitimer(signal.ITIMER_PROF, _EVERY_S, _EVERY_S)


def _write(_signal: int, _frame: FrameType | None) -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    unfinished = Path(_FOLDER) / f"{os.getpid()}.unfinished"
    unfinished.write_text("".join(f"{n} {stack}\n" for stack, n in _counted.items()), "utf-8")
    unfinished.rename(unfinished.with_suffix(".samples"))


if _FOLDER:
    signal.signal(signal.SIGPROF, _sample)
    signal.signal(signal.SIGUSR1, _begin)
    signal.signal(signal.SIGUSR2, _write)
