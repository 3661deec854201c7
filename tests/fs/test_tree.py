"""What is in a directory, and what is left of files that were never completed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fs.partial import InTheWay, Stamp
from cli.fs.tree import Directory


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path)
    yield opened
    opened.close()


def test_everything_is_found_and_nothing_is_followed(tmp_path: Path, directory: Directory) -> None:
    (tmp_path / "with space").write_text("1")
    (tmp_path / "ünïcode").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    os.close(os.open(os.fsencode(tmp_path) + b"/bad\xff", os.O_CREAT))
    (tmp_path / "c:drive").write_text("")
    (tmp_path / ".cfs").write_text("{}")
    found = directory.scan()
    assert {parts: sorted(files) for parts, files in found.files.items()} == {
        (): ["with space", "ünïcode"],
        ("empty",): [],
    }
    assert len(found.skipped) == 5
    assert any("link is skipped: a symbolic link" in note for note in found.skipped)


def test_a_deep_tree_is_found(tmp_path: Path, directory: Directory) -> None:
    # Deeper than the system takes in one path.
    depth = 900
    parts = tuple(f"d{n:04}" for n in range(depth))
    with directory.writing(parts, "leaf", instead_of=None) as file:
        file.write(b"x", 0)
        file.keep()
    found = directory.scan()
    assert list(found.files[parts]) == ["leaf"]
    with directory.reading(parts, "leaf") as file:
        assert os.read(file, 2) == b"x"
    assert tmp_path.exists()


def test_a_replaced_file_keeps_its_mode(tmp_path: Path, directory: Directory) -> None:
    path = tmp_path / "n"
    path.write_text("old")
    path.chmod(0o640)
    with directory.writing((), "n", instead_of=Stamp.of(path.stat())) as file:
        file.write(b"new", 0)
        file.keep()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_new_file_has_the_usual_mode(tmp_path: Path, directory: Directory) -> None:
    (tmp_path / "usual").write_text("")
    with directory.writing((), "n", instead_of=None) as file:
        file.keep()
    assert (tmp_path / "n").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_was_left_behind_is_removed_and_what_is_written_is_not(
    tmp_path: Path, directory: Directory
) -> None:
    left = tmp_path / ".cfs-0123456789abcdef.part"
    left.write_text("half")
    with directory.writing((), "n", instead_of=None) as file:
        assert directory.remove_leftovers(()) == 1
        assert not left.exists()
        file.keep()
    assert (tmp_path / "n").exists()


def test_a_directory_remembers_its_label(tmp_path: Path, directory: Directory) -> None:
    assert directory.config() == {}
    directory.note_label((), "/mine")
    before = (tmp_path / ".cfs").stat().st_mtime_ns
    directory.note_label((), "/mine")
    assert (tmp_path / ".cfs").stat().st_mtime_ns == before
    directory.note_label((), "/mein")
    assert directory.config() == {"label": "/mein"}


def test_a_note_that_is_no_json_is_an_error(tmp_path: Path, directory: Directory) -> None:
    (tmp_path / ".cfs").write_text("{")
    with pytest.raises(InTheWay, match="no JSON"):
        directory.config()


def test_what_is_no_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InTheWay, match="file"):
        Directory(tmp_path / "file")
