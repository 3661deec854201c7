"""Every command against the mistakes that all have in common, and its results as JSON and YAML."""

from pathlib import Path
from typing import cast

import pytest
import yaml

from tests.cli.conftest import Shell, every_command, new_key
from tests.ports import free_port

NOWHERE = "f" * 64
STRANGER = "a" * 64
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
BLUEPRINTS = EXAMPLES / "blueprints"
KEYS = f"--prvkey {STRANGER} --colonyprvkey {STRANGER} --serverprvkey {STRANGER}"

# In an order in which each succeeds; {id} is a new id each time, other names are of files.
ASKING = """\
cluster info
colony add --name zoo --colonyid {id}
colony ls
colony stats
colony check
colony settings
colony settings --filerevisions 10
colony remove --name zoo --yes
user add --name eva --userid {id}
user ls
user get --name eva
user remove --name eva --yes
executor create --name made --type cli --keypath {file}
executor add --name added --type cli --executorid {id} --approve
executor ls
executor ls --all
executor ls --full
executor get --name added
executor reject --name added
executor approve --name added
executor remove --name added
location add --name here --long 1.5 --lat 2
location ls
location get --name here
location remove --name here --yes
function exec --func f --targettype nobody
function submit --spec '{"funcname":"f","conditions":{"executortype":"x"}}'
function ls
process psw
process ps
process pss
process psf
process psc
process ls --state waiting
process pause
process status
process resume
workflow submit --spec '[{"nodename":"n","conditions":{"executortype":"x"}}]'
workflow psw
workflow ps
workflow pss
workflow psf
workflow psc
workflow ls --state waiting
workflow removeall --yes
cron ls
generator ls
blueprint definition add --spec {definition}
blueprint definition ls
blueprint definition get --name executor-deployment
blueprint add --spec {blueprint}
blueprint update --spec {blueprint}
blueprint ls
blueprint get --name web-server
blueprint set --name web-server --key replicas --value 0
blueprint reconcile --name web-server
blueprint history --name web-server
blueprint log --name web-server
blueprint doctor --name web-server
blueprint remove --name web-server
blueprint definition remove --name executor-deployment
log search --text hello
process removeall --waiting --yes
server stats
""".splitlines()
# They need an id that an earlier one made, or have no server to ask; other tests run them.
ELSEWHERE = {
    "attribute": {"add", "get"},
    "channel": {"append", "follow", "read"},
    "colony": {"chid"},
    "cron": {"add", "get", "run", "remove"},
    "events": {"tail"},
    "executor": {"chid", "run"},
    "fs": {
        *("sync", "clean", "gc", "ls", "info", "get", "remove", "label ls", "label remove"),
        *("key generate", "key show", "snapshot create", "snapshot ls", "snapshot info"),
        *("snapshot download", "snapshot remove", "snapshot removeall"),
    },
    "function": {"register", "remove"},
    "generator": {"add", "get", "pack", "remove"},
    "log": {"add", "get"},
    "monitor": {"start"},
    "process": {"get", "assign", "close", "fail", "cancel", "remove"},
    "server": {"chid", "start", "stat", "status", "alive"},
    "user": {"chid"},
    "workflow": {"get", "cancel", "remove"},
}
ASKING_NOBODY = {"completion", "config", "database", "dev", "doctor", "history", "key", "version"}
BY_ID = (
    f"attribute add -p {NOWHERE} --key k --value v",
    f"attribute get --attributeid {NOWHERE}",
    f"colony chid --colonyid {NOWHERE}",
    f"executor chid --executorid {NOWHERE}",
    "function register --name worker --func f",
    f"function remove --functionid {NOWHERE}",
    f"process get {NOWHERE}",
    "process assign --timeout -1",
    f"process close {NOWHERE}",
    f"process fail {NOWHERE}",
    f"process cancel {NOWHERE}",
    f"process remove {NOWHERE}",
    f"server chid --serverid {NOWHERE}",
    f"user chid --userid {NOWHERE}",
    f"workflow get {NOWHERE}",
    f"workflow cancel {NOWHERE}",
    f"workflow remove {NOWHERE}",
    f"cron add --name c --interval 9 --spec {EXAMPLES}/cron/cron_workflow.json",
    f"cron get {NOWHERE}",
    f"cron run {NOWHERE}",
    f"cron remove {NOWHERE}",
    f"generator add --name g --trigger 9 --spec {EXAMPLES}/generators/generator_workflow.json",
    f"generator get {NOWHERE}",
    f"generator pack {NOWHERE} --arg a",
    f"generator remove {NOWHERE}",
    f"log add -p {NOWHERE} -m hello",
    f"log get {NOWHERE}",
    "fs ls -l /x",
    f"fs info -i {NOWHERE}",
    f"fs get -i {NOWHERE} -d {{file}}",
    f"fs remove -i {NOWHERE}",
    "fs sync -l /x -d {file} --dry",
    "fs gc --yes",
    "fs label ls",
    "fs label remove -l /x",
    "fs snapshot ls",
    "fs snapshot create -l /x",
    "fs snapshot info -n x",
    "fs snapshot download -n x -d {file}",
    "fs snapshot remove -n x",
    "fs snapshot removeall --yes",
    f"channel append {NOWHERE} --name chat --msg hello",
    f"channel read {NOWHERE} --name chat",
    f"channel follow {NOWHERE} --name chat",
    f"log get {NOWHERE} --follow",
    "events tail",
)


