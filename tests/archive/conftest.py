"""A real PostgreSQL, and a real store with a colony in which much happens."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from broker import archived, keys
from broker.aggregates.server import ColonyRegistered
from broker.archived import EVENTS, LINES
from broker.clock import StoreClock
from broker.envelope import RawEntry
from broker.keys import SERVER, Tag
from broker.logs import LINE_BYTES
from broker.pipeline import Pipeline
from broker.position import START, Position
from broker.store import EventStore
from projections.archive.archive import Archive
from projections.core import fold
from tests.conftest import IN_FLIGHT
from tests.facts import (
    COLONY,
    OWNER,
    SUFFIX,
    T0,
    TAG,
    assigned,
    class_added,
    closed,
    inhabited,
    server_founded,
    submitted,
)
from tests.postgres import Postgres, running_postgres
from tests.store.ground import append

END = Position(2**53, 0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for all tests that do not stop it; each takes a database of its own."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def archive_url(postgres: Postgres) -> str:
    """The address of an empty database."""
    return postgres.database()


@pytest.fixture
async def archive(archive_url: str) -> AsyncGenerator[Archive]:
    """An empty archive."""
    found = Archive(archive_url)
    await found.create()
    yield found
    await found.close()


@asynccontextmanager
async def store_at(url: str) -> AsyncGenerator[EventStore]:
    """A store over a connection of its own."""
    pipeline = Pipeline(url, IN_FLIGHT)
    await pipeline.start()
    try:
        yield EventStore(pipeline, fold, StoreClock())
    finally:
        await pipeline.close()


@dataclass
class Colony:
    """A colony in which processes come and go, and talk."""

    store: EventStore
    number: int = 0

    async def found(self) -> None:
        """The server with this one colony."""
        registered = ColonyRegistered(
            subject=COLONY, actor=OWNER, at_ns=T0, suffix=SUFFIX, colony_id=OWNER
        )
        await append(self.store, server_founded(), registered, tag=SERVER)
        await append(self.store, *inhabited(), class_added())

    async def live(self, lives: int) -> None:
        """Some processes are submitted, run, closed, and say a line."""
        for _ in range(lives):
            self.number += 1
            name = f"{self.number:056d}{SUFFIX}"
            queued = keys.queue_member(T0, name)
            await append(self.store, submitted(name))
            await append(self.store, replace(assigned(name), queued_as=queued))
            await append(self.store, closed(name))
            await self.say(name, f"line {self.number}\0 of {name}")

    async def say(self, process_id: str, text: str) -> None:
        """One log line, where the log keeps it."""
        process = bytes.fromhex(process_id)
        key = TAG.key(keys.LOGS)
        told = await self.store.send("XADD", key, "*", "p", process, "e", "worker", "m", text)
        at, size = Position.parse(told), LINE_BYTES + len(text.encode())
        for index in (keys.process_log(process_id), keys.executor_log("worker")):
            await self.store.send("RPUSH", TAG.key(index), f"{at.ms}{at.seq:06d}")
        await self.store.send("HINCRBY", TAG.key(keys.LOG_STATE), "bytes", size)

    async def entries(self, tag: Tag = TAG, log: str = EVENTS) -> list[RawEntry]:
        """Everything a stream holds."""
        return await self.store.send("XRANGE", tag.key(archived.STREAMS[log]), "-", "+")


@pytest.fixture
async def colony(redis_url: str) -> AsyncGenerator[Colony]:
    """A founded colony on a real store."""
    async with store_at(redis_url) as store:
        lively = Colony(store)
        await lively.found()
        yield lively


async def archive_of(archive: Archive, tag: Tag = TAG, log: str = EVENTS) -> list[RawEntry]:
    """Everything an archive holds of a log."""
    return await archive.page(tag, START, END, 10**6, log)


def plain(entries: Sequence[RawEntry]) -> list[tuple[bytes, list[bytes]]]:
    """Entries to compare."""
    return [(position, list(fields)) for position, fields in entries]


LOGS: Sequence[tuple[Tag, str]] = ((SERVER, EVENTS), (TAG, EVENTS), (TAG, LINES))


async def is_whole(colony: Colony, archive: Archive) -> bool:
    """Whether an archive has exactly what the streams have."""
    for tag, log in LOGS:
        here, there = await colony.entries(tag, log), await archive_of(archive, tag, log)
        if plain(here) != plain(there):
            return False
    return True


async def eventually_whole(colony: Colony, archive: Archive, patience_s: float = 60) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(patience_s):
        while not await is_whole(colony, archive):  # noqa: ASYNC110 - it is another process' doing
            await asyncio.sleep(0.05)
