"""Positions: two integers, in their own order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Malformed
from broker.position import START, Position

PARTS = st.integers(min_value=0, max_value=2**64 - 1)
POSITIONS = st.builds(Position, PARTS, PARTS)


@given(POSITIONS)
def test_position_survives_being_written(position: Position) -> None:
    assert Position.parse(str(position)) == position
    assert Position.parse(str(position).encode()) == position


@given(POSITIONS, POSITIONS)
def test_positions_sort_as_numbers(one: Position, two: Position) -> None:
    assert (one < two) == ((one.ms, one.seq) < (two.ms, two.seq))
    assert one >= START


def test_ten_comes_after_nine() -> None:
    assert Position.parse("10-0") > Position.parse("9-0")


@pytest.mark.parametrize(
    ("text", "previous"),
    [("7-2", "7-1"), ("7-0", "6-18446744073709551615"), ("0-1", "0-0"), ("0-0", "0-0")],
)
def test_previous_position_is_right_before(text: str, previous: str) -> None:
    assert str(Position.parse(text).previous) == previous


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "-", "1-", "-1", "1-x", "1-2-3", "+1-2", "\u0661-\u0662", " 1-2"),
        *(
            "9" * 5_000 + "-0",
            "0-" + "9" * 5_000,
            "18446744073709551616-0",
            "0-18446744073709551616",
        ),
    ],
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Position.parse(text)


def test_bytes_that_are_no_text_are_malformed() -> None:
    with pytest.raises(Malformed):
        Position.parse(b"\xff-\xff")
