"""What people type becomes what the commands declare."""

import pytest

from cli.argv import normalise
from cli.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("users list", "user ls"),
        ("security generate", "key generate"),
        ("worklflow removeall --failed", "workflow removeall --failed"),
        ("processes rm abc", "process remove abc"),
        ("executor show --name x", "executor get --name x"),
        ("cluster info", "cluster info"),
        ("config show dev", "config show dev"),
        ("help process assign", "process assign --help"),
        ("help", "--help"),
    ],
)
def test_other_spellings_of_a_command_are_understood(typed: str, read: str) -> None:
    assert normalise(typed.split()) == read.split()


def test_global_options_in_front_of_the_command_are_moved_behind_it() -> None:
    typed = ["--json", "--host=h", "--port", "1", "process", "psw", "--count", "3"]
    assert normalise(typed) == [
        "process",
        "psw",
        "--count",
        "3",
        "--json",
        "--host=h",
        "--port",
        "1",
    ]


def test_global_options_stay_in_front_of_a_foreign_command() -> None:
    typed = ["--json", "executor", "run", "--", "sh", "-c", "ls list"]
    assert normalise(typed) == ["executor", "run", "--json", "--", "sh", "-c", "ls list"]


@pytest.mark.parametrize("group", ["executor", "generator", "workflow"])
def test_colonyid_is_a_colony_name_where_it_always_was(group: str) -> None:
    assert normalise([group, "ls", "--colonyid", "dev"]) == [group, "ls", "--colony", "dev"]


def test_colonyid_of_a_colony_stays_an_id() -> None:
    typed = ["colony", "add", "--colonyid", "a" * 64]
    assert normalise(typed) == typed


def test_free_text_may_begin_with_a_dash() -> None:
    typed = ["function", "exec", "--args", "-x", "--wait"]
    assert normalise(typed) == ["function", "exec", "--args=-x", "--wait"]


def test_out_takes_a_value_only_where_it_is_an_output() -> None:
    assert normalise(["process", "close", "--out", "-1"]) == ["process", "close", "--out=-1"]
    assert normalise(["process", "get", "--out", "--json"]) == ["process", "get", "--out", "--json"]


def test_a_single_dash_before_a_long_name_is_understood() -> None:
    assert normalise(["function", "submit", "-wait"]) == ["function", "submit", "--wait"]


def test_a_broken_line_continuation_is_explained() -> None:
    with pytest.raises(UsageError) as refusal:
        normalise(["colony", "add", " "])
    assert "backslash" in refusal.value.hint


def test_a_blank_value_of_an_option_is_a_value() -> None:
    assert normalise(["user", "add", "--email", " "]) == ["user", "add", "--email", " "]
