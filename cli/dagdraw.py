"""A workflow as a picture of characters: boxes in layers, top down, and lines between them."""

from collections.abc import Iterator

from cli import dag
from cli.daglayout import Item, Line, Net, arranged, cells, choose_doors, lay_tracks, nets_of
from cli.render import Style, printable, state_style

_LONGEST_NAME, _LONGEST_END = 28, 16
_PIPED_WIDTH, _PIPED_HEIGHT = 160, 200
# What can fit no terminal is not even tried.
_MOST_BOXES = 250
_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8
_VERTICAL, _HORIZONTAL = _UP | _DOWN, _LEFT | _RIGHT
# By the sum of the directions in which a line leaves a cell.
_LINES = " ╵╶╰╷│╭├╴╯─┴╮┤┬┼"
_ASCII_LINES = " |-+||++-+-++++++"


class _Canvas:
    """Cells of lines and cells of text."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int], int] = {}
        self._text: dict[tuple[int, int], Line] = {}

    def join(self, row: int, column: int, directions: int) -> None:
        """Let the lines of a cell leave it in these directions too."""
        cell = (row, column)
        self._lines[cell] = self._lines.get(cell, 0) | directions

    def cross(self, row: int, column: int) -> None:
        """Lead a vertical line over whatever is there without touching it."""
        self._lines[row, column] = _VERTICAL

    def horizontal(self, row: int, first: int, last: int) -> None:
        """A line between two columns."""
        for column in range(first, last):
            self.join(row, column, _RIGHT)
            self.join(row, column + 1, _LEFT)

    def vertical(self, column: int, first: int, last: int) -> None:
        """A line between two rows."""
        for row in range(first, last):
            self.join(row, column, _DOWN)
            self.join(row + 1, column, _UP)

    def write(self, row: int, column: int, text: str, colour: str) -> None:
        """A text; wide characters take two cells, marks none of their own."""
        for cell in cells(text):
            self._text[row, column] = (cell, colour)
            column += 1

    def rows(self, style: Style) -> Iterator[str]:
        """The picture, line by line."""
        drawn = self._lines.keys() | self._text.keys()
        ends: dict[int, int] = {}
        for row, column in drawn:
            ends[row] = max(ends.get(row, 0), column)
        for row in range(max(ends, default=-1) + 1):
            yield self._row(row, ends.get(row, -1) + 1, style)

    def _row(self, row: int, end: int, style: Style) -> str:
        glyphs = _LINES if style.unicode else _ASCII_LINES
        parts: list[str] = []
        painted = ""
        for column in range(end):
            mask = self._lines.get((row, column), 0)
            text, colour = self._text.get((row, column), (glyphs[mask], ""))
            colour = colour if style.colour else ""
            if colour != painted:
                parts.append(f"\x1b[{colour or '0'}m")
                painted = colour
            parts.append(text)
        return "".join(parts) + ("\x1b[0m" if painted else "")


def picture(graph: dag.Graph, style: Style, *, height: int = 0) -> str:
    """Draw a graph, as much of it as fits into the width of the style and into so many rows."""
    widest = style.width or _PIPED_WIDTH
    highest = height or _PIPED_HEIGHT
    drawn: list[str] = []
    for candidate in dag.simpler(graph, highest):
        if len(candidate.boxes) > _MOST_BOXES:
            continue
        texts = [_lines_of(box, style) for box in candidate.boxes]
        layers = arranged(candidate, texts)
        width = max((item.left + item.width for layer in layers for item in layer), default=0)
        drawn = list(_drawn(layers).rows(style))
        if width <= widest and len(drawn) <= highest:
            break
    return "".join(f"{line}\n" for line in drawn)


# ---------------------------------------------------------------- what is in a box


def _lines_of(box: dag.Box, style: Style) -> list[Line]:
    if len(box.names) == 1:
        symbol, colour = state_style(box.states[0])
        name = _shortened(box.names[0], _LONGEST_NAME, style)
        word = box.states[0].value
        return [(f"{symbol} {name}" if style.unicode else f"{name} ({word})", colour)]
    first, last = (_shortened(box.names[end], _LONGEST_END, style) for end in (0, -1))
    counts = [
        f"{state_style(state)[0]} {count}" if style.unicode else f"{count} {state.value}"
        for state, count in box.counts
    ]
    colour = state_style(box.states[0])[1] if len(counts) == 1 else ""
    return [
        (f"{len(box.names)} nodes: {first} {'…' if style.unicode else '...'} {last}", colour),
        (("  " if style.unicode else ", ").join(counts), colour),
    ]


def _shortened(name: str, longest: int, style: Style) -> str:
    parts = cells(printable(name).replace("\n", " ").replace("\t", " "))
    if len(parts) <= longest:
        return "".join(parts)
    dots = "…" if style.unicode else "..."
    return "".join(parts[: longest - len(dots)]).rstrip() + dots


# ---------------------------------------------------------------- the lines


def _drawn(layers: list[list[Item]]) -> _Canvas:
    canvas = _Canvas()
    row = 0
    for layer in layers:
        height = max(item.height for item in layer)
        nets = nets_of(layer)
        choose_doors(nets)
        tracks = lay_tracks(nets)
        for item in layer:
            _draw_item(canvas, item, row, height)
        end = row + height
        for net in nets:
            _draw_bus(canvas, net, end)
        for net in nets:
            _draw_ends(canvas, net, end, end + tracks)
        row = end + tracks
    return canvas


def _draw_item(canvas: _Canvas, item: Item, row: int, height: int) -> None:
    bottom = row + height - 1
    if not item.lines:
        (entry,) = item.entries
        turn = row + height // 2
        canvas.vertical(entry, row, turn)
        canvas.horizontal(turn, *sorted((entry, item.exit)))
        canvas.vertical(item.exit, turn, bottom)
        canvas.join(row, entry, _UP)
        canvas.join(bottom, item.exit, _DOWN)
        return
    end, right = row + item.height - 1, item.left + item.width - 1
    for border in (row, end):
        canvas.horizontal(border, item.left, right)
    for side in (item.left, right):
        canvas.vertical(side, row, end)
    for number, (text, colour) in enumerate(item.lines, start=1):
        canvas.write(row + number, item.left + 2, text, colour)
    for entry in item.entries:
        canvas.join(row, entry, _UP)
    if item.children:
        canvas.join(end, item.exit, _DOWN)
        for between in range(end + 1, bottom + 1):
            canvas.cross(between, item.exit)


def _draw_bus(canvas: _Canvas, net: Net, top: int) -> None:
    if not net.straight:
        canvas.horizontal(top + net.track, *net.span)


def _draw_ends(canvas: _Canvas, net: Net, top: int, bottom: int) -> None:
    """Lead the lines from the parents to the bus, and from it to the children."""
    bus = bottom if net.straight else top + net.track
    for parent in net.parents:
        for row in range(top, bus):
            canvas.cross(row, parent.exit)
    if net.straight:
        return
    for parent in net.parents:
        canvas.join(bus, parent.exit, _UP)
    for entry in net.entries:
        canvas.join(bus, entry, _DOWN)
        for row in range(bus + 1, bottom):
            canvas.cross(row, entry)
