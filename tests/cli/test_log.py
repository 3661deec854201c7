"""Log lines: added, read and searched."""

import re
from typing import cast

import pytest

from api.wire_log import Log
from cli.logs import text_of
from tests.cli.conftest import Shell
from tests.cli.test_commands import NOWHERE, assign, labels, rows, submit


@pytest.fixture
def process(colony: Shell, worker: Shell) -> str:
    """A process that runs."""
    submit(colony)
    return assign(worker)


def say(worker: Shell, process: str, *lines: str) -> None:
    for line in lines:
        worker.ok(f"log add -p {process} -m '{line}'")


def times(shell: Shell, options: str) -> list[int]:
    return [int(line) for line in shell.ok(f"log get {options} -o id").out.split()]


def test_lines_are_printed_in_the_order_in_which_they_were_said(
    worker: Shell, process: str
) -> None:
    ran = worker.ok(f"log add -p {process[:8]} -m helloworld")
    assert re.search(rf"\] Adding log +LogMsg=helloworld ProcessID={process}\n", ran.err)
    say(worker, process, "- second", "third\n")
    assert worker.ok(f"log get -p {process}").out == "helloworld\n- second\nthird\n"
    assert worker.ok(f"log get {process[:8]} --raw").out == "helloworld- secondthird\n"


def test_the_last_lines_are_printed_unless_others_are_asked_for(
    worker: Shell, process: str
) -> None:
    say(worker, process, "one", "two", "three")
    assert worker.ok(f"log get {process} --count 2").out == "two\nthree\n"
    assert worker.ok(f"log get {process} --count 1 --latest").out == "three\n"
    assert worker.ok(f"log get {process} --count 2 --first").out == "one\ntwo\n"
    first, *_ = times(worker, process)
    assert worker.ok(f"log get {process} --since {first}").out == "two\nthree\n"
    assert worker.ok(f"log get {process} --since {first} --count 1").out == "two\n"


def test_an_executor_says_lines_about_itself(colony: Shell, worker: Shell, process: str) -> None:
    say(worker, process, "of a process")
    assert "ExecutorName=worker" in worker.ok("log add -e worker -m 'of myself'").err
    said = "of a process\nof myself\n"
    assert colony.ok("log get -e worker").out == said
    assert colony.ok(f"log get --executorid {colony.environ['WORKER_ID']}").out == said
    assert colony.ok(f"log get {process}").out == "of a process\n"


def test_a_line_cannot_steer_a_terminal_unless_it_is_wanted_as_it_is() -> None:
    line = Log(
        processid="", colonyname="c", executorname="e", message="\x1b[2Jtext\t!\n", timestamp=1
    )
    assert text_of([line], exactly=False, terminal=True) == "\\x1b[2Jtext\t!\n"
    assert text_of([line], exactly=False, terminal=False) == line.message
    assert text_of([line], exactly=True, terminal=True) == line.message


def test_lines_as_json_are_those_of_the_protocol(worker: Shell, process: str) -> None:
    assert worker.ok(f"log get {process} --json").json == []
    assert "No logs found" in worker.ok(f"log get {process}").err
    say(worker, process, "hello")
    (line,) = cast("list[dict[str, object]]", worker.ok(f"log get {process} --json").json)
    assert (line["message"], line["executorname"]) == ("hello", "worker")
    assert times(worker, process) == [line["timestamp"]]


def test_a_search_shows_a_table_for_each_line(colony: Shell, worker: Shell, process: str) -> None:
    say(worker, process, "ERROR: " + "x" * 100, "all is well", "ERROR: again")
    ran = colony.ok("log search --text ERROR")
    assert re.search(r"\] Searching for logs +Count=10 Days=1 Text=ERROR\n", ran.err)
    assert labels(ran)[:4] == ["Timestamp", "ExecutorName", "ProcessID", "Text"]
    assert rows(ran)[3] == ["Text", "ERROR: again"]
    assert ["Text", "ERROR: " + "x" * 57] in rows(ran)
    assert ["", "x" * 43] in rows(ran)
    assert rows(colony.ok("log search -t ERROR -d 7 --count 1"))[4:] == []
    assert len(cast("list[object]", colony.ok("log search -t ERROR --json").json)) == 2
    assert "No logs found" in colony.ok("log search --text nosuchtext").err


def test_a_search_prints_what_was_said_around_it(
    colony: Shell, worker: Shell, process: str
) -> None:
    say(worker, process, "before", "ERROR", "after")
    worker.ok("log add -e worker -m 'of myself'")
    shown = colony.ok("log search --text ERROR --print --seconds 600").out
    assert f"\nProcessID: {process}\nExecutorName: worker\n" in shown
    assert "= LOGS =" in shown
    assert "=\nbefore\nERROR\nafter\n=" in shown
    assert "= END LOGS =" in shown
    assert "=\nERROR\n=" in colony.ok("log search --text ERROR --print --seconds 0").out
    shown = colony.ok("log search --text myself --print").out
    assert "ProcessID: None\n" in shown
    assert "=\nof myself\n=" in shown


def test_what_a_process_said_is_found_when_it_has_been_removed(
    colony: Shell, worker: Shell, process: str
) -> None:
    say(worker, process, "before", "ERROR")
    worker.ok(f"process close {process}")
    colony.ok(f"process remove {process}")
    assert colony(f"log get {process}").code == 1
    assert "=\nbefore\nERROR\n=" in colony.ok("log search -t ERROR --print --seconds 600").out


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("get", 2, "whose lines?"),
        ("get -p 1234 -e worker", 2, "whose lines?"),
        ("get -e worker --count 501", 2, "--count must be 1 to 500"),
        ("get -e worker --count 0 --first", 2, "--count must be 1 to 500"),
        ("get -e worker --latest --first", 2, "--latest goes neither with --first"),
        (f"get {NOWHERE}", 1, "process does not exist"),
        ("get -e nobody", 1, "executor does not exist"),
        ("add -m hello", 2, "about what?"),
        ("add -p 1234 -e worker -m hello", 2, "about what?"),
        (f"add -p {NOWHERE} -m hello", 1, "Failed to add log, process is nil"),
        ("add -e worker -m hello", 1, "executor not found"),
        ("search", 2, "--text"),
        ("search --text x --days 31", 1, "max day count (30)"),
        ("search --text x --count 101", 1, "max log count (100)"),
    ],
)
def test_what_cannot_be_is_refused(colony: Shell, line: str, code: int, text: str) -> None:
    ran = colony(f"log {line}")
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "hint: " in ran.err


def test_only_the_executor_that_runs_a_process_adds_to_its_log(
    colony: Shell, worker: Shell, process: str
) -> None:
    ran = colony(f"log add -p {process} -m hello")
    assert "only the assigned Executor may att logs" in ran.err
    worker.ok(f"process close {process}")
    ran = worker(f"log add -p {process} -m late")
    assert (ran.code, "process is not running" in ran.err) == (1, True)


def test_the_line_continuation_of_the_guide_is_explained(worker: Shell) -> None:
    ran = worker(f"log add -p {NOWHERE} n -m hello")
    assert (ran.code, ran.out) == (2, "")
    assert "nothing is expected here: n" in ran.err
    assert "a backslash that continues a line must be the last character" in ran.err
