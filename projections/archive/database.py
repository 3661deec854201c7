"""The way to PostgreSQL: one connection, opened when it is needed and again after it was lost.

One that does not answer is given up after a while: it may have died without a word, or hang.

Errors of the driver end here: ``Corrupt`` is what no database will ever take, all else may go well
later and is ``Unavailable``.
"""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from broker.errors import Corrupt, Malformed, Unavailable

Connection = psycopg.AsyncConnection[TupleRow]
_CONNECT_S = 5
PATIENCE_S = 60.0
"""For a transaction; a page takes less than a second."""
_MAINTENANCE = "postgres"
"""The database from which another one is created."""
_OPTIONS = {
    # Streams are trimmed behind what was committed: that has to be on disk.
    "synchronous_commit": "on",
    "timezone": "UTC",
    # Of a client that died without a word PostgreSQL would keep the locks for hours.
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class ArchiveAway(Unavailable):
    """The archive cannot answer now."""


class Database:
    """One PostgreSQL database; one transaction at a time."""

    def __init__(self, url: str, patience_s: float) -> None:
        """``url`` is any connection string of libpq."""
        self._patience_s = patience_s
        self._ended = False
        try:
            self._where = make_conninfo(
                url,
                application_name="colonies",
                connect_timeout=_CONNECT_S,
                options=" ".join(f"-c {name}={value}" for name, value in _OPTIONS.items()),
            )
        except psycopg.ProgrammingError as error:
            raise Malformed(f"COLONIES_ARCHIVE_URL: {error}") from error
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """A connection, on which all or nothing happens.

        Raises:
            Unavailable: PostgreSQL is away, there is no archive yet, or it may not be used so.
            Corrupt: it cannot take what we say.
        """
        async with self._turn:
            try:
                connection = await self._connected()
                loop = asyncio.get_running_loop()
                watch = loop.call_later(self._patience_s, _break_off, connection)
                try:
                    async with connection.transaction():
                        yield connection
                finally:
                    watch.cancel()
            except psycopg.Error as error:
                raise await self._refused(error) from error

    def end(self) -> None:
        """Wait for nothing any more: a transaction that is under way ends now, without effect."""
        self._ended = True
        if self._connection is not None:
            _break_off(self._connection)

    async def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()

    async def create(self) -> bool:
        """Create the database itself; False when it is there.

        Raises:
            Unavailable: PostgreSQL is away, or this user may not create one.
        """
        try:
            await self._connected()
        except errors.OperationalError as error:
            if "does not exist" not in str(error) or "database" not in str(error):
                raise await self._refused(error) from error
        else:
            return False
        name = conninfo_to_dict(self._where)["dbname"]
        where = make_conninfo(self._where, dbname=_MAINTENANCE)
        try:
            async with await psycopg.AsyncConnection.connect(where, autocommit=True) as connection:
                make = sql.SQL("CREATE DATABASE {}")
                await connection.execute(make.format(sql.Identifier(str(name))))
        except errors.DuplicateDatabase:
            return False
        except psycopg.Error as error:
            raise await self._refused(error) from error
        return True

    async def _connected(self) -> Connection:
        if self._ended:
            raise ArchiveAway("this process stops")
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(self._where, autocommit=True)
        return self._connection

    async def _refused(self, error: psycopg.Error) -> ArchiveAway | Corrupt:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
            return ArchiveAway(f"there is no archive: `colonies database create` ({text})")
        if isinstance(
            error, errors.DataError | errors.ProgramLimitExceeded | errors.UniqueViolation
        ):
            return Corrupt(f"the archive does not take this: {text}")
        # Whatever it was: another connection may lead to a server that may be written to.
        await self.close()
        return ArchiveAway(f"the archive does not answer as it should: {text}")


def _break_off(connection: Connection) -> None:
    """Who waits for an answer on it finds that the connection has ended."""
    if connection.closed:
        return
    # Cancelling would make psycopg wait for the answer to that.
    with socket.socket(fileno=os.dup(connection.fileno())) as same, suppress(OSError):
        same.shutdown(socket.SHUT_RDWR)
