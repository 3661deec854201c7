"""Processes come, run, end and go for ages, and what a store holds stays as it was.

Retention removes what has ended, archivers copy the logs and trim them; timers, projectors and
archivers are killed meanwhile. Executors take what comes as fast as they are answered.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.connection import Connection, Endpoint, Reply, connections
from bench.wire import Colony, Member, ask, process_of
from broker import keys
from broker.aggregates.process import State
from broker.clock import MS_NS
from broker.keys import Tag
from broker.position import Position
from broker.store import EventStore
from projections.archive.archive import Archive
from tests.acceptance.asking import eventually
from tests.acceptance.conftest import OWNER
from tests.acceptance.inspection import opened_store, tag_of
from tests.acceptance.processes import own_store
from tests.holding import Held, held
from tests.postgres import running_postgres
from tests.storms.check import archived, verified
from tests.storms.fleet import Fleet, plan, sailing
from tests.storms.storm import Outcome, Wish

WIDTH = 16
"""Connections, each with an executor of its own."""
AGES, LEAST = 10, 500
"""A storm has so many ages, of so many lives at least."""
ACKNOWLEDGED = 3
"""Mutations of a life: it is submitted, assigned and closed."""
FEWEST, MOST = 500, 5_000
"""Between two kills so many mutations are acknowledged."""
KEPT_S = 1
"""What has ended is kept for so long,"""
STREAM_S = 60
"""and what is archived for so long, which is the least that may be asked for."""
LATE_S = 60
"""How much later the last of it may go, on a machine that has other things to do."""
MOST_KEPT = 20_000
"""Processes that have ended and are still there, at any time: some seconds' worth."""
ROOM, MOST_REST = 64 * 1024, 4 * 1024**2
"""Bytes by which rows, and what else there is, may differ between two ages."""


@dataclass
class Crowd:
    """Executors that submit, take and close, and those who want to know how far they are."""

    colony: Colony
    connections: Sequence[Connection]
    mutations: int = 0
    longest_s: float = 0.0
    over: bool = False
    _last: float = 0.0
    _waiting: set[tuple[int, asyncio.Event]] = field(default_factory=set[tuple[int, asyncio.Event]])

    async def live(self, lives: int) -> None:
        """So many processes come, run and end."""
        queue = iter(range(lives))
        self._last = time.monotonic()

        async def work(number: int, connection: Connection) -> None:
            executor = self.colony.executors[number]
            taking = self.colony.assign(executor, timeout_s=30)
            for life in queue:
                await self._ask(connection, self.colony.submit(f"life-{life}"))
                taken = process_of(await self._ask(connection, taking))
                await self._ask(connection, executor.close(taken.processid))

        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(self.connections):
                group.create_task(work(number, connection))

    async def _ask(self, connection: Connection, request: bytes) -> Reply:
        reply = await ask(connection, request)
        now = time.monotonic()
        self.longest_s, self._last = max(self.longest_s, now - self._last), now
        self.mutations += 1
        for goal, reached in self._waiting:
            if self.mutations >= goal:
                reached.set()
        return reply

    async def more(self, mutations: int) -> bool:
        """Wait until so many more were acknowledged; False when there will be no more."""
        waiting = (self.mutations + mutations, asyncio.Event())
        if not self.over:
            self._waiting.add(waiting)
            await waiting[1].wait()
            self._waiting.remove(waiting)
        return not self.over

    def end(self) -> None:
        """There will be no more."""
        self.over = True
        for _, reached in self._waiting:
            reached.set()


