"""Following: log lines, channels and events as they come, on a terminal and piped."""

import json
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from cli.client import Client
from tests.cli.conftest import Dev, Shell, new_key, running_dev
from tests.cli.test_blueprint import DEFINITION
from tests.cli.test_commands import NOWHERE, assign, submit
from tests.cli.test_terminal import plain, terminal
from tests.cli.test_worker import running
from tests.cli.test_workflow import DIAMOND
from tests.patience import PATIENCE_S
from tests.ports import free_port

TALKING = ("sh", "-c", "echo one; echo two >&2; echo three")
FAILING = ("sh", "-c", "echo one; exit 3")
CHANNEL = '{"funcname": "f", "channels": ["chat"], "conditions": {"executortype": "cli"}}'


@pytest.fixture
def process(colony: Shell, worker: Shell) -> str:
    """A process that runs."""
    submit(colony)
    return assign(worker)


def json_lines(text: str) -> list[dict[str, object]]:
    return [cast("dict[str, object]", json.loads(line)) for line in text.splitlines()]


# ------------------------------------------------------------ function … --follow


@pytest.mark.parametrize("flag", ["--follow", "-follow", "--follow --wait --out"])
@pytest.mark.parametrize(
    "command",
    ["exec --func f --targettype cli", "submit --spec $SPEC"],
)
def test_what_a_process_says_is_printed_and_then_its_output(
    worker: Shell, tmp_path: Path, command: str, flag: str
) -> None:
    spec = tmp_path / "echo.json"
    spec.write_text(json.dumps({"funcname": "f", "conditions": {"executortype": "cli"}}))
    with running(worker, "", *TALKING):
        ran = worker.ok(f"function {command.replace('$SPEC', str(spec))} {flag}")
    lines = ran.out.splitlines()
    assert sorted(lines[:3]) == ["one", "three", "two"]
    assert lines[3:] == ["one", "three"], "the output is what the command printed"
    order = ("Process submitted", "Printing logs from process", "Process finished successfully")
    assert [text for text in order if text in ran.err] == list(order)


def test_a_process_that_fails_is_followed_to_exit_code_1(worker: Shell) -> None:
    with running(worker, "", *FAILING):
        ran = worker("function exec --func f --targettype cli --follow")
    assert ran.code == 1
    assert ran.out.splitlines()[0] == "one"
    assert re.search(r"error: process [0-9a-f]{64} failed\n", ran.err)


@pytest.mark.parametrize("form", ["json", "yaml", "id"])
def test_the_result_of_following_can_be_read_by_a_program(worker: Shell, form: str) -> None:
    with running(worker, "", *TALKING):
        ran = worker.ok(f"function exec --func f --targettype cli --follow -o {form}")
    assert {"one", "two", "three"} <= set(ran.err.splitlines())
    if form == "json":
        assert cast("dict[str, object]", ran.json)["out"] == ["one\nthree"]
    elif form == "id":
        assert re.fullmatch("[0-9a-f]{64}", ran.id)
    else:
        assert ran.out.startswith("processid: ")


# ------------------------------------------------------------ log get --follow


def test_lines_are_shown_as_they_are_said_until_the_process_ends(
    colony: Shell, worker: Shell, process: str
) -> None:
    worker.ok(f"log add -p {process} -m before")
    with terminal(colony.environ, "log", "get", "-p", process, "--follow") as shown:
        shown.until("before")
        worker.ok(f"log add -p {process} -m 'while it runs'")
        shown.until("while it runs")
        worker.ok(f"log add -p {process} -m 'last words'")
        worker.ok(f"process close {process}")
        text = plain(shown.rest())
        assert shown.process.wait(PATIENCE_S) == 0
    assert re.findall("before|while it runs|last words|finished", text) == [
        "before",
        "while it runs",
        "last words",
        "finished",
    ]


@pytest.mark.parametrize(
    ("how", "text"),
    [("process fail", "No errors specified"), ("process cancel", "cancelled")],
)
def test_following_ends_as_the_process_did(
    colony: Shell, worker: Shell, process: str, how: str, text: str
) -> None:
    with terminal(colony.environ, "log", "get", process, "--follow") as shown:
        worker.ok(f"log add -p {process} -m hello")
        shown.until("hello")
        worker.ok(f"{how} {process}")
        assert text in shown.rest()
        assert shown.process.wait(PATIENCE_S) == 1


