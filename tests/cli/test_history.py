"""``colonies history``: what the store behind a development server is asked."""

import base64
import json
import re
import shlex
import signal
import subprocess
import threading
from pathlib import Path
from typing import cast

import httpx
import pytest
import redis
from msgspec.structs import replace

from broker.identity import Identity, digest
from cli import embedded
from tests.cli.conftest import PROGRAM, Dev, Shell, clean_environ, submit_text
from tests.facts import closed
from tests.patience import PATIENCE_S
from tests.ports import free_port
from tests.sealing import exported, raw

SPEC = "function exec --func echo --targettype cli --args hello"


def database(dev: Dev) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(embedded.socket_of(dev.home / "dev")))


def tag_of(dev: Dev, colony: Shell) -> str:
    """What the keys of a colony begin with."""
    name = colony.environ["COLONIES_COLONY_NAME"]
    with database(dev) as store:
        suffix = cast("bytes", store.hget("{server}:colonies", name))
    return f"{{{name}.{suffix.decode()}}}:"


def name_of(colony: Shell) -> str:
    return colony.environ["COLONIES_COLONY_NAME"]


def run_one(colony: Shell, worker: Shell) -> str:
    """Submit, assign and close a process; its id."""
    process_id = colony.ok(SPEC).id
    worker.ok("process assign")
    worker.ok(f"process close -p {process_id} --out done")
    return process_id


def events(shell: Shell, line: str = "") -> list[dict[str, object]]:
    out = shell.ok(f"history show -o json {line}").out
    return [json.loads(text) for text in out.splitlines()]


# ---------------------------------------------------------------- verify


def test_rows_are_what_the_log_says(colony: Shell, worker: Shell) -> None:
    run_one(colony, worker)

    ran = colony.ok(f"history verify --colony {name_of(colony)}")

    assert re.search(rf"rows are what the log says +Colony={name_of(colony)} Events=\d+", ran.err)
    assert ran.out == ""


def test_every_log_is_verified_unless_one_is_named(colony: Shell) -> None:
    found = cast("list[dict[str, object]]", colony.ok("history verify --json").json)

    assert {"", "dev", name_of(colony)} <= {str(one["colony"]) for one in found}
    assert all(one["differences"] == [] for one in found)


def test_changed_field_is_named(colony: Shell, worker: Shell, dev: Dev) -> None:
    process_id, tag = run_one(colony, worker), tag_of(dev, colony)
    with database(dev) as store:
        store.hset(f"{tag}p:{process_id}", "state", "3")
        ran = colony(f"history verify --colony {name_of(colony)} --json")
        table = colony(f"history verify --colony {name_of(colony)}")
        store.hset(f"{tag}p:{process_id}", "state", "2")

    assert (ran.code, table.code) == (1, 1)
    (one,) = cast("list[dict[str, list[object]]]", ran.json)
    assert one["differences"] == [
        {"key": f"p:{process_id}", "field": "state", "live": "3", "log": "2"}
    ]
    assert f"| p:{process_id} | state | 3    | 2   |" in table.out
    assert "values that are not what the log says: 1" in ran.err
    assert "hint: " in ran.err


# ---------------------------------------------------------------- show


def test_a_number_is_shown_digit_by_digit(dev: Dev, colony: Shell) -> None:
    digits = "9" * 308
    process_id = submit_text(dev, colony, f'"args":[{digits}]')

    submitted, *_ = events(colony, f"--process {process_id}")

    assert cast("dict[str, dict[str, object]]", submitted["body"])["spec"]["args"] == [int(digits)]
    assert digits in colony.ok(f"process get {process_id} -o json").out
    assert digits in colony.ok(f"events tail -p {process_id} --all --count 1").out
    for line in (f"history at now process {process_id}", "process psw --ids"):
        assert process_id in colony.ok(line).out


def test_events_say_who_when_and_what(colony: Shell, worker: Shell) -> None:
    process_id = run_one(colony, worker)

    lines = colony.ok(f"history show --process {process_id}").out.splitlines()

    told = [re.split(r"  +", line) for line in lines]
    assert [line[2:5] for line in told] == [
        ["ProcessSubmitted", process_id, "by johan, signed"],
        ["ProcessAssigned", process_id, "by worker, signed"],
        ["ProcessClosed", process_id, "by worker, signed"],
    ]
    assert all(re.match(r"\d+-\d+$", line[0]) for line in told)
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$", line[1]) for line in told)


