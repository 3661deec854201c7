"""Completion: what may come next, in three shells, with names the server knows."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, clean_environ
from tests.ports import free_port


def offered(shell: Shell, *words: str) -> list[str]:
    return shell.ok("__complete " + " ".join(repr(word) for word in words)).out.split()


def test_groups_commands_and_options_are_offered(shell: Shell) -> None:
    assert "process" in offered(shell, "")
    assert offered(shell, "pro") == ["process"]
    assert offered(shell, "process", "ps") == ["ps", "psc", "psf", "pss", "psw"]
    assert "--processid" in offered(shell, "process", "get", "--p")
    assert offered(shell, "process", "psw", "-o", "") == ["id", "json", "table", "yaml"]
    assert offered(shell, "process", "ls", "--state", "wait") == ["waiting"]
    assert offered(shell, "completion", "") == ["bash", "fish", "zsh"]
    assert offered(shell, "config", "use", "") == ["dev"]


def test_names_and_ids_come_from_the_server(colony: Shell, worker: Shell) -> None:
    waiting = colony.ok("function exec --func f --targettype cli").id
    assert offered(colony, "executor", "get", "--name", "") == ["worker"]
    assert offered(colony, "user", "get", "jo") == ["johan"]
    assert offered(colony, "function", "exec", "--targettype", "") == ["cli"]
    assert offered(colony, "process", "get", "-p", waiting[:6]) == [waiting]
    assert offered(colony, "process", "close", "-p", "") == []
    worker.ok("process assign")
    assert offered(colony, "process", "close", "-p", "") == [waiting]
    assert offered(colony, "log", "get", "") == [waiting]
    assert offered(colony, "log", "get", "-e", "") == ["worker"]
    assert offered(colony, "log", "search", "") == []
    worker.ok("function register --name worker --func fibonacci")
    assert offered(colony, "process", "psw", "--func", "") == ["fibonacci"]


def test_ids_of_workflows_are_offered(colony: Shell) -> None:
    spec = """'[{"nodename": "n"}]'"""
    waiting, cancelled = (colony.ok(f"workflow submit --spec {spec}").id for _ in range(2))
    colony.ok(f"workflow cancel {cancelled}")
    assert set(offered(colony, "workflow", "get", "")) == {waiting, cancelled}
    assert offered(colony, "workflow", "cancel", "--workflowid", "") == [waiting]
    assert offered(colony, "workflow", "submit", "") == []
    assert offered(colony, "workflow", "ls", "--state", "can") == ["cancelled"]


def test_it_is_silent_when_it_knows_nothing(shell: Shell, tmp_path: Path) -> None:
    nowhere = Shell({"COLONIES_HOME": str(tmp_path), "COLONIES_SERVER_PORT": str(free_port())})
    for words in (
        ("executor", "get", "--name", ""),
        ("nonsense", ""),
        ("process", "get", "-p", ""),
    ):
        ran = nowhere("__complete " + " ".join(repr(word) for word in words))
        assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert offered(shell, "executor", "add", "--name", "") == []


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_is_one_the_shell_reads(shell: Shell, name: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(shell.ok(f"completion {name}").out)
    assert " __complete " in script.read_text()
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    subprocess.run([program, "-n", str(script)], check=True)  # noqa: S603 - a shell


def test_bash_completes_with_it_also_a_program_that_is_not_on_the_path(
    shell: Shell, tmp_path: Path
) -> None:
    program = tmp_path / "colonies"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from cli.app import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    asked = "COMP_WORDS=(colonies executor get --name dev); COMP_CWORD=4; _colonies ./colonies"
    script = shell.ok("completion bash").out + asked + '; echo "${COMPREPLY[@]}"'
    environ = {**clean_environ(), **shell.environ}
    ran = subprocess.run(  # noqa: S603 - a shell
        ["/bin/bash", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "dev-executor\n"
