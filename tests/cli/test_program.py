"""What is to be typed for this program."""

from pathlib import Path

import pytest

from cli.program import program


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path of a program in a directory of its own, which was called by it."""
    path = tmp_path / "colonies"
    path.touch(0o755)
    monkeypatch.setattr("sys.argv", [str(path)])
    monkeypatch.setenv("PATH", "")
    return str(path)


def test_a_program_that_no_shell_finds_is_named_with_its_place(typed: str) -> None:
    assert program() == typed


def test_a_program_on_the_path_is_named_alone(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(typed).parent))
    assert program() == "colonies"


def test_another_program_on_the_path_is_not_meant(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "colonies"
    other.parent.mkdir()
    other.touch(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert program() == typed


def test_a_script_that_runs_it_has_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["-c"])
    assert program() == "colonies"