def test_event_as_json_has_its_signer(colony: Shell, worker: Shell) -> None:
    process_id = run_one(colony, worker)

    submitted, *_ = events(colony, f"--process {process_id[:12]}")

    assert submitted["signer"] == submitted["actor"] == colony.environ["USER_ID"]
    assert submitted["actorname"] == "johan"
    assert len(cast("str", submitted["signature"])) == 130
    body = cast("dict[str, dict[str, object]]", submitted["body"])
    assert body["spec"]["funcname"] == "echo"


def test_what_is_shown_can_be_chosen(colony: Shell, worker: Shell) -> None:
    run_one(colony, worker)
    everything = events(colony)
    position = str(everything[-2]["position"])

    assert [one["type"] for one in events(colony, "--type ProcessClosed")] == ["ProcessClosed"]
    assert {one["actorname"] for one in events(colony, "--executor worker --since 10m")} == {
        "worker",
        "colony owner",
    }
    assert events(colony, f"--since {position}") == everything[-2:]
    assert events(colony, f"--until {position}") == everything[:-1]
    assert events(colony, "--since now") == []


def test_only_the_last_events_are_shown(colony: Shell, worker: Shell) -> None:
    for _ in range(3):
        run_one(colony, worker)
    everything = events(colony)
    position = str(everything[-3]["position"])

    assert events(colony, "--last 2") == everything[-2:]
    assert events(colony, "--last 1000") == everything
    assert events(colony, f"--last 2 --until {position}") == everything[-4:-2]
    assert events(colony, f"--last 9 --since {position}") == everything[-3:]
    closes = [one for one in everything if one["type"] == "ProcessClosed"]
    assert events(colony, "--last 2 --type ProcessClosed") == closes[-2:]
    assert events(colony, "--last 2 --type ProcessFailed") == []


def test_last_events_of_a_workflow_that_is_gone_are_shown(colony: Shell) -> None:
    nodes = '[{"nodename":"n","conditions":{"executortype":"x"}}]'
    workflow_id = colony.ok(f"workflow submit --spec '{nodes}'").id
    colony.ok(f"workflow cancel {workflow_id}")
    colony.ok(f"workflow remove {workflow_id}")
    colony.ok(SPEC)
    everything = events(colony, f"--workflow {workflow_id}")

    assert len(everything) > 2
    assert events(colony, f"--workflow {workflow_id} --last 2") == everything[-2:]
    assert events(colony, f"--workflow {workflow_id} --last {10**20}") == everything


def test_workflow_is_shown_with_its_processes(colony: Shell) -> None:
    nodes = '[{"nodename":"n","conditions":{"executortype":"x"}}]'
    workflow_id = colony.ok(f"workflow submit --spec '{nodes}'").id
    colony.ok(SPEC)

    types = [one["type"] for one in events(colony, f"--workflow {workflow_id}")]

    assert types == ["NodeSubmitted", "WorkflowSubmitted"]


def test_the_servers_own_log_is_shown(colony: Shell) -> None:
    subjects = [one["subject"] for one in events(colony, "--server --type ColonyRegistered")]

    assert name_of(colony) in subjects


@pytest.mark.parametrize("begin", ["--since {}", "--last 1"])
def test_followed_events_come_as_they_happen(colony: Shell, begin: str) -> None:
    last = colony.ok("history show -o id").out.splitlines()[-1]
    line = shlex.split(f"history show --follow {begin.format(last)} -o json")
    with subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, *line],
        stdout=subprocess.PIPE,
        text=True,
        env={**clean_environ(), **colony.environ},
    ) as following:
        overdue = threading.Timer(60, following.kill)
        overdue.start()
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["position"] == last
        process_id = colony.ok(SPEC).id
        told = [json.loads(following.stdout.readline()) for _ in range(2)]
        following.send_signal(signal.SIGINT)
        assert following.wait(PATIENCE_S) == 130
        overdue.cancel()

    assert [one["type"] for one in told] == ["RequirementClassAdded", "ProcessSubmitted"]
    assert told[1]["subject"] == process_id


@pytest.mark.parametrize("form", ["yaml", "id"])
def test_other_formats_show_every_event(colony: Shell, form: str) -> None:
    positions = [str(one["position"]) for one in events(colony)]

    out = colony.ok(f"history show -o {form}").out

    assert all(position in out for position in positions)


# ---------------------------------------------------------------- at