def test_one_that_has_ended_is_printed_and_done(colony: Shell, worker: Shell, process: str) -> None:
    for number in range(3):
        worker.ok(f"log add -p {process} -m {number}")
    first, second, third = colony.ok(f"log get {process} -o id").out.split()
    worker.ok(f"process close {process}")
    assert colony.ok(f"log get {process} --follow").out == "0\n1\n2\n"
    assert colony.ok(f"log get {process} --follow --since {first}").out == "1\n2\n"
    assert colony.ok(f"log get {process} --follow --count 1 -o id").out == f"{third}\n"
    told = json_lines(colony.ok(f"log get {process} --follow --json").out)
    assert [line["timestamp"] for line in told] == [int(first), int(second), int(third)]


def test_an_executor_is_followed_until_ctrl_c(worker: Shell, process: str) -> None:
    with terminal(worker.environ, "log", "get", "-e", "worker", "--follow") as shown:
        worker.ok(f"log add -p {process} -m 'of the process'")
        shown.until("of the process")
        worker.ok(f"process close {process}")
        worker.ok("log add -e worker -m 'of itself'")
        shown.until("of itself")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 130
        assert "Traceback" not in shown.rest()


# ------------------------------------------------------------ blueprint log --follow


@pytest.fixture
def reconciled(colony: Shell, worker: Shell, tmp_path: Path) -> Shell:
    """A colony with a kind of blueprints that two executors reconcile, and the key of the other."""
    colony.ok(f"blueprint definition add --spec {DEFINITION}")
    other, spec = new_key(), tmp_path / "other.json"
    spec.write_text(json.dumps({"executorname": "other", "executortype": "cli"}))
    colony.ok(f"executor add --spec {spec} --executorid {other['id']} --approve")
    worker.ok("log add -e worker -m 'of one'")
    return colony.with_environ(OTHER_PRVKEY=other["prvkey"])


def test_reconcilers_are_followed_by_name_until_ctrl_c(reconciled: Shell, worker: Shell) -> None:
    other = reconciled.with_environ(COLONIES_PRVKEY=reconciled.environ["OTHER_PRVKEY"])
    with terminal(reconciled.environ, "blueprint", "log", "-f") as shown:
        shown.until("of one")
        for shell, name in ((other, "other"), (other, "other"), (worker, "worker")):
            said = f"more of {name} {len(shown.seen)}"
            shell.ok(f"log add -e {name} -m '{said}'")
            shown.until(said)
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 130
        text = plain(shown.rest())
    assert "Traceback" not in text
    assert re.findall(r"=== \w+ ===|of one|more of \w+", text) == [
        "=== other ===",
        "=== worker ===",
        "of one",
        "=== other ===",
        "more of other",
        "more of other",
        "=== worker ===",
        "more of worker",
    ]


def test_what_reconcilers_say_can_be_read_by_a_program(reconciled: Shell, worker: Shell) -> None:
    arguments = ("blueprint", "log", "--follow", "--json")
    with terminal(reconciled.environ, *arguments, columns=1000) as shown:
        shown.until("of one")
        worker.ok("log add -e worker -m 'of one again'")
        shown.until("again")
        shown.process.send_signal(signal.SIGINT)
        shown.rest()
    told = [json.loads(line) for line in plain(shown.seen).splitlines() if line.startswith("{")]
    assert [(line["executorname"], line["message"]) for line in told] == [
        ("worker", "of one"),
        ("worker", "of one again"),
    ]


def test_a_follower_that_is_no_member_any_more_is_told_so(reconciled: Shell, worker: Shell) -> None:
    with terminal(worker.environ, "blueprint", "log", "--follow") as shown:
        shown.until("of one")
        reconciled.ok("executor remove --name worker")
        text = plain(shown.rest())
        assert shown.process.wait(PATIENCE_S) == 1
    assert "error: " in text
    assert "Traceback" not in text


