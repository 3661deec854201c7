"""What is drawn of a workflow: its nodes as boxes, and fewer boxes where there are too many nodes.

A graph that does not fit is drawn simpler, step by step: nodes with the same parents and the same
children become one box, then nodes in a row, then whole layers, and at last the middle layers.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cli.render import State

Edges = frozenset[tuple[int, int]]

# Two alike are drawn side by side, that is still clearer than a sum.
_FEWEST_TWINS = 3
# The lowest a layer can be: a border, two lines, a border and a line to the next.
_LAYER_HEIGHT = 5


@dataclass(frozen=True, slots=True)
class Box:
    """A node, or several that are drawn as one: names and states side by side."""

    names: tuple[str, ...]
    states: tuple[State, ...]

    @property
    def counts(self) -> list[tuple[State, int]]:
        """How many are in each state that occurs, in the order of the states."""
        counted = Counter(self.states)
        return [(state, counted[state]) for state in State if counted[state]]


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes, and edges between them by number, parent first."""

    boxes: Sequence[Box]
    edges: Edges

    def parents(self) -> list[set[int]]:
        """Of each box, in the order of the boxes."""
        found: list[set[int]] = [set() for _ in self.boxes]
        for parent, child in self.edges:
            found[child].add(parent)
        return found

    def children(self) -> list[set[int]]:
        """Of each box, in the order of the boxes."""
        found: list[set[int]] = [set() for _ in self.boxes]
        for parent, child in self.edges:
            found[parent].add(child)
        return found


def of(nodes: Iterable[tuple[str, str, State]], edges: Iterable[tuple[str, str]]) -> Graph:
    """A graph from nodes (id, name, state) and edges (parent id, child id) between them."""
    listed = list(nodes)
    numbers = {identity: number for number, (identity, _, _) in enumerate(listed)}
    return Graph(
        [Box((name,), (state,)) for _, name, state in listed],
        frozenset(
            (numbers[parent], numbers[child])
            for parent, child in edges
            if parent in numbers and child in numbers
        ),
    )


def ranks(graph: Graph) -> list[int]:
    """The layer of each box: one below the lowest of its parents.

    The reference accepts workflows that go in circles; a circle is entered at its first box.
    """
    children, missing = graph.children(), graph.parents()
    layer = [0] * len(graph.boxes)
    left = set(range(len(graph.boxes)))
    ready = [box for box in left if not missing[box]]
    while left:
        box = ready.pop() if ready else min(left)
        left.discard(box)
        for child in children[box] & left:
            layer[child] = max(layer[child], layer[box] + 1)
            missing[child].discard(box)
            if not missing[child]:
                ready.append(child)
    return layer


def simpler(graph: Graph, rows: int) -> Iterator[Graph]:
    """The graph as it is, then ever simpler; the last one has at most so many rows of layers."""
    yield graph
    steps: tuple[Callable[[Graph], Graph], ...] = (_twins, _chains, _twins, _layers)
    for step in steps:
        graph = step(graph)
        yield graph
    yield _ends(graph, max(3, rows // _LAYER_HEIGHT))


def _twins(graph: Graph) -> Graph:
    """Boxes with the same parents and the same children become one."""
    alike: dict[tuple[frozenset[int], frozenset[int]], list[int]] = {}
    for box, (above, below) in enumerate(zip(graph.parents(), graph.children(), strict=True)):
        alike.setdefault((frozenset(above), frozenset(below)), []).append(box)
    groups = list(range(len(graph.boxes)))
    for same in alike.values():
        if len(same) >= _FEWEST_TWINS:
            for box in same:
                groups[box] = same[0]
    return _merged(graph, groups)


def _chains(graph: Graph) -> Graph:
    """Of boxes one below the other, without a branch between them: those between the ends."""
    parents, children, layer = graph.parents(), graph.children(), ranks(graph)
    chain = list(range(len(graph.boxes)))
    for box in sorted(range(len(graph.boxes)), key=layer.__getitem__):
        if len(parents[box]) == 1:
            (parent,) = parents[box]
            if len(children[parent]) == 1 and layer[parent] < layer[box]:
                chain[box] = chain[parent]
    rows: dict[int, list[int]] = {}
    for box in sorted(range(len(graph.boxes)), key=layer.__getitem__):
        rows.setdefault(chain[box], []).append(box)
    groups = list(range(len(graph.boxes)))
    for row in rows.values():
        for box in row[1:-1]:
            groups[box] = row[1]
    return _merged(graph, groups)


def _layers(graph: Graph) -> Graph:
    """The boxes of each layer become one, with a line from each layer to the next."""
    layer = ranks(graph)
    near = frozenset(pair for pair in graph.edges if layer[pair[0]] + 1 == layer[pair[1]])
    return _merged(Graph(graph.boxes, near), layer)


def _ends(graph: Graph, most: int) -> Graph:
    """Of a graph with one box a layer: the first and the last ones, and one for all between."""
    count = len(graph.boxes)
    if count <= most:
        return graph
    last = (most - 1) // 3
    first = most - 1 - last
    layer = ranks(graph)
    return _merged(graph, [at if at < first or at >= count - last else first for at in layer])


def _merged(graph: Graph, groups: Sequence[int]) -> Graph:
    """The boxes of the same group as one; groups come in the order of their first boxes."""
    order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    members: list[list[Box]] = [[] for _ in order]
    for box, group in zip(graph.boxes, groups, strict=True):
        members[order[group]].append(box)
    edges = ((order[groups[parent]], order[groups[child]]) for parent, child in graph.edges)
    return Graph(
        [_one(boxes) for boxes in members],
        frozenset((parent, child) for parent, child in edges if parent != child),
    )


def _one(boxes: Sequence[Box]) -> Box:
    pairs = [pair for box in boxes for pair in zip(box.names, box.states, strict=True)]
    pairs.sort(key=lambda pair: natural(pair[0]))
    return Box(tuple(name for name, _ in pairs), tuple(state for _, state in pairs))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts ``task_2`` before ``task_10``."""
    return [
        (int(part), "") if part.isdecimal() and part.isascii() else (-1, part)
        for part in re.split(r"([0-9]+)", name)
    ]
