"""The archive of one store: copies what it is given exactly once, and gives it back.

A page is copied in one transaction with the position behind it, and only if the position is still
the one the page was read from. So an archiver that dies anywhere leaves whole pages, and of two at
the same page one is told that the other was faster.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from psycopg import sql

from broker.archived import EVENTS, LINES
from broker.envelope import RawEntry, position_of
from broker.errors import Corrupt
from broker.keys import Tag
from broker.position import START, Position
from projections.archive import entries
from projections.archive.database import PATIENCE_S, Connection, Database
from projections.archive.entries import Owner, moment
from projections.archive.tables import SCHEMA, Tables

_ROWS = {EVENTS: entries.event_row, LINES: entries.line_row}
_COLUMNS = {EVENTS: entries.EVENT_COLUMNS, LINES: entries.LINE_COLUMNS}
_LAST = Position(253_402_300_799_999, 2**63 - 1)
"""The end of the year 9999, beyond which a database has no time."""
_WEEK_MS = 7 * 86_400_000
_FURTHER = 10


@dataclass(frozen=True, slots=True)
class Copied:
    """How far a log was copied, and how many entries that were."""

    owner: Owner
    log: str
    position: Position
    count: int


class Archive:
    """Events and log lines in PostgreSQL."""

    def __init__(
        self, url: str, *, timescaledb: bool | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """A PostgreSQL that does not end a transaction in ``patience_s`` is given up."""
        self._database = Database(url, patience_s)
        self.tables = Tables(self._database, timescaledb=timescaledb)

    def end(self) -> None:
        """Wait for nothing any more; what is under way ends without effect."""
        self._database.end()

    async def close(self) -> None:
        """Hang up."""
        await self._database.close()

    async def create(self) -> list[str]:
        """Make the database and its tables as far as they are missing; what was applied.

        Raises:
            Unavailable, Corrupt: as ``Database.transaction``.
        """
        await self._database.create()
        return await self.tables.migrate()

    async def positions(self) -> list[Copied]:
        """How far every log was copied.

        Raises:
            Unavailable: there is no archive.
        """
        async with self._database.transaction() as connection:
            found = await connection.execute(
                "SELECT colony, tag, log, ms, seq, copied FROM colonies.positions"
                " ORDER BY colony, tag, log"
            )
            rows = cast("list[tuple[str, str, str, int, int, int]]", await found.fetchall())
        return [
            Copied(Owner(colony, tag), log, Position(ms, seq), copied)
            for colony, tag, log, ms, seq, copied in rows
        ]

    async def position(self, tag: Tag, log: str) -> Position | None:
        """How far one log was copied, None for not at all."""
        async with self._database.transaction() as connection:
            found = await connection.execute(
                "SELECT ms, seq FROM colonies.positions WHERE tag = %s AND log = %s",
                [tag.text, log],
            )
            row = await found.fetchone()
        return Position(*row) if row else None

    async def copy(
        self, owner: Owner, log: str, before: Position, page: Sequence[RawEntry]
    ) -> bool:
        """Copy the entries that follow a position; False when somebody else was faster.

        Raises:
            Unavailable: nothing was copied.
            Corrupt: an entry that cannot be read.
        """
        rows = [_ROWS[log](owner, raw) for raw in page]
        await self.tables.make_room(moment(position_of(raw)) for raw in page)
        after = position_of(page[-1])
        async with self._database.transaction() as connection:
            if not await _moved(connection, owner, log, before, after, len(page)):
                return False
            names = sql.SQL(", ").join(map(sql.Identifier, _COLUMNS[log]))
            into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(SCHEMA, log), names)
            async with connection.cursor().copy(into) as target:
                for row in rows:
                    await target.write_row(row)
        return True

    async def page(
        self, tag: Tag, after: Position, until: Position, count: int, log: str = EVENTS
    ) -> list[RawEntry]:
        """The first entries between two positions, the second one too, as a stream has them.

        Raises:
            Unavailable: PostgreSQL is away, or there is no archive.
            Corrupt: a row that was not made from an entry.
        """
        until = min(until, _LAST)
        spans = ((moment(after), end) for end in _horizons(after, until))
        return await self._between(tag, after, until, count, log, spans, sql.SQL("ms, seq"))

    async def tail(
        self, tag: Tag, after: Position, until: Position, count: int, log: str = EVENTS
    ) -> list[RawEntry]:
        """The last entries between two positions, the second one too, the latest first.

        Raises:
            Unavailable, Corrupt: as ``page``.
        """
        until = min(until, _LAST)
        spans = ((begin, moment(until)) for begin in _depths(after, until))
        latest = sql.SQL("ms DESC, seq DESC")
        return await self._between(tag, after, until, count, log, spans, latest)

    async def _between(  # noqa: PLR0917 - the page, spelled out
        self,
        tag: Tag,
        after: Position,
        until: Position,
        count: int,
        log: str,
        spans: Iterator[tuple[datetime, datetime]],
        order: sql.SQL,
    ) -> list[RawEntry]:
        """The first in an order, looked for in longer and longer spans until there are enough."""
        if after >= until:
            return []
        chosen = entries.EVENT_SELECTED if log == EVENTS else entries.LINE_SELECTED
        query = sql.SQL(
            "SELECT {chosen} FROM {table} WHERE tag = %s"
            " AND (ms, seq) > (%s, %s) AND (ms, seq) <= (%s, %s) AND at >= {begin} AND at <= {end}"
            " ORDER BY {by} LIMIT %s"
        )
        args, found = [tag.text, *after, *until, count], []
        async with self._database.transaction() as connection:
            for begin, end in spans:
                asked = query.format(
                    chosen=sql.SQL(chosen),
                    table=sql.Identifier(SCHEMA, log),
                    begin=begin,
                    end=end,
                    by=order,
                )
                found = await (await connection.execute(asked, args)).fetchall()
                if len(found) == count:
                    break
        make = entries.event_entry if log == EVENTS else entries.line_entry
        try:
            return [make(*row) for row in found]
        except (TypeError, ValueError, IndexError) as error:
            raise Corrupt(
                f"the archive has something of {tag.text} behind {after} that was no entry: {error}"
            ) from error

    async def at(self, tag: Tag, position: Position, log: str = EVENTS) -> RawEntry | None:
        """The entry at a position."""
        found = await self.page(tag, position.previous, position, 1, log)
        return found[0] if found else None


def _horizons(after: Position, until: Position) -> Iterator[datetime]:
    """Up to when to look for what follows a position, each a while further, until the end.

    A page is mostly in one partition or two; the plan of a question without an end has them all.
    """
    ahead = _WEEK_MS
    while after.ms + ahead < until.ms:
        yield moment(Position(after.ms + ahead, 0))
        ahead *= _FURTHER
    yield moment(until)


def _depths(after: Position, until: Position) -> Iterator[datetime]:
    """From when on to look for what leads up to a position: ``_horizons`` the other way."""
    back = _WEEK_MS
    while after.ms + back < until.ms:
        yield moment(Position(until.ms - back, 0))
        back *= _FURTHER
    yield moment(after)


async def _moved(  # noqa: PLR0917 - the page, spelled out
    connection: Connection,
    owner: Owner,
    log: str,
    before: Position,
    after: Position,
    count: int,
) -> bool:
    """Move a log's position on, which locks it until the page is there; False when it is not so."""
    where = [owner.tag, log, *before]
    if before == START:
        done = await connection.execute(
            "INSERT INTO colonies.positions (tag, log, colony, ms, seq, copied)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [owner.tag, log, owner.colony, *after, count],
        )
    else:
        done = await connection.execute(
            "UPDATE colonies.positions SET ms = %s, seq = %s, copied = copied + %s"
            " WHERE tag = %s AND log = %s AND ms = %s AND seq = %s",
            [*after, count, *where],
        )
    return done.rowcount == 1
