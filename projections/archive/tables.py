"""The tables of the archive: made by numbered migrations, and partitioned by time.

Where there is TimescaleDB they are hypertables, which partition themselves. Elsewhere each has a
partition a month, made before it is needed.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from typing import cast

from psycopg import sql

from broker.errors import Unavailable
from projections.archive.database import Connection, Database

SCHEMA = "colonies"
PARTITIONED = ("events", "lines")
_LOCK = 0x636F6C6F6E696573
"""Of one who changes tables: "colonies" in ASCII, so that nobody else takes it by chance."""
_MONTHS = 12
_HYPERTABLES = "timescaledb"
_PLAIN = "partitions"
_REGISTER = """
CREATE SCHEMA IF NOT EXISTS colonies;
CREATE TABLE IF NOT EXISTS colonies.migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    partitioned_by text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""
_LOADED = """
SELECT exists(SELECT FROM pg_extension WHERE extname = 'timescaledb')
    OR exists(SELECT FROM pg_settings WHERE name = 'timescaledb.disable_load')
"""
"""The setting is one of its loader: creating it where that was not loaded ends the connection."""
_CALLABLE = """
SELECT set_config('search_path', quote_ident(nspname), true)
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'timescaledb'
"""
"""The functions of TimescaleDB, wherever it was put, for one transaction."""
Month = tuple[int, int]


class Tables:
    """What there is in the schema ``colonies`` of a database."""

    def __init__(self, database: Database, *, timescaledb: bool | None = None) -> None:
        """``timescaledb`` insists on hypertables, or does without; None takes what there is."""
        self._database = database
        self._wanted = timescaledb
        self._partitions: set[Month] = set()
        self._by: str | None = None

    async def migrate(self) -> list[str]:
        """Bring the tables up to date, whoever else is at it; what was applied.

        Raises:
            Unavailable: the database is away, or has no TimescaleDB where that is insisted on.
        """
        applied: list[str] = []
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            await connection.execute(_REGISTER)
            found = await connection.execute(
                "SELECT number, partitioned_by FROM colonies.migrations"
            )
            known = dict(cast("list[tuple[int, str]]", await found.fetchall()))
            by = known.get(1) or await self._best(connection)
            if by == _HYPERTABLES:
                await connection.execute(_CALLABLE)
            for number, names in _migrations(by):
                if number in known:
                    continue
                for name in names:
                    await connection.execute(_text(name, by))
                    applied.append(name)
                await connection.execute(
                    "INSERT INTO colonies.migrations (number, name, partitioned_by)"
                    " VALUES (%s, %s, %s)",
                    [number, names[0], by],
                )
        self._by = by
        return applied

    async def drop(self) -> bool:
        """Delete everything of the archive; False when there was nothing."""
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            found = await connection.execute("SELECT to_regnamespace('colonies') IS NOT NULL")
            row = await found.fetchone()
            await connection.execute("DROP SCHEMA IF EXISTS colonies CASCADE")
        self.forget()
        return bool(row and row[0])

    def forget(self) -> None:
        """Trust nothing that was seen before: the tables may have been made anew."""
        self._partitions.clear()
        self._by = None

    async def make_room(self, moments: Iterable[datetime]) -> None:
        """Make the partitions in which some moments are, those of today, and the next ones."""
        if await self._partitioned_by() == _HYPERTABLES:
            return
        wanted = {(at.year, at.month) for at in (*moments, datetime.now(UTC))}
        wanted |= {_next(month) for month in wanted}
        missing = sorted(wanted - self._partitions)
        if not missing:
            return
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            for month in missing:
                for table in PARTITIONED:
                    await connection.execute(_partition(table, month))
        self._partitions.update(missing)

    async def forget_lines(self, before: datetime) -> int:
        """Drop the partitions of log lines in which all is older; how many."""
        by = await self._partitioned_by()
        async with self._database.transaction() as connection:
            if by == _HYPERTABLES:
                await connection.execute(_CALLABLE)
                dropped = await connection.execute(
                    "SELECT drop_chunks('colonies.lines', older_than => %s)", [before]
                )
                return len(await dropped.fetchall())
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            found = await connection.execute(
                "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
                " WHERE inhparent = 'colonies.lines'::regclass"
            )
            names = [str(row[0]) for row in await found.fetchall()]
            old = [name for name in names if _end(name) <= before]
            for name in old:
                await connection.execute(sql.SQL("DROP TABLE {}").format(_named(name)))
                self._partitions.discard(_month(name))
        return len(old)

    async def _partitioned_by(self) -> str:
        """What partitions the tables: whoever made them decided that."""
        if self._by is None:
            async with self._database.transaction() as connection:
                found = await connection.execute(
                    "SELECT partitioned_by FROM colonies.migrations WHERE number = 1"
                )
                row = await found.fetchone()
            self._by = str(row[0]) if row else _PLAIN
        return self._by

    async def _best(self, connection: Connection) -> str:
        if self._wanted is False:
            return _PLAIN
        found = await connection.execute(
            "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        if await found.fetchone() is None:
            if self._wanted:
                raise Unavailable(
                    "COLONIES_DB_TIMESCALEDB is true, and the database has no TimescaleDB"
                )
            return _PLAIN
        loaded = await (await connection.execute(_LOADED)).fetchone()
        if not self._wanted and not (loaded and loaded[0]):
            return _PLAIN
        # Unsaid, it would go into our schema for a user with the name of that, and with that.
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
        return _HYPERTABLES


def _migrations(by: str) -> list[tuple[int, list[str]]]:
    """The files of each migration, in order."""
    every = sorted(
        file.name for file in files("projections.archive").joinpath("migrations").iterdir()
    )
    names = [name for name in every if name.endswith(".sql")]
    kept = [n for n in names if by == _HYPERTABLES or not n.endswith("_hypertables.sql")]
    numbers = sorted({int(name.partition("_")[0]) for name in kept})
    return [
        (number, sorted((n for n in kept if int(n.partition("_")[0]) == number), reverse=True))
        for number in numbers
    ]


def _text(name: str, by: str) -> bytes:
    text = files("projections.archive").joinpath("migrations", name).read_text("utf-8")
    clause = "PARTITION BY RANGE (at)" if by == _PLAIN else ""
    return text.replace("{partitioned}", clause).encode()


def _next(month: Month) -> Month:
    year, number = month
    return (year + 1, 1) if number == _MONTHS else (year, number + 1)


def _named(name: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, name)


def _partition(table: str, month: Month) -> sql.Composed:
    first, last = (datetime(*each, 1, tzinfo=UTC) for each in (month, _next(month)))
    make = "CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})"
    return sql.SQL(make).format(
        _named(f"{table}_{month[0]:04d}_{month[1]:02d}"),
        _named(table),
        sql.Literal(first.isoformat()),
        sql.Literal(last.isoformat()),
    )


def _month(name: str) -> Month:
    _, year, number = name.split("_")
    return int(year), int(number)


def _end(name: str) -> datetime:
    """When the month of a partition is over."""
    return datetime(*_next(_month(name)), 1, tzinfo=UTC)
