"""The root: help, exit codes, and what is said when something is wrong."""

import inspect
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cli.app import GROUPS, overview
from tests.cli.conftest import PROGRAM, Shell, clean_environ, every_command, new_key
from tests.ports import free_port

SNAPSHOTS = Path(__file__).parent / "snapshots"
HELP = (
    "attribute add",
    "blueprint",
    "blueprint definition add",
    "blueprint doctor",
    "blueprint set",
    "channel append",
    "channel follow",
    "channel read",
    "colony",
    "cron",
    "cron add",
    "database",
    "database create",
    "events tail",
    "executor",
    "executor run",
    "function exec",
    "generator",
    "generator add",
    "history",
    "history at",
    "history check",
    "history export",
    "history rebuild",
    "history show",
    "history verify",
    "key generate",
    "log",
    "log add",
    "log get",
    "log search",
    "process",
    "process assign",
    "process psw",
    "process removeall",
    "server start",
    "user add",
    "workflow",
    "workflow get",
    "workflow psw",
    "workflow removeall",
    "workflow submit",
)


def test_help_alone_and_asked_for_are_the_same(shell: Shell) -> None:
    assert shell.ok("").out == shell.ok("--help").out == shell.ok("help").out == overview()


def test_the_overview_names_every_group(shell: Shell) -> None:
    for name, summary in GROUPS.items():
        assert re.search(rf"^  {name} +{summary}$", shell.ok("--help").out, re.MULTILINE)


def test_the_overview_is_as_it_was() -> None:
    check_snapshot("overview", overview())


@pytest.mark.parametrize("command", HELP)
def test_the_help_of_a_command_is_as_it_was(shell: Shell, command: str) -> None:
    shown = shell.ok(f"{command} --help", COLUMNS="100").out
    check_snapshot(command.replace(" ", "-"), shown)


def check_snapshot(name: str, text: str) -> None:
    """Compare with the file; with UPDATE_SNAPSHOTS set, write it instead."""
    path = SNAPSHOTS / f"{name}.txt"
    text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_help(shell: Shell, group: str) -> None:
    ran = shell.ok(f"{group} --help")
    assert ran.out.startswith(f"Usage: colonies {group}")


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("completion", "bash  source <(colonies completion bash)"),
        ("config", "with -v every value and its source"),
        ("dev", "The data is kept, with the keys"),
        ("doctor", "The exit code is 1 when something is wrong."),
    ],
)
def test_a_group_that_is_a_command_says_all_that_the_command_says(
    shell: Shell, group: str, text: str
) -> None:
    assert text in shell.ok(f"{group} --help", COLUMNS="100").out


def test_every_command_has_help_for_itself_and_for_each_of_its_options() -> None:
    missing: list[str] = []
    explained = {
        "options",
        "filters",
        "watch",
        "state",
        "which",
        "shown",
    }  # where they are declared
    for path, app in every_command():
        command = app.default_command
        assert command is not None
        text = command.__doc__ or ""
        assert text, path
        options = set(inspect.signature(command).parameters) - explained
        missing += [f"{path}: {o}" for o in options if f"        {o}: " not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("proces psw", "unknown command 'proces', did you mean 'process'?"),
        ("--nonsense", "unknown option '--nonsense'"),
        ("process list-all", "unknown command 'process list-all'"),
        ("process gett", "unknown command 'process gett', did you mean 'process get'?"),
        ("fs snapshot crate", "did you mean 'fs snapshot create'?"),
        ("process psw --nonsense", "Unknown option: --nonsense"),
        ("process psw stray", "nothing is expected here: stray"),
        ("fs sync --keeplocal false", "set with an equals sign: --keeplocal=false"),
        ("process --json", "`colonies process` needs a command"),
        ("process get", "PROCESSID (--processid) is missing"),
        ("process get -p", "-p needs a value"),
        ("user add --name n", "--userid is missing"),
        ("function exec --func f", "--targettype or --targetname is missing"),
        ("process psw --count many", "many"),
        ("process psw -o html", "html"),
        ("process ls --state asleep", "unknown state 'asleep'"),
        ("function submit --spec nowhere.json", "cannot read nowhere.json"),
        ("process psw --port 0", "the port must be 1 to 65535"),
        ("process psw --profile nowhere", "there is no profile 'nowhere'"),
        ('colony add " "', "an argument is blank"),
    ],
)
def test_what_cannot_be_right_is_a_usage_error(shell: Shell, line: str, text: str) -> None:
    ran = shell(line)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert text in ran.err
    assert "hint: " in ran.err or "cannot read" in text or "port must" in text


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("process psw", "COLONIES_PRVKEY"),
        ("user add --name n --userid i", "COLONIES_COLONY_PRVKEY"),
        ("colony ls", "COLONIES_SERVER_PRVKEY"),
    ],
)
def test_an_unset_key_is_named(tmp_path: Path, line: str, variable: str) -> None:
    nowhere = Shell({"COLONIES_HOME": str(tmp_path), "COLONIES_COLONY_NAME": "dev"})
    ran = nowhere(line)
    assert ran.code == 2
    assert f"{variable} is not set" in ran.err
    assert f"export {variable}" in ran.err


