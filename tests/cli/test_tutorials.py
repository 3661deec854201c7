"""Command lines of tutorials and later documentation, as people type them."""

import json
import string
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, new_key
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
