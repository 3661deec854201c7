"""``colonies database``: the archive in PostgreSQL, made, looked at and deleted."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import App, Parameter

from api.history import archive
from broker.archive_url import (
    ARCHIVE_URL,
    HOST,
    NAME,
    PASSWORD,
    PORT,
    TIMESCALEDB,
    USER,
    archive_url,
    fault_in,
)
from broker.errors import BrokerError, Unavailable
from cli import render
from cli.errors import CliError, Unreachable, UsageError
from cli.options import NONE, Options
from cli.output import Output

if TYPE_CHECKING:
    from api.history.archive import Archive

app = App(
    name="database",
    help="Manage the database that keeps the archive. Asks PostgreSQL, not a server.",
    help_format="plaintext",
)

_SHAPE = "postgresql://user:password@host/name"
_LOST = "What was trimmed from the store is nowhere else."


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Flags that say where the database is; they go before COLONIES_ARCHIVE_URL."""

    dbhost: str | None = None
    """Host, or directory of its socket; COLONIES_DB_HOST, or localhost if only others are set."""

    dbport: int | None = None
    """Port of the database; COLONIES_DB_PORT, or 5432."""

    dbuser: str | None = None
    """User; COLONIES_DB_USER."""

    dbpassword: str | None = None
    """Password; COLONIES_DB_PASSWORD."""

    dbname: str | None = None
    """Name of the database; COLONIES_DB_NAME, or postgres."""


THERE = Where()


@app.command
async def create(*, where: Where = THERE, options: Options = NONE) -> None:
    """Create the tables of the archive, and the database if it is missing.

    Once they are there it brings them up to date, and leaves what they hold. An archiver does the
    same when it starts.

    Args:
        where: where the database is.
        options: global options.
    """
    out = Output.of(options, os.environ)
    async with _opened(address(where, os.environ)) as found:
        applied = await found.create()
    text = "Colonies database created" if applied else "Colonies database is up to date"
    out.done(text, data={"applied": applied}, **({"Applied": ",".join(applied)} if applied else {}))


@app.command
async def drop(*, where: Where = THERE, options: Options = NONE) -> None:
    """Delete the archive with everything in it.

    Args:
        where: where the database is.
        options: global options.
    """
    out = Output.of(options, os.environ)
    url = address(where, os.environ)
    out.confirm(f"Are you sure you want to drop the database? {_LOST}")
    async with _opened(url) as found:
        dropped = await found.tables.drop()
    text = "Colonies database dropped" if dropped else "There was no Colonies database"
    out.done(text, data={"dropped": dropped})


@app.command
async def reset(*, where: Where = THERE, options: Options = NONE) -> None:
    """Delete everything in the archive, and begin it anew; the store keeps what it has.

    Args:
        where: where the database is.
        options: global options.
    """
    out = Output.of(options, os.environ)
    url = address(where, os.environ)
    out.confirm(f"Are you sure you want to reset the database? {_LOST}")
    async with _opened(url) as found:
        await found.tables.drop()
        applied = await found.create()
    out.done("Colonies database reset", data={"applied": applied})


@app.command
async def status(*, where: Where = THERE, options: Options = NONE) -> None:
    """Show how much of each log is archived, and up to where.

    Args:
        where: where the database is.
        options: global options.
    """
    out = Output.of(options, os.environ)
    async with _opened(address(where, os.environ)) as found:
        copied = await found.positions()
    rows: list[render.Row] = [
        (one.owner.colony or "(server)", one.log, str(one.count), str(one.position))
        for one in copied
    ]
    data = [
        {
            "colony": one.owner.colony,
            "tag": one.owner.tag,
            "log": one.log,
            "entries": one.count,
            "position": str(one.position),
        }
        for one in copied
    ]
    out.show(
        render.Listing(
            header=("COLONY", "LOG", "ENTRIES", "POSITION"),
            rows=rows,
            nothing="Nothing is archived yet",
            data=data,
            ids=[one.owner.tag for one in copied],
        )
    )


@asynccontextmanager
async def _opened(url: str) -> "AsyncGenerator[Archive]":
    """The archive at an address.

    Raises:
        Unreachable: no PostgreSQL answers, or no archive is there.
        CliError: whatever else is wrong with it.
    """
    insists = os.environ.get(TIMESCALEDB, "").lower()
    try:
        async with archive.opened(url, timescaledb=_KNOWN.get(insists)) as found:
            yield found
    except Unavailable as error:
        hint = "it is the one of COLONIES_ARCHIVE_URL, or of COLONIES_DB_HOST and its kin"
        raise Unreachable(str(error), hint=hint) from error
    except BrokerError as error:
        raise CliError(str(error), hint="see docs/archive.md") from error


_KNOWN = {"true": True, "1": True, "false": False, "0": False}


def address(where: Where, environ: Mapping[str, str]) -> str:
    """The address that flags and variables mean; on this machine where they name no host.

    Raises:
        UsageError: they say nothing, or the address is none.
    """
    given = {
        HOST: where.dbhost,
        PORT: None if where.dbport is None else str(where.dbport),
        USER: where.dbuser,
        PASSWORD: where.dbpassword,
        NAME: where.dbname,
    }
    flags = {name: text for name, text in given.items() if text is not None}
    base = {**environ} if not flags else {k: v for k, v in environ.items() if k != ARCHIVE_URL}
    known = {**base, **flags}
    if not any(known.get(name) for name in (ARCHIVE_URL, *given)):
        hint = f"export {ARCHIVE_URL}={_SHAPE}, or {HOST} and its kin"
        raise UsageError("no archive is known", hint=hint)
    url = archive_url(known, host="localhost")
    if problem := fault_in(url):
        raise UsageError(f"{ARCHIVE_URL} {problem}", hint=_SHAPE)
    return url
