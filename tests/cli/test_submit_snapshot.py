"""``function submit --snapshot``: a process starts from files as they were at its submission."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from api import wire_file
from broker.identity import Identity
from cli.client import Client
from cli.transport import Address
from tests.cli.conftest import Dev, Shell

CONDITIONS = {"executortype": "cli"}


@pytest.fixture
def source(dev: Dev, colony: Shell) -> Shell:
    """A colony with one file in the label /src."""
    user = Identity.from_hex(colony.environ["COLONIES_PRVKEY"])

    async def add() -> None:
        address = Address(host="127.0.0.1", port=dev.port, tls=False)
        async with Client(address, user) as client:
            file = wire_file.File(
                colonyname=colony.environ["COLONIES_COLONY_NAME"],
                label="/src",
                name="main.py",
                size=1,
                checksum="c",
                checksumalg="SHA256",
                ref=wire_file.Reference(protocol="s3"),
            )
            await client.tell(wire_file.AddFileMsg(file=file))

    asyncio.run(add())
    return colony


def spec_of(directory: Path, *labels: str) -> Path:
    """A spec that mounts snapshots of labels."""
    mounts = [{"label": label, "dir": "/src", "snapshotid": ""} for label in labels]
    spec: dict[str, Any] = {"funcname": "f", "conditions": CONDITIONS}
    if mounts:
        spec["fs"] = {"mount": "/cfs", "snapshots": mounts, "dirs": None}
    path = directory / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def made(shell: Shell) -> list[str]:
    """The ids of the snapshots there are."""
    return shell.ok("fs snapshot ls -o id").out.split()


def test_each_mount_gets_a_snapshot_of_its_label(source: Shell, tmp_path: Path) -> None:
    ran = source.ok(f"function submit --spec {spec_of(tmp_path, '/src', '/')} --snapshot -o id")
    shown: Any = source.ok(f"process get --processid {ran.id} --json").json
    ids = [mount["snapshotid"] for mount in shown["spec"]["fs"]["snapshots"]]
    assert sorted(ids) == sorted(made(source))
    assert len(set(ids)) == 2
    assert ran.err.count("Snapshot created") == 2


def test_without_the_option_nothing_is_made(source: Shell, tmp_path: Path) -> None:
    source.ok(f"function submit --spec {spec_of(tmp_path, '/src')}")
    assert made(source) == []


@pytest.mark.parametrize("labels", [(), ("",)])
def test_a_spec_that_mounts_none_is_a_usage_error(
    source: Shell, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    ran = source(f"function submit --spec {spec_of(tmp_path, *labels)} --snapshot")
    assert ran.code == 2
    assert "--snapshot needs the labels" in ran.err
    assert made(source) == []
    assert source.ok("process psw -o id").out == ""


def test_a_refused_submit_leaves_no_snapshot(source: Shell, tmp_path: Path) -> None:
    path = spec_of(tmp_path, "/src")
    spec = json.loads(path.read_text()) | {"priority": 10**9}
    path.write_text(json.dumps(spec))
    ran = source(f"function submit --spec {path} --snapshot")
    assert ran.code == 1
    assert made(source) == []
