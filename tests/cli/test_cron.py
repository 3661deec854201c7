"""Crons: added, listed, shown, run and removed."""

from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import Shell
from tests.cli.test_commands import NOWHERE, labels, rows

SPEC = Path(__file__).parents[2] / "docs" / "examples" / "cron" / "cron_workflow.json"
YEARLY = '--cron "0 0 15 24 12 *"'


def add(shell: Shell, name: str, when: str = YEARLY) -> str:
    return shell.ok(f"cron add --name {name} {when} --spec {SPEC}").id


def test_a_cron_is_added_listed_run_and_removed(colony: Shell) -> None:
    ran = colony.ok(f"cron add --name christmas {YEARLY} --spec {SPEC}")
    cron = ran.id
    first, second = ran.err.splitlines()
    assert first.endswith("] Will not wait for previous processgraph to finish")
    assert "] Cron added " in second
    assert second.endswith(f"CronID={cron}")
    assert rows(colony.ok("cron ls")) == [["CRONID", "NAME"], [cron, "christmas"]]
    assert rows(colony.ok("cron ls -w"))[1][2] == "0 0 15 24 12 *"
    assert "Running cron" in colony.ok(f"cron run --cronid {cron}").err
    started = colony.ok("workflow psw -o id").id
    assert ["PrevProcessGraphID", started] in rows(colony.ok(f"cron get --cronid {cron}"))
    ran = colony.ok(f"cron remove --cronid {cron}")
    assert f"CronId={cron}" in ran.err
    assert "No crons found" in colony.ok("cron ls").err
    assert colony.ok("cron ls --json").json == []
    assert colony.ok("workflow psw -o id").id == started


def test_a_cron_is_shown_as_in_the_guide(colony: Shell) -> None:
    shown = colony.ok(f"cron get --cronid {add(colony, 'c')}")
    assert [line for line in shown.out.splitlines() if line.endswith(":")] == [
        "Cron:",
        "WorkflowSpec:",
        "FunctionSpec 0:",
        "Conditions:",
        "FunctionSpec 1:",
        "Conditions:",
    ]
    assert labels(shown)[:11] == [
        "Id",
        "ColonyName",
        "Name",
        "Cron Expression",
        "Interval",
        "Random",
        "NextRun",
        "LastRun",
        "PrevProcessGraphID",
        "WaitForPrevProcessGraph",
        "CheckerPeriod",
    ]
    assert ["Interval", "-1"] in rows(shown)
    assert ["LastRun", "-"] in rows(shown)
    assert ["Dependencies", "generate_date"] in rows(shown)


def test_a_cron_is_called_by_its_name_or_the_beginning_of_its_id(colony: Shell) -> None:
    cron = add(colony, "mine")
    add(colony, "other")
    assert colony.ok("cron get mine -o id").id == cron
    assert colony.ok(f"cron get {cron[:10]} -o id").id == cron
    assert colony.ok("cron run mine --json").json
    colony.ok("cron remove mine")
    assert colony("cron get mine").code == 1


def test_everything_of_a_cron_arrives(colony: Shell) -> None:
    colony.ok(f"cron add --name a --interval 3600 --random --waitprevious --spec {SPEC}")
    shown = cast("dict[str, object]", colony.ok("cron get a --json").json)
    assert shown["interval"] == 3600
    assert (shown["random"], shown["waitforprevprocessgraph"]) == (True, True)
    options = "--timezone Europe/Stockholm --missed run"
    colony.ok(f"cron add --name b {YEARLY} {options} --spec {SPEC}")
    shown = cast("dict[str, object]", colony.ok("cron get b --json").json)
    assert shown["cronexpression"] == "CRON_TZ=Europe/Stockholm 0 0 15 24 12 *"
    assert shown["missed"] == "run"


def test_the_number_behind_random_is_ignored_aloud(colony: Shell) -> None:
    ran = colony.ok(f"cron add --name r --interval 10 --random 10 --spec {SPEC}")
    assert "--random is a switch, the 10 behind it is ignored" in ran.err


def test_waiting_for_the_previous_workflow_is_said(colony: Shell) -> None:
    ran = colony.ok(f"cron add --name w {YEARLY} --waitprevious --spec {SPEC}")
    assert "] Waiting for previous processgraph to finish" in ran.err


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ("", 2, "when is it to run?"),
        ("--interval 5 --cron '* * * * * *'", 2, "only one of --cron and --interval"),
        ("--random --cron '* * * * * *'", 2, "--random needs --interval"),
        ("--timezone UTC --interval 5", 2, "--timezone needs --cron"),
        ("--cron '* * * * *'", 1, "expected exactly 6 fields, found 5"),
        ("--cron '61 * * * * *'", 1, "end of range (61) above maximum (59): 61"),
        ("--timezone Nowhere --cron '* * * * * *'", 1, "Nowhere"),
        ("--interval 0", 1, "Cron interval must be -1 (disabled) or larger than 0"),
        ("--name taken --interval 9", 1, "Cron with name <taken> in Colony"),
    ],
)
def test_a_cron_that_cannot_be_is_refused(
    colony: Shell, options: str, code: int, text: str
) -> None:
    if "taken" in options:
        add(colony, "taken")
    name = "" if "--name" in options else "--name c"
    ran = colony(f"cron add {name} {options} --spec {SPEC}")
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "hint: " in ran.err or code == 2


@pytest.mark.parametrize("command", ["get", "run", "remove"])
def test_an_unknown_cron_is_refused(colony: Shell, command: str) -> None:
    for name in (NOWHERE, "nobody"):
        ran = colony(f"cron {command} {name}")
        assert (ran.code, ran.out) == (1, "")
        assert "colonies cron ls" in ran.err
