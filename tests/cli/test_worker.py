"""``executor run``: a real executor in one line."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

import pytest

from tests.cli.conftest import (
    PROGRAM,
    Dev,
    Shell,
    clean_environ,
    running_dev,
    submit_text,
)
from tests.patience import PATIENCE_S
from tests.ports import free_port

DIGITS = "9" * 308
"""A number as long as servers take."""


class Runner:
    """A running ``colonies executor run``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def until(self, text: str) -> str:
        """Read what it says until a line with a text; it must come."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}")


@contextmanager
def running(shell: Shell, options: str, *command: str) -> Generator[Runner]:
    with subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, "executor", "run", *options.split(), "--", *command],
        env={**clean_environ(), **shell.environ},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            runner = Runner(process)
            runner.until("Executor is waiting for work")
            yield runner
        finally:
            process.kill()


def submit(shell: Shell, options: str = "") -> str:
    return shell.ok(f"function exec --func helloworld --targettype cli {options}").id


def test_the_output_of_the_command_becomes_the_output_of_the_process(worker: Shell) -> None:
    process = submit(worker, "--args a,b --kwargs k:v --env GREETING=hello")
    script = 'echo "$GREETING $COLONIES_FUNC_NAME $COLONIES_ARGS $COLONIES_KWARGS"'
    with running(worker, "", "sh", "-c", script):
        ran = worker.ok(f"process get {process} --wait --out")
    assert ran.out == 'hello helloworld ["a", "b"] {"k": "v"}\n'


def test_the_command_reads_the_process_from_its_standard_input(worker: Shell) -> None:
    process = submit(worker)
    with running(worker, "", "cat"):
        output = worker.ok(f"process get {process} --wait --out").out
    read = cast("dict[str, object]", json.loads(output))
    assert (read["processid"], read["state"]) == (process, 1)


def test_all_that_the_command_prints_is_in_the_log_of_the_process(worker: Shell) -> None:
    process = submit(worker)
    with running(worker, "", "sh", "-c", "seq 1 1200; echo oops >&2; printf end"):
        worker.ok(f"process get {process} --wait")
    lines = worker.ok(f"log get {process} --first --count 2000").out.splitlines()
    assert sorted(lines) == sorted([*map(str, range(1, 1201)), "oops", "end"])
    assert [line for line in lines if line.isdigit()] == [*map(str, range(1, 1201))]


def test_lines_that_the_server_refuses_end_no_work(worker: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    process = submit(worker)
    with running(worker, "", "cat", str(tmp_path / "fifo")) as runner:
        runner.until("Process assigned")
        worker.ok(f"process cancel {process}")
        (tmp_path / "fifo").write_text("one\ntwo\n")
        assert "2 log lines lost: " in runner.until("log lines lost")
        runner.until("Process not closed")
        again = submit(worker)
        (tmp_path / "fifo").write_text("three\n")
        assert worker.ok(f"process get {again} --wait --out").out == "three\n"


def test_an_exit_code_fails_the_process_with_the_last_errors(worker: Shell) -> None:
    process = submit(worker)
    with running(worker, "", "sh", "-c", "echo oops >&2; exit 3"):
        ran = worker(f"process get {process} --wait")
    assert ran.code == 1
    assert ran.err == f"error: process {process} failed\n  exit code 3\n  oops\n"


def test_a_command_that_does_not_exist_fails_the_process(worker: Shell) -> None:
    process = submit(worker)
    with running(worker, "", "no-such-command"):
        ran = worker(f"process get {process} --wait")
    assert "no-such-command cannot be run: No such file or directory" in ran.err


@pytest.mark.parametrize(
    "part", ['"funcname":"a\\u0000b"', '"env":{"A=B":"c"}', '"env":{"A":"\\u0000"}']
)
def test_what_no_environment_can_hold_fails_the_process_and_not_the_executor(
    worker: Shell, part: str
) -> None:
    spec = f'{{{part},"conditions":{{"executortype":"cli"}}}}'
    process, ordinary = worker.ok(f"function submit --spec {shlex.quote(spec)}").id, submit(worker)
    with running(worker, "", "echo", "done"):
        ran = worker(f"process get {process} --wait")
        assert worker.ok(f"process get {ordinary} --wait --out").out == "done\n"
    assert "echo cannot be run: " in ran.err


def test_a_number_is_passed_on_digit_by_digit(dev: Dev, worker: Shell) -> None:
    process = submit_text(dev, worker, f'"args":[{DIGITS},1]')
    with running(worker, "", "sh", "-c", 'echo "$COLONIES_ARGS"'):
        assert worker.ok(f"process get {process} --wait --out").out == f"[{DIGITS}, 1]\n"


def test_a_new_executor_is_registered_and_removed_again(colony: Shell) -> None:
    process = colony.ok("function exec --func f --targettype special").id
    with running(colony, "--type special --name helper --func f", "echo", "done") as runner:
        assert colony.ok(f"process get {process} --wait --out").out == "done\n"
        assert "f" in colony.ok("function ls").out
        runner.process.send_signal(signal.SIGINT)
        assert "Successful=1" in runner.until("Executor stopped")
        assert runner.process.wait(PATIENCE_S) == 0
    assert "helper" not in colony.ok("executor ls").out


def test_another_function_is_failed_with_the_reason(worker: Shell) -> None:
    process = submit(worker)
    with running(worker, "--func other", "true"):
        ran = worker(f"process get {process} --wait")
    assert "this executor runs 'other' only, not 'helloworld'" in ran.err


def test_several_processes_run_side_by_side(worker: Shell, tmp_path: Path) -> None:
    pipes = {process: tmp_path / process for process in (submit(worker), submit(worker))}
    for path in pipes.values():
        os.mkfifo(path)
    with running(worker, "--parallel 2", "sh", "-c", f"cat {tmp_path}/$COLONIES_PROCESS_ID"):
        # A pipe opens when somebody reads it, so both are running before either is answered.
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("w")) for path in pipes.values()]
            for file in files:
                file.write("done")
        for process in pipes:
            assert worker.ok(f"process get {process} --wait --out").out == "done\n"


def test_ctrl_c_lets_running_work_finish(worker: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    process = submit(worker)
    with running(worker, "", "cat", str(tmp_path / "fifo")) as runner:
        runner.until("Process assigned")
        runner.process.send_signal(signal.SIGINT)
        runner.until("Finishing 1 running")
        (tmp_path / "fifo").write_text("finished")
        runner.until("Process closed as Successful")
        assert runner.process.wait(PATIENCE_S) == 0
    assert worker.ok(f"process get {process} --out").out == "finished\n"


def test_a_second_ctrl_c_gives_the_work_back(colony: Shell) -> None:
    process = submit(colony)
    with running(colony, "--type cli --name helper", "sleep", "600") as runner:
        runner.until("Process assigned")
        runner.process.send_signal(signal.SIGINT)
        runner.until("Finishing 1 running")
        runner.process.send_signal(signal.SIGINT)
        assert "Ending 1 running" in runner.until("running")
        runner.until("Process goes back to the queue")
        assert runner.process.wait(PATIENCE_S) == 0
    assert colony.ok("process psw -o id").id == process


def test_work_survives_a_server_that_is_killed_meanwhile(tmp_path: Path) -> None:
    home, port, fifo = tmp_path / "home", free_port(), tmp_path / "fifo"
    os.mkfifo(fifo)
    with running_dev(home, port) as dev, running(dev.shell, "", "cat", str(fifo)) as runner:
        process = submit(dev.shell)
        runner.until("Process assigned")
        dev.process.kill()
        dev.process.wait()
        fifo.write_text("done")
        with running_dev(home, port) as again:
            runner.until("Process closed as Successful")
            assert again.shell.ok(f"process get {process} --out").out == "done\n"
            assert again.shell.ok(f"log get {process}").out == "done\n"


def test_it_goes_on_when_nobody_reads_its_messages_any_more(worker: Shell) -> None:
    with running(worker, "", "echo", "done") as runner:
        assert runner.process.stderr is not None
        runner.process.stderr.close()
        for _ in range(2):
            process = submit(worker)
            assert worker.ok(f"process get {process} --wait --out").out == "done\n"
        runner.process.send_signal(signal.SIGTERM)
        assert runner.process.wait(PATIENCE_S) == 0


def test_a_user_cannot_run_an_executor(colony: Shell) -> None:
    ran = colony("executor run -- true")
    assert ran.code == 1
    assert "the configured key is not an executor's" in ran.err
    assert re.search(r"hint: .*--type", ran.err)


def test_a_command_is_needed(colony: Shell) -> None:
    assert colony("executor run").code == 2
    assert colony("executor run --parallel 0 -- true").code == 2
