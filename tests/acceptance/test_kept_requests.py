"""A server that keeps requests: what was asked is in the exported log, for anybody to check."""

import asyncio
import base64
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.acceptance.asking import Api
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import verified
from tests.acceptance.processes import Server, own_store, started
from tests.acceptance.tenants import Tenant, found
from tests.cli.conftest import Shell

pytestmark = pytest.mark.real
NODES = 40


@pytest.fixture(scope="module")
def database() -> Generator[str]:
    """The address of a store that nobody else empties."""
    with own_store() as store:
        yield store.url


@pytest.fixture(scope="module")
def keeping(database: str) -> Generator[Server]:
    """A server with the setting on."""
    with started(settings_on(database, keep_requests=True)) as server:
        yield server
        assert server.stop() == 0, server.log.text


@pytest.fixture
def ordinary(database: str) -> Generator[Server]:
    """A server as it is without the setting."""
    with started(settings_on(database)) as server:
        yield server
        assert server.stop() == 0, server.log.text


async def lived(url: str, store_url: str) -> Tenant:
    """A colony in which a process ran, a workflow was submitted and its first process given out."""
    async with Api(url) as api:
        tenant = await found(api, OWNER)
        executor = await tenant.executor(api)
        process_id = await tenant.submit(api, env={"WORD": "open sesame"})
        (await executor.assign(api)).ok  # noqa: B018 - asserts
        (await executor.close(api, process_id, "done")).ok  # noqa: B018 - asserts
        specs = [{**tenant.spec(), "nodename": f"n{number}"} for number in range(NODES)]
        spec = {"colonyname": tenant.name, "functionspecs": specs}
        (await api.ask(tenant.user, "submitworkflowspecmsg", spec=spec)).ok  # noqa: B018 - asserts
        (await executor.assign(api)).ok  # noqa: B018 - asserts
        line = {"processid": process_id, "message": "no event"}
        await api.ask(executor.identity, "addlogmsg", **line)
    await verified(store_url, tenant.name)
    return tenant


def export(tenant: Tenant, store_url: str, file: Path) -> list[dict[str, Any]]:
    """The lines of an exported log."""
    shell = Shell({"COLONIES_REDIS_URL": store_url})
    shell.ok(f"history export {file} --colony {tenant.name}")
    return [json.loads(line) for line in file.read_text().splitlines()]


def check(file: Path, line: str = "") -> dict[str, Any]:
    """What the check says, without any server or store."""
    return cast("dict[str, Any]", Shell()(f"history check {file} {line} --json").json)


def test_what_was_asked_is_proven_by_the_file(
    keeping: Server, database: str, tmp_path: Path
) -> None:
    tenant = asyncio.run(lived(keeping.url, database))
    lines = export(tenant, database, tmp_path / "log.jsonl")

    told = check(tmp_path / "log.jsonl", "--show")

    assert told["findings"] == []
    assert told["requests"] == told["events"] - told["unsigned"] > NODES
    assert (
        told["messages"].items()
        >= {
            "addusermsg": 1,
            "submitfuncspecmsg": 1,
            "assignprocessmsg": 2,
            "closesuccessfulmsg": 1,
            "submitworkflowspecmsg": 1,
        }.items()
    )
    assert "addlogmsg" not in told["messages"]
    assert sum("open sesame" in text for text in told["shown"]) == 1
    nodes = [line for line in lines if line.get("type") == "NodeSubmitted"]
    assert len(nodes) == NODES
    assert ["request" in line for line in nodes].count(True) <= 1
    said = Shell().ok(f"history check {tmp_path / 'log.jsonl'}").err
    assert f" Requests={told['requests']} " in said


def test_log_of_the_server_has_its_requests(keeping: Server, database: str, tmp_path: Path) -> None:
    tenant = asyncio.run(lived(keeping.url, database))
    file = tmp_path / "log.jsonl"

    Shell({"COLONIES_REDIS_URL": database}).ok(f"history export {file} --server")

    told = check(file, "--show")
    assert told["findings"] == []
    (shown,) = [text for text in told["shown"] if f'"{tenant.name}"' in text]
    assert f'(ColonyRegistered): {OWNER.id} asked for {{"msgtype": "addcolonymsg"' in shown


def test_request_that_was_changed_afterwards_is_named(
    keeping: Server, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "log.jsonl"
    lines = export(asyncio.run(lived(keeping.url, database)), database, file)
    (place,) = [at for at, line in enumerate(lines) if line.get("type") == "ProcessClosed"]
    text = base64.b64decode(lines[place]["request"]).replace(b"done", b"gone")
    lines[place]["request"] = base64.b64encode(text).decode()
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    ran = Shell()(f"history check {file}")

    assert ran.code == 1
    name = f"event {lines[place]['n']} at {lines[place]['position']} (ProcessClosed)"
    assert f"{name} was changed\n" in ran.out
    assert f"{name} has a request that was changed: its digest is another\n" in ran.out


def test_request_is_shown_with_the_event_that_has_it(keeping: Server, database: str) -> None:
    tenant = asyncio.run(lived(keeping.url, database))
    shell = Shell({"COLONIES_REDIS_URL": database})

    out = shell.ok(f"history show --colony {tenant.name} --type ProcessClosed -o json").out

    (closed,) = [json.loads(line) for line in out.splitlines()]
    message = json.loads(base64.b64decode(closed["request"]))
    assert (message["msgtype"], message["out"]) == ("closesuccessfulmsg", ["done"])


def test_log_has_no_requests_unless_they_are_asked_for(
    ordinary: Server, database: str, tmp_path: Path
) -> None:
    lines = export(asyncio.run(lived(ordinary.url, database)), database, tmp_path / "log.jsonl")

    told = check(tmp_path / "log.jsonl")

    assert not any("request" in line for line in lines)
    assert (told["findings"], told["requests"], told["messages"]) == ([], 0, {})
