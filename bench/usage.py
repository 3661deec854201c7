"""What processes cost, read from /proc: resident memory and processor time."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_USER, _SYSTEM = 11, 12


def family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants."""
    return sum(int(_read(one, "statm").split()[1]) * _PAGE for one in family(pid))


def cpu_seconds(pid: int) -> float:
    """Processor time used so far by a process and all its descendants, to 10 ms."""
    return sum(_cpu(one) for one in family(pid))


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended; an ended one may wait to be reaped."""
    try:
        return _read(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    return sum(_is_socket(link) for link in links)


def _is_socket(link: Path) -> bool:
    try:
        return str(link.readlink()).startswith("socket:")
    except FileNotFoundError:
        return False  # closed since it was listed


def _cpu(pid: int) -> float:
    # The name of the command, in parentheses, may hold spaces; what follows it cannot.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) * _TICK_S


def _read(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8")
