"""Results are kept for short texts, and only for so many."""

import pytest

from broker.remembered import remembered


@pytest.fixture
def worked() -> list[str]:
    return []


def test_a_short_text_is_worked_on_once_and_a_long_one_every_time(worked: list[str]) -> None:
    @remembered(most=2, longest=3)
    def shout(text: str) -> str:
        worked.append(text)
        return text.upper()

    for text in ("abc", "abc", "abcd", "abcd"):
        assert shout(text) == text.upper()
    assert worked == ["abc", "abcd", "abcd"]


def test_what_was_not_asked_for_long_is_forgotten(worked: list[str]) -> None:
    @remembered(most=2, longest=3)
    def echo(text: str) -> str:
        worked.append(text)
        return text

    for text in ("a", "b", "a", "c", "a", "b"):
        echo(text)
    assert worked == ["a", "b", "c", "b"]


def test_an_error_is_not_kept(worked: list[str]) -> None:
    @remembered(most=2, longest=3)
    def refuse(text: str) -> str:
        worked.append(text)
        raise ValueError(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            refuse("a")
    assert worked == ["a", "a"]
