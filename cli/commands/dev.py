"""``colonies dev``: a complete server with nothing configured and nothing else installed."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from broker.archive_url import HOST as DB_HOST
from broker.defaults import DEFAULT_PORT
from broker.settings import Settings
from cli import bootstrap, embedded, gateway
from cli.client import Client, Timeouts
from cli.commands.config import exports
from cli.commands.server import serve
from cli.errors import CliError, UsageError
from cli.gateway import Gateway
from cli.options import NONE, Options
from cli.profile import ProfileStore, data_dir, write_private
from cli.program import build_time, program, version
from cli.transport import Address

app = App(name="dev", help="Start a development server.", help_format="plaintext")

_PROFILE = "dev"
_MOST_PORT = 65_535
_S3_PORT = 50_090
# These are in the `export` lines of an SDK, too, or say only what was built.
_OF_CLIENTS = frozenset(
    {"COLONIES_SERVER_PORT", "COLONIES_SERVER_TLS", "BUILD_VERSION", "BUILD_TIME"}
)
_ANYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not listened on


@app.default
def dev(
    *,
    listen: str = "127.0.0.1",
    workers: int = 1,
    env_file: Path | None = None,
    executor: Annotated[bool, Parameter(negative="")] = False,
    s3: Annotated[bool, Parameter(negative="")] = False,
    s3_port: int = _S3_PORT,
    options: Options = NONE,
) -> int:
    """Start a development server with a colony, a user and an executor; Ctrl-C stops it.

    The data is kept, with the keys, in the user's data directory (or COLONIES_HOME), and a second
    start finds everything as it was. Clients on this machine find it by the profile `dev`. Of the
    settings of `colonies server start` it takes none.

    Args:
        listen: address to listen on; 0.0.0.0 lets other machines in (127.0.0.1).
        workers: number of API processes (1).
        env_file: write the `export` lines to this file (mode 0600) instead of printing them.
        s3: start an object store, too, for `colonies fs`; its objects are kept with the data.
        s3_port: port of the object store (50090).
        executor: COLONIES_PRVKEY of the `export` lines is the executor's key, not the user's.
        options: global options; --port is the port to listen on (50080), -v says what happens.
    """
    began = time.monotonic()
    port = _port(options)
    if workers < 1:
        raise UsageError(f"--workers must be 1 or more, is {workers}")
    if unused := _unused(os.environ):
        _warn(f"note: `colonies dev` takes no settings; not used: {', '.join(unused)}")
    directory = data_dir(os.environ) / _PROFILE
    with ExitStack() as stack:
        store = stack.enter_context(embedded.running(directory, _warn))
        _check_port_is_free(listen, port)
        keys = bootstrap.Identities.of(directory, make=store.is_empty())
        host = "localhost" if listen in _ANYWHERE | {"127.0.0.1", "::1"} else listen
        objects = _Objects(directory / "s3", listen, host, s3_port)
        running = stack.enter_context(objects.running()) if s3 else None
        ready = _Ready(
            keys=keys,
            store=store,
            directory=directory,
            host=host,
            port=port,
            kept=objects.kept_settings(running),
            gateway=running,
            began=began,
            env_file=env_file,
            as_executor=executor,
        )
        settings = Settings(
            redis_url=store.url,
            server_id=keys.server.id,
            host=listen,
            port=port,
            workers=workers,
            allow_reregister=True,
            build_version=version(),
            build_time=build_time(),
            verbose=bool(options.verbose),
        )
        code = serve(settings, on_ready=ready.announce_later)
        ready.join()
    if ready.failure is not None:
        raise ready.failure
    if code == 0:
        sys.stderr.write("Stopped; the data is kept.\n")
    return code


@dataclass(kw_only=True)
class _Ready:
    """What happens once the server answers: the colony is completed and announced."""

    keys: bootstrap.Identities
    store: embedded.Store
    directory: Path
    host: str
    port: int
    began: float
    env_file: Path | None
    as_executor: bool
    kept: dict[str, str]
    """What the profile says that we do not."""

    gateway: Gateway | None
    failure: CliError | OSError | None = None
    _thread: threading.Thread | None = field(default=None, repr=False)

    def announce_later(self) -> None:
        """Return at once: the caller is the server that has to answer us."""
        self._thread = threading.Thread(target=self._announce, name="bootstrap", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the announcement is out, or has failed."""
        if self._thread is not None:
            self._thread.join()

    def _announce(self) -> None:
        try:
            notes = asyncio.run(self._complete())
            values = bootstrap.profile(self.keys, host=self.host, port=self.port)
            if self.gateway is not None:
                values |= self.gateway.profile()
            profiles = ProfileStore(os.environ)
            profiles.set(_PROFILE, self.kept | values)
            for note in notes:
                _warn(f"note: {note}")
            self._print(values, profiles.read().current)
        except (CliError, OSError) as error:
            self.failure = error
            os.kill(os.getpid(), signal.SIGTERM)

    async def _complete(self) -> list[str]:
        address = Address(host=self.host, port=self.port)
        async with Client(address, timeouts=Timeouts(patience_s=10.0)) as client:
            return await bootstrap.ensure_colony(client, self.keys)

    def _print(self, values: dict[str, str], current: str) -> None:
        shown = dict(values)
        if self.as_executor:
            shown["prvkey"] = values["executor_prvkey"]
        lines = exports(shown)
        if self.env_file is not None:
            write_private(self.env_file, lines)
            lines = f"source {self.env_file}\n"
        took = time.monotonic() - self.began
        sys.stdout.write(f"{self._summary(current)}\n{lines}\n")
        sys.stdout.write(f"Ready after {took:.1f} s. Press Ctrl-C to stop.\n")
        sys.stdout.flush()

    def _objects(self) -> str:
        return f"  Objects    http://{self.gateway.endpoint}\n" if self.gateway else ""

    def _summary(self, current: str) -> str:
        keys = self.keys
        other = "" if current == _PROFILE else f" (in use is {current}: --profile {_PROFILE})"
        return (
            f"Colonies development server on http://{self.host}:{self.port}\n\n"
            f"  Colony     {bootstrap.COLONY:<14} {keys.colony.id}\n"
            f"  User       {bootstrap.USER:<14} {keys.user.id}\n"
            f"  Executor   {bootstrap.EXECUTOR:<14} {keys.executor.id}\n"
            f"  Server                    {keys.server.id}\n"
            f"  Data       {self.directory}\n"
            f"{self._objects()}"
            f"  Profile    {_PROFILE}{other}\n\n"
            f"Commands on this machine need no configuration: {program()} executor ls\n"
            "An SDK needs:\n"
        )