@dataclass
class Watch:
    """What the store holds: while processes come and go, and when all of an age have gone."""

    store: EventStore
    tag: Tag
    ended_most: int = 0
    """So many at once had ended and were still there."""
    ages: list[Held] = field(default_factory=list[Held])

    async def look(self, crowd: Crowd) -> None:
        """Look now and then."""
        while await crowd.more(WIDTH * ACKNOWLEDGED):
            self.ended_most = max(self.ended_most, await self._ended())

    async def age(self) -> None:
        """An age is over: all of it is to go, and its events to be trimmed when they are old."""
        await eventually(self._gone, "retention to remove what has ended", LATE_S)
        await eventually(self._young, "archivers to trim what is old", LATE_S)
        self.ages.append(await held(self.store, self.tag))

    async def _ended(self) -> int:
        return await self.store.send("ZCARD", self.tag.key(keys.listing(State.SUCCESS)))

    async def _gone(self) -> bool:
        return not await self._ended()

    async def _young(self) -> bool:
        first = await self.store.send("XRANGE", self.tag.key(keys.EVENTS), "-", "+", "COUNT", 1)
        now_ms = self.store.clock.now_ns() // MS_NS
        return not first or now_ms - Position.parse(first[0][0]).ms < (STREAM_S + LATE_S) * 1_000

    def wrong(self) -> list[str]:
        """What grew."""
        first, found = self.ages[0], list[str]()
        if any(held.rows > first.rows + ROOM for held in self.ages):
            found.append(f"rows grew: {self.ages}")
        if any(held.rest > first.rest + MOST_REST for held in self.ages):
            found.append(f"what are no rows grew: {self.ages}")
        if self.ended_most > MOST_KEPT:
            found.append(f"{self.ended_most} that had ended were still there")
        return found

    @property
    def told(self) -> list[str]:
        """What is worth telling of it."""
        first, last = self.ages[0], self.ages[-1]
        parts = "; ".join(
            f"{name} {before:,} and {after:,}"
            for name, before, after in (
                ("rows", first.rows, last.rows),
                ("landmarks", first.landmarks, last.landmarks),
                ("the log, of which a minute stays", first.log, last.log),
                ("anything else", first.rest, last.rest),
            )
        )
        return [
            f"At most {self.ended_most:,} processes that had ended were still there.",
            f"Bytes in the store after the first age and after the last: {parts}.",
        ]


async def ages(wish: Wish) -> Outcome:
    """The whole storm."""
    outcome = Outcome(name="ages", seed=wish.seed)
    print(f"{outcome.name}: seed {wish.seed}", flush=True)
    with own_store() as kept, running_postgres() as postgres:
        archive_url = postgres.database()
        archive = Archive(archive_url)
        await archive.create()
        keeping = {"success_retention_s": KEPT_S, "stream_keep_s": STREAM_S}
        posts = plan(kept.url, archive_url=archive_url, **keeping)
        async with sailing(posts) as fleet, opened_store(kept.url) as store:
            async with _crowd(fleet.apis[0].url) as crowd:
                watch = Watch(store, await tag_of(store, crowd.colony.name))
                await _lived(crowd, fleet, watch, wish, outcome)
            outcome.take(await archived(kept.url, archive, crowd.colony.name))
            outcome.wrong += watch.wrong() + fleet.bugs
        outcome.wrong += await asyncio.to_thread(verified, kept.url, archive_url)
        await archive.close()
        return outcome


@asynccontextmanager
async def _crowd(url: str) -> AsyncGenerator[Crowd]:
    at = urlsplit(url)
    assert at.hostname is not None
    assert at.port is not None
    endpoint = Endpoint(host=at.hostname, port=at.port)
    colony = Colony.imagine(endpoint, "ages", WIDTH)
    async with connections(endpoint, WIDTH) as opened:
        await colony.found(opened[0], Member(endpoint, "owner", OWNER))
        yield Crowd(colony, opened)


async def _lived(crowd: Crowd, fleet: Fleet, watch: Watch, wish: Wish, outcome: Outcome) -> None:
    """One age after the other."""
    each, lives, began = max(LEAST, wish.lives // AGES), 0, time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(_rage(crowd, fleet, wish.chance(), outcome))
        group.create_task(watch.look(crowd))
        try:
            while (
                lives < wish.lives
                or len(watch.ages) < max(wish.rounds, 2)
                or time.monotonic() - began < wish.seconds
            ):
                started = time.monotonic()
                await crowd.live(each)
                outcome.seconds += time.monotonic() - started
                lives += each
                await watch.age()
                print(
                    f"{lives:10,} lives in {outcome.seconds:,.0f} s: {watch.ages[-1]}", flush=True
                )
        finally:
            crowd.end()
    outcome.mutations, outcome.longest_s = crowd.mutations, crowd.longest_s
    outcome.looked_at["lives"] = lives
    outcome.looked_at["ages"] = len(watch.ages)
    outcome.notes += watch.told


async def _rage(crowd: Crowd, fleet: Fleet, chance: random.Random, outcome: Outcome) -> None:
    """Kill -9 of whoever does not answer requests, one after the other."""
    names = sorted({post.name for post in fleet.posts if post.api is None})
    while await crowd.more(chance.randint(FEWEST, MOST)):
        name = chance.choice(names)
        outcome.blows[f"kill -9 of {name}"] += 1
        victim = fleet.victim(name, chance)
        await victim.fall(chance)
        await victim.rise()
