"""A workflow as a picture of characters: boxes in layers, top down, and lines between them."""

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cli import dag
from cli.render import Style, printable, state_style

_GAP = 2
_SWEEPS = 8
_LONGEST_NAME, _LONGEST_END = 28, 16
_PIPED_WIDTH, _PIPED_HEIGHT = 160, 200
# What can fit no terminal is not even tried.
_MOST_BOXES = 250
_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8
_VERTICAL, _HORIZONTAL = _UP | _DOWN, _LEFT | _RIGHT
# By the sum of the directions in which a line leaves a cell.
_LINES = " ╵╶╰╷│╭├╴╯─┴╮┤┬┼"
_ASCII_LINES = " |-+||++-+-++++++"

Line = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Item:
    """Something in a layer: a box, or (without lines) the way of an edge through the layer."""

    lines: Sequence[Line] = ()
    width: int = 3
    at: float = 0.0
    """Where its middle is."""
    left: int = 0
    exit: int = 0
    entries: list[int] = field(default_factory=list[int])
    parents: "list[_Item]" = field(default_factory=list["_Item"])
    children: "list[_Item]" = field(default_factory=list["_Item"])

    @property
    def height(self) -> int:
        """Rows of its box, with the borders."""
        return len(self.lines) + 2

    @property
    def doors(self) -> range:
        """The columns where a line may enter or leave."""
        margin = 1 if self.lines else 0
        return range(self.left + margin, self.left + self.width - margin)


@dataclass(slots=True, eq=False)
class _Net:
    """Lines that meet: all of these parents to all of these children, and no other."""

    parents: list[_Item]
    children: list[_Item]
    entries: list[int] = field(default_factory=list[int])
    """The columns in which it comes to its children; no other net uses them."""
    track: int = -1

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last of its columns."""
        columns = [item.exit for item in self.parents] + self.entries
        return min(columns), max(columns)

    @property
    def straight(self) -> bool:
        """Whether it is one vertical line."""
        first, last = self.span
        return first == last


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
        layers = _arranged(candidate, style)
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


def cells(text: str) -> list[str]:
    """A text by columns of a terminal: a wide character is followed by an empty cell."""
    found: list[str] = []
    for character in text:
        if unicodedata.combining(character) and found:
            found[-1] += character
            continue
        found.append(character)
        if unicodedata.east_asian_width(character) in {"W", "F"}:
            found.append("")
    return found


# ---------------------------------------------------------------- where the boxes are


def _arranged(graph: dag.Graph, style: Style) -> list[list[_Item]]:
    """The items of each layer, with their places."""
    layers = _layered(graph, style)
    _order(layers)
    _place(layers)
    return layers


def _layered(graph: dag.Graph, style: Style) -> list[list[_Item]]:
    """The items in layers; edges lead from one layer to the next only."""
    rank = dag.ranks(graph)
    layers: list[list[_Item]] = [[] for _ in range(max(rank, default=-1) + 1)]
    items: list[_Item] = []
    for number, box in enumerate(graph.boxes):
        lines = _lines_of(box, style)
        item = _Item(lines=lines, width=max(len(cells(text)) for text, _ in lines) + 4)
        items.append(item)
        layers[rank[number]].append(item)
    ways: dict[tuple[int, int], _Item] = {}
    for parent, child in sorted(graph.edges):
        above = items[parent]
        for at in range(rank[parent] + 1, rank[child]):
            if (parent, at) not in ways:
                ways[parent, at] = _Item()
                layers[at].append(ways[parent, at])
                _connect(above, ways[parent, at])
            above = ways[parent, at]
        if rank[parent] < rank[child]:
            _connect(above, items[child])
    for layer in layers:
        _widen(layer)
    return layers


def _widen(layer: Sequence[_Item]) -> None:
    """Make room for all lines that come to the children of a layer, and for some to pass."""
    nets = _nets(layer)
    for child in (child for net in nets for child in net.children):
        coming = sum(child in net.children for net in nets)
        if coming > 1:
            child.width = max(child.width, 2 * coming + 3)


def _connect(parent: _Item, child: _Item) -> None:
    parent.children.append(child)
    child.parents.append(parent)


def _order(layers: list[list[_Item]]) -> None:
    """Sort each layer by the middle of its neighbours, down and up, so that few lines cross."""
    for layer in layers:
        _number(layer)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wished = _wished(layer, down=sweep % 2 == 0)
            order = sorted(range(len(layer)), key=wished.__getitem__)
            layer[:] = [layer[number] for number in order]
            _number(layer)


def _number(layer: Sequence[_Item]) -> None:
    for number, item in enumerate(layer):
        item.at = number


def _wished(layer: Sequence[_Item], *, down: bool) -> list[float]:
    """The middle of each item's parents (or children), its own place where it has none."""
    near = [item.parents if down else item.children for item in layer]
    return [
        sum(one.at for one in others) / len(others) if others else item.at
        for item, others in zip(layer, near, strict=True)
    ]