@dataclass(frozen=True, slots=True)
class _Objects:
    """The object store of this server, running or not."""

    directory: Path
    listen: str
    host: str
    port: int

    @contextmanager
    def running(self) -> Generator[Gateway]:
        """Start it, and stop it at the end."""
        _check_port(self.port, "--s3-port")
        _check_port_is_free(self.listen, self.port, "--s3-port")
        with gateway.running(
            self.directory,
            host=self.listen,
            port=self.port,
            shown_host=self.host,
            on_restart=_warn,
        ) as found:
            yield found

    def kept_settings(self, running: Gateway | None) -> dict[str, str]:
        """What the profile says of files and is not ours: a key, or another object store."""
        stored = ProfileStore(os.environ).read().profiles.get(_PROFILE, {})
        kept = {name: text for name, text in stored.items() if name.startswith(("fs_", "s3_"))}
        ours = gateway.Keys.present(self.directory)
        if running or (ours and ours.access == kept.get("s3_accesskey")):
            return {name: text for name, text in kept.items() if name.startswith("fs_")}
        return kept


def _unused(environ: Mapping[str, str]) -> list[str]:
    """Variables with which somebody may expect to change this server."""
    ours = Settings(redis_url="", server_id="").to_env()
    return [name for name in (*ours, DB_HOST) if environ.get(name) and name not in _OF_CLIENTS]


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _port(options: Options) -> int:
    text = options.port or str(DEFAULT_PORT)
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--port must be 1 to {_MOST_PORT}, is {text!r}")
    return _check_port(int(text), "--port")


def _check_port(port: int, option: str) -> int:
    if not 0 < port <= _MOST_PORT:
        raise UsageError(f"{option} must be 1 to {_MOST_PORT}, is {str(port)!r}")
    return port


def _check_port_is_free(host: str, port: int, option: str = "--port") -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise CliError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            hint=f"another server may be running there; choose another with {option} {port + 1}",
        ) from error
