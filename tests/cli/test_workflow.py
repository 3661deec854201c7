"""Workflows: submitted, waited for, looked at, drawn, ended."""

import json
import signal
from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import Shell
from tests.cli.test_commands import assign, rows
from tests.cli.test_terminal import plain, terminal
from tests.cli.test_worker import running
from tests.patience import PATIENCE_S

DIAMOND = Path(__file__).parents[2] / "docs" / "examples" / "workflows" / "workflow.json"
NODES = ("task_a", "task_b", "task_c", "task_d")


def submit(shell: Shell, options: str = "") -> str:
    return shell.ok(f"workflow submit --spec {DIAMOND} {options}").id


def spec(*nodes: str, **dependencies: list[str]) -> str:
    """A workflow of these nodes, for executors that are not there."""
    listed = [
        {"nodename": n, "funcname": "f", "conditions": {"dependencies": dependencies.get(n, [])}}
        for n in nodes
    ]
    return f"'{json.dumps(listed)}'"


def close(worker: Shell, *, out: str = "") -> None:
    worker.ok(f"process close -p {assign(worker)} " + (f"--out {out}" if out else ""))


def test_a_workflow_is_followed_through_its_lists(colony: Shell, worker: Shell) -> None:
    workflow = submit(colony)
    assert rows(colony.ok("workflow psw"))[0] == ["ID", "SUBMISSION TIME"]
    assert colony.ok("workflow psw -o id").id == workflow
    close(worker, out="first")
    assert colony.ok("workflow ps -o id").id == workflow
    assert rows(colony.ok("workflow ps -w"))[1][2:] == ["johan", "4"]
    for _ in NODES[1:]:
        close(worker, out="x,y")
    assert rows(colony.ok("workflow pss"))[0] == ["ID", "END TIME"]
    assert colony.ok("workflow ls --state successful -o id").id == workflow
    assert colony.ok(f"workflow get {workflow} --out").out == "x y\n"


def test_a_workflow_is_shown_as_in_the_guide(colony: Shell) -> None:
    shown = colony.ok(f"workflow get --workflowid {submit(colony)}")
    assert [line for line in shown.out.splitlines() if line.endswith(":")] == [
        "Workflow:",
        "Processes:",
    ]
    assert ["ColonyName", colony.environ["COLONIES_COLONY_NAME"]] in rows(shown)
    assert ["Dependencies", "task_b task_c"] in rows(shown)
    assert ["Dependencies", "None"] in rows(shown)
    assert shown.out.count("| WaitingForParents | true ") == 3
    assert ["StartTime", "-"] in rows(shown)


@pytest.mark.parametrize("state", ["waiting", "running", "successful", "failed", "cancelled"])
def test_no_workflows_is_a_warning_and_an_empty_list(colony: Shell, state: str) -> None:
    ran = colony.ok(f"workflow ls --state {state}")
    assert ran.out == ""
    assert ran.err.startswith("WARN[")
    assert f"No {state} workflows found" in ran.err
    assert colony.ok(f"workflow ls --state {state} --json").json == []


def test_the_graph_is_drawn(colony: Shell, worker: Shell) -> None:
    workflow = submit(colony)
    close(worker)
    shown = colony.ok(f"workflow get {workflow} --graph")
    assert shown.out == (
        "         +---------------------+\n"
        "         | task_a (Successful) |\n"
        "         +----------+----------+\n"
        "          +---------+-----------+\n"
        "+---------+--------+  +---------+--------+\n"
        "| task_b (Waiting) |  | task_c (Waiting) |\n"
        "+---------+--------+  +---------+--------+\n"
        "          +----------+----------+\n"
        "           +---------+--------+\n"
        "           | task_d (Waiting) |\n"
        "           +------------------+\n"
        "4 nodes: 3 waiting, 1 successful\n"
    )
    drawn = cast("dict[str, object]", colony.ok(f"workflow get {workflow} --graph --json").json)
    assert drawn["processgraphid"] == workflow