def test_an_unset_colony_is_named(tmp_path: Path) -> None:
    ran = Shell({"COLONIES_HOME": str(tmp_path)})("process psw")
    assert (ran.code, "no colony is set" in ran.err) == (2, True)


def test_a_server_that_is_not_there_is_exit_code_3(shell: Shell) -> None:
    for line in ("process psw", "server status", "server alive"):
        ran = shell(f"{line} --port {free_port()}")
        assert (ran.code, ran.out) == (3, "")
        assert "connection refused" in ran.err
        assert "hint: is it running?" in ran.err


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b"])
def test_a_host_that_has_no_address_is_asked_about(shell: Shell, host: str) -> None:
    ran = shell(f"process psw --host {host}")
    assert ran.code == 3
    assert "hint: is the name right?" in ran.err


def test_global_options_work_on_both_sides(shell: Shell) -> None:
    assert shell.ok("--json process psw").out == shell.ok("process psw --json").out
    assert shell.ok("-o json process psw").out == shell.ok("process psw -o json").out


def test_errors_have_no_colour_when_piped(shell: Shell) -> None:
    assert "\x1b" not in shell("process get -p x").err


def test_a_reader_that_went_away_is_no_reason_for_a_traceback(shell: Shell) -> None:
    with subprocess.Popen(  # noqa: S603 - ourselves
        [*PROGRAM, "process", "psw", "--json"],
        env={**clean_environ(), **shell.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_an_interrupt_while_it_is_being_imported_is_no_reason_for_a_traceback() -> None:
    interrupted = """\
import signal, sys
from cli import entry

class Interrupts:
    def find_spec(self, name, *rest):
        signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
entry.main()
"""
    ran = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", interrupted], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (-signal.SIGINT, "")


def test_the_entry_runs_the_command_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", "from cli.entry import main; main()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == overview()


def test_keys_are_generated_offline_and_their_ids_shown(tmp_path: Path) -> None:
    nowhere = Shell({"COLONIES_HOME": str(tmp_path)})
    ran = nowhere.ok("key generate")
    found = re.fullmatch(r"Id=([0-9a-f]{64})\nPrvKey=([0-9a-f]{64})\n", ran.out)
    assert found
    assert nowhere.ok(f"key id --prvkey {found[2]}").out == f"Id={found[1]}\n"
    assert nowhere.ok("security id -o id", COLONIES_PRVKEY=found[2]).id == found[1]
    assert nowhere("key id --prvkey nonsense").code == 2


def test_a_key_can_come_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    shell = Shell({"COLONIES_HOME": str(tmp_path / "home")})
    file = tmp_path / "key"
    made = shell.ok(f"key generate --out {file} -o id").id
    assert shell.ok(f"key id -o id --prvkey @{file}").id == made
    assert shell.ok("key id -o id --prvkey -", stdin=file.read_text()).id == made
    ran = shell("key id --prvkey @nowhere")
    assert (ran.code, "cannot read the private key in nowhere" in ran.err) == (2, True)


def test_a_key_can_go_to_a_private_file_only(tmp_path: Path) -> None:
    nowhere = Shell({"COLONIES_HOME": str(tmp_path)})
    ran = nowhere.ok(f"key generate --out {tmp_path}/key")
    assert "PrvKey=" not in ran.out
    prvkey = (tmp_path / "key").read_text().strip()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert nowhere.ok(f"key id --prvkey {prvkey}").out in ran.out
    assert nowhere(f"key generate --out {tmp_path}/key").code == 2


def test_the_configuration_is_shown_as_in_the_guide(shell: Shell, tmp_path: Path) -> None:
    environ = {
        "COLONIES_HOME": str(tmp_path),
        "COLONIES_TLS": "false",
        "COLONIES_SERVER_HOST": "localhost",
        "COLONIES_SERVER_PORT": "50080",
        "COLONIES_COLONY_NAME": "dev",
    }
    assert Shell(environ).ok("config").out == (
        "Current configurations:\n"
        "+--------+-----------------+\n"
        "| Colony | dev             |\n"
        "| Server | localhost:50080 |\n"
        "| TLS    | false           |\n"
        "+--------+-----------------+\n"
    )
    assert "profile dev" in shell.ok("config -v").out


def test_profiles_are_set_listed_used_shown_and_removed(tmp_path: Path) -> None:
    shell = Shell({"COLONIES_HOME": str(tmp_path)})
    made = new_key()
    shell.ok(
        "config set one --host one.example --port 1 --colony c --prvkey -", stdin=made["prvkey"]
    )
    shell.ok("config set two --host two.example --insecure")
    shell.ok("config use two")
    assert shell.ok("config ls -o id").out.split() == ["one", "two"]
    shown = shell.ok("config show one").out
    assert made["prvkey"] not in shown
    assert f"key of {made['id']}" in shown
    assert "two.example:50080" in shell.ok("config").out
    assert f"COLONIES_PRVKEY={made['prvkey']}" in shell.ok("--profile one config export").out
    assert shell("config remove two").code == 1
    shell.ok("config remove two --yes")
    assert shell.ok("config ls -o id").out.split() == ["one"]


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_profile_with_no_port_is_refused_when_it_is_made(tmp_path: Path, port: str) -> None:
    nowhere = Shell({"COLONIES_HOME": str(tmp_path)})
    ran = nowhere(f"config set prod --port {port}")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: the port must be 1 to 65535, is '{port}' (flag --port)\n"
    assert not (tmp_path / "config.toml").exists()


def test_no_secret_is_shown_by_config(shell: Shell) -> None:
    shown = (
        shell.ok("config -v").out + shell.ok("config --json").out + shell.ok("config show dev").out
    )
    secrets = re.findall(r"PRVKEY=(\w+)", shell.ok("config export").out)
    assert len(secrets) == 3
    assert not [secret for secret in secrets if secret in shown]


def test_the_version_needs_no_configuration(tmp_path: Path) -> None:
    shell = Shell({"COLONIES_HOME": str(tmp_path)})
    assert shell.ok("version").out == shell.ok("--version").out
    assert "CLI version" in shell.ok("version").out


def cpu_seconds(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """What a command costs, in user and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, capture_output=True, check=True)  # noqa: S603 - ourselves
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(("line", "most"), [("--help", 1.0), ("process psw", 3.6)])
def test_commands_start_quickly(shell: Shell, line: str, most: float) -> None:
    """As a multiple of what Python itself needs for a client, measured in turns."""
    environ = {**clean_environ(), **shell.environ}
    commands = ([*PROGRAM, *line.split()], [PROGRAM[0], "-c", "import asyncio, ssl, json"])
    pairs = [[cpu_seconds(command, environ) for command in commands] for _ in range(7)]
    ours, least = (min(seconds) for seconds in zip(*pairs, strict=True))
    assert ours / least <= most


@pytest.mark.parametrize("line", ["process psw", "workflow psw"])
def test_nothing_heavy_is_imported_for_a_list(shell: Shell, line: str) -> None:
    heavy = {"rich", "httpx", "uvicorn", "starlette", "redis", "structlog", "boto", "apscheduler"}
    ran = subprocess.run(  # noqa: S603 - ourselves
        [PROGRAM[0], "-X", "importtime", *PROGRAM[1:], *line.split()],
        env={**clean_environ(), **shell.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "cli.client" in modules
    assert not {name.partition(".")[0] for name in modules} & heavy
    ours = {"api.specs", "broker.aggregates.process", "broker.settings", "broker.store"}
    assert not modules & (ours | {"tempfile", "zoneinfo"})
