"""``colonies doctor``: what is found, and what to do about it."""

import base64
import json
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import cast

import pytest

from tests.cli.conftest import Ran, Shell, new_key
from tests.ports import free_port


def findings(ran: Ran) -> dict[str, dict[str, str]]:
    return {one["check"]: one for one in cast("list[dict[str, str]]", ran.json)}


def test_all_is_well_on_a_development_server(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    # How fast this machine is at the moment, and whether it was stopped meanwhile, is not asked.
    monkeypatch.setattr("cli.commands.doctor._SLOW_MS", 60_000)
    monkeypatch.setattr("cli.commands.doctor._CLOCK_INEXACT_S", 59)
    ran = shell.ok("doctor --json")
    assert {one["result"] for one in findings(ran).values()} == {"ok"}
    assert set(findings(ran)) == {
        "server",
        "store",
        "durability",
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


def test_what_one_failure_says_of_all_checks_is_said_once(shell: Shell) -> None:
    ran = shell(f"doctor --port {free_port()}")

    assert ran.out.count("connection refused") == 1
    assert ran.out.count("see server") == 7


def test_each_wrong_key_is_named(shell: Shell) -> None:
    stranger = new_key()["prvkey"]
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
    made = new_key()
    colony.ok(f"executor add --name pending --type t --executorid {made['id']}")
    found = findings(colony("doctor --json", COLONIES_PRVKEY=made["prvkey"]))["key"]
    assert found["result"] == "fail"
    assert found["cure"] == "colonies executor approve --name pending"


def test_nothing_configured_is_no_traceback(tmp_path: Path) -> None:
    ran = Shell({"COLONIES_HOME": str(tmp_path)})(f"doctor --port {free_port()}")
    assert ran.code == 1
    assert "COLONIES_PRVKEY is not set" in ran.out


def time_that_is(ahead_s: int | None) -> dict[str, object]:
    """What a server with such a clock says now."""
    if ahead_s is None:
        return {}
    there = datetime.now(UTC) + timedelta(seconds=ahead_s)
    return {"servertime": there.isoformat().replace("+00:00", "Z")}


@contextmanager
def server_that_says(
    info: dict[str, object], *, date: bool = True, ahead_s: int | None = None
) -> Generator[int]:
    """The port of a server that tells this of itself and refuses everything else.

    It tells what time it has, too, if its clock is said to be so many seconds ahead of ours.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["content-length"]))
            known = json.loads(asked)["payloadtype"] == "getserverinfomsg" and "refused" not in info
            reply = info | time_that_is(ahead_s) if known else {"status": 403, "message": "no"}
            payload = base64.b64encode(json.dumps(reply).encode()).decode()
            text = json.dumps({"payloadtype": "x", "payload": payload, "error": not known}).encode()
            self.send_response(200 if known else 403)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(timestamp) if date else ""

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("durability", "result", "cure"),
    [
        ("always", "ok", ""),
        ("everysec", "warn", "appendfsync always"),
        ("none", "fail", "COLONIES_DURABILITY=always"),
        ("", "skip", ""),
    ],
)
def test_what_an_acknowledgement_promises_is_judged(
    shell: Shell, durability: str, result: str, cure: str
) -> None:
    with server_that_says({"durability": durability}) as port:
        found = findings(shell(f"doctor --json --port {port}"))["durability"]
    assert found["result"] == result
    assert cure in found["cure"]


@pytest.mark.parametrize(
    ("ahead_s", "result", "found"),
    [
        (0, "ok", "the server's"),
        (10, "warn", "behind the server's"),
        (-10, "warn", "ahead of the server's"),
        (600, "fail", "signed messages are refused"),
    ],
)
def test_the_clock_is_compared_with_the_servers(
    shell: Shell, ahead_s: int, result: str, found: str
) -> None:
    with server_that_says({}, ahead_s=ahead_s) as port:
        clock = findings(shell(f"doctor --json --port {port}"))["clock"]
    assert clock["result"] == result
    assert found in clock["found"]
    assert ("NTP" in clock["cure"]) == (result != "ok")


@pytest.mark.parametrize(("date", "result"), [(True, "ok"), (False, "skip")])
def test_the_clock_of_an_old_server_is_read_from_its_date(
    shell: Shell, *, date: bool, result: str
) -> None:
    with server_that_says({"refused": True}, date=date) as port:
        assert findings(shell(f"doctor --json --port {port}"))["clock"]["result"] == result