def test_waiting_says_what_the_nodes_do_and_prints_the_output(worker: Shell) -> None:
    with running(worker, "", "sh", "-c", "echo done $COLONIES_ARGS"):
        ran = worker.ok(f"workflow submit --spec {DIAMOND} --wait --out")
    assert ran.out == 'done ["task_d"]\n'
    assert "Workflow submitted" in ran.err
    for name in NODES:
        assert f"NodeName={name} " in ran.err
    assert ran.err.count("Node is successful") == 4
    assert "Workflow finished successfully" in ran.err


def test_the_result_of_a_wait_can_be_parsed(worker: Shell) -> None:
    workflow = submit(worker)
    with running(worker, "", "true"):
        ran = worker.ok(f"workflow get {workflow} --wait --json")
        assert worker.ok(f"workflow get {workflow} --wait -o id").id == workflow
    assert cast("dict[str, object]", ran.json)["state"] == 2


def test_a_wait_for_a_workflow_that_fails_fails_with_its_reasons(worker: Shell) -> None:
    with running(worker, "", "sh", "-c", "echo no luck >&2; exit 3"):
        ran = worker(f"workflow submit --spec {DIAMOND} --wait --json")
    assert ran.code == 1
    workflow = cast("dict[str, object]", ran.json)
    assert workflow["state"] == 3
    error = ran.err[ran.err.index("error: ") :]
    assert error.startswith(f"error: workflow {workflow['processgraphid']} failed\n  task_a: ")
    assert "no luck" in error


def test_a_wait_for_a_cancelled_workflow_fails(colony: Shell) -> None:
    workflow = submit(colony)
    colony.ok(f"workflow cancel {workflow}")
    ran = colony(f"workflow get {workflow} --wait")
    assert ran.code == 1
    assert f"error: workflow {workflow} cancelled" in ran.err


def test_a_wait_ends_when_it_was_told_to(colony: Shell) -> None:
    ran = colony(f"workflow submit --spec {DIAMOND} --wait --within 0.1")
    assert (ran.code, ran.out) == (1, "")
    assert "is still waiting after 0.1 s" in ran.err


def test_on_a_terminal_the_graph_is_drawn_again_in_its_place(worker: Shell) -> None:
    arguments = ("workflow", "submit", "--spec", str(DIAMOND), "--wait")
    with terminal(worker.environ, *arguments, columns=160) as shown:
        shown.until("4 nodes: 4 waiting")
        close(worker)
        shown.until(r"\x1b\[12A\x1b\[J(?s:.*)4 nodes: 3 waiting, 1 successful")
        for _ in NODES[1:]:
            close(worker)
        text = shown.rest()
        assert shown.process.wait(PATIENCE_S) == 0
    assert "\x1b[32m✔ task_d" in text
    assert "╭──────┴──────╮" in plain(text)
    assert text.rstrip().splitlines()[-2].startswith("4 nodes: 4 successful")
    assert "Workflow finished successfully" in text


def test_a_terminal_too_small_for_the_graph_shows_the_counts(colony: Shell) -> None:
    arguments = ("workflow", "submit", "--spec", str(DIAMOND), "--wait", "--within", "0.1")
    with terminal(colony.environ, *arguments, columns=12) as shown:
        text = plain(shown.rest())
    assert "4 nodes: 4 waiting" in text
    assert "task_a" not in text


def test_ctrl_c_ends_the_wait_and_not_the_workflow(colony: Shell) -> None:
    workflow = submit(colony)
    with terminal(colony.environ, "workflow", "get", workflow, "--wait") as shown:
        shown.until("4 nodes: 4 waiting")
        shown.process.send_signal(signal.SIGINT)
        assert shown.process.wait(PATIENCE_S) == 130
        text = plain(shown.rest())
    assert "Traceback" not in text
    assert f"error: interrupted, workflow {workflow} goes on" in text
    assert f"hint: `colonies workflow get {workflow} --wait` waits for it again" in text
    assert colony.ok("workflow psw -o id").id == workflow


