"""``colonies dev``: nothing configured, nothing lost, nothing left behind."""

import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import PROGRAM, Dev, Shell, clean_environ, new_key, running_dev
from tests.patience import PATIENCE_S
from tests.ports import free_port


def test_it_says_everything_an_sdk_needs(dev: Dev) -> None:
    assert set(dev.exports) >= {
        "COLONIES_SERVER_HOST",
        "COLONIES_SERVER_PORT",
        "COLONIES_SERVER_TLS",
        "COLONIES_TLS",
        "COLONIES_COLONY_NAME",
        "COLONIES_COLONY_PRVKEY",
        "COLONIES_EXECUTOR_NAME",
        "COLONIES_PRVKEY",
    }
    assert dev.exports["COLONIES_SERVER_PORT"] == str(dev.port)
    assert re.search(r"Ready after \d+\.\d s", dev.banner)


def test_its_exports_are_enough_for_a_client(dev: Dev, tmp_path: Path) -> None:
    other_machine = Shell({"COLONIES_HOME": str(tmp_path), **dev.exports})
    assert "dev-user" in other_machine.ok("user ls").out


def test_a_client_on_this_machine_needs_nothing(dev: Dev) -> None:
    assert dev.shell.ok("executor ls -o id").id == "dev-executor"


def test_everything_with_a_key_in_it_is_private(dev: Dev) -> None:
    for path in (dev.home / "config.toml", dev.home / "dev" / "identities.toml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((dev.home / "dev").stat().st_mode) == 0o700


def command_lines() -> list[str]:
    """What `ps` shows of every process on this machine."""
    found = (one.info["cmdline"] for one in psutil.process_iter(["cmdline"]))
    return [" ".join(words) for words in found if words]


def test_no_key_is_in_a_list_of_processes_or_in_a_log(dev: Dev) -> None:
    keys = [value for name, value in dev.exports.items() if name.endswith("PRVKEY")]
    commands = "\n".join(command_lines())
    logs = (dev.home / "dev" / "store.log").read_text()
    logs += (dev.home.parent / f"{dev.home.name}.err").read_text()
    assert len(keys) == 3
    assert not [key for key in keys if key in commands + logs]


def test_a_second_start_finds_everything_as_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port()) as first:
        process = first.shell.ok("function exec --func f --targettype cli").id
    with running_dev(home, free_port()) as second:
        assert second.shell.ok("process psw -o id").id == process
    same = {"COLONIES_SERVER_PORT": ""}
    assert first.exports | same == second.exports | same


def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port()) as first:
        process = first.shell.ok("function exec --func f --targettype cli").id
        first.process.kill()
        first.process.wait()
    with running_dev(home, free_port()) as second:
        assert second.shell.ok("process psw -o id").id == process


def test_a_first_start_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port()) as first:
        first.shell.ok("user remove --name dev-user --yes")
        first.shell.ok("executor reject --name dev-executor")
        (home / "config.toml").unlink()
    with running_dev(home, free_port()) as second:
        assert second.shell.ok("user ls -o id").id == "dev-user"
        refused = second.shell("process assign --timeout -1")
        assert refused.err.startswith("error: No process available for assignment\n")


def test_what_was_given_another_key_stays_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port()) as first:
        other = new_key()["id"]
        first.shell.ok(f"executor chid --executorid {other}")
        first.shell.ok(f"user chid --userid {new_key()['id']}")
    with running_dev(home, free_port()) as second:
        second.shell.ok("colony ls")
    said = (tmp_path / "home.err").read_text()
    assert "note: user 'dev-user' has another key by now" in said
    with running_dev(home, free_port()) as third:
        third.shell.ok("user remove --name dev-user --yes")
    with running_dev(home, free_port()) as fourth:
        assert fourth.shell.ok("executor get dev-executor -o id").id == other
    assert "note: executor 'dev-executor' has another key" in (tmp_path / "home.err").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with running_dev(tmp_path / "home", free_port()) as dev:
        dev.process.send_signal(number)
        assert dev.process.wait(PATIENCE_S) == 0
    said = (tmp_path / "home.err").read_text()
    assert "Traceback" not in said
    assert said.endswith("Stopped; the data is kept.\n")
    assert not (tmp_path / "home" / "dev" / "store.sock").exists()


