"""A Redis Cluster whose primaries are killed: their colonies go on, the others never notice."""

import asyncio
import random
from collections.abc import Mapping, Sequence

from broker.keys import SERVER, Tag
from tests.acceptance.inspection import opened_store, tag_of
from tests.shards import QUICK_MS, Node, Shards, running_cluster
from tests.storms.fleet import Post, plan, sailing
from tests.storms.load import Load
from tests.storms.storm import Outcome, Storm, Wish, judge, storming

COLONIES = 4
REPLICAS = 1
"""So many replicas must have what is acknowledged."""
BETWEEN = 150


async def cluster(wish: Wish) -> Outcome:
    """The whole storm."""
    with running_cluster() as shards:
        shards.give_up_after(QUICK_MS)
        posts = _one_of_each(plan(shards.url, replicas=REPLICAS))
        async with sailing(posts) as fleet:
            servers = lambda: fleet.apis  # noqa: E731
            async with storming("cluster", wish, servers, colonies=COLONIES) as storm:
                tags = await _tags(shards, storm.loads)
                await _rage(storm, shards, tags, wish.chance())
            outcome = await judge(storm, shards.url)
            outcome.wrong += fleet.bugs
            return outcome


def _one_of_each(posts: Sequence[Post]) -> list[Post]:
    return list({post.name: post for post in posts}.values())


async def _tags(shards: Shards, loads: Sequence[Load]) -> dict[str, Tag]:
    async with opened_store(shards.url) as store:
        return {load.tenant.name: await tag_of(store, load.tenant.name) for load in loads}


async def _rage(
    storm: Storm, shards: Shards, tags: Mapping[str, Tag], chance: random.Random
) -> None:
    """Kill the primary of a colony; once it is replaced, it comes back as a replica."""
    rounds = 0
    while storm.goes_on(rounds):
        await storm.witness.more(BETWEEN)
        victim = chance.choice(sorted(tags))
        node = await asyncio.to_thread(shards.primary_of, tags[victim])
        is_servers = node is await asyncio.to_thread(shards.primary_of, SERVER)
        storm.strike(
            "kill -9 of a primary" + (" with the server's own stream" if is_servers else "")
        )
        others = await asyncio.to_thread(_elsewhere, shards, node, storm.loads, tags)
        before = {load.tenant.name: load.client.troubles for load in others}
        done = {load.tenant.name: len(load.ledger.closed) for load in others}
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(shards.replaced, tags[victim], node)
        for load in others:
            name = load.tenant.name
            went_on = len(load.ledger.closed) - done[name]
            storm.outcome.looked_at["closes elsewhere meanwhile"] += went_on
            if not is_servers and load.client.troubles != before[name]:
                storm.outcome.wrong.append(f"{name}, on another shard, noticed the kill")
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(shards.whole)
        rounds += 1
    await storm.witness.more(BETWEEN)


def _elsewhere(
    shards: Shards, node: Node, loads: Sequence[Load], tags: Mapping[str, Tag]
) -> list[Load]:
    return [load for load in loads if shards.primary_of(tags[load.tenant.name]) is not node]