def test_a_workflow_is_cancelled_and_removed(colony: Shell) -> None:
    workflow = submit(colony)
    ran = colony.ok(f"workflow cancel --workflowid {workflow}")
    assert (ran.id, "Workflow cancelled" in ran.err) == (workflow, True)
    assert rows(colony.ok("workflow psc"))[0] == ["ID", "END TIME"]
    ran = colony.ok(f"workflow remove --workflowid {workflow}")
    assert (ran.id, "Workflow removed" in ran.err) == (workflow, True)
    ran = colony(f"workflow get {workflow}")
    assert (ran.code, "graph is nil" in ran.err) == (1, True)


def test_a_running_workflow_is_cancelled_before_it_is_removed(colony: Shell, worker: Shell) -> None:
    workflow = submit(colony)
    assign(worker)
    ran = colony(f"workflow remove {workflow}")
    assert ran.code == 1
    assert "cannot remove a running processgraph" in ran.err
    assert "colonies workflow cancel" in ran.err


def test_all_workflows_in_a_state_are_removed_and_counted(colony: Shell, worker: Shell) -> None:
    name = colony.environ["COLONIES_COLONY_NAME"]
    colony.ok(f"workflow cancel {submit(colony)}")
    running_one = submit(colony)
    assign(worker)
    submit(colony)
    ran = colony.ok("workflow removeall --waiting", stdin="YES\n")
    question = f"Are you sure you want to remove waiting workflows in the Colony <{name}>."
    assert question in ran.err
    assert (
        f"Deleting all waiting workflows in Colony     ColonyName={name} Left=0 Removed=1"
        in ran.err
    )
    assert colony.ok("workflow ps -o id").id == running_one
    ran = colony.ok("worklflow removeall --json --yes")
    assert ran.json == {"colonyname": name, "removed": 2, "left": 0}


def test_the_beginning_of_an_id_is_enough(colony: Shell) -> None:
    workflow = submit(colony)
    assert colony.ok(f"workflow get {workflow[:12]}… -o id").id == workflow
    colony.ok(f"workflow cancel {workflow[:8]}")
    colony.ok(f"workflow remove {workflow[:8]}")
    assert colony(f"workflow get {workflow[:8]}").code == 1


@pytest.mark.parametrize(
    ("given", "code", "text"),
    [
        (spec("a", "a"), 1, "Duplicate nodename: a"),
        (spec("a", a=["b"]), 1, "are you depending on a nodename that does not exits"),
        (spec("a", "b", a=["b"], b=["a"]), 1, "in a circle: <a> -> <b> -> <a>"),
        ("[]", 1, "no function specs"),
        ('\'{"funcname": "f"}\'', 2, "colonies function submit"),
        ("'[1]'", 2, "node 1 must be a JSON object"),
        ('\'[{"args": 5, "conditions": 5}]\'', 2, "node 1: "),
        ("nowhere.json", 2, "cannot read nowhere.json"),
    ],
)
def test_a_spec_that_is_none_is_refused(colony: Shell, given: str, code: int, text: str) -> None:
    ran = colony(f"workflow submit --spec {given}")
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert colony.ok("workflow psw --json").json == []


def test_a_spec_is_taken_from_standard_input_and_as_it_goes_over_the_wire(colony: Shell) -> None:
    nodes = cast("object", json.loads(DIAMOND.read_text()))
    first = colony.ok("workflow submit --spec -", stdin=json.dumps(nodes)).id
    second = colony.ok("workflow submit --spec -", stdin=json.dumps({"functionspecs": nodes})).id
    assert set(colony.ok("workflow psw -o id").out.split()) == {first, second}


def test_the_defaults_of_a_node_are_those_of_a_function(colony: Shell) -> None:
    colony.ok(f"workflow submit --spec {spec('a')}")
    process = colony.ok("process psw -o id").id
    shown = cast("dict[str, dict[str, object]]", colony.ok(f"process get {process} --json").json)
    limits = [shown["spec"][name] for name in ("maxwaittime", "maxexectime", "maxretries")]
    assert limits == [-1, -1, 0]
