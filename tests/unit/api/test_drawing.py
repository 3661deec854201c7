"""How workflows are drawn: the diamond of extended.md, section 2.1, and what may differ from it."""

from api.drawing import drawn
from api.wire_workflow import Edge, Node
from broker.aggregates import workflow
from broker.aggregates.process_row import ProcessRow
from tests.scenario import World
from tests.workflows import (
    A,
    B,
    C,
    D,
    Story,
    after,
    assigned,
    close,
    done,
    node,
    nodes_of,
    present,
    running,
    submitted,
)

CHAIN_NODES = 3_000


def rows(story: Story) -> list[ProcessRow]:
    world = World(story)
    return [present(world, i) for i in nodes_of(world)]


def roots(nodes: list[workflow.Node]) -> list[str]:
    return [each.process.process_id for each in nodes if not each.depends]


def diamond(story: Story) -> tuple[dict[str, Node], list[Edge]]:
    nodes, edges = drawn([A], rows(story))
    return {each.id: each for each in nodes}, edges


def test_diamond_is_drawn_from_top_to_bottom() -> None:
    nodes, _ = diamond(submitted())

    places = {i: (each.position.x, each.position.y) for i, each in nodes.items()}
    assert places == {A: (100, 0), B: (0, 80), C: (200, 80), D: (100, 160)}


def test_nodes_come_depth_first_from_the_root() -> None:
    assert list(diamond(submitted())[0]) == [A, B, D, C]


def test_nodes_bear_their_names() -> None:
    assert [n.data.label for n in diamond(submitted())[0].values()] == ["a", "b", "d", "c"]


def test_type_tells_where_a_workflow_begins_and_ends() -> None:
    assert [n.type for n in diamond(submitted())[0].values()] == ["input", "", "output", ""]


def test_single_node_is_an_input() -> None:
    nodes, edges = drawn([A], rows(submitted([node("a")])))

    assert [(n.type, n.position.x, n.position.y) for n in nodes] == [("input", 0, 0)]
    assert edges == []


def test_edges_are_named_after_their_ends() -> None:
    _, edges = diamond(submitted())

    assert [(e.id, e.source, e.target) for e in edges] == [
        (f"{source}-{target}", source, target)
        for source, target in [(A, B), (A, C), (B, D), (C, D)]
    ]


def test_edges_of_running_processes_move() -> None:
    story = (*done(submitted(), A), assigned(B))

    assert [e.source for e in diamond(story)[1] if e.animated] == [B]


def test_colour_tells_the_state() -> None:
    story = after((*done(submitted(), A), assigned(B), assigned(C)), close(C, failed=True))
    backgrounds = {i: n.style.background for i, n in diamond(story)[0].items()}

    assert backgrounds == {A: "#92d050", B: "#4689cd", C: "#cb4239", D: "#eee8d8"}
    assert {n.style.color for n in diamond(story)[0].values()} == {""}


def test_dependency_that_is_named_twice_is_one_edge() -> None:
    _, edges = drawn([A], rows(submitted([node("a"), node("b", "a", "a")])))

    assert [e.id for e in edges] == [f"{A}-{B}"]


def test_several_roots_share_the_first_level() -> None:
    story = submitted([node("a"), node("b"), node("c", "a", "b")])

    nodes, _ = drawn([A, B], rows(story))

    assert [(n.id, n.position.x, n.position.y) for n in nodes] == [
        (A, 0, 0),
        (C, 100, 80),
        (B, 200, 0),
    ]


def test_workflow_that_is_half_removed_is_drawn_as_far_as_it_is_there() -> None:
    nodes, _ = drawn([A], [row for row in rows(running()) if row.id != D])

    assert [n.id for n in nodes] == [A, B, C]


def test_long_chain_is_drawn_without_a_stack() -> None:
    nodes = [node("0", process_id=f"{0:064x}")]
    nodes += [node(str(at), str(at - 1), process_id=f"{at:064x}") for at in range(1, CHAIN_NODES)]

    boxes, edges = drawn(roots(nodes), rows(submitted(nodes)))

    assert (boxes[-1].position.x, boxes[-1].position.y) == (0, 80 * (CHAIN_NODES - 1))
    assert len(edges) == CHAIN_NODES - 1
