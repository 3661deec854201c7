"""A real development server, and the command line run against it as a user does."""

import asyncio
import base64
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import httpx
import pytest
from cyclopts import App

from api import wire_colony, wire_executor, wire_user
from broker.identity import Identity
from cli.app import GROUPS, build, run
from cli.client import Client
from cli.transport import Address
from tests.patience import PATIENCE_S
from tests.ports import free_port

PROGRAM = (sys.executable, "-c", "from cli.app import main; main()")
CONFIGURING = ("COLONIES_", "XDG_", "NO_COLOR", "CLICOLOR", "COLUMNS", "BUILD_")
_READY = re.compile(r"^Ready after")
_START_S = 60


@dataclass(frozen=True)
class Ran:
    """What one command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> object:
        """Standard output, which must be JSON."""
        return cast("object", json.loads(self.out))

    @property
    def id(self) -> str:
        """Standard output, which must be one id."""
        (line,) = self.out.splitlines()
        return line


@dataclass(frozen=True)
class Shell:
    """Runs command lines in an environment of its own."""

    environ: Mapping[str, str] = field(default_factory=dict[str, str])

    def __call__(self, line: str, *, stdin: str = "", **environ: str) -> Ran:
        """Run ``colonies LINE`` in this process and expect nothing of how it ends."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in [name for name in os.environ if name.startswith(CONFIGURING)]:
                patch.delenv(name)
            for name, value in {**self.environ, **environ}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            # Whoever completes a line does not wait for long; a test does.
            patch.setattr("cli.complete._REPLY_S", PATIENCE_S)
            code = run(shlex.split(line))
        return Ran(code, out.getvalue(), err.getvalue())

    def program(self, line: str, *, stdin: str = "") -> Ran:
        """Run ``colonies LINE`` as the program it is."""
        ran = subprocess.run(  # noqa: S603 - ourselves
            [*PROGRAM, *shlex.split(line)],
            input=stdin,
            capture_output=True,
            text=True,
            env={**clean_environ(), **self.environ},
            timeout=120,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def ok(self, line: str, *, stdin: str = "", **environ: str) -> Ran:
        """Run ``colonies LINE``, which must succeed."""
        ran = self(line, stdin=stdin, **environ)
        assert ran.code == 0, f"colonies {line}\n{ran.out}\n{ran.err}"
        return ran

    def with_environ(self, **environ: str) -> "Shell":
        """The same with more variables."""
        return Shell({**self.environ, **environ})


@dataclass(frozen=True)
class Dev:
    """A running ``colonies dev``."""

    home: Path
    port: int
    process: "subprocess.Popen[str]"
    banner: str

    @property
    def shell(self) -> Shell:
        """Command lines that find it as on the same machine: by its profile."""
        return Shell({"COLONIES_HOME": str(self.home)})

    @property
    def exports(self) -> dict[str, str]:
        """The variables it told the user to export."""
        lines = re.findall(r"^export (\w+)=(\S*)$", self.banner, re.MULTILINE)
        return dict(cast("list[tuple[str, str]]", lines))


def clean_environ() -> dict[str, str]:
    """Our environment without anything that configures a client."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(CONFIGURING)}
    return {**kept, "TZ": "UTC", "PYTHONPATH": str(Path(__file__).parents[2])}


@contextmanager
def running_dev(home: Path, port: int, *options: str) -> Generator[Dev]:
    """Run ``colonies dev`` until the end of the block; it must be ready within a minute."""
    with (home.parent / f"{home.name}.err").open("w") as errors:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [*PROGRAM, "dev", "--port", str(port), *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**clean_environ(), "COLONIES_HOME": str(home)},
        )
    overdue = threading.Timer(_START_S, process.kill)
    overdue.start()
    with process:
        try:
            banner = _read_banner(process)
            overdue.cancel()
            said = (home.parent / f"{home.name}.err").read_text()
            assert _READY.match(banner.splitlines()[-1] if banner else ""), said
            yield Dev(home, port, process, banner)
        finally:
            overdue.cancel()
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_START_S)
            process.kill()


def _read_banner(process: "subprocess.Popen[str]") -> str:
    """What it prints until it is ready, or until it ends."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if _READY.match(line):
            break
    return "".join(lines)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    """One development server for all tests that only add to it."""
    with running_dev(tmp_path_factory.mktemp("dev") / "home", free_port()) as server:
        yield server


@pytest.fixture
def shell(dev: Dev) -> Shell:
    """Command lines against the development server, without one environment variable."""
    return dev.shell


def every_command() -> Iterator[tuple[str, App]]:
    """All commands with what is typed to call them, also those of groups in groups."""
    app = build()
    for group in GROUPS:
        yield from _commands(app[group], group)


def _commands(app: App, path: str) -> Iterator[tuple[str, App]]:
    names = [name for name in app if not name.startswith("-")]
    if not names and " " in path:
        yield path, app
    for name in names:
        yield from _commands(app[name], f"{path} {name}")


_fresh = iter(range(10**6))


@pytest.fixture
def colony(dev: Dev) -> Shell:
    """Command lines in a new colony with an approved user and an approved executor of type cli."""
    name = f"colony{next(_fresh)}"
    owner, user, worker = (Identity.generate() for _ in range(3))
    asyncio.run(_populate(dev, name, owner=owner, user=user, worker=worker))
    return dev.shell.with_environ(
        COLONIES_COLONY_NAME=name,
        COLONIES_COLONY_PRVKEY=owner.prvkey,
        COLONIES_PRVKEY=user.prvkey,
        WORKER_PRVKEY=worker.prvkey,
        WORKER_ID=worker.id,
        USER_ID=user.id,
    )


async def _populate(
    dev: Dev, name: str, *, owner: Identity, user: Identity, worker: Identity
) -> None:
    """Without the command line: almost every test begins here, and most of them look elsewhere."""
    server = Identity.from_hex(dev.exports["COLONIES_SERVER_PRVKEY"])
    async with Client(Address(host="127.0.0.1", port=dev.port, tls=False), server) as client:
        colony = wire_colony.Colony(colonyid=owner.id, name=name)
        await client.tell(wire_colony.AddColonyMsg(colony=colony))
        as_owner = client.as_identity(owner)
        johan = wire_user.User(
            colonyname=name, userid=user.id, name="johan", email="j@example.com", phone="46"
        )
        await as_owner.tell(wire_user.AddUserMsg(user=johan))
        executor = wire_executor.Executor(
            colonyname=name, executorid=worker.id, executorname="worker", executortype="cli"
        )
        await as_owner.tell(wire_executor.AddExecutorMsg(executor=executor))
        approval = wire_executor.ApproveExecutorMsg(colonyname=name, executorname="worker")
        await as_owner.tell(approval)


@pytest.fixture
def worker(colony: Shell) -> Shell:
    """Command lines of the executor in that colony."""
    return colony.with_environ(COLONIES_PRVKEY=colony.environ["WORKER_PRVKEY"])


def new_key() -> dict[str, str]:
    """A new key and its id, as ``key generate --json`` prints them."""
    identity = Identity.generate()
    return {"id": identity.id, "prvkey": identity.prvkey}


def submit_text(dev: Dev, shell: Shell, part: str) -> str:
    """Submit a spec of which a part is JSON that our own client would not write; its id."""
    who = Identity.from_hex(shell.environ["COLONIES_PRVKEY"])
    name = shell.environ["COLONIES_COLONY_NAME"]
    conditions = f'"conditions":{{"colonyname":"{name}","executortype":"cli"}}'
    text = f'{{"msgtype":"submitfuncspecmsg","spec":{{{conditions},{part}}}}}'
    payload = base64.b64encode(text.encode())
    envelope = {
        "payloadtype": "submitfuncspecmsg",
        "payload": payload.decode(),
        "signature": who.sign(payload),
    }
    reply = httpx.post(f"http://127.0.0.1:{dev.port}/api", json=envelope).json()
    found = re.search(rb'"processid":"(\w+)"', base64.b64decode(reply["payload"]))
    assert found is not None, reply
    return found[1].decode()