def filled(line: str, directory: Path) -> str:
    made = new_key()["id"]
    files = {
        "definition": BLUEPRINTS / "definition.json",
        "blueprint": BLUEPRINTS / "blueprint.json",
    }
    for name, value in {"id": made, "file": directory / made, **files}.items():
        line = line.replace(f"{{{name}}}", str(value))
    return line


def test_no_command_is_forgotten() -> None:
    asked = {*ASKING, *(f"{group} {name}" for group in ELSEWHERE for name in ELSEWHERE[group])}
    missing = [
        path
        for path, _ in every_command()
        if path.split()[0] not in ASKING_NOBODY
        if not any(f"{line} ".startswith(f"{path} ") for line in asked)
    ]
    assert missing == []


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_every_result_can_be_parsed(colony: Shell, tmp_path: Path, form: str) -> None:
    for line in ASKING:
        command = filled(line, tmp_path)
        ran = colony.ok(f"{command} -o {form}")
        parsed = ran.json if form == "json" else cast("object", yaml.safe_load(ran.out))
        assert parsed is not None, command


def test_a_strangers_key_is_refused_everywhere(colony: Shell, tmp_path: Path) -> None:
    for line in (*ASKING, *BY_ID):
        ran = colony(f"{filled(line, tmp_path)} {KEYS}")
        assert (ran.code, ran.out) == (1, ""), line
        assert "hint: " in ran.err, line
    assert list(tmp_path.iterdir()) == [], "no key is left of an executor that was refused"


def test_a_missing_key_is_named_everywhere(tmp_path: Path) -> None:
    shell = Shell({"COLONIES_HOME": str(tmp_path / "home"), "COLONIES_COLONY_NAME": "dev"})
    for line in (*ASKING, *BY_ID):
        ran = shell(filled(line, tmp_path))
        assert (ran.code, ran.out) == (2, ""), line
        assert "PRVKEY is not set" in ran.err, line
        assert "hint: export COLONIES_" in ran.err, line


@pytest.mark.parametrize("group", sorted({line.split()[0] for line in ASKING}))
def test_a_server_that_is_down_is_exit_code_3(colony: Shell, tmp_path: Path, group: str) -> None:
    line = next(line for line in ASKING if line.startswith(group))
    ran = colony(f"{filled(line, tmp_path)} --json --port {free_port()}")
    assert (ran.code, ran.out) == (3, "")
    assert "connection refused" in ran.err
    assert "hint: is it running?" in ran.err
