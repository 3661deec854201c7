"""Tables for terminals, drawn with rich: rounded, coloured, folded to the width there is."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_ENDLESS = 100_000

Drawn = Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """What the terminal can show; ``width`` 0 is as wide as it needs to be."""

    width: int
    unicode: bool
    colour: bool


def table(
    header: Sequence[str], full: Drawn, short: Drawn, canvas: Canvas, *, whole: frozenset[int]
) -> str:
    """Draw cells of text and colour; the short form where the full one does not fit.

    Where that does not fit either, titles are folded first, which costs one line for all rows.

    The columns in ``whole`` are not folded: what is in them is there to be copied.
    """
    console = Console(
        file=io.StringIO(),
        width=canvas.width or _ENDLESS,
        force_terminal=canvas.colour,
        color_system="standard" if canvas.colour else None,
        no_color=not canvas.colour,
        highlight=False,
        legacy_windows=False,
    )
    chosen = _table(header, full, canvas, whole)
    for titles in (header, _folded(header, short)):
        if _width(console, chosen) <= (canvas.width or _ENDLESS):
            break
        chosen = _table(titles, short, canvas, whole)
    with console.capture() as capture:
        console.print(chosen)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def _width(console: Console, drawn: Table) -> int:
    options = console.options.update(max_width=_ENDLESS)
    return Measurement.get(console, options, drawn).maximum


def _folded(header: Sequence[str], rows: Drawn) -> list[str]:
    """The titles, with a line for each word where a title is wider than all that is below it."""
    widths = [max((len(row[n][0]) for row in rows), default=0) for n in range(len(header))]
    return [
        title.replace(" ", "\n") if len(title) > width else title
        for title, width in zip(header, widths, strict=True)
    ]


def _table(header: Sequence[str], rows: Drawn, canvas: Canvas, whole: frozenset[int]) -> Table:
    drawn = Table(
        box=box.ROUNDED if canvas.unicode else box.ASCII2,
        show_header=bool(header),
        header_style="bold" if canvas.colour else "",
        border_style="bright_black" if canvas.colour else "",
    )
    for number in range(len(header) or max((len(row) for row in rows), default=1)):
        title = Text(header[number], justify="center") if header else ""
        drawn.add_column(title, overflow="fold", no_wrap=number in whole)
    for row in rows:
        drawn.add_row(*(Text(text, style=colour if canvas.colour else "") for text, colour in row))
    return drawn
