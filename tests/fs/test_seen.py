"""What a user sees: bars on a terminal, findings of the doctor, names that the shell offers."""

import random
from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import Dev, Ran, Shell
from tests.cli.terminals import plain, terminal
from tests.ports import free_port


def test_a_terminal_shows_a_bar_for_each_file_and_one_for_all(
    dev: Dev, tmp_path: Path, label: str
) -> None:
    (tmp_path / "a").mkdir()
    block = random.Random(2).randbytes(1024 * 1024)  # noqa: S311 - content
    (tmp_path / "a" / "large [red]").write_bytes(block * 48)
    arguments = ("fs", "sync", "-l", label, "-d", str(tmp_path / "a"))
    with terminal({"COLONIES_HOME": str(dev.home)}, *arguments, columns=120) as screen:
        screen.until("Are you sure you want to continue")
        screen.type("yes\n")
        # The name is no markup, and how far it is changes in place.
        screen.until(r"Total[^\n]*%")
        screen.until(r"Uploading large \[red\][^\n]*/50.3 MB")
        shown = plain(screen.rest())
        assert screen.process.wait(60) == 0
    assert "Synchronized" in shown
    assert "Uploaded=1" in shown


def test_without_a_terminal_there_are_lines(shell: Shell, tmp_path: Path, label: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "name").write_text("bytes")
    ran = shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    assert "Uploading name 100% [===============] (" in ran.err
    assert "\x1b" not in ran.err + ran.out


def object_store(ran: Ran) -> dict[str, str]:
    """What the doctor says of it."""
    found = {one["check"]: one for one in cast("list[dict[str, str]]", ran.json)}
    return found["object store"]


def test_the_doctor_finds_the_object_store_well(shell: Shell, tmp_path: Path, label: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "name").write_text("bytes")
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    assert object_store(shell.ok("doctor --json"))["result"] == "ok"


@pytest.mark.parametrize(
    ("wrong", "result", "said", "cure"),
    [
        ("BUCKET=not-there", "warn", "not-there is not there", "first upload makes it"),
        (f"SECRETKEY={'0' * 40}", "fail", "SignatureDoesNotMatch", "AWS_S3_SECRETKEY"),
        (f"ACCESSKEY={'0' * 20}", "fail", "refuses", "AWS_S3_ACCESSKEY"),
        ("ENDPOINT=no port:x", "fail", "must be host:port", "export"),
    ],
)
def test_the_doctor_says_what_is_wrong_with_it(
    shell: Shell, wrong: str, result: str, said: str, cure: str
) -> None:
    name, _, value = wrong.partition("=")
    found = object_store(shell("doctor --json", **{f"AWS_S3_{name}": value}))
    assert found["result"] == result
    assert said in found["found"]
    assert cure in found["cure"]
    assert "0" * 20 not in str(found)


def test_the_doctor_finds_an_object_store_away(shell: Shell) -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    found = object_store(shell("doctor --json", AWS_S3_ENDPOINT=endpoint))
    assert found["result"] == "fail"
    assert "cannot be reached: connection refused" in found["found"]
    assert "is it running?" in found["cure"]


def test_what_is_not_there_comes_with_where_to_look(shell: Shell, label: str) -> None:
    assert "colonies fs label ls" in shell(f"fs get -l {label} -n nothing -d nowhere").err
    assert "colonies fs snapshot ls" in shell("fs snapshot info -n nothing").err


def test_a_store_that_speaks_no_tls_is_told_from_one_that_is_away(shell: Shell) -> None:
    found = object_store(shell("doctor --json", AWS_S3_TLS="true"))
    assert "does not speak TLS" in found["found"]
    assert "AWS_S3_TLS" in found["cure"]


def offered(shell: Shell, *words: str) -> list[str]:
    return shell.ok("__complete " + " ".join(repr(word) for word in words)).out.splitlines()


def test_labels_files_and_snapshots_are_offered(shell: Shell, tmp_path: Path, label: str) -> None:
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "a" / "one").write_text("1")
    (tmp_path / "a" / "two words").write_text("2")
    (tmp_path / "a" / "sub" / "three").write_text("3")
    shell.ok(f"fs sync -l {label} -d {tmp_path / 'a'} --yes")
    made = shell.ok(f"fs snapshot create -l {label} -n snap{label[1:]} --json").json
    assert offered(shell, "fs", "ls", "-l", label) == [label, f"{label}/sub"]
    assert offered(shell, "fs", "get", "--label", label, "--name", "") == ["one", "two words"]
    assert offered(shell, "fs", "label", "remove", "--label", f"{label}/") == [f"{label}/sub"]
    named = offered(shell, "fs", "snapshot", "info", "-n", f"snap{label[1:]}")
    assert named == [f"snap{label[1:]}"]
    snapshot_id = cast("dict[str, str]", made)["snapshotid"]
    assert offered(shell, "fs", "snapshot", "remove", "--snapshotid", snapshot_id) == [snapshot_id]
    assert offered(shell, "fs", "snapshot", "create", "-n", "") == []