def test_without_reconcilers_there_is_nothing_to_follow(colony: Shell) -> None:
    assert "No reconciler executors found" in colony.ok("blueprint log --follow").err


# ------------------------------------------------------------ what ends


@pytest.mark.parametrize("line", ["process get {} --wait", "log get {} --follow"])
def test_a_process_that_is_removed_ends_whoever_waits_for_it(colony: Shell, line: str) -> None:
    waiting = submit(colony)
    with terminal(colony.environ, *line.format(waiting).split()) as shown:
        colony.ok(f"process remove {waiting}")
        text = plain(shown.rest())
        assert shown.process.wait(PATIENCE_S) == 1
    assert "error: " in text
    assert "hint: " in text


# ------------------------------------------------------------ channel follow


def test_a_channel_is_followed_until_its_process_ends(colony: Shell, worker: Shell) -> None:
    colony.ok("function submit --spec -", stdin=CHANNEL)
    process = assign(worker)
    colony.ok(f"channel append {process} -n chat -m before")
    user, executor = (colony.environ[name][:12] for name in ("USER_ID", "WORKER_ID"))
    with terminal(colony.environ, "channel", "follow", process, "-n", "chat") as shown:
        shown.until(f"{user}: before")
        worker.ok(f"channel append {process} -n chat -m 'what now?' --type question")
        shown.until(rf"{executor} question: what now\?")
        worker.ok(f"process close {process}")
        shown.rest()
        assert shown.process.wait(PATIENCE_S) == 0
    assert colony.ok(f"channel follow {process} -n chat --raw").out == "beforewhat now?"
    entries = json_lines(colony.ok(f"channel follow {process} -n chat --after 1 --json").out)
    assert [entry["type"] for entry in entries] == ["question"]


# ------------------------------------------------------------ events tail


def test_events_are_printed_as_they_happen(colony: Shell, worker: Shell) -> None:
    begin = colony.ok("events tail --all --count 1 -o id").id
    with terminal(colony.environ, "events", "tail", "--after", begin, columns=200) as shown:
        shown.until("ExecutorApproved")
        process = submit(colony)
        shown.until(f"ProcessSubmitted {process[:12]}")
        assign(worker)
        shown.until(f"ProcessAssigned {process[:12]} by {colony.environ['WORKER_ID'][:12]}")
        worker.ok(f"process close {process} --out done")
        shown.until(r"ProcessClosed .* out=\[\"done\"\]")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 130
        assert "Traceback" not in shown.rest()


def test_events_that_have_happened_are_filtered_and_resumed(
    colony: Shell, worker: Shell, process: str
) -> None:
    other = submit(colony)
    worker.ok(f"process close {process}")
    tail = "events tail --all --json"
    told = json_lines(colony.ok(f"{tail} --processid {process[:8]} --count 3").out)
    life = ["ProcessSubmitted", "ProcessAssigned", "ProcessClosed"]
    assert [event["type"] for event in told] == life
    assert {event["subject"] for event in told} == {process}
    after = told[0]["position"]
    rest = json_lines(colony.ok(f"events tail --json --after {after} -p {process} --count 2").out)
    assert rest == told[1:]
    submitted = colony.ok(f"{tail} --type ProcessSubmitted,Other --count 2").out
    assert [event["subject"] for event in json_lines(submitted)] == [process, other]
    by_worker = colony.ok("events tail --all -e worker -t ProcessAssigned --count 1").out
    assert re.fullmatch(rf"[-0-9]+ [:0-9]+  ProcessAssigned {process} by .*\n", by_worker)
    positions = colony.ok(f"events tail --all -p {process} --count 3 -o id").out.split()
    assert positions == [event["position"] for event in told]


def test_events_of_a_workflow_are_those_of_its_processes(worker: Shell) -> None:
    spec = '[{"nodename": "n", "conditions": {"executortype": "cli"}}]'
    workflow = worker.ok(f"workflow submit --spec '{spec}'").id
    submit(worker)
    line = f"events tail --all --json --workflowid {workflow} -t NodeSubmitted,WorkflowSubmitted"
    told = json_lines(worker.ok(f"{line} --count 2").out)
    assert [event["type"] for event in told] == ["NodeSubmitted", "WorkflowSubmitted"]


