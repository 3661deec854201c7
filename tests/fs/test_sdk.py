"""The file calls of the ecosystem's own Python SDK, unmodified, on the same server and store."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Dev, Shell

pycolonies: Any = importlib.import_module("pycolonies")  # it is untyped

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture
def sdk(dev: Dev, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    """The SDK in the environment that ``colonies dev --s3`` prints, and the user's key."""
    for name, value in dev.exports.items():
        monkeypatch.setenv(name, value)
    return pycolonies.Colonies("127.0.0.1", dev.port), dev.exports["COLONIES_PRVKEY"]


def test_what_the_sdk_uploads_we_download(
    sdk: tuple[Any, str], shell: Shell, tmp_path: Path, label: str
) -> None:
    colonies, key = sdk
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "file.bin"
    path.write_bytes(bytes(range(256)) * 50_000)
    colonies.upload_file("dev", key, filepath=str(path), label=label)
    colonies.upload_data("dev", key, filename="data.txt", data=b"hello", label=label)
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'b'} --yes")
    assert (tmp_path / "b" / "file.bin").read_bytes() == path.read_bytes()
    assert (tmp_path / "b" / "data.txt").read_bytes() == b"hello"


def test_what_we_upload_the_sdk_downloads(
    sdk: tuple[Any, str], shell: Shell, tmp_path: Path, label: str
) -> None:
    colonies, key = sdk
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "large").write_bytes(bytes(range(256)) * 50_000)
    (tmp_path / "a" / "empty").write_bytes(b"")
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    for name in ("large", "empty"):
        target = str(tmp_path / "b")
        got = colonies.download_file("dev", key, dst=target, label=label, filename=name)
        assert Path(got).read_bytes() == (tmp_path / "a" / name).read_bytes()
    assert colonies.download_data("dev", key, label=label, filename="empty") == b""
    assert {file["name"] for file in colonies.get_files(label, "dev", key)} == {"large", "empty"}
    colonies.delete_file("dev", key, label=label, filename="large")
    assert [file["name"] for file in colonies.get_files(label, "dev", key)] == ["empty"]


def test_snapshots_are_the_same_for_both(
    sdk: tuple[Any, str], shell: Shell, tmp_path: Path, label: str
) -> None:
    colonies, key = sdk
    colonies.upload_data("dev", key, filename="n", data=b"then", label=label)
    made = colonies.create_snapshot("dev", label, f"{label[1:]}-sdk", key)
    colonies.upload_data("dev", key, filename="n", data=b"now", label=label)
    shell.ok(f"fs snapshot download -n {label[1:]}-sdk -d {tmp_path / 'b'}")
    assert (tmp_path / "b" / "n").read_bytes() == b"then"
    ours = shell.ok(f"fs snapshot create -l {label} -n {label[1:]}-ours -o id").id
    assert colonies.get_snapshot_by_id("dev", ours, key)["name"] == f"{label[1:]}-ours"
    found = colonies.get_snapshot_by_name("dev", f"{label[1:]}-sdk", key)
    assert found["fileids"] == made["fileids"]
    names = {each["name"] for each in colonies.get_snapshots("dev", key)}
    assert names >= {f"{label[1:]}-sdk", f"{label[1:]}-ours"}
    assert label in {each["name"] for each in colonies.get_file_labels("dev", key)}


def test_its_sync_is_a_library_that_is_not_part_of_it(
    sdk: tuple[Any, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It loads a program of the reference; whoever has none uses ``colonies fs sync``."""
    colonies, key = sdk
    monkeypatch.setenv("CFSLIB", str(tmp_path / "libcfslib.so"))
    with pytest.raises(OSError, match="libcfslib"):
        colonies.sync(str(tmp_path), "/x", True, "dev", key)  # noqa: FBT003 - its signature