def run_dev(home: Path, *options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - ourselves
        [*PROGRAM, "dev", *options],
        env={**clean_environ(), **environ, "COLONIES_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        ran = run_dev(tmp_path, "--port", str(port))
    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in ran.stderr
    assert f"--port {port + 1}" in ran.stderr


def test_a_second_one_on_the_same_data_is_refused(dev: Dev) -> None:
    ran = run_dev(dev.home, "--port", str(free_port()))
    assert ran.returncode == 1
    assert f"is used by another process ({dev.process.pid})" in ran.stderr


def test_settings_that_it_does_not_take_are_named(dev: Dev) -> None:
    settings = {"COLONIES_ARCHIVE_URL": "postgresql://db", "COLONIES_KEEP_REQUESTS": "true"}
    ran = run_dev(dev.home, **dev.exports, **settings)
    note, *_ = ran.stderr.splitlines()
    assert note.endswith("not used: COLONIES_KEEP_REQUESTS, COLONIES_ARCHIVE_URL")


@pytest.mark.parametrize("port", ["0", "x", "70000"])
def test_a_port_that_is_none_is_a_usage_error(tmp_path: Path, port: str) -> None:
    ran = run_dev(tmp_path, "--port", port)
    assert ran.returncode == 2
    assert "--port must be 1 to 65535" in ran.stderr


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_a_number_of_workers_that_serves_nobody_is_a_usage_error(
    tmp_path: Path, workers: str
) -> None:
    ran = run_dev(tmp_path, "--workers", workers)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"error: --workers must be 1 or more, is {workers}\n"


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run_dev(tmp_path / "file", "--port", str(free_port()))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"error: {tmp_path}/file/dev: Not a directory\n"


def test_a_file_for_the_exports_that_cannot_be_written_stops_the_server(tmp_path: Path) -> None:
    ran = run_dev(tmp_path / "home", "--port", str(free_port()), "--env-file", "/dev/null/env")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "error: /dev/null: File exists\n"


def test_lost_keys_are_explained_and_the_server_stops(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port()):
        pass
    (home / "dev" / "identities.toml").unlink()
    ran = run_dev(home, "--port", str(free_port()))
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "identities.toml cannot be read: " in ran.stderr
    assert "hint: restore it, or start anew by removing" in ran.stderr
    assert not (home / "dev" / "identities.toml").exists()


def test_keys_of_somebody_else_are_explained(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for directory in (home, other):
        with running_dev(directory, free_port()):
            pass
    (other / "dev" / "identities.toml").replace(home / "dev" / "identities.toml")
    ran = run_dev(home, "--port", str(free_port()))
    assert ran.returncode == 1
    assert "identities.toml" in ran.stderr


def test_the_exports_can_go_to_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "env"
    with running_dev(tmp_path / "home", free_port(), "--env-file", str(path)) as dev:
        assert dev.exports == {}
        assert f"source {path}" in dev.banner
    assert "export COLONIES_PRVKEY=" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_profile_stays_in_use(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port()) as dev:
        dev.shell.ok("config set prod --host prod.example --colony prod")
        dev.shell.ok("config use prod")
    with running_dev(home, free_port()) as dev:
        assert "in use is prod: --profile dev" in dev.banner
        assert "dev-user" in dev.shell.ok("--profile dev user ls").out


def test_it_serves_objects_that_are_kept(tmp_path: Path) -> None:
    home, files = tmp_path / "home", tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("hello")
    objects = ("--s3", "--s3-port", str(free_port()))
    with running_dev(home, free_port(), *objects) as first:
        assert first.exports["AWS_S3_ENDPOINT"] == f"localhost:{objects[-1]}"
        secret = first.exports["AWS_S3_SECRETKEY"]
        first.shell.ok(f"fs sync -l /x -d {files} --yes")
        commands = command_lines()
        assert any("rclone" in command for command in commands)
        assert not any(secret in command for command in commands)
    with running_dev(home, free_port(), *objects) as second:
        assert second.exports["AWS_S3_SECRETKEY"] == secret
        second.shell.ok(f"fs sync -l /x -d {tmp_path / 'other'} --yes")
    assert (tmp_path / "other" / "a.txt").read_text() == "hello"
    assert stat.S_IMODE((home / "dev" / "s3" / "s3-keys.toml").stat().st_mode) == 0o600


def test_without_objects_the_profile_names_none_of_ours(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running_dev(home, free_port(), "--s3", "--s3-port", str(free_port())) as dev:
        dev.shell.ok("fs key generate")
        key = dev.shell.ok("fs key show").out
    with running_dev(home, free_port()) as dev:
        assert dev.shell.ok("fs key show").out == key
        refused = dev.shell("fs sync -l /x -d . --yes")
        assert refused.code == 2
        assert "AWS_S3_ENDPOINT" in refused.err
        dev.shell.ok("config set dev --s3endpoint other:443 --s3accesskey abcdefgh")
    with running_dev(home, free_port()) as dev:
        assert "other:443" in dev.shell.ok("config show").out
