"""On a real terminal: colours, widths, questions, and Ctrl-C."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Shell
from tests.cli.terminals import plain, terminal
from tests.patience import PATIENCE_S
from tests.ports import free_port


def test_states_are_coloured_and_long_ids_are_shortened(colony: Shell) -> None:
    process = colony.ok("function exec --func f --targettype cli").id
    with terminal(colony.environ, "process", "psw") as shown:
        text = shown.rest()
    assert "╭" in text
    assert process not in text
    assert f"{process[:12]}…" in text
    assert max(len(line) for line in plain(text).splitlines()) <= 80
    with terminal(colony.environ, "process", "get", process, columns=120) as shown:
        assert "\x1b[33m◷ Waiting" in shown.rest()


def test_a_wide_terminal_shows_whole_ids(colony: Shell) -> None:
    process = colony.ok("function exec --func f --targettype cli").id
    with terminal(colony.environ, "process", "psw", columns=160) as shown:
        assert process in shown.rest()


def test_colour_and_lines_can_be_turned_off(colony: Shell) -> None:
    colony.ok("function exec --func f --targettype cli")
    environ = {**colony.environ, "NO_COLOR": "1", "COLONIES_CLI_ASCII": "true"}
    with terminal(environ, "process", "psw") as shown:
        text = shown.rest()
    assert "\x1b" not in text
    assert text.isascii()


def test_a_submitted_id_is_shown_once(colony: Shell) -> None:
    with terminal(
        colony.environ, "function", "exec", "--func", "f", "--targettype", "cli", columns=200
    ) as shown:
        text = plain(shown.rest())
    assert len(re.findall(r"[0-9a-f]{64}", text)) == 1


def test_a_question_is_answered_on_the_terminal(colony: Shell) -> None:
    with terminal(colony.environ, "user", "remove", "--name", "johan") as shown:
        shown.until(re.escape("(YES,no): "))
        shown.type("no\n")
        assert "nothing was changed" in shown.rest()
    with terminal(colony.environ, "process", "removeall") as shown:
        shown.until(re.escape("(YES,no): "))
        shown.type("YES\n")
        assert "Deleting all processes in Colony" in shown.rest()


def test_ctrl_c_ends_a_wait_without_a_traceback(worker: Shell) -> None:
    with terminal(worker.environ, "process", "assign", "-v") as shown:
        shown.until("Waiting for a process")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 130
        assert "Traceback" not in shown.rest()


@pytest.mark.parametrize(
    ("flags", "again"),
    [
        ("--wait", "process get {} --wait"),
        ("--wait --out", "process get {} --wait --out"),
        ("--follow", "log get {} --follow"),
    ],
)
def test_ctrl_c_says_that_the_process_goes_on_and_how_to_wait_again(
    colony: Shell, flags: str, again: str
) -> None:
    line = ("function", "exec", "--func", "f", "--targettype", "cli", *flags.split())
    with terminal(colony.environ, *line, columns=200) as shown:
        shown.until("Process submitted")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 130
        text = plain(shown.rest())
    process = colony.ok("process psw -o id").id
    assert text.splitlines()[-3:] == [
        "",
        f"error: interrupted, process {process} goes on",
        f"hint: `colonies {again.format(process)}` waits for it again",
    ]
    assert "Traceback" not in text


def test_a_watched_list_is_shown_again_until_ctrl_c(colony: Shell) -> None:
    arguments = ("process", "psw", "--watch", "--interval", "0.1")
    with terminal(colony.environ, *arguments) as shown:
        shown.until("No waiting processes found")
        colony.ok("function exec --func appeared --targettype cli")
        shown.until("appeared")
        shown.process.send_signal(signal.SIGINT)
        # Who watches goes on writing until it hears of the signal, and has to be read for that.
        shown.rest()
        assert shown.process.wait(PATIENCE_S) == 130


@pytest.mark.parametrize(
    "command", ["colony ls", "user ls", "location ls", "function ls", "executor ls", "cluster info"]
)
def test_every_list_can_be_watched(colony: Shell, command: str) -> None:
    arguments = (*command.split(), "--watch", "--interval", "0.05")
    with terminal(colony.environ, *arguments) as shown:
        shown.until(r"(\x1b\[H\x1b\[2J(?s:.+)){3}")
        shown.process.send_signal(signal.SIGINT)
        assert "Traceback" not in shown.rest()
        assert shown.process.wait(PATIENCE_S) == 130


def test_the_development_server_stops_on_ctrl_c(tmp_path: Path) -> None:
    environ = {"COLONIES_HOME": str(tmp_path / "home")}
    with terminal(environ, "dev", "--port", str(free_port())) as shown:
        shown.until("Ready after")
        os.killpg(shown.process.pid, signal.SIGINT)
        text = shown.rest()
        assert shown.process.wait(PATIENCE_S) == 0
    assert "Stopped; the data is kept." in text
    assert "Traceback" not in text
