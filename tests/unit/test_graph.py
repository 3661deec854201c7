"""Walks and circles in directed graphs, however long."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from broker.aggregates.graph import cycle, depth_first, with_depths

DIAMOND = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": list[str]()}
LONG = 10_000
Graph = Mapping[str, Sequence[str]]


@st.composite
def graphs(draw: DrawFn) -> dict[str, list[str]]:
    """Any directed graph of a few nodes, with loops, circles and edges that are there twice."""
    names = "abcdefgh"[: draw(st.integers(0, 8))]
    edges = st.lists(st.sampled_from(names or "a"), max_size=4)
    return {name: draw(edges) for name in names}


@st.composite
def forests(draw: DrawFn) -> dict[str, list[str]]:
    """What each node depends on: only on nodes before it."""
    names = draw(st.permutations("abcdefgh"))
    earlier = [st.lists(st.sampled_from(names[:at]), max_size=4) for at in range(1, len(names))]
    return {names[0]: [], **{name: draw(e) for name, e in zip(names[1:], earlier, strict=True)}}


def reached(roots: Sequence[str], children: Graph) -> set[str]:
    found, left = set[str](), list(roots)
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += children.get(node, ())
    return found


# -------------------------------------------------------------------- walking


def test_walk_goes_to_the_end_of_a_branch_before_it_turns_to_the_next() -> None:
    assert list(depth_first(["a"], DIAMOND)) == ["a", "b", "d", "c"]


def test_depth_is_that_of_the_first_visit() -> None:
    children = {"a": ["b", "c"], "b": ["c"], "c": list[str]()}

    assert list(with_depths(["a"], children)) == [("a", 0), ("b", 1), ("c", 2)]


def test_roots_are_walked_in_their_order() -> None:
    assert list(depth_first(["x", "a"], {"x": ["d"], **DIAMOND})) == ["x", "d", "a", "b", "c"]


def test_child_that_is_not_a_node_of_its_own_is_a_leaf() -> None:
    assert list(depth_first(["a"], {"a": ["elsewhere"]})) == ["a", "elsewhere"]


def test_walk_along_a_long_chain_needs_no_stack() -> None:
    chain = {str(at): [str(at + 1)] for at in range(LONG)}

    assert list(depth_first(["0"], chain)) == [str(at) for at in range(LONG + 1)]


@given(graphs())
def test_walk_meets_everything_that_can_be_reached_once(children: Graph) -> None:
    roots = list(children)[:2]

    met = list(depth_first(roots, children))

    assert len(met) == len(set(met))
    assert set(met) == reached(roots, children)


@given(graphs())
def test_every_node_but_a_root_is_met_one_below_one_of_its_parents(children: Graph) -> None:
    roots = list(children)[:2]
    depths = dict(with_depths(roots, children))

    for met, depth in depths.items():
        above = [depths[parent] for parent in depths if met in children.get(parent, ())]
        assert depth - 1 in above if depth else met in roots


# -------------------------------------------------------------------- circles


@pytest.mark.parametrize(
    ("depends", "found"),
    [
        ({}, []),
        ({"a": []}, []),
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": [], "b": ["a", "c"], "c": ["b"]}, ["b", "c", "b"]),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
        ({"a": [], "b": ["a", "a"]}, []),
    ],
)
def test_circle_is_told_as_one_walks_it(depends: Graph, found: list[str]) -> None:
    assert cycle(depends) == found


@given(forests())
def test_nodes_that_only_depend_on_earlier_ones_have_no_circle(depends: Graph) -> None:
    assert cycle(depends) == []


@given(graphs())
def test_circle_that_is_told_is_one(depends: Graph) -> None:
    found = cycle(depends)

    if found:
        assert found[0] == found[-1]
        assert len(set(found)) == len(found) - 1
        assert all(b in depends[a] for a, b in pairwise(found))


@given(graphs())
def test_without_a_circle_there_is_an_order_in_which_all_can_run(depends: Graph) -> None:
    done, left = set[str](), dict(depends)
    while free := [node for node, names in left.items() if done.issuperset(names)]:
        done.update(free)
        left = {node: names for node, names in left.items() if node not in done}

    assert bool(cycle(depends)) is bool(left)


def test_long_circle_is_found_without_a_stack() -> None:
    circle = {str(at): [str((at + 1) % LONG)] for at in range(LONG)}

    assert len(cycle(circle)) == LONG + 1
