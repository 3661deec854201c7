"""Results as text."""

import json
from datetime import UTC, timedelta, timezone

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli import render

ROWS: list[render.Row] = [
    (render.Id("a" * 64), "helloworld", render.State.RUNNING),
    (render.Id("b" * 64), "two\nlines", render.State.FAILED),
]
HEADER = ("ID", "FUNCNAME", "STATE")


def test_a_piped_table_is_drawn_as_in_the_guide() -> None:
    drawn = render.table(
        ("NAME", "TYPE", "LOCATION"), [("worker-two", "ml", "ICE")], render.Style()
    )
    assert drawn == (
        "+------------+------+----------+\n"
        "|    NAME    | TYPE | LOCATION |\n"
        "+------------+------+----------+\n"
        "| worker-two | ml   | ICE      |\n"
        "+------------+------+----------+\n"
    )


def test_a_table_without_header_has_no_rule_below_it() -> None:
    drawn = render.table((), [("Colony", "dev"), ("TLS", "false")], render.Style())
    assert drawn == (
        "+--------+-------+\n| Colony | dev   |\n| TLS    | false |\n+--------+-------+\n"
    )


def test_ids_are_full_when_piped() -> None:
    assert "a" * 64 in render.table(HEADER, ROWS, render.Style())


def test_ids_are_short_on_a_narrow_terminal_only() -> None:
    narrow = render.table(HEADER, ROWS, render.Style(width=60, unicode=True))
    wide = render.table(HEADER, ROWS, render.Style(width=120, unicode=True))
    assert "aaaaaaaaaaaa… " in narrow
    assert "a" * 64 in wide
    assert max(len(line) for line in narrow.splitlines()) <= 60


def test_states_have_a_symbol_and_a_colour_on_a_terminal() -> None:
    drawn = render.table(HEADER, ROWS, render.Style(width=120, unicode=True, colour=True))
    assert "\x1b[36m▶ Running" in drawn
    assert "\x1b[31m✘ Failed" in drawn


def test_without_colour_there_is_no_escape() -> None:
    drawn = render.table(HEADER, ROWS, render.Style(width=120, unicode=True))
    assert "\x1b" not in drawn


def test_ascii_tables_have_no_other_characters() -> None:
    assert render.table(HEADER, ROWS, render.Style(width=60)).isascii()


def test_titles_are_folded_before_cells() -> None:
    header = ("ID", "FUNCNAME", "ARGS", "KWARGS", "SUBMISSION TIME", "EXECUTOR TYPE")
    row = (render.Id("a" * 64), "helloworld", "", "", "2026-11-24 02:36:05", "cli")
    drawn = render.table(header, [row, row], render.Style(width=80)).splitlines()
    assert max(map(len, drawn)) <= 80
    assert drawn[-3] == drawn[-2]
    assert "| helloworld |      |        | 2026-11-24 02:36:05 | cli      |" in drawn[-2]


@pytest.mark.parametrize("style", [render.Style(), render.Style(width=80, unicode=True)])
def test_a_text_cannot_steer_the_terminal(style: render.Style) -> None:
    drawn = render.table((), [("x\x1b[2Jy\x07", "[bold]z")], style)
    assert "\x1b" not in drawn
    assert "\x07" not in drawn
    assert "[bold]z" in drawn


def test_a_message_has_its_fields_sorted() -> None:
    line = render.message("INFO", "Colony added", {"B": "x y", "A": ""}, elapsed_s=2, colour=False)
    assert line == 'INFO[0002] Colony added                                 A= B="x y"'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_yaml_means_what_json_means(value: object) -> None:
    # PyYAML reads YAML 1.1, where 1e16 without a dot is a text; JSON numbers are YAML 1.2.
    if "e+" in json.dumps(value) or "e-" in json.dumps(value):
        return
    assert yaml.safe_load(render.to_yaml(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-1, "0s"),
        (0.000005, "5\N{MICRO SIGN}s"),
        (0.265655, "265.655ms"),
        (18.021749, "18.021749s"),
        (79.767467, "1m19.767467s"),
        (3600, "1h0m0s"),
    ],
)
def test_durations_read_as_in_the_guide(seconds: float, text: str) -> None:
    assert render.duration(seconds) == text


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("2026-11-23T07:15:10.61845Z", "2026-11-23 07:15:10"),
        ("2026-11-23T07:15:10Z", "2026-11-23 07:15:10"),
        ("2026-11-23T07:15:10.123456789+01:00", "2026-11-23 06:15:10"),
        ("0001-01-01T00:00:00Z", "-"),
        ("0001-01-01T00:53:28+00:53", "-"),
        ("", "-"),
    ],
)
def test_times_are_shown_to_the_second_and_never_is_a_dash(wire: str, text: str) -> None:
    assert render.moment(wire, timezone(timedelta())) == text


def test_a_time_keeps_its_microseconds() -> None:
    at = render.parse_moment("2026-11-23T07:15:10.61845Z")
    assert at is not None
    assert (at.microsecond, at.tzinfo) == (618450, UTC)
