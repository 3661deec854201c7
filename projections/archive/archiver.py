"""The archiver role: copies what happens in every colony to PostgreSQL.

Any number of archivers may run: a page is copied by one of them. While the archive is away nothing
waits for it but the deletion of what is not in it yet.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from broker import archived, keys
from broker.archived import EVENTS, LINES, STREAMS
from broker.clock import MS_NS
from broker.cluster import BLOCK_MS
from broker.directory import Directory
from broker.envelope import RawEntry, position_of
from broker.errors import BrokerError, Corrupt, Overloaded, Unavailable
from broker.keys import SERVER, Tag
from broker.pace import rest
from broker.position import START, Position
from broker.reading import as_hash
from broker.store import EventStore
from projections.archive.archive import Archive
from projections.archive.database import ArchiveAway
from projections.archive.entries import Owner, moment
from projections.archive.trimming import trim
from projections.projection import Projection

_log = structlog.get_logger(__name__)
PAGE = 1_000
_GATHER_S = 0.1
"""What arrives this soon after the first entry of a page shares its transaction."""
_AROUND_S = 5.0
"""How often one looks after what no new entry leads to."""
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Log:
    """One stream that is copied."""

    owner: Owner
    tag: Tag
    name: str

    @property
    def key(self) -> str:
        """Where the stream is."""
        return self.tag.key(STREAMS[self.name])


@dataclass(slots=True)
class Archiver:
    """Keeps an archive up with the streams of a store.

    ``waits`` has a connection of its own, on which blocking reads hold nobody up.
    """

    store: EventStore
    waits: EventStore
    archive: Archive
    projections: Sequence[Projection] = ()
    """Whose checkpoints trimming waits for."""
    keep_ms: int = 0
    """How long what is archived stays in the streams, 0 for ever."""
    lines_ms: int = 0
    """How long the archive keeps log lines, 0 for ever."""
    _directory: Directory = field(init=False)
    _reached: dict[Log, Position] = field(default_factory=dict[Log, Position])
    _stuck: dict[Log, str] = field(default_factory=dict[Log, str])
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _around_at: float = 0.0

    def __post_init__(self) -> None:
        self._directory = Directory(self.store)

    def stop(self) -> None:
        """End after the page that is under way."""
        self._stopping.set()

    async def run(self) -> None:
        """Copy all there is, wait for more, copy that, until stopped; come back after failures."""
        failures, prepared = 0, False
        while not self._stopping.is_set():
            try:
                if not prepared:
                    applied = await self.archive.create()
                    if applied:
                        _log.info("archive_made", applied=applied)
                    prepared = True
                await self.catch_up(await self._news())
                failures = 0
            except (Unavailable, Overloaded, Corrupt) as error:
                if self._stopping.is_set():
                    return
                self._reached.clear()
                self.archive.tables.forget()
                pause = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
                failures += 1
                _log.warning("archive_postponed", error=str(error), retry_in_s=pause)
                await self._complain(str(error))
                await self._sleep(pause)

    async def catch_up(self, logs: Sequence[Log]) -> None:
        """Copy everything that some logs have beyond what was copied, and see to the rest.

        Raises:
            Unavailable, Overloaded: the archive is away, or the shard of some colony; then the
                others were seen to.
        """
        lost = None
        for log in logs:
            if log not in self._stuck and not self._stopping.is_set():
                try:
                    await self._copy(log)
                except ArchiveAway:
                    raise
                except (Unavailable, Overloaded) as error:
                    lost = error
                except Corrupt as error:
                    self._reached.pop(log, None)
                    self._stuck[log] = str(error)
                    _log.critical("archive_stopped", colony=log.owner.colony, error=str(error))
        if time.monotonic() >= self._around_at:
            lost = await self._look_around() or lost
        if lost is not None:
            raise lost

    async def logs(self) -> list[Log]:
        """Everything that is to be copied; the server's own log before those of its colonies."""
        colonies = await self._directory.every()
        found = [Log(Owner("", SERVER.text), SERVER, EVENTS)]
        owners = [(colony.name, colony.tag) for colony in colonies]
        removed = (await self.store.hashes(SERVER, keys.REMOVED))[0]
        owners += [(name.decode(), Tag(tag.decode())) for tag, name in removed.items()]
        for name, tag in owners:
            found += [Log(Owner(name, tag.text), tag, log) for log in (EVENTS, LINES)]
        return found

    async def _news(self) -> list[Log]:
        """The logs that have something new, as soon as one has, or after a while."""
        logs = await self.logs()
        for known in (self._reached, self._stuck):
            for log in known.keys() - set(logs):
                del known[log]
        waiting = [log for log in logs if log not in self._stuck]
        fresh = [log for log in waiting if log not in self._reached]
        if fresh:
            return fresh
        positions = [str(self._reached[log]) for log in waiting]
        options = ("COUNT", 1, "BLOCK", BLOCK_MS, "STREAMS")
        told = await self.waits.send("XREAD", *options, *(log.key for log in waiting), *positions)
        if told:
            await self._sleep(_GATHER_S)
        names = {name.decode() for name, _ in told or ()}
        return [log for log in waiting if log.key in names]

    async def _copy(self, log: Log) -> None:
        before = self._reached.get(log)
        if before is None:
            before = await self._known(log)
        while not self._stopping.is_set():
            began = time.monotonic()
            page = await self._page(log, before)
            if page and not await self.archive.copy(log.owner, log.name, before, page):
                # Another archiver was faster; it goes on where that one is.
                before = await self._known(log)
                await self._sleep(_GATHER_S)
                continue
            if page:
                before = position_of(page[-1])
                await archived.mark(self.store, log.tag, log.name, before)
            self._reached[log] = before
            if len(page) < PAGE:
                return
            await rest(began)

    async def _page(self, log: Log, before: Position) -> Sequence[RawEntry]:
        return await self.store.send("XRANGE", log.key, f"({before}", "+", "COUNT", PAGE)

    async def _known(self, log: Log) -> Position:
        """Up to where a log is archived, when that is the log which the store has.

        Raises:
            Corrupt: it is another, or a part of it was trimmed and is not in this archive.
        """
        # In this order: another archiver may copy, and trim behind that, at any moment.
        trimmed = (await archived.marks(self.store, log.tag)).trimmed
        done = await self.archive.position(log.tag, log.name) or START
        if log.name == EVENTS and done < trimmed:
            raise Corrupt(
                f"the events up to {trimmed} were trimmed, and are not in this archive (which ends"
                f" at {done}): the log is in another archive"
            )
        if done == START:
            return done
        here = await self.store.send("XRANGE", log.key, str(done), str(done))
        if here:
            there = await self.archive.at(log.tag, done, log.name)
            # In which order a script wrote the fields says nothing. Lines leave the archive, too.
            same = log.name == LINES if there is None else as_hash(there[1]) == as_hash(here[0][1])
        else:
            # Lines are forgotten by their own rule; of a purged colony nothing is left.
            same = log.name == LINES or await self._is_gone(log, done)
        if not same:
            raise Corrupt(
                f"the archive has another entry at {done} than the store: it belongs to another"
                " store, or this one has lost what it had acknowledged"
            )
        return done

    async def _is_gone(self, log: Log, position: Position) -> bool:
        """Whether an event that is not there was trimmed, or deleted with its colony."""
        if position <= (await archived.marks(self.store, log.tag)).trimmed:
            return True
        return log.tag != SERVER and not await self.store.send("EXISTS", log.key)

    async def _look_around(self) -> Unavailable | Overloaded | None:
        """Trim, and repeat what is to be known of the archive: somebody may have deleted it.

        The result is what was wrong with the shard of some colony.
        """
        self._around_at, lost = time.monotonic() + _AROUND_S, None
        there = {(one.owner.tag, one.log): one.position for one in await self.archive.positions()}
        for log, position in list(self._reached.items()):
            if there.get((log.tag.text, log.name), START) < position:
                # The archive has lost this, or was told to: begin with what it has now.
                del self._reached[log]
            elif position > START and log not in self._stuck:
                try:
                    await archived.mark(self.store, log.tag, log.name, position)
                    await self._trim(log, position)
                except (Unavailable, Overloaded) as error:
                    lost = error
        if self.lines_ms:
            await self._forget_lines()
        await archived.say_state(self.store, "; ".join(sorted(set(self._stuck.values()))))
        return lost

    async def _trim(self, log: Log, position: Position) -> None:
        if not self.keep_ms or log.name != EVENTS:
            return
        removed = await trim(self.store, log.tag, position, self.keep_ms, self.projections)
        if removed:
            _log.info("trimmed", colony=log.owner.colony, events=removed)

    async def _forget_lines(self) -> None:
        now_ms = self.store.clock.now_ns() // MS_NS
        before = moment(Position(max(0, now_ms - self.lines_ms), 0))
        await self.archive.tables.forget_lines(before)

    async def _complain(self, why: str) -> None:
        """Let everybody know why it does not go on, if the store can be told."""
        try:
            await archived.say_state(self.store, why)
        except BrokerError as error:
            _log.info("archive_state_untold", error=str(error))

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
