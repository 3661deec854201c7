"""How a transfer is seen: bars on a terminal, a line for each file where there is none."""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from cli import render
from cli.fs.store import Count

if TYPE_CHECKING:
    from rich.progress import Progress

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_KILO = 1000.0


class Watching(Protocol):
    """Somebody who is told what is being done."""

    def file(self, verb: str, name: str, size: int) -> AbstractContextManager[Count]:
        """A file, as long as it is on its way; the count is told of its bytes."""
        ...


class Silent:
    """Nobody."""

    @contextmanager
    def file(self, verb: str, name: str, size: int) -> Generator[Count]:
        """Say nothing."""
        del verb, name, size
        yield lambda _count: None


class Lines:
    """A line for each file that has arrived, as the guide shows it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def file(self, verb: str, name: str, size: int) -> Generator[Count]:
        """Say so at its end."""
        began = time.monotonic()
        yield lambda _count: None
        speed = rate(size, time.monotonic() - began)
        self._stream.write(f"{verb} {render.printable(name)} 100% [{'=' * 15}] ({speed})\n")
        self._stream.flush()


class Bars:
    """A bar for each file on its way, and one for all of them."""

    def __init__(self, progress: "Progress", total: int) -> None:
        self._progress = progress
        self._all = progress.add_task("Total", total=total)

    @contextmanager
    def file(self, verb: str, name: str, size: int) -> Generator[Count]:
        """Show it until it has arrived."""
        shown = render.printable(f"{verb} {name}")
        task = self._progress.add_task(shown, total=size)

        def count(number: int) -> None:
            self._progress.advance(task, number)
            self._progress.advance(self._all, number)

        try:
            yield count
        finally:
            self._progress.remove_task(task)


@contextmanager
def watched(stream: TextIO, total: int, *, terminal: bool) -> Generator[Watching]:
    """What fits the place where it is seen, for so many bytes in all."""
    if not terminal:
        yield Lines(stream)
        return
    from rich import progress as bars  # noqa: PLC0415 - takes a while, and only a terminal needs it
    from rich.console import Console  # noqa: PLC0415 - as above

    columns = (
        # Names are no markup, whatever is in them.
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield Bars(progress, total)


def rate(size: int, seconds: float) -> str:
    """A speed as the guide writes it: ``19 kB/s``."""
    return f"{_short(size / max(seconds, 1e-6))}/s"


def _short(value: float) -> str:
    for unit in _UNITS:
        if value < _KILO or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}"
        value /= _KILO
    raise AssertionError