def last(colony: Shell) -> str:
    """The position of the last event."""
    return colony.ok("history show -o id").out.splitlines()[-1]


def test_process_is_shown_as_it_was(colony: Shell, worker: Shell) -> None:
    before = last(colony)
    process_id = colony.ok(SPEC).id
    moments = [last(colony)]
    worker.ok("process assign")
    moments.append(last(colony))
    now = colony.ok(f"process get {process_id} --json").json
    worker.ok(f"process close -p {process_id} --out done")
    moments.append(last(colony))

    was = [
        cast("dict[str, object]", colony.ok(f"history at {at} process {process_id} --json").json)
        for at in moments
    ]

    assert [one["state"] for one in was] == [0, 1, 2]
    assert [one["out"] for one in was] == [[], [], ["done"]]
    assert was[1] == now
    ran = colony(f"history at {before} process {process_id}")
    assert (ran.code, ran.out) == (1, "")
    assert f"there was no process {process_id} at {before}" in ran.err


def test_counts_are_shown_as_they_were(colony: Shell, worker: Shell) -> None:
    first = colony.ok("colony stats --json").json
    before = last(colony)
    run_one(colony, worker)
    colony.ok(SPEC)
    nodes = '[{"nodename":"n","conditions":{"executortype":"x"}}]'
    colony.ok(f"workflow submit --spec '{nodes}'")
    second = colony.ok("colony stats --json").json

    assert counted(colony, before) == ignoring_activity(first)
    assert counted(colony, last(colony)) == counted(colony, "now") == ignoring_activity(second)
    assert "| Successful processes | 1" in colony.ok("history at now stats").out


def counted(colony: Shell, moment: str) -> dict[str, int]:
    return ignoring_activity(colony.ok(f"history at {moment} stats --json").json)


def ignoring_activity(counts: object) -> dict[str, int]:
    """Counts without those that follow from presence, which is not history."""
    left = {"activeexecutors", "unregisteredexecutors"}
    return {k: v for k, v in cast("dict[str, int]", counts).items() if k not in left}


def test_queue_is_shown_as_it_was(colony: Shell, worker: Shell) -> None:
    low, high = colony.ok(SPEC).id, colony.ok(f"{SPEC} --priority 5").id
    before = last(colony)
    worker.ok("process assign")

    assert colony.ok(f"history at {before} queue -o id").out.split() == [high, low]
    assert colony.ok("history at now queue -o id").out.split() == [low]


def test_only_the_head_of_a_queue_is_shown(colony: Shell) -> None:
    first, *_ = [colony.ok(SPEC).id for _ in range(3)]

    ran = colony.ok("history at now queue --count 1 --json")
    assert [one["processid"] for one in cast("list[dict[str, object]]", ran.json)] == [first]
    said = colony.ok("history at now queue --count 2").err
    assert re.search("More waited than are shown +Count=2 Shown=2 Waiting=3", said)


# ---------------------------------------------------------------- rebuild


def test_rebuilt_statistics_are_the_same(colony: Shell, worker: Shell) -> None:
    run_one(colony, worker)
    line = f"history rebuild functions --colony {name_of(colony)}"

    (one,) = cast("list[dict[str, object]]", colony.ok(f"{line} --json").json)

    assert (one["colony"], one["build"]) == (name_of(colony), 1)
    assert one["events"] == len(events(colony))
    assert re.search(r"Projection rebuilt +Build=2 ", colony.ok(line).err)


# ---------------------------------------------------------------- export and check


def test_exported_log_is_whole(colony: Shell, worker: Shell, tmp_path: Path) -> None:
    run_one(colony, worker)
    file = tmp_path / "log.jsonl"

    seal = colony.ok(f"history export {file}").id
    found = cast("dict[str, object]", Shell().ok(f"history check {file} --json").json)

    assert found["events"] == len(events(colony))
    assert (found["findings"], found["seal"]) == ([], seal)
    assert (found["requests"], found["messages"]) == (0, {})
    assert set(cast("dict[str, int]", found["signers"])) >= {
        colony.environ["USER_ID"],
        colony.environ["WORKER_ID"],
    }
    assert Shell().ok(f"history check {file} --seal {seal}").code == 0


