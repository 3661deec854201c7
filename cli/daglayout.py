"""Where the boxes of a drawn workflow are, and where the lines between them run.

Boxes stand in layers, top down, each as near to the middle of its neighbours as there is room.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cli import dag

_GAP = 2
_SWEEPS = 8

Line = tuple[str, str]
"""A text and its colour."""


@dataclass(slots=True, eq=False)
class Item:
    """Something in a layer: a box, or (without lines) the way of an edge through the layer."""

    lines: Sequence[Line] = ()
    width: int = 3
    at: float = 0.0
    """Where its middle is."""
    left: int = 0
    exit: int = 0
    entries: list[int] = field(default_factory=list[int])
    parents: "list[Item]" = field(default_factory=list["Item"])
    children: "list[Item]" = field(default_factory=list["Item"])

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
class Net:
    """Lines that meet: all of these parents to all of these children, and no other."""

    parents: list[Item]
    children: list[Item]
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


def arranged(graph: dag.Graph, texts: Sequence[Sequence[Line]]) -> list[list[Item]]:
    """The items of each layer, with their places; ``texts`` is what stands in each box."""
    layers = _layered(graph, texts)
    _order(layers)
    _place(layers)
    return layers


def _layered(graph: dag.Graph, texts: Sequence[Sequence[Line]]) -> list[list[Item]]:
    """The items in layers; edges lead from one layer to the next only."""
    rank = dag.ranks(graph)
    layers: list[list[Item]] = [[] for _ in range(max(rank, default=-1) + 1)]
    items: list[Item] = []
    for number, lines in enumerate(texts):
        item = Item(lines=lines, width=max(len(cells(text)) for text, _ in lines) + 4)
        items.append(item)
        layers[rank[number]].append(item)
    ways: dict[tuple[int, int], Item] = {}
    for parent, child in sorted(graph.edges):
        above = items[parent]
        for at in range(rank[parent] + 1, rank[child]):
            if (parent, at) not in ways:
                ways[parent, at] = Item()
                layers[at].append(ways[parent, at])
                _connect(above, ways[parent, at])
            above = ways[parent, at]
        if rank[parent] < rank[child]:
            _connect(above, items[child])
    for layer in layers:
        _widen(layer)
    return layers


def _widen(layer: Sequence[Item]) -> None:
    """Make room for all lines that come to the children of a layer, and for some to pass."""
    nets = nets_of(layer)
    for child in (child for net in nets for child in net.children):
        coming = sum(child in net.children for net in nets)
        if coming > 1:
            child.width = max(child.width, 2 * coming + 3)


def _connect(parent: Item, child: Item) -> None:
    parent.children.append(child)
    child.parents.append(parent)


def _order(layers: list[list[Item]]) -> None:
    """Sort each layer by the middle of its neighbours, down and up, so that few lines cross."""
    for layer in layers:
        _number(layer)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wished = _wished(layer, down=sweep % 2 == 0)
            order = sorted(range(len(layer)), key=wished.__getitem__)
            layer[:] = [layer[number] for number in order]
            _number(layer)


def _number(layer: Sequence[Item]) -> None:
    for number, item in enumerate(layer):
        item.at = number


def _wished(layer: Sequence[Item], *, down: bool) -> list[float]:
    """The middle of each item's parents (or children), its own place where it has none."""
    near = [item.parents if down else item.children for item in layer]
    return [
        sum(one.at for one in others) / len(others) if others else item.at
        for item, others in zip(layer, near, strict=True)
    ]


def _place(layers: list[list[Item]]) -> None:
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


def _spread(layer: Sequence[Item], wished: Sequence[float]) -> None:
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


# ---------------------------------------------------------------- where the lines are


def nets_of(layer: Sequence[Item]) -> list[Net]:
    """Parents with the same children share their lines."""
    found: dict[frozenset[int], Net] = {}
    for parent in layer:
        if parent.children:
            key = frozenset(id(child) for child in parent.children)
            net = found.setdefault(key, Net([], parent.children))
            net.parents.append(parent)
    return list(found.values())


def choose_doors(nets: Sequence[Net]) -> None:
    """Where lines leave and enter: straight where they can be, and never on another's way."""
    for net in nets:
        _straighten(net)
    coming: dict[int, list[Net]] = {}
    for net in sorted(nets, key=_middle_exit):
        for child in net.children:
            coming.setdefault(id(child), []).append(net)
    exits = {parent.exit for net in nets for parent in net.parents}
    for child in {id(child): child for net in nets for child in net.children}.values():
        _choose_entries(child, coming[id(child)], exits)


def _middle_exit(net: Net) -> float:
    return sum(parent.exit for parent in net.parents) / len(net.parents)


def _straighten(net: Net) -> None:
    """Let the only parent of an only child leave where the child can be entered."""
    (parent, *parents), (child, *children) = net.parents, net.children
    if not parents and not children:
        shared = sorted(set(parent.doors) & set(child.doors))
        if shared:
            middle = (parent.exit + child.left + child.width // 2) / 2
            parent.exit = _nearest(shared, middle)


def _choose_entries(child: Item, nets: Sequence[Net], exits: set[int]) -> None:
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


def lay_tracks(nets: Sequence[Net]) -> int:
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
