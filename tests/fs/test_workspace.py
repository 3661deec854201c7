"""The files of a process, as an executor has them."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from api import wire
from api.wire_process import Process, SubmitFuncSpecMsg
from api.wire_spec import FunctionSpec
from cli.client import Client
from cli.errors import RpcError
from cli.fs.partial import InTheWay
from cli.fs.safe import Unsafe
from cli.fs.workspace import FilesFailed, workspace
from tests.cli.conftest import Dev, Ran, Shell


@pytest.fixture
def environ(dev: Dev) -> Mapping[str, str]:
    """What an executor on another machine is told."""
    return {**dev.exports, "COLONIES_HOME": str(dev.home / "nothing")}


async def process(
    member: Client,
    *,
    mount: str = "/cfs",
    funcname: str = "work",
    **fs: Any,  # noqa: ANN401 - JSON
) -> Process:
    """A process that was really submitted."""
    spec = {
        "funcname": funcname,
        "conditions": {"colonyname": "dev", "executortype": "nobody"},
        "fs": {"mount": mount, **fs},
    }
    function = wire.decode(json.dumps(spec).encode(), FunctionSpec)
    return await member.ask(SubmitFuncSpecMsg(spec=function), Process)


def synced(label: str, directory: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"label": label, "dir": directory, "keepfiles": True} | fields


async def call(shell: Shell, line: str) -> Ran:
    """Run a command line, which has a loop of its own."""
    return await asyncio.to_thread(shell.ok, line)


async def put(shell: Shell, path: Path, label: str, **files: str) -> None:
    make(path, files)
    await call(shell, f"fs sync -l {label} -d {path} --yes")


async def read(shell: Shell, path: Path, label: str) -> dict[str, str]:
    await call(shell, f"fs sync -l {label} -d {path} --yes --keeplocal=false")
    return {name: (path / name).read_text() for name in names(path) if name != ".cfs"}


def make(path: Path, files: Mapping[str, str]) -> None:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text)


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


async def test_directories_are_there_before_the_run_and_go_back_after_it(
    shell: Shell, member: Client, environ: Mapping[str, str], tmp_path: Path, label: str
) -> None:
    await put(shell, tmp_path / "mine", label, given="in")
    asked = await process(member, dirs=[synced(label, "/work")])
    async with workspace(asked, member, root=tmp_path / "root", environ=environ) as root:
        assert (root / "work" / "given").read_text() == "in"
        (root / "work" / "result").write_text("out")
    assert await read(shell, tmp_path / "mine", label) == {"given": "in", "result": "out"}
    assert (tmp_path / "root" / "work" / "result").exists()


async def test_the_id_of_the_process_stands_for_itself(
    shell: Shell, member: Client, environ: Mapping[str, str], tmp_path: Path, label: str
) -> None:
    asked = await process(
        member, dirs=[synced(f"{label}/{{processid}}", "/run/{processid}", keepfiles=False)]
    )
    async with workspace(asked, member, root=tmp_path / "root", environ=environ) as root:
        (root / "run" / asked.processid / "result").write_text("out")
    assert await read(shell, tmp_path / "mine", f"{label}/{asked.processid}") == {"result": "out"}
    assert names(tmp_path / "root" / "run") == []


@pytest.mark.parametrize(
    ("rules", "during", "after"),
    [
        ({}, "theirs", "theirs"),
        ({"onstart": {"keeplocal": True}}, "mine", "theirs-meanwhile"),
        ({"onclose": {"keeplocal": True}}, "theirs", "changed"),
    ],
)
async def test_conflicts_are_decided_on_start_and_on_close(  # noqa: PLR0917 - fixtures
    shell: Shell,
    member: Client,
    environ: Mapping[str, str],
    tmp_path: Path,
    label: str,
    rules: dict[str, Any],
    during: str,
    after: str,
) -> None:
    await put(shell, tmp_path / "other", label, n="theirs")
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "root" / "d" / "n").write_text("mine")
    asked = await process(member, dirs=[synced(label, "/d", onconflicts=rules)])
    async with workspace(asked, member, root=tmp_path / "root", environ=environ) as root:
        file = root / "d" / "n"
        assert file.read_text() == during
        if after == "changed":
            file.write_text("changed")
        if after == "theirs-meanwhile":
            await put(shell, tmp_path / "other", label, n="theirs-meanwhile")
    assert await read(shell, tmp_path / "other", label) == {"n": after}


async def test_a_snapshot_is_there_as_it_was_and_goes_unless_it_is_kept(
    shell: Shell, member: Client, environ: Mapping[str, str], tmp_path: Path, label: str
) -> None:
    await put(shell, tmp_path / "mine", label, n="then")
    ids = {
        name: (await call(shell, f"fs snapshot create -l {label} -n {label[1:]}{name} -o id")).id
        for name in ("kept", "gone")
    }
    await put(shell, tmp_path / "mine", label, n="now")
    asked = await process(
        member,
        snapshots=[
            {"snapshotid": ids["gone"], "label": label, "dir": "/gone"},
            {"snapshotid": ids["kept"], "label": label, "dir": "/kept", "keepsnapshot": True},
            {"snapshotid": "", "label": label, "dir": "/none"},
        ],
    )
    async with workspace(asked, member, root=tmp_path / "root", environ=environ) as root:
        assert (root / "gone" / "n").read_text() == "then"
        assert (root / "kept" / "n").read_text() == "then"
    assert names(root) == ["kept"]
    await call(shell, f"fs snapshot info -i {ids['kept']}")
    gone = await asyncio.to_thread(shell, f"fs snapshot info -i {ids['gone']}")
    assert gone.code == 1


async def test_without_a_mount_nothing_is_touched(
    member: Client, environ: Mapping[str, str], tmp_path: Path
) -> None:
    asked = await process(member, mount="", dirs=[synced("/x", "/../out")])
    async with workspace(asked, member, root=tmp_path / "root", environ=environ):
        assert not (tmp_path / "root").exists()


async def test_sync_is_there_for_what_happens_before(
    shell: Shell, member: Client, environ: Mapping[str, str], tmp_path: Path, label: str
) -> None:
    await put(shell, tmp_path / "mine", label, n="in")
    asked = await process(member, funcname="sync", dirs=[synced(label, "/d", keepfiles=False)])
    async with workspace(asked, member, root=tmp_path / "root", environ=environ) as root:
        (root / "d" / "extra").write_text("")
    assert (root / "d" / "n").read_text() == "in"
    assert await read(shell, tmp_path / "mine", label) == {"n": "in"}


async def test_a_run_that_fails_gives_back_what_it_wrote(
    shell: Shell, member: Client, environ: Mapping[str, str], tmp_path: Path, label: str
) -> None:
    asked = await process(member, dirs=[synced(label, "/d", keepfiles=False)])

    async def run() -> None:
        async with workspace(asked, member, root=tmp_path / "root", environ=environ) as root:
            (root / "d" / "log").write_text("why")
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="it broke"):
        await run()
    assert await read(shell, tmp_path / "mine", label) == {"log": "why"}


@pytest.mark.parametrize("directory", ["/../out", "/a/../../out", "/", "//", "/c:/x"])
async def test_a_directory_outside_the_root_is_refused(
    member: Client, environ: Mapping[str, str], tmp_path: Path, directory: str
) -> None:
    asked = await process(member, dirs=[synced("/x", directory)])

    async def run() -> None:
        async with workspace(asked, member, root=tmp_path / "root", environ=environ):
            pytest.fail("it ran")

    with pytest.raises(Unsafe, match="is refused"):
        await run()
    assert names(tmp_path) == ["root"]


async def test_a_link_that_an_earlier_process_left_is_not_followed(
    member: Client, environ: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "root" / "d").symlink_to(tmp_path / "out")
    asked = await process(member, dirs=[synced("/x", "/d")])

    async def run() -> None:
        async with workspace(asked, member, root=tmp_path / "root", environ=environ):
            pytest.fail("it ran")

    with pytest.raises(InTheWay, match="symbolic link"):
        await run()


async def test_files_that_cannot_come_stop_the_run(
    shell: Shell, member: Client, environ: Mapping[str, str], tmp_path: Path, label: str
) -> None:
    await put(shell, tmp_path / "mine", label, n="in")
    (tmp_path / "root" / "d" / "n").mkdir(parents=True)
    asked = await process(member, dirs=[synced(label, "/d")])

    async def run() -> None:
        async with workspace(asked, member, root=tmp_path / "root", environ=environ):
            pytest.fail("it ran")

    with pytest.raises(FilesFailed, match="a directory is there"):
        await run()


async def test_a_snapshot_that_is_gone_stops_the_run(
    member: Client, environ: Mapping[str, str], tmp_path: Path
) -> None:
    asked = await process(member, snapshots=[{"snapshotid": "f" * 64, "label": "/x", "dir": "/s"}])

    async def run() -> None:
        async with workspace(asked, member, root=tmp_path / "root", environ=environ):
            pytest.fail("it ran")

    with pytest.raises(RpcError):
        await run()
