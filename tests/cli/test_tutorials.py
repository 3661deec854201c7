"""Command lines of tutorials and later documentation, as people type them."""

import json
import string
from pathlib import Path

import pytest

from broker.identity import Identity
from tests.cli.conftest import Dev, Shell, new_key
from tests.cli.test_worker import running

READING = """\
executor ls
function exec --func fibonacci --args 10 --targettype cli --label mylabel
process psw
process psw -i
process pss --count 5
process ps --label mylabel
process ps --initiator johan
process ps --func helloworld --label mylabel
process get -p $PROCESS
process get -p $PROCESS --json
process get -p $PROCESS  --out
key generate
key id --prvkey $COLONIES_PRVKEY
completion fish
colony add --name tutorial$USER_ID --colonyid $NEW_ID
user add --name="myuser" --email="" --phone="" --userid=$NEW_ID
"""
SPECS = {"echo.json": {"funcname": "f"}, "echo_wf.json": [{"funcname": "f", "nodename": "a"}]}
STORY = """\
workflow submit --spec echo_wf.json
workflow get --workflowid $LAST
cron add --name echo_cron --cron "0/5 * * * * *" --spec ./echo_wf.json  --waitprevious
cron ls
cron get --cronid $CRON
cron remove  --cronid $CRON
generator add --name g --trigger 2 --spec echo_wf.json
generator pack --arg hello1 --generatorid $LAST
"""
LOGGING = """\
log get -p $PROCESS
log search --text "hello" -d 30
log search --text ERROR --days 7 --print --seconds 10 --count 2
"""
MOVING = (
    "user chid --userid $NEW_ID",
    "executor chid --executorid $NEW_ID",
    "colony chid --colonyid $NEW_ID",
)


def typed(line: str, shell: Shell, **more: str) -> str:
    variables = {**shell.environ, "NEW_ID": new_key()["id"], **more}
    return string.Template(line).substitute(variables)


@pytest.mark.parametrize("line", READING.splitlines())
def test_a_line_of_a_tutorial_works_as_typed(colony: Shell, line: str) -> None:
    process = colony.ok("function exec --func f --targettype nobody").id
    colony.ok(typed(line, colony, PROCESS=process))


@pytest.mark.parametrize("line", MOVING)
def test_each_identity_moves_to_another_key(colony: Shell, worker: Shell, line: str) -> None:
    shell = worker if line.startswith("executor") else colony
    shell.ok(typed(line, shell))
    assert shell(typed(line, shell)).code == 1, "the old key is dead"


@pytest.mark.parametrize("options", ["--wait", "--out --wait", "--wait --out --label mylabel"])
def test_a_spec_is_submitted_and_waited_for(worker: Shell, tmp_path: Path, options: str) -> None:
    spec = tmp_path / "convert.json"
    spec.write_text(json.dumps({"funcname": "f", "conditions": {"executortype": "cli"}}))
    with running(worker, "", "echo", "converted"):
        ran = worker.ok(f"function submit --spec {spec} {options}")
    assert ran.out == ("converted\n" if "--out" in options else "")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the specs of the tutorials, where the lines are typed."""
    for name, document in SPECS.items():
        specs = document if isinstance(document, list) else [document]
        asked = [{**spec, "conditions": {"executortype": "cli"}} for spec in specs]
        text = json.dumps(asked if isinstance(document, list) else asked[0])
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_workflows_crons_and_generators_work_as_typed(colony: Shell) -> None:
    last = cron = ""
    for line in STORY.splitlines():
        ran = colony.ok(typed(line, colony, LAST=last, CRON=cron))
        last = ran.out.strip()
        cron = last if line.startswith("cron add") else cron


@pytest.mark.usefixtures("here")
def test_a_spec_is_submitted_and_followed(worker: Shell) -> None:
    with running(worker, "", "echo", "hello"):
        ran = worker.ok("function submit --spec echo.json --follow")
    assert ran.out.split() == ["hello", "hello"], "the line of the log, then the output"


@pytest.mark.parametrize("line", LOGGING.splitlines())
def test_lines_are_read_and_searched_as_typed(worker: Shell, line: str) -> None:
    process = worker.ok("function exec --func f --targettype cli").id
    worker.ok("process assign --timeout 5")
    for text in ("hello there", "ERROR: it broke"):
        worker.ok(f"log add -p {process} -m {text!r}")
    assert worker.ok(typed(line, worker, PROCESS=process)).out


def test_the_server_moves_to_another_key_and_back(shell: Shell, dev: Dev) -> None:
    there = new_key()
    shell.ok(f"server chid --serverid {there['id']}")
    moved = shell.with_environ(COLONIES_SERVER_PRVKEY=there["prvkey"])
    assert shell("server stats").code == 1, "the old key is dead"
    back = Identity.from_hex(dev.exports["COLONIES_SERVER_PRVKEY"]).id
    moved.ok(f"server chid --serverid {back}")
    shell.ok("server stats")
