"""Blueprints: defined, added, changed, reconciled, looked after, removed."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Raw

from api.wire_blueprint import Blueprint, BlueprintDefinition
from api.wire_executor import Executor
from cli import blueprintcheck, blueprints
from cli.blueprintcheck import Surroundings
from cli.errors import UsageError
from tests.cli.conftest import Ran, Shell
from tests.cli.test_commands import assign, labels, rows

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "blueprints"
DEFINITION, BLUEPRINT = EXAMPLES / "definition.json", EXAMPLES / "blueprint.json"
OTHER = BLUEPRINT.read_text().replace("web-server", "other").replace("\n", " ")
HEADER = ["NAME", "KIND", "LOCATION", "EXECUTOR TYPE", "REPLICAS", "OLDGEN", "GEN"]


@pytest.fixture
def defined(colony: Shell) -> Shell:
    """A colony that knows a kind of blueprints, reconciled by executors of type cli."""
    colony.ok(f"blueprint definition add --spec {DEFINITION}")
    return colony


@pytest.fixture
def added(defined: Shell) -> Shell:
    """A colony with a blueprint."""
    defined.ok(f"blueprint add --spec {BLUEPRINT}")
    return defined


def shown(shell: Shell) -> dict[str, Any]:
    return cast("dict[str, Any]", shell.ok("blueprint get web-server --json").json)


def waiting(shell: Shell) -> int:
    return len(shell.ok("process psw -o id").out.splitlines())


def captions(ran: Ran) -> list[str]:
    return [line for line in ran.out.splitlines() if line.endswith(":")]


# ---------------------------------------------------------------- definitions


def test_a_definition_is_added_listed_shown_and_removed(colony: Shell) -> None:
    assert "No blueprint definitions found" in colony.ok("blueprint definition ls").err
    ran = colony.ok(f"blueprint definition add --spec {DEFINITION}")
    name = colony.environ["COLONIES_COLONY_NAME"]
    assert ran.err.endswith(
        f" BlueprintDefinitionID={ran.id} ColonyName={name} Group=compute.example.org"
        " Kind=ExecutorDeployment Name=executor-deployment Version=v1\n"
    )
    listed = colony.ok("blueprint definition ls")
    assert f"BlueprintDefinitions retrieved{' ' * 15}ColonyName={name} Count=1" in listed.err
    assert rows(listed) == [
        ["NAME", "KIND", "FUNCTIONNAME"],
        ["executor-deployment", "ExecutorDeployment", "reconcile"],
    ]
    removed = colony.ok("blueprint definitions rm --name executor-deployment")
    assert "] BlueprintDefinition removed " in removed.err
    assert colony.ok("blueprint definition ls --json").json == []


def test_a_definition_is_shown_with_handler_and_schema(defined: Shell) -> None:
    ran = defined.ok("blueprint definition get executor-deployment")
    assert captions(ran) == ["BlueprintDefinition:", "Handler:", "Schema:", "Schema Properties:"]
    assert labels(ran)[:7] == ["Name", "ID", "Kind", "Plural", "Group", "Version", "Scope"]
    for row in (
        ["Executor Type", "cli"],
        ["Function Name", "reconcile"],
        ["Required Fields", "image, replicas"],
        ["Properties", "4 fields defined"],
        ["image", "string", "Container image to deploy"],
    ):
        assert row in rows(ran)
    found = defined.ok("blueprint definition get executor-deployment -o json").json
    assert cast("dict[str, Any]", found)["spec"]["handler"]["functionName"] == "reconcile"


def test_a_definition_with_blueprints_stays(added: Shell) -> None:
    ran = added("blueprint definition remove executor-deployment")
    assert (ran.code, ran.out) == (1, "")
    assert "1 blueprint(s) of kind 'ExecutorDeployment' still exist" in ran.err
    assert "hint: its blueprints are removed first" in ran.err


# ---------------------------------------------------------------- blueprints


def test_a_blueprint_is_added_listed_and_removed(defined: Shell) -> None:
    assert "No blueprints found" in defined.ok("blueprint ls").err
    ran = defined.ok(f"blueprint add --spec {BLUEPRINT}")
    name = defined.environ["COLONIES_COLONY_NAME"]
    assert ran.err.endswith(
        f" BlueprintID={ran.id} Kind=ExecutorDeployment Name=web-server Namespace={name}\n"
    )
    listed = defined.ok("blueprint ls")
    assert rows(listed) == [
        HEADER,
        ["web-server", "ExecutorDeployment", "-", "cli", "0/2", "-", "0"],
    ]
    assert f"ColonyName={name} Count=1 Kind=\n" in listed.err
    assert defined.ok("blueprint ls --kind Other --json").json == []
    assert defined.ok("blueprint ls --kind ExecutorDeployment -o id").id == "web-server"
    assert waiting(defined) == 1
    assert "] Blueprint removed " in defined.ok("blueprint remove --name web-server").err
    assert defined.ok("blueprint ls --json").json == []


def test_a_blueprint_is_shown_with_its_executors_and_crons(added: Shell) -> None:
    ran = added.ok("blueprint get --name web-server")
    assert captions(ran) == [
        "Blueprint:",
        "Labels:",
        "Spec:",
        "Status:",
        "Executors:",
        "Crons:",
    ]
    assert "No executors found" in ran.out
    assert labels(ran)[:6] == ["Name", "ID", "Kind", "Location", "Generation", "Replicas"]
    assert ["team", "blue"] in rows(ran)
    assert ["env", '{"TZ": "Europe/Stockholm"}'] in rows(ran)
    assert rows(ran)[-1][:2] == ["reconcile-ExecutorDeployment", "60 s"]
    assert shown(added)["spec"]["replicas"] == 2


def test_another_spec_is_a_new_generation(added: Shell, tmp_path: Path) -> None:
    given = json.loads(BLUEPRINT.read_text())
    given["spec"]["replicas"] = 3
    (tmp_path / "b.json").write_text(json.dumps(given))
    assert "] Blueprint updated " in added.ok(f"blueprint update --spec {tmp_path}/b.json").err
    assert shown(added)["metadata"]["generation"] == 1
    added.ok("blueprint update --spec -", stdin=json.dumps(given))
    assert shown(added)["metadata"]["generation"] == 1


def test_one_field_is_set(added: Shell) -> None:
    before = waiting(added)
    ran = added.ok("blueprint set --name web-server --key replicas --value 5")
    assert "] Reconciliation triggered " in ran.err
    assert "] Blueprint field updated " in ran.err
    assert " Key=replicas " in ran.err
    assert waiting(added) == before + 1
    added.ok("blueprint set web-server --key spec.env.TZ --value -05:00")
    assert shown(added)["spec"] == {"image": "web:1", "replicas": 5, "env": {"TZ": "-05:00"}}
    ran = added.ok("blueprint set web-server --key env.TZ --value -05:00")
    assert "Reconciliation triggered" not in ran.err, "it was so before"
    assert waiting(added) == before + 2


def test_a_blueprint_is_reconciled(added: Shell, worker: Shell) -> None:
    worker.ok(f"process close {assign(worker)}")
    ran = added.ok("blueprint reconcile --name web-server")
    assert f"BlueprintName=web-server Force=false ProcessId={ran.id}" in ran.err
    assert assign(worker) == ran.id
    forced = added.ok("blueprint reconcile web-server -f")
    kwargs = cast("dict[str, Any]", added.ok(f"process get {forced.id} --json").json)["spec"]
    assert kwargs["kwargs"]["force"] is True
    assert shown(added)["metadata"]["generation"] == 1


def test_the_history_is_listed_and_one_generation_shown(added: Shell) -> None:
    for replicas in (3, 4):
        added.ok(f"blueprint set web-server --key replicas --value {replicas}")
    listed = rows(added.ok("blueprint history --name web-server"))
    assert listed[0] == ["GENERATION", "TIMESTAMP", "CHANGE TYPE", "CHANGED BY"]
    assert [[row[0], *row[2:]] for row in listed[1:]] == [
        ["2", "update", "user: johan"],
        ["1", "update", "user: johan"],
        ["0", "create", "user: johan"],
    ]
    assert len(rows(added.ok("blueprint history web-server -l 1"))) == 2
    ran = added.ok("blueprint history web-server -g 1")
    assert captions(ran) == ["Blueprint History:", "Spec:", "Status:"]
    assert ["replicas", "3"] in rows(ran)
    missing = added("blueprint history web-server -g 9")
    assert (missing.code, missing.out) == (1, "")
    assert "hint: there are: 2, 1, 0" in missing.err


def test_what_reconcilers_say_is_printed(added: Shell, worker: Shell) -> None:
    process = assign(worker)
    worker.ok(f"log add -p {process} -m 'pulling web:1'")
    ran = added.ok("blueprint log --name web-server")
    assert ran.out == "=== worker ===\npulling web:1\n"
    (line,) = cast("list[dict[str, Any]]", added.ok("blueprint log --json").json)
    assert line["message"] == "pulling web:1"


def test_without_reconcilers_there_is_no_log(colony: Shell) -> None:
    assert "No reconciler executors found" in colony.ok("blueprint log").err


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("add --spec nowhere.json", 2, "cannot read nowhere.json"),
        ("add --spec []", 2, "must hold a JSON object"),
        ('add --spec \'{"kind": "Other"}\'', 1, "BlueprintDefinition for kind 'Other' not found"),
        (f"update --spec '{OTHER}'", 1, "blueprint 'other' not found in namespace"),
        ("get nobody", 1, "Blueprint not found"),
        ("remove nobody", 1, "Blueprint not found"),
        ("reconcile nobody", 1, "Blueprint not found"),
        ("history nobody", 1, "Blueprint not found"),
        ("history web-server --limit -1", 2, "--limit must not be negative"),
        ("log nobody", 1, "Blueprint not found"),
        ("log --count 501", 2, "--count must be 1 to 500"),
        ("doctor nobody", 1, "Blueprint not found"),
        ("set web-server --key replicaz --value 5", 2, "no field 'replicaz' in the spec"),
        ("set web-server --key replicas --value many", 1, "field 'replicas' must be a number"),
        ("definition get nobody", 1, "Blueprint definition not found"),
        ("definition remove nobody", 1, "BlueprintDefinition 'nobody' not found"),
    ],
)
def test_what_cannot_be_is_refused(added: Shell, line: str, code: int, text: str) -> None:
    ran = added(f"blueprint {line}")
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "hint: " in ran.err or code == 2
    assert shown(added)["spec"]["replicas"] == 2


def test_a_spec_that_the_schema_refuses_says_where_the_schema_is(defined: Shell) -> None:
    given = json.loads(BLUEPRINT.read_text())
    del given["spec"]["image"]
    ran = defined("blueprint add --spec -", stdin=json.dumps(given))
    assert "required field 'image' is missing" in ran.err
    assert "colonies blueprint definition get NAME" in ran.err


def test_results_can_be_piped(added: Shell) -> None:
    ran = added.program("blueprint ls -o id")
    assert (ran.code, ran.out) == (0, "web-server\n")
    given = added.program("blueprint get web-server -o json").out
    ran = added.program("blueprint update --spec -", stdin=given)
    assert (ran.code, ran.out) == (0, f"{shown(added)['blueprintid']}\n")


def test_names_and_kinds_are_offered(added: Shell) -> None:
    def offered(line: str) -> list[str]:
        return added.ok(f"__complete {line} ''").out.split()

    assert offered("blueprint get --name") == ["web-server"]
    assert offered("blueprint reconcile") == ["web-server"]
    assert offered("blueprint ls --kind") == ["ExecutorDeployment"]
    assert offered("blueprint definition") == ["add", "get", "ls", "remove"]
    assert offered("blueprint definition get") == ["executor-deployment"]
    assert offered("blueprint definition add --name") == []
    assert "--spec" in added.ok("__complete blueprint definition add --s").out.split()


# ---------------------------------------------------------------- doctor


def test_the_doctor_says_what_is_wrong_and_what_to_do(added: Shell) -> None:
    ran = added("blueprint doctor")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "=== web-server ===",
        "  [OK] Reconciler worker found at location ''",
        "  [WARN] Only 0/2 replicas running",
        "          Run: colonies blueprint log --name web-server",
        "          Try: colonies blueprint reconcile --name web-server --force",
        "  [OK] Reconciliation cron 'reconcile-ExecutorDeployment' exists",
        "",
        "Found 1 issue(s)",
        "",
        "Hints:",
        "  - Run with --fix to automatically fix issues where possible",
        "  - Check reconciler logs: colonies blueprint log --name <blueprint>",
        "  - Force reconciliation:  colonies blueprint reconcile --name <blueprint> --force",
        "  - List all executors:    colonies executor ls",
    ]
    found = cast("list[dict[str, str]]", added("blueprint doctor --json").json)
    assert [each["level"] for each in found] == ["OK", "WARN", "OK"]


def test_the_doctor_mends_what_can_be_mended(added: Shell) -> None:
    cron = added.ok("cron ls -o id").id
    added.ok(f"cron remove {cron}")
    before = waiting(added)
    assert "is missing" in added("blueprint doctor").out
    ran = added.ok("blueprint doctor --fix")
    assert "] Reconciliation cron is back " in ran.err
    assert "] Submitted reconciliation process " in ran.err
    assert waiting(added) == before + 1
    assert added.ok("cron ls -o id").id != cron
    assert shown(added)["metadata"].get("generation", 0) == 0


def test_a_colony_without_blueprints_is_well(colony: Shell) -> None:
    assert "No blueprints found" in colony.ok("blueprint doctor").err


def device(**spec: object) -> Blueprint:
    blueprint = Blueprint(blueprintid="b" * 64, kind="Device")
    blueprint.metadata.name = "lamp"
    blueprint.spec = Raw(json.dumps(spec).encode())
    return blueprint


def executor(name: str, *, state: int = 1, gen: int = 0, kind: str = "cli") -> Executor:
    return Executor(
        executorname=name,
        executortype=kind,
        state=state,
        blueprintid="b" * 64,
        blueprintgen=gen,
    )


def definition(kind: str = "cli") -> BlueprintDefinition:
    found = BlueprintDefinition()
    found.spec.names.kind = "Device"
    found.spec.handler.executor_type = kind
    found.spec.handler.function = "reconcile" if kind else ""
    return found


def findings(
    blueprint: Blueprint, *executors: Executor, kind: str | None = "cli"
) -> list[tuple[str, str]]:
    known = blueprints.by_kind([] if kind is None else [definition(kind)])
    around = Surroundings(kinds=known, executors=executors, crons=[])
    return [(each.level, each.text) for each in blueprintcheck.check(blueprint, around)]


def test_who_reconciles_is_looked_for() -> None:
    assert ("ERROR", "No definition of kind 'Device' found") in findings(device(), kind=None)
    assert ("ERROR", "Definition '' names nobody who reconciles") in findings(device(), kind="")
    missing = ("ERROR", "No reconciler found at location ''")
    assert missing in findings(device())
    assert missing in findings(device(), executor("pending", state=0))
    assert ("OK", "Reconciler a, b found at location ''") in findings(
        device(), executor("a"), executor("b")
    )


def test_executors_of_the_wished_type_and_generation_are_counted() -> None:
    wished = device(executorType="web", replicas=2)
    wished.metadata.generation = 1
    found = findings(
        wished,
        *(executor("a", gen=1, kind="web"), executor("b", gen=1, kind="web")),
        *(executor("old", kind="web"), executor("gone", state=3, gen=1, kind="web")),
    )
    assert ("OK", "3 executors of type 'web' found") in found
    assert ("OK", "2/2 replicas running") in found
    assert ("WARN", "1 executor of an older generation") in found
    assert ("ERROR", "No executor of type 'web' found") in findings(wished)
    assert ("WARN", "Only 0/2 replicas running") in findings(wished)


@pytest.mark.parametrize(
    ("key", "value", "spec"),
    [
        ("n", "2", {"n": 2, "t": "x", "o": {"i": [1, {"k": 1}]}}),
        ("spec.t", "true", {"n": 1, "t": True, "o": {"i": [1, {"k": 1}]}}),
        ("t", "no json", {"n": 1, "t": "no json", "o": {"i": [1, {"k": 1}]}}),
        ("o.i.1.k", "null", {"n": 1, "t": "x", "o": {"i": [1, {"k": None}]}}),
        ("o.i.0", "[2]", {"n": 1, "t": "x", "o": {"i": [[2], {"k": 1}]}}),
    ],
)
def test_a_field_is_named_with_dots(key: str, value: str, spec: object) -> None:
    changed = blueprints.changed(device(n=1, t="x", o={"i": [1, {"k": 1}]}), key, value)
    assert json.loads(bytes(changed.spec)) == spec


@pytest.mark.parametrize("key", ["m", "o.x", "o.i.2", "o.i.-1", "o.i.x", "n.deep", "", "."])
def test_a_field_that_is_not_there_is_not_made(key: str) -> None:
    with pytest.raises(UsageError):
        blueprints.changed(device(n=1, o={"i": [1, 2]}), key, "1")
