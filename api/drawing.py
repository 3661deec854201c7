"""How a workflow is drawn: positions, colours and edges as the protocol's clients expect them."""

from collections import Counter
from collections.abc import Iterator, Sequence

from api.wire_workflow import Edge, Node, NodeData, NodeStyle, Position
from broker.aggregates.graph import with_depths
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow

_BACKGROUND = {
    State.WAITING: "#eee8d8",
    State.RUNNING: "#4689cd",
    State.SUCCESS: "#92d050",
    State.FAILED: "#cb4239",
    State.CANCELLED: "#f5a623",
}
_WIDTH, _GAP, _HEIGHT = 150, 50, 80


def drawn(roots: Sequence[str], rows: Sequence[ProcessRow]) -> tuple[list[Node], list[Edge]]:
    """Nodes depth first from the roots, one level of the walk below the other, and all edges."""
    by_id = {row.id: row for row in rows}
    children = {row.id: row.children for row in rows}
    walk = [(i, depth) for i, depth in with_depths(roots, children) if i in by_id]
    sizes = Counter(depth for _, depth in walk)
    widest = max((_level_width(size) for size in sizes.values()), default=0)
    met = Counter[int]()
    nodes = list[Node]()
    for process_id, depth in walk:
        shift = widest // 2 - _level_width(sizes[depth]) // 2
        x = (_WIDTH + _GAP) * met[depth] + shift
        met[depth] += 1
        nodes.append(_node(by_id[process_id], Position(x=x, y=_HEIGHT * depth)))
    return nodes, list(_edges(rows))


def _level_width(size: int) -> int:
    return _WIDTH * size + _GAP * (size - 1)


def _node(row: ProcessRow, position: Position) -> Node:
    return Node(
        id=row.id,
        data=NodeData(label=row.given["node"]),
        position=position,
        type="input" if not row.parents else "" if row.children else "output",
        style=NodeStyle(color="", background=_BACKGROUND[row.state]),
    )


def _edges(rows: Sequence[ProcessRow]) -> Iterator[Edge]:
    for row in rows:
        animated = row.state is State.RUNNING
        for child in row.children:
            yield Edge(id=f"{row.id}-{child}", source=row.id, target=child, animated=animated)
