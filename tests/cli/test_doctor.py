"""``colonies doctor``: what is found, and what to do about it."""

from pathlib import Path
from typing import cast

from tests.cli.conftest import Ran, Shell, free_port, key


def findings(ran: Ran) -> dict[str, dict[str, str]]:
    return {one["check"]: one for one in cast("list[dict[str, str]]", ran.json)}


def test_all_is_well_on_a_development_server(shell: Shell) -> None:
    ran = shell.ok("doctor --json")
    assert {one["result"] for one in findings(ran).values()} == {"ok"}
    assert set(findings(ran)) == {
        "server",
        "store",
        "colony",
        "key",
        "executor key",
        "colony owner key",
        "server owner key",
        "clock",
    }
    assert shell.ok("doctor -o id").out == ""


def test_a_server_that_is_away_is_found(shell: Shell) -> None:
    ran = shell(f"doctor --json --port {free_port()}")
    assert ran.code == 1
    found = findings(ran)["server"]
    assert found["result"] == "fail"
    assert "connection refused" in found["found"]
    assert "colonies dev" in found["cure"]


def test_each_wrong_key_is_named(shell: Shell) -> None:
    stranger = key(shell)["prvkey"]
    found = findings(
        shell(
            "doctor --json",
            COLONIES_PRVKEY=stranger,
            COLONIES_COLONY_PRVKEY=stranger,
            COLONIES_SERVER_PRVKEY=stranger,
        )
    )
    assert found["key"]["result"] == "fail"
    assert "colonies user add" in found["key"]["cure"]
    assert found["server owner key"]["result"] == "fail"
    mine = findings(shell("doctor --json", COLONIES_COLONY_PRVKEY=stranger))["colony owner key"]
    assert mine["result"] == "fail"
    assert "another colony" in mine["cure"]


def test_a_broken_key_is_named_and_not_shown(shell: Shell) -> None:
    ran = shell("doctor --json", COLONIES_PRVKEY="nonsense-secret")
    assert findings(ran)["key"]["result"] == "fail"
    assert "nonsense-secret" not in ran.out


def test_an_executor_that_waits_for_approval_is_told_how(colony: Shell) -> None:
    made = key(colony)
    colony.ok(f"executor add --name pending --type t --executorid {made['id']}")
    found = findings(colony("doctor --json", COLONIES_PRVKEY=made["prvkey"]))["key"]
    assert found["result"] == "fail"
    assert found["cure"] == "colonies executor approve --name pending"


def test_nothing_configured_is_no_traceback(tmp_path: Path) -> None:
    ran = Shell({"COLONIES_HOME": str(tmp_path)})(f"doctor --port {free_port()}")
    assert ran.code == 1
    assert "COLONIES_PRVKEY is not set" in ran.out
