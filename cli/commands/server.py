"""``colonies server``: run a server, and ask one about itself."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from api import wire_colony, wire_server
from broker.errors import Malformed
from broker.identity import Identity
from broker.settings import Settings
from cli import render, spec
from cli.config import Role
from cli.errors import UsageError
from cli.options import NONE, Options
from cli.program import build_time, version
from cli.session import Session

app = App(name="server", help="Manage production server.", help_format="plaintext")

# What versions of the reference call the same variables, best first; clients agree about the port.
_SPELLINGS = {
    "COLONIES_TLSCERT": (
        "COLONIES_TLSCERT",
        "COLONIES_SERVER_HTTP_TLS_CERT",
        "COLONIES_SERVER_TLSCERT",
    ),
    "COLONIES_TLSKEY": (
        "COLONIES_TLSKEY",
        "COLONIES_SERVER_HTTP_TLS_KEY",
        "COLONIES_SERVER_TLSKEY",
    ),
    "COLONIES_SERVER_PORT": ("COLONIES_SERVER_HTTP_PORT", "COLONIES_SERVER_PORT"),
    "COLONIES_SERVER_LISTEN": ("COLONIES_SERVER_LISTEN", "COLONIES_SERVER_HTTP_HOST"),
    "COLONIES_SERVER_TLS": ("COLONIES_SERVER_TLS", "COLONIES_SERVER_HTTP_TLS"),
}


@app.command
def start(
    *,
    listen: str | None = None,
    workers: int | None = None,
    role: Annotated[list[str] | None, Parameter(negative="")] = None,
    tlscert: Path | None = None,
    tlskey: Path | None = None,
    options: Options = NONE,
) -> int:
    """Start a server in the foreground, on a Redis named by COLONIES_REDIS_URL.

    Everything else it can be told is read from the environment; a flag goes before its variable.

    Args:
        listen: address to listen on (0.0.0.0).
        workers: number of API processes (1).
        role: what this server does: api, timer, projector, archiver; repeat it for several (all).
        tlscert: certificate chain, PEM; TLS is served when it and the key are given.
        tlskey: private key of the certificate, PEM.
        options: global options; --port is the port to listen on (50080).
    """
    flags = {
        "COLONIES_SERVER_LISTEN": listen,
        "COLONIES_SERVER_PORT": options.port,
        "COLONIES_WORKERS": None if workers is None else str(workers),
        "COLONIES_ROLES": ",".join(role) if role else None,
        "COLONIES_TLSCERT": str(tlscert) if tlscert else None,
        "COLONIES_TLSKEY": str(tlskey) if tlskey else None,
        "COLONIES_SERVER_TLS": _tls(tlscert, tlskey, options),
        "COLONIES_VERBOSE": "true" if options.verbose else None,
    }
    return serve(settings({key: value for key, value in flags.items() if value is not None}))


def settings(flags: dict[str, str]) -> Settings:
    """The settings of a server from flags and the environment.

    Raises:
        UsageError: every problem, in one message.
    """
    environ = dict(os.environ)
    for name, spellings in _SPELLINGS.items():
        environ[name] = next((environ[one] for one in spellings if environ.get(one)), "")
    environ["BUILD_VERSION"] = environ.get("BUILD_VERSION", "") or version()
    try:
        if not environ.get("COLONIES_SERVER_ID") and environ.get("COLONIES_SERVER_PRVKEY"):
            environ["COLONIES_SERVER_ID"] = Identity.from_hex(environ["COLONIES_SERVER_PRVKEY"]).id
        return Settings.from_env({**environ, **flags})
    except Malformed as error:
        raise UsageError(
            str(error), hint="`colonies dev` needs no settings; see `colonies server start --help`"
        ) from error


def serve(chosen: Settings, *, on_ready: Callable[[], None] | None = None) -> int:
    """Run a server until it is told to stop, and return its exit code."""
    from api.serve import run  # noqa: PLC0415 - the whole server, for this command only

    return run(chosen, on_ready=on_ready)


@app.command
async def status(*, options: Options = NONE) -> None:
    """Show the versions of this program and of the server; needs no key."""
    async with Session(options) as session:
        address = session.config.address
        answer = await session.client(None).ask(wire_server.VersionMsg(), wire_server.Version)
        shown = {
            "Server Host": address.host,
            "Server Port": str(address.port),
            "CLI Version": version(),
            "CLI BuildTime": build_time(),
            "Server Version": answer.buildversion,
            "Server BuildTime": answer.buildtime,
        }
        data = {
            "host": address.host,
            "port": address.port,
            "tls": address.tls,
            "cliversion": version(),
            "clibuildtime": build_time(),
            "serverversion": answer.buildversion,
            "serverbuildtime": answer.buildtime,
        }
        block = render.Block(rows=list(shown.items()))
        session.out.show(render.Detail(blocks=(block,), data=data))


@app.command
async def alive(*, options: Options = NONE) -> None:
    """Ask the server whether it is there: exit code 0, or 3 when it cannot be reached."""
    async with Session(options) as session:
        await session.client(None).ask(wire_server.VersionMsg(), wire_server.Version)
        session.out.done("Server is alive", Server=str(session.config.address))


@app.command(name="stats", alias="stat")
async def stats(*, options: Options = NONE) -> None:
    """Count everything on the server; signed by the server owner."""
    async with Session(options) as session:
        client = session.client(Role.SERVER)
        counts = await client.ask(wire_server.GetStatisticsMsg(), wire_colony.Statistics)
        rows = [("Colonies", str(counts.colonies)), *statistics(counts)]
        block = render.Block(caption="Process statistics", rows=rows)
        session.out.show(render.Detail(blocks=(block,), data=spec.plain(counts)))


@app.command
async def chid(serverid: str, *, options: Options = NONE) -> None:
    """Hand the server to another key; signed by the server owner, whose old key is dead at once.

    Args:
        serverid: id of the new key, 64 hex digits.
        options: global options.
    """
    async with Session(options) as session:
        await session.client(Role.SERVER).tell(wire_server.ChangeServerIdMsg(serverid=serverid))
        session.out.done("Changed server Id", ids=serverid, ServerId=serverid)


def statistics(counts: wire_colony.Statistics) -> list[tuple[str, str]]:
    """The rows that the statistics of a server and of a colony share, as the guide labels them."""
    return [
        ("Executors", str(counts.executors)),
        *(
            (f"{state.value} {what}", str(getattr(counts, f"{state.value.lower()}{what}")))
            for what in ("processes", "workflows")
            for state in render.PROCESS_STATES
        ),
    ]


def _tls(cert: Path | None, key: Path | None, options: Options) -> str | None:
    if options.insecure is not None:
        return str(not options.insecure).lower()
    return "true" if cert or key else None