def test_changed_event_is_named(colony: Shell, worker: Shell, tmp_path: Path) -> None:
    run_one(colony, worker)
    file = tmp_path / "log.jsonl"
    colony.ok(f"history export {file}")
    file.write_text(file.read_text().replace(colony.environ["USER_ID"], "f" * 64, 1))

    ran = Shell()(f"history check {file}")

    assert ran.code == 1
    assert re.match(r"event \d+ at \d+-\d+ \(UserAdded\) was changed\n", ran.out)
    assert "hint: " in ran.err


def test_request_leads_to_what_it_asked_for(colony: Shell, dev: Dev, tmp_path: Path) -> None:
    file, request = tmp_path / "log.jsonl", tmp_path / "request.json"
    identity = Identity.from_hex(colony.environ["COLONIES_COLONY_PRVKEY"])
    wish = {"msgtype": "pauseassignmentsmsg", "colonyname": name_of(colony)}
    payload = base64.b64encode(json.dumps(wish).encode())
    envelope = {
        "payloadtype": "pauseassignmentsmsg",
        "payload": payload.decode(),
        "signature": identity.sign(payload),
    }
    request.write_text(json.dumps(envelope))
    told = httpx.post(
        f"http://127.0.0.1:{dev.port}/api", content=request.read_bytes(), trust_env=False
    )
    assert told.status_code == 200, told.text
    colony.ok(f"history export {file}")

    ran = Shell().ok(f"history check {file} --request {request}")

    assert re.match(r"event \d+ at \d+-\d+ \(AssignmentsPaused\)\n", ran.out)
    request.write_text(request.read_text().replace(payload.decode(), "AAAA"))
    assert Shell()(f"history check {file} --request {request}").code == 1


def test_shown_request_cannot_steer_the_terminal(tmp_path: Path) -> None:
    worker, file = Identity.generate(), tmp_path / "log.jsonl"
    payload = base64.b64encode(b'{"msgtype":"x",\n"a":"\x7f"}')
    signed = digest(payload) + bytes.fromhex(worker.sign(payload)) + payload
    lines = exported([raw(1, replace(closed(), actor=worker.id), signed)])
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    out = Shell().ok(f"history check {file} --show").out

    said = f'event 1 at 1-0 (ProcessClosed): {worker.id} asked for {{"msgtype":"x", "a":"\\x7f"}}\n'
    assert out == said


def test_half_a_character_in_a_file_is_told_of_as_json(tmp_path: Path) -> None:
    head, *_, end = exported([])
    lines = [{**head, "colony": "\ud800"}, {**end, "end": "\udfff"}]
    (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))

    ran = Shell().program(f"history check {tmp_path / 'log'} --json")

    found = cast("dict[str, object]", ran.json)
    assert (ran.code, found["colony"]) == (1, "\ud800")
    assert found["findings"] == ["the end says \udfff events, there are 0"]


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("history show --since yesterday", 2, "not a moment: 'yesterday'"),
        ("history show --until 99999999999999999999999-0", 2, "not a stream position"),
        ("history show --last 0", 2, "--last must be at least 1"),
        ("history show --until now --follow", 2, "--until and --follow do not fit"),
        ("history verify --colony nowhere", 1, "there is no colony 'nowhere' in this store"),
        ("history at now process", 2, "`process` and an id do not fit"),
        ("history at never stats", 2, "not a moment: 'never'"),
        ("history at now queue --count 0", 2, "--count must be at least 1"),
        ("history at now weather", 2, "weather"),
        ("history rebuild nothing", 2, "there is no projection 'nothing'"),
        ("history check nowhere.jsonl", 2, "cannot read nowhere.jsonl"),
        ("history check README.md", 2, "this is no log in the format colonies-history/1"),
        ("history export nowhere/log.jsonl", 2, "cannot write nowhere/log.jsonl"),
        ("history show --colony nowhere", 1, "there is no colony 'nowhere' in this store"),
    ],
)
def test_mistake_is_explained(colony: Shell, line: str, code: int, text: str) -> None:
    ran = colony(line)

    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "hint: " in ran.err


def test_a_store_that_is_away_is_exit_code_3(colony: Shell) -> None:
    ran = colony("history verify", COLONIES_REDIS_URL=f"redis://127.0.0.1:{free_port()}")

    assert ran.code == 3
    assert "the store cannot be reached" in ran.err


def test_no_store_is_said(tmp_path: object) -> None:
    ran = Shell({"COLONIES_HOME": f"{tmp_path}/nothing"})("history verify")

    assert ran.code == 2
    assert "no store is known" in ran.err
    assert "export COLONIES_REDIS_URL" in ran.err
