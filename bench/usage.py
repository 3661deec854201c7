"""What processes cost, as psutil reads it: resident memory, processor time and sockets.

Descendants may end while they are looked at; what has ended counts as nothing. That the process
asked for has ended is an error, ``psutil.NoSuchProcess``.
"""

from collections.abc import Callable
from contextlib import suppress

from psutil import STATUS_ZOMBIE, NoSuchProcess, Process


def family(pid: int) -> list[int]:
    """A process, first, and all its descendants."""
    return [pid, *(one.pid for one in Process(pid).children(recursive=True))]


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants."""
    return int(_together(pid, lambda one: one.memory_info().rss))


def cpu_seconds(pid: int) -> float:
    """Processor time used so far by a process and all its descendants, to 10 ms."""
    return _together(pid, _cpu)


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended; an ended one may wait to be reaped."""
    try:
        return Process(pid).status() != STATUS_ZOMBIE
    except NoSuchProcess:
        return False


def sockets(pid: int) -> int:
    """How many sockets of the Internet's protocols a process has open."""
    return len(Process(pid).net_connections("inet"))


def _together(pid: int, of: Callable[[Process], float]) -> float:
    root = Process(pid)
    total = of(root)
    for one in root.children(recursive=True):
        with suppress(NoSuchProcess):
            total += of(one)
    return total


def _cpu(process: Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