def _place(layers: list[list[_Item]]) -> None:
    """Put each item as near as possible to the middle of its neighbours, without an overlap."""
    for layer in layers:
        _spread(layer, [0.0] * len(layer))
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _spread(layer, _wished(layer, down=sweep % 2 == 0))
    for layer in layers:
        end = None
        for item in layer:
            item.left = math.floor(item.at - item.width / 2)
            if end is not None:
                item.left = max(item.left, end + _GAP)
            end = item.left + item.width
    first = min((item.left for layer in layers for item in layer), default=0)
    for item in (item for layer in layers for item in layer):
        item.left -= first
        item.exit = item.left + item.width // 2


def _spread(layer: Sequence[_Item], wished: Sequence[float]) -> None:
    """The places nearest to the wished ones (least squares) that keep order and distances."""
    offsets = [0.0]
    for one, next_one in pairwise(layer):
        offsets.append(offsets[-1] + (one.width + next_one.width) / 2 + _GAP)
    # Neighbours that would overlap are moved together, to the mean of what they wished.
    blocks: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        mean, count = wish - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, more = blocks.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        blocks.append((mean, count))
    places = [mean for mean, count in blocks for _ in range(count)]
    for item, place, offset in zip(layer, places, offsets, strict=True):
        item.at = place + offset


# ---------------------------------------------------------------- the lines


def _drawn(layers: list[list[_Item]]) -> _Canvas:
    canvas = _Canvas()
    row = 0
    for layer in layers:
        height = max(item.height for item in layer)
        nets = _nets(layer)
        _choose_doors(nets)
        tracks = _lay_tracks(nets)
        for item in layer:
            _draw_item(canvas, item, row, height)
        end = row + height
        for net in nets:
            _draw_bus(canvas, net, end)
        for net in nets:
            _draw_ends(canvas, net, end, end + tracks)
        row = end + tracks
    return canvas


def _nets(layer: Sequence[_Item]) -> list[_Net]:
    """Parents with the same children share their lines."""
    found: dict[frozenset[int], _Net] = {}
    for parent in layer:
        if parent.children:
            key = frozenset(id(child) for child in parent.children)
            net = found.setdefault(key, _Net([], parent.children))
            net.parents.append(parent)
    return list(found.values())


def _choose_doors(nets: Sequence[_Net]) -> None:
    """Where lines leave and enter: straight where they can be, and never on another's way."""
    for net in nets:
        _straighten(net)
    coming: dict[int, list[_Net]] = {}
    for net in sorted(nets, key=_middle_exit):
        for child in net.children:
            coming.setdefault(id(child), []).append(net)
    exits = {parent.exit for net in nets for parent in net.parents}
    for child in {id(child): child for net in nets for child in net.children}.values():
        _choose_entries(child, coming[id(child)], exits)


def _middle_exit(net: _Net) -> float:
    return sum(parent.exit for parent in net.parents) / len(net.parents)


def _straighten(net: _Net) -> None:
    """Let the only parent of an only child leave where the child can be entered."""
    (parent, *parents), (child, *children) = net.parents, net.children
    if not parents and not children:
        shared = sorted(set(parent.doors) & set(child.doors))
        if shared:
            middle = (parent.exit + child.left + child.width // 2) / 2
            parent.exit = _nearest(shared, middle)


def _choose_entries(child: _Item, nets: Sequence[_Net], exits: set[int]) -> None:
    """A door for each net, from left to right, that no line of another net passes."""
    doors = list(child.doors)
    for number, net in enumerate(nets):
        own = {parent.exit for parent in net.parents}
        wished = child.left + (number + 1) * child.width // (len(nets) + 1)
        near = [door for door in doors if door in own and abs(door - wished) <= 1]
        later = len(nets) - number - 1
        free = [door for door in doors if door not in exits - own]
        # The nets that come after this one need doors too.
        free = free[: len(free) - later] or doors
        if len(nets) == 1 and len(own) == 1 and own <= set(doors) and len(net.children) == 1:
            near = list(own)
        entry = _nearest(near or free, wished)
        doors = [door for door in doors if door > entry]
        net.entries.append(entry)
        child.entries.append(entry)


def _nearest(columns: Sequence[int], to: float) -> int:
    return min(columns, key=lambda column: abs(column - to))


def _lay_tracks(nets: Sequence[_Net]) -> int:
    """Give each bus a row in which it meets no other; the number of rows."""
    ends: list[int] = []
    for net in sorted(nets, key=lambda net: net.span):
        if net.straight:
            continue
        first, last = net.span
        free = [track for track, end in enumerate(ends) if end + 1 < first]
        net.track = free[0] if free else len(ends)
        ends[net.track : net.track + 1] = [last]
    return max(1, len(ends)) if nets else 0


def _draw_item(canvas: _Canvas, item: _Item, row: int, height: int) -> None:
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


def _draw_bus(canvas: _Canvas, net: _Net, top: int) -> None:
    if not net.straight:
        canvas.horizontal(top + net.track, *net.span)


def _draw_ends(canvas: _Canvas, net: _Net, top: int, bottom: int) -> None:
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
