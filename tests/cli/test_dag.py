"""Workflows drawn with characters: what the lines say is what the graph is."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import dag, dagdraw
from cli.render import State, Style

UNICODE = Style(width=100, unicode=True)
WAITING = State.WAITING
_DOWN, _LEFT, _RIGHT = (1, 0), (0, -1), (0, 1)
_LEAVING = {
    "─": {_LEFT, _RIGHT},
    "╭": {_DOWN, _RIGHT},
    "╮": {_DOWN, _LEFT},
    "╰": {_RIGHT},
    "╯": {_LEFT},
    "├": {_DOWN, _RIGHT},
    "┤": {_DOWN, _LEFT},
    "┬": {_DOWN, _LEFT, _RIGHT},
    "┴": {_LEFT, _RIGHT},
    "┼": {_DOWN, _LEFT, _RIGHT},
}


def graph(children: Mapping[str, Sequence[str]], states: Mapping[str, State] = {}) -> dag.Graph:
    names = dict.fromkeys(name for parent, below in children.items() for name in (parent, *below))
    return dag.of(
        [(name, name, states.get(name, WAITING)) for name in names],
        [(parent, child) for parent, below in children.items() for child in below],
    )


DIAMOND = {"task_a": ["task_b", "task_c"], "task_b": ["task_d"], "task_c": ["task_d"]}
STATES = {"task_a": State.SUCCESSFUL, "task_b": State.RUNNING, "task_c": State.FAILED}


def test_a_diamond() -> None:
    assert dagdraw.picture(graph(DIAMOND, STATES), UNICODE) == (
        "       ╭──────────╮\n"
        "       │ ✔ task_a │\n"
        "       ╰─────┬────╯\n"
        "      ╭──────┴──────╮\n"
        "╭─────┴────╮  ╭─────┴────╮\n"
        "│ ▶ task_b │  │ ✘ task_c │\n"
        "╰─────┬────╯  ╰─────┬────╯\n"
        "      ╰──────┬──────╯\n"
        "       ╭─────┴────╮\n"
        "       │ ◷ task_d │\n"
        "       ╰──────────╯\n"
    )


def test_a_diamond_in_ascii_says_the_states() -> None:
    assert dagdraw.picture(graph(DIAMOND, STATES), Style()) == (
        "         +---------------------+\n"
        "         | task_a (Successful) |\n"
        "         +----------+----------+\n"
        "          +---------+----------+\n"
        "+---------+--------+  +--------+--------+\n"
        "| task_b (Running) |  | task_c (Failed) |\n"
        "+---------+--------+  +--------+--------+\n"
        "          +----------+---------+\n"
        "           +---------+--------+\n"
        "           | task_d (Waiting) |\n"
        "           +------------------+\n"
    )


def test_a_fan_out_and_in() -> None:
    fan = {"a": ["b", "c", "d"], "b": ["e"], "c": ["e"], "d": ["e"]}
    assert dagdraw.picture(graph(fan), UNICODE) == (
        "         ╭─────╮\n"
        "         │ ◷ a │\n"
        "         ╰──┬──╯\n"
        "   ╭────────┼────────╮\n"
        "╭──┴──╮  ╭──┴──╮  ╭──┴──╮\n"
        "│ ◷ b │  │ ◷ c │  │ ◷ d │\n"
        "╰──┬──╯  ╰──┬──╯  ╰──┬──╯\n"
        "   ╰────────┼────────╯\n"
        "         ╭──┴──╮\n"
        "         │ ◷ e │\n"
        "         ╰─────╯\n"
    )


def test_an_edge_goes_past_the_layers_between() -> None:
    assert dagdraw.picture(graph({"a": ["b", "c"], "b": ["c"]}), UNICODE) == (
        "   ╭─────╮\n"
        "   │ ◷ a │\n"
        "   ╰──┬──╯\n"
        "   ╭──┴───╮\n"
        "╭──┴──╮   │\n"
        "│ ◷ b │   │\n"
        "╰──┬──╯   │\n"
        "   ╰──┬───╯\n"
        "   ╭──┴──╮\n"
        "   │ ◷ c │\n"
        "   ╰─────╯\n"
    )


def test_lines_that_cross_do_not_touch() -> None:
    both = graph({"a": ["x", "y"], "b": ["y", "z"], "c": ["z", "x"]})
    drawn = dagdraw.picture(both, UNICODE)
    assert reached(drawn, "a") == {"x", "y"}
    assert reached(drawn, "b") == {"y", "z"}
    assert reached(drawn, "c") == {"x", "z"}


def test_states_are_coloured() -> None:
    drawn = dagdraw.picture(graph(DIAMOND, STATES), Style(width=80, unicode=True, colour=True))
    assert "\x1b[32m✔ task_a\x1b[0m" in drawn
    assert "\x1b[31m✘ task_c\x1b[0m" in drawn


def test_a_long_name_is_cut() -> None:
    name = "x" * 100
    drawn = dagdraw.picture(graph({name: [name + "y"]}), UNICODE)
    assert "x" * 27 + "…" in drawn
    assert max(map(len, drawn.splitlines())) < 40


def test_wide_and_dangerous_characters_keep_the_box_whole() -> None:
    drawn = dagdraw.picture(graph({"日本": ["\x1b[2J\n"]}), UNICODE)
    assert "│ ◷ 日本 │" in drawn
    assert "\x1b" not in drawn
    assert "\\x1b[2J" in drawn
    assert len(drawn.splitlines()) == 7


def test_a_workflow_without_nodes_is_nothing() -> None:
    assert dagdraw.picture(graph({}), UNICODE) == ""


def test_a_circle_is_drawn_without_the_line_back() -> None:
    drawn = dagdraw.picture(graph({"a": ["b"], "b": ["a"]}), UNICODE)
    assert reached(drawn, "a") == {"b"}
    assert reached(drawn, "b") == set()


# ---------------------------------------------------------------- too many nodes


def test_a_thousand_alike_are_one_box_with_counts() -> None:
    names = [f"task_{number}" for number in range(1, 999)]
    fan = {"root": names, **{name: ["sink"] for name in names}}
    states = {"root": State.SUCCESSFUL, "task_1": State.SUCCESSFUL, "task_2": State.RUNNING}
    assert dagdraw.picture(graph(fan, states), UNICODE) == (
        "           ╭────────╮\n"
        "           │ ✔ root │\n"
        "           ╰────┬───╯\n"
        "                │\n"
        "╭───────────────┴──────────────╮\n"
        "│ 998 nodes: task_1 … task_998 │\n"
        "│ ◷ 996  ▶ 1  ✔ 1              │\n"
        "╰───────────────┬──────────────╯\n"
        "                │\n"
        "           ╭────┴───╮\n"
        "           │ ◷ sink │\n"
        "           ╰────────╯\n"
    )


def test_a_thousand_in_a_row_show_both_ends() -> None:
    row = {f"t{number}": [f"t{number + 1}"] for number in range(999)}
    drawn = dagdraw.picture(graph(row), Style(width=80))
    assert "| t0 (Waiting) |" in drawn
    assert "| 998 nodes: t1 ... t998 |" in drawn
    assert "| 998 Waiting" in drawn
    assert "| t999 (Waiting) |" in drawn


@pytest.mark.parametrize("height", [20, 40])
def test_whatever_a_thousand_nodes_are_like_they_fit(height: int) -> None:
    tangle = {
        f"n{number}": [
            f"n{number + step}" for step in (1 + number % 3, 7, 50) if number + step < 1000
        ]
        for number in range(999)
    }
    drawn = dagdraw.picture(graph(tangle), Style(width=80, unicode=True), height=height)
    lines = drawn.splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= 80
    counted = [int(n) for n in re.findall(r"(\d+) nodes", drawn)]
    assert sum(counted) + len(re.findall(r"◷ n\d+", drawn)) == 1000


# ---------------------------------------------------------------- what the lines say


@given(st.data())
def test_the_lines_lead_from_each_node_to_its_children_and_nowhere_else(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 9))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = data.draw(st.sets(st.sampled_from(pairs))) if pairs else set[tuple[int, int]]()
    names = [f"n{number}" for number in range(count)]
    drawn = dagdraw.picture(
        dag.of([(n, n, WAITING) for n in names], [(names[a], names[b]) for a, b in edges]),
        Style(width=10_000, unicode=True),
    )
    for number, name in enumerate(names):
        assert reached(drawn, name) == {names[b] for a, b in edges if a == number}, drawn


def reached(drawn: str, name: str) -> set[str]:
    """The names of the boxes to which lines lead down from the box of a name."""
    lines = drawn.splitlines()
    width = max(map(len, lines))
    grid = [line.ljust(width) for line in lines]
    entries: dict[tuple[int, int], str] = {}
    exits: dict[str, list[tuple[int, int]]] = {}
    for row, line in enumerate(grid):
        for found in re.finditer(r"│ ◷ (\S+) +│", line):
            first, last = found.span()
            sides = range(first, last)
            entries |= {(row - 1, c): found[1] for c in sides if grid[row - 1][c] == "┴"}
            exits[found[1]] = [(row + 1, c) for c in sides if grid[row + 1][c] == "┬"]
    ways = [(cell, _DOWN) for cell in exits[name]]
    seen: set[tuple[tuple[int, int], tuple[int, int]]] = set()
    names: set[str] = set()
    while ways:
        (row, column), step = ways.pop()
        cell = (row + step[0], column + step[1])
        if (cell, step) in seen:
            continue
        seen.add((cell, step))
        character = grid[cell[0]][cell[1]]
        if step == _DOWN and cell in entries:
            names.add(entries[cell])
        elif character == "│":
            ways.append((cell, step))
        else:
            back = (-step[0], -step[1])
            ways += [(cell, further) for further in _LEAVING[character] if further != back]
    return names


def test_names_are_sorted_as_people_count() -> None:
    names = ["task_1", "task_2", "task_10", "task_100", "z"]
    assert all(dag.natural(one) < dag.natural(other) for one, other in pairwise(names))
