"""The README's quickstart, executed as it is written."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
_README = (ROOT / "README.md").read_text("utf-8")
_START = "from cli.app import main; main()"
_READY_LINE = "Ready after"
_PATIENCE_S = 60


def _block(language: str, containing: str) -> str:
    """The one fenced block of a language that contains a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", _README, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return found


@dataclass(frozen=True)
class Checkout:
    """A directory in which ``.venv/bin/colonies`` is this checkout's program."""

    path: Path
    environ: dict[str, str]
    exports: dict[str, str]

    def sh(self, script: str) -> str:
        """Run a script as a person in this directory would; what it printed."""
        return _run(["bash", "-euo", "pipefail", "-c", script], self.path, self.environ)

    def python(self, script: str) -> str:
        """Run a script with what the server told to export; what it printed."""
        return _run([sys.executable, "-c", script], self.path, self.environ | self.exports)


def _run(command: list[str], path: Path, environ: dict[str, str]) -> str:
    ran = subprocess.run(  # noqa: S603 - the README's own lines
        command,
        cwd=path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """What ``make dev`` leaves one with: a program in .venv, and a server that is ready."""
    path = tmp_path_factory.mktemp("checkout")
    program = path / ".venv" / "bin" / "colonies"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{_START}' \"$@\"\n")
    program.chmod(0o755)
    (path / "docs").symlink_to(ROOT / "docs")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(path),
        "PYTHONPATH": str(ROOT),
        "COLONIES_HOME": str(path / "home"),
    }
    with subprocess.Popen(  # noqa: S603 - ourselves
        [str(program), "dev", "--port", str(free_port())],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            yield Checkout(path, environ, _exports(server))
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(_PATIENCE_S)
    assert server.returncode == 0


def _exports(server: subprocess.Popen[str]) -> dict[str, str]:
    """What a started server prints for users of an SDK, up to the line that says it is ready."""
    assert server.stdout is not None
    exports: dict[str, str] = {}
    for line in server.stdout:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            exports[name] = value
        if line.startswith(_READY_LINE):
            return exports
    raise AssertionError("the server ended before it was ready")


def test_quickstart_submits_assigns_closes_and_reads_the_output(checkout: Checkout) -> None:
    printed = checkout.sh(_block("sh", "process close"))

    assert re.search(r"State\W+Successful", printed)
    assert re.search(r"Output\W+hello", printed)


def test_executor_of_the_readme_closes_what_was_submitted(checkout: Checkout) -> None:
    submit = next(x for x in _block("sh", "process close").splitlines() if x.startswith("id="))
    process_id = checkout.sh(f'{submit}\necho "$id"').strip()

    printed = checkout.python(_block("python", "pycolonies"))

    assert "running helloworld" in printed
    shown = checkout.sh(f".venv/bin/colonies process get --processid {process_id}")
    assert re.search(r"Output\W+hello", shown)


def test_workflow_of_the_readme_is_drawn(checkout: Checkout) -> None:
    printed = checkout.sh(_block("sh", "workflow submit"))

    assert "task_a (Waiting)" in printed
    assert "4 nodes: 4 waiting" in printed


def test_workflow_of_the_readme_ends_where_the_executor_of_the_readme_runs(
    checkout: Checkout,
) -> None:
    submit = next(x for x in _block("sh", "workflow submit").splitlines() if x.startswith("id="))
    run = _block("sh", "executor run").strip()

    checkout.sh(
        f"{run} >executor.log 2>&1 & executor=$!; trap 'kill $executor; wait' EXIT\n"
        f"{submit.removesuffix(')')} --wait)"
    )

    assert (checkout.path / "executor.log").read_text().count("closed as Successful") >= 4


def test_commands_the_readme_names_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)

    named = set(re.findall(r"\bmake ([a-z]+)\b", _README))
    assert named
    assert named <= set(targets)