# ------------------------------------------------------------ mistakes, and servers that go


@pytest.mark.parametrize(
    "line",
    [
        f"log get {NOWHERE} --follow",
        "log get -e nobody --follow",
        f"channel follow {NOWHERE} -n chat",
        "events tail -e nobody",
    ],
)
def test_what_is_not_there_cannot_be_followed(colony: Shell, line: str) -> None:
    ran = colony(line)
    assert (ran.code, ran.out) == (1, "")
    assert "hint: " in ran.err


def test_a_server_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with ExitStack() as stack:
        with running_dev(home, port) as dev:
            process = begun(dev)
            dev.shell.ok(f"log add -p {process} -m one")
            arguments = ("log", "get", process, "--follow", "--request-timeout", "60")
            shown = stack.enter_context(terminal(dev.shell.environ, *arguments))
            shown.until("one")
            dev.process.kill()
            dev.process.wait()
        with running_dev(home, port) as dev:
            dev.shell.ok(f"log add -p {process} -m two")
            dev.shell.ok(f"process close {process}")
            text = shown.rest()
            assert shown.process.wait(PATIENCE_S) == 0
    assert re.findall(r"^(one|two)\r?$", text, re.MULTILINE) == ["one", "two"]


def test_a_server_that_stays_away_is_exit_code_3(tmp_path: Path) -> None:
    lines = ("log get {} --follow", "process get {} --wait", "events tail --all")
    with ExitStack() as stack:
        with running_dev(tmp_path / "home", free_port()) as dev:
            process = begun(dev)
            dev.shell.ok(f"log add -p {process} -m one")
            following = [
                stack.enter_context(
                    terminal(
                        dev.shell.environ,
                        *line.format(process).split(),
                        *("--request-timeout", "5"),
                    )
                )
                for line in lines
            ]
            following[0].until("one")
            following[2].until("ProcessAssigned")
        for shown in following:
            text = plain(shown.rest())
            assert shown.process.wait(PATIENCE_S) == 3, text
            assert "error: " in text
            assert "hint: " in text
            assert "Traceback" not in text
        for shown in (following[0], following[2]):
            assert "connection refused; given up after 5 s" in shown.seen


# ------------------------------------------------------------ servers that tell less


@pytest.fixture
def _announcing_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line takes the server for one that announces no extension, as v1.9.12 is."""

    async def knows(_client: Client, _extension: str) -> bool:
        return False

    monkeypatch.setattr(Client, "knows", knows)


@pytest.mark.usefixtures("_announcing_nothing")
def test_lines_are_printed_at_the_end_where_they_are_not_told(worker: Shell) -> None:
    with running(worker, "", *TALKING):
        ran = worker.ok("function exec --func f --targettype cli --follow")
    assert sorted(ran.out.splitlines()[:3]) == ["one", "three", "two"]
    assert ran.out.splitlines()[3:] == ["one", "three"]
    assert "WARN" in ran.err
    assert "they are printed when the process starts, and when it ends" in ran.err


@pytest.mark.usefixtures("_announcing_nothing")
@pytest.mark.parametrize("line", ["log get -e worker --follow", "events tail"])
def test_what_is_not_told_is_refused(colony: Shell, line: str) -> None:
    ran = colony(line)
    assert (ran.code, ran.out) == (1, "")
    assert "error: this server tells no" in ran.err
    assert "hint: " in ran.err


@pytest.mark.usefixtures("_announcing_nothing")
def test_a_workflow_is_waited_for_by_its_processes(worker: Shell) -> None:
    with running(worker, "", "echo", "done"):
        ran = worker.ok(f"workflow submit --spec {DIAMOND} --wait --out")
    assert ran.out == "done\n"
    assert ran.err.count("Node is successful") == 4


def begun(dev: Dev) -> str:
    """A process that runs, in the colony of the server itself."""
    dev.shell.ok("function exec --func f --targettype cli")
    return dev.shell.ok("process assign").id
