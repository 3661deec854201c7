"""``colonies fs`` against a real server and a real object store."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path
from typing import Any, cast

import pytest

from api.wire_file import AddFileMsg, File
from cli.client import Client
from cli.fs.plan import Remote
from cli.fs.remote import Shelf
from cli.fs.sync import Outlook, Task, survey
from cli.fs.tree import Directory
from tests.cli.conftest import Dev, Shell


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def read(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != ".cfs"
    }


UNUSUAL = {
    "empty": "",
    "with space": "1",
    "ünï/cödé 日本": "2",
    "-dash": "3",
    "new\nline": "4",
    "[brackets] {braces} 'quotes' \"double\"": "5",
    "/".join(f"d{n}" for n in range(60)): "deep",
}


@pytest.mark.parametrize("option", ["", "--encrypt"])
def test_every_file_arrives_as_it_was(
    shell: Shell, tmp_path: Path, label: str, option: str
) -> None:
    write(tmp_path / "a", UNUSUAL)
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes {option}")
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'b'} --yes")
    assert read(tmp_path / "b") == UNUSUAL
    again = shell.ok(f"fs sync -l {label} -d {tmp_path / 'b'}")
    assert "nothing to do, already synchronized" in again.err


def test_ten_thousand_small_files(shell: Shell, tmp_path: Path, label: str) -> None:
    count = int(os.environ.get("FS_FILES", "1000"))
    files = {f"d{n % 7}/f{n}": str(n) for n in range(count)}
    write(tmp_path / "a", files)
    ran = shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes --quiet --json")
    assert cast("dict[str, Any]", ran.json)["uploaded"] == count
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'b'} --yes --quiet")
    assert read(tmp_path / "b") == files
    listed = cast("list[dict[str, Any]]", shell.ok("fs label ls --json").json)
    assert sum(each["files"] for each in listed if each["name"].startswith(f"{label}/")) == count


def test_what_cannot_travel_is_skipped_with_a_note(
    shell: Shell, tmp_path: Path, label: str
) -> None:
    write(tmp_path / "a", {"file": "1"})
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    ran = shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    assert "link is skipped: a symbolic link" in ran.err
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'b'} --yes")
    assert read(tmp_path / "b") == {"file": "1"}


def test_nothing_happens_without_a_yes(shell: Shell, tmp_path: Path, label: str) -> None:
    write(tmp_path / "a", {"file": "1"})
    line = f"fs sync -l {label} -d {tmp_path / 'a'}"
    for stdin in ("no\n", "", "yesterday\n"):
        refused = shell(line, stdin=stdin)
        assert (refused.code, "aborted" in refused.err) == (1, True)
    assert "These files will be uploaded:" in shell.ok(f"{line} --dry").out
    assert "No files found" in shell.ok(f"fs ls -l {label}").err
    assert shell.ok(line, stdin="y\n").code == 0
    assert "file" in shell.ok(f"fs ls -l {label}").out


def test_a_conflict_is_shown_and_decided(shell: Shell, tmp_path: Path, label: str) -> None:
    write(tmp_path / "a", {"n": "one"})
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    write(tmp_path / "b", {"n": "two"})
    kept = shell.ok(f"fs sync -l {label} -d {tmp_path / 'b'} --yes")
    assert "These files will be replaced at the server:" in kept.out
    replaced = shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes --keeplocal=false")
    assert f"These files will be replaced at directory: {tmp_path / 'a'}/" in replaced.out
    assert read(tmp_path / "a") == {"n": "two"}
    assert shell.ok(f"fs info -l {label} -n n --json").json
    assert len(cast("list[Any]", shell.ok(f"fs info -l {label} -n n --json").json)) == 2


def test_a_directory_knows_its_label(
    shell: Shell, tmp_path: Path, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a", {"n": "one"})
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    monkeypatch.chdir(tmp_path / "a")
    assert "nothing to do" in shell.ok("fs sync").err
    assert "n " in shell.ok("fs ls").out
    monkeypatch.chdir(tmp_path)
    assert "which label?" in shell("fs sync").err


def test_removed_files_and_their_bytes_are_gone(
    dev: Dev, shell: Shell, tmp_path: Path, label: str
) -> None:
    write(tmp_path / "a", {"n": label, "m": "other"})
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    shell.ok(f"fs remove -l {label} -n n")
    assert not is_kept(dev, label)
    shell.ok(f"fs label remove -l {label} --yes")
    assert "No files found" in shell.ok(f"fs ls -l {label}").err
    assert read(tmp_path / "a") == {"m": "other", "n": label}


def test_bytes_that_a_snapshot_names_stay(
    dev: Dev, shell: Shell, tmp_path: Path, label: str
) -> None:
    write(tmp_path / "a", {"n": label, "sub/m": "m"})
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    shell.ok(f"fs snapshot create -l {label} -n {label[1:]}")
    shell.ok(f"fs label remove -l {label} --yes")
    assert is_kept(dev, label)
    shell.ok(f"fs snapshot download -n {label[1:]} -d {tmp_path / 'b'}")
    assert read(tmp_path / "b") == {"n": label, "sub/m": "m"}
    shell.ok(f"fs snapshot remove -n {label[1:]}")


@pytest.mark.parametrize("removed", ["older", "newer"])
async def test_bytes_that_another_revision_names_stay(
    shell: Shell, tmp_path: Path, label: str, member: Client, removed: str
) -> None:
    """Other clients may give each revision of a file the same object."""
    write(tmp_path / "a", {"n": "bytes"})
    await asyncio.to_thread(shell.ok, f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    shelf = Shelf(member, "dev")
    (older,) = await shelf.revisions(label, "n")
    newer = await member.ask(AddFileMsg(file=older), File)
    gone, left = (older, newer) if removed == "older" else (newer, older)

    await asyncio.to_thread(shell.ok, f"fs remove -i {gone.fileid}")
    await asyncio.to_thread(shell.ok, f"fs get -i {left.fileid} -d {tmp_path / 'b'}")

    assert read(tmp_path / "b") == {"n": "bytes"}


def is_kept(dev: Dev, content: str) -> bool:
    objects = (dev.home / "dev" / "s3" / "objects").rglob("*")
    return any(path.is_file() and path.read_bytes() == content.encode() for path in objects)


def test_clean_removes_what_is_not_in_the_label(shell: Shell, tmp_path: Path, label: str) -> None:
    write(tmp_path / "a", {"n": "1", "sub/m": "2"})
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    write(tmp_path / "a", {"extra": "3", "sub/extra": "4"})
    assert "extra" in shell.ok(f"fs clean -l {label} -d {tmp_path / 'a'} --dry").out
    assert len(read(tmp_path / "a")) == 4
    shell.ok(f"fs clean -l {label} -d {tmp_path / 'a'} --yes")
    assert read(tmp_path / "a") == {"n": "1", "sub/m": "2"}
    refused = shell(f"fs clean -l {label}-typo -d {tmp_path / 'a'} --yes")
    assert "there is no label" in refused.err
    assert len(read(tmp_path / "a")) == 2


def test_no_secret_is_shown_or_sent(dev: Dev, shell: Shell, tmp_path: Path, label: str) -> None:
    write(tmp_path / "a", {"n": "1"})
    secret, access = dev.exports["AWS_S3_SECRETKEY"], dev.exports["AWS_S3_ACCESSKEY"]
    said = ""
    for line in (
        f"fs sync -l {label} -d {tmp_path / 'a'} --yes --encrypt -v",
        f"fs info -l {label} -n n",
        f"fs info -l {label} -n n --json",
        "config show --json",
        "config show",
    ):
        ran = shell.ok(line)
        said += ran.out + ran.err
    wrong = shell(f"fs get -l {label} -n n -d {tmp_path}", AWS_S3_SECRETKEY=f"{secret}x")
    assert wrong.code == 1
    said += wrong.out + wrong.err
    assert secret not in said
    assert access not in said
    assert shell.environ["COLONIES_FS_KEY"] not in said
    stored = b"".join(
        path.read_bytes() for path in (dev.home / "dev").rglob("appendonly*") if path.is_file()
    )
    stored += b"".join(p.read_bytes() for p in (dev.home / "dev").rglob("*.aof"))
    assert hashlib.sha256(b"1").hexdigest().encode() in stored
    assert secret.encode() not in stored
    assert shell.environ["COLONIES_FS_KEY"].encode() not in stored


def test_a_wrong_key_leaves_no_file(shell: Shell, tmp_path: Path, label: str) -> None:
    write(tmp_path / "a", {"n": "1"})
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes --encrypt")
    refused = shell(f"fs sync -l {label} -d {tmp_path / 'b'} --yes", COLONIES_FS_KEY="cd" * 32)
    assert refused.code == 1
    assert "another key" in refused.err
    assert read(tmp_path / "b") == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fs info -l /x", "FileId nor filename + label were specified"),
        ("fs get -l /x -n y", "Download directory must be specified"),
        ("fs snapshot info", "Snapshot Id nor name was provided"),
        ("fs sync -l /x --driver ftp", "there is no driver"),
        ("fs sync -l /x --quiet", "--quiet needs --yes"),
        ("fs sync -l /x --parallel 0", "--parallel must be at least 1"),
    ],
)
def test_a_mistake_is_named(shell: Shell, line: str, message: str) -> None:
    refused = shell(line)
    assert refused.code == 2
    assert message in refused.err


def test_missing_settings_are_named_all_at_once(shell: Shell, tmp_path: Path) -> None:
    write(tmp_path / "a", {"n": "1"})
    refused = shell(
        f"fs sync -l /x -d {tmp_path / 'a'} --yes", AWS_S3_BUCKET="No_Bucket", AWS_S3_TLS="maybe"
    )
    assert refused.code == 2
    assert "no name of a bucket" in refused.err
    assert "AWS_S3_TLS must be true or false" in refused.err


async def test_hostile_labels_and_names_are_refused(tmp_path: Path) -> None:
    outlook = await look(
        tmp_path / "a", {"/x/../../etc": ["passwd"], "/x": ["../up", "fine", "c:evil", ".cfs"]}
    )
    assert [(plan.label, [down.name for down in plan.downs]) for plan in outlook.plans] == [
        ("/x", ["fine"])
    ]
    assert len(outlook.refused) == 3


async def look(path: Path, labels: dict[str, list[str]]) -> Outlook:
    """What is to be done where a server says that there are these files."""

    class Shelf:
        """A server that says anything."""

        async def labels(self, _root: str) -> list[Any]:
            from api.wire_file import Label  # noqa: PLC0415 - here only

            return [Label(name=name) for name in labels]

        async def files(self, label: str) -> dict[str, Remote]:
            return {name: Remote(name, 1, "0" * 64, "o") for name in labels[label]}

    directory = Directory(path, create=True)
    try:
        return await survey(cast("Any", Shelf()), directory, Task(label="/x", keeplocal=True))
    finally:
        directory.close()


def test_the_key_is_kept_privately(tmp_path: Path) -> None:
    shell = Shell({"COLONIES_HOME": str(tmp_path)})
    refused = shell("fs key generate")
    assert "no profile is in use" in refused.err
    shell.ok("config set mine --host example")
    made = shell.ok("fs key generate")
    key = shell.ok("fs key show").id
    assert len(key) == 64
    assert key not in made.out + made.err
    assert stat.S_IMODE((tmp_path / "config.toml").stat().st_mode) == 0o600
    assert "there is a key already" in shell("fs key generate").err
    shell.ok("fs key generate --force")
    assert shell.ok("fs key show").id != key
