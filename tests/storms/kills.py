"""kill -9 of API workers, servers, timers, projectors, archivers and the store, at random."""

import asyncio
import random

from projections.archive.archive import Archive
from tests.acceptance.processes import Store, own_store
from tests.postgres import running_postgres
from tests.storms.check import archived
from tests.storms.fleet import ARCHIVER, Fleet, plan, sailing
from tests.storms.storm import Outcome, Storm, Wish, judge, storming

STORE = "the store"
TOGETHER = 0.5
"""How often a server dies with the store."""
FEWEST, MOST = 20, 150
"""Between two kills so many mutations are acknowledged."""
MISSED = 3
"""So many requests find the store away before it is started again."""


async def kills(wish: Wish) -> Outcome:
    """The whole storm."""
    with own_store() as store, running_postgres() as postgres:
        archive_url = postgres.database()
        archive = Archive(archive_url)
        await archive.create()
        async with sailing(plan(store.url, archive_url=archive_url)) as fleet:
            async with storming("kills", wish, lambda: fleet.apis) as storm:
                await _rage(storm, fleet, store, wish.chance())
            outcome = await judge(storm, store.url)
            for load in storm.loads:
                outcome.take(await archived(store.url, archive, load.tenant.name))
            if outcome.wrong:
                outcome.wrong += [post.said for post in fleet.posts if post.name == ARCHIVER]
            outcome.wrong += fleet.bugs
        await archive.close()
        return outcome


async def _rage(storm: Storm, fleet: Fleet, store: Store, chance: random.Random) -> None:
    """One kill after the other; every kind at least once, and then as chance has it."""
    servers = sorted({post.name for post in fleet.posts})
    kinds = [*servers, STORE]
    rounds = 0
    while storm.goes_on(rounds):
        if rounds % len(kinds) == 0:
            chance.shuffle(kinds)
        await storm.witness.more(chance.randint(FEWEST, MOST))
        kind = kinds[rounds % len(kinds)]
        if kind == STORE:
            await _kill_store(storm, fleet, store, chance)
        else:
            await _kill_server(storm, fleet, kind, chance)
        rounds += 1
    await storm.witness.more(MOST)


async def _kill_server(storm: Storm, fleet: Fleet, kind: str, chance: random.Random) -> None:
    storm.strike(f"kill -9 of {kind}")
    victim = fleet.victim(kind, chance)
    await victim.fall(chance)
    await victim.rise()


async def _kill_store(storm: Storm, fleet: Fleet, store: Store, chance: random.Random) -> None:
    """It comes back on the data it had, when some have missed it; every other time not alone."""
    storm.strike(f"kill -9 of {STORE}")
    victim = None
    await asyncio.to_thread(store.kill)
    if chance.random() < TOGETHER:
        kind = chance.choice(sorted({post.name for post in fleet.posts}))
        storm.strike(f"kill -9 of {kind}")
        victim = fleet.victim(kind, chance)
        await victim.fall(chance)
    await storm.witness.trouble(MISSED)
    await asyncio.to_thread(store.start)
    if victim is not None:
        await victim.rise()
