"""What was done without our hearing of it: those who wait for it are told all the same."""

import asyncio

import pytest

from api.app import Server
from broker import keys
from broker.aggregates.colony import RESUMED
from broker.matching import Offer
from broker.settings import Durability, Role, Settings
from tests.facts import EXECUTOR, OWNER, TAG
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.real


async def test_waiting_executor_tries_again_when_answers_were_lost(redis_url: str) -> None:
    settings = Settings(
        redis_url=redis_url,
        server_id=OWNER,
        roles=frozenset({Role.API}),
        durability=Durability.NONE,
    )
    server = Server(settings=settings)
    async with server.running():
        waiting, store = server.context.waiting, server.context.store
        offer = Offer(
            executor_id=EXECUTOR, executor_type="cli", name="e", location="", cpu=None, mem=None
        )
        channel = keys.wake_channel(TAG)
        waiter = waiting.enter(channel, offer)
        await server.context.listen(channel)
        until = asyncio.get_running_loop().time() + PATIENCE_S
        waits = asyncio.ensure_future(waiting.wait(waiter, until))

        # Its reply goes with the connection, and so would those of submits in flight.
        number = await store.send("CLIENT", "ID")
        store_lost = store.send("CLIENT", "KILL", "ID", number, "SKIPME", "no")
        await asyncio.gather(store_lost, return_exceptions=True)

        assert await waits
        assert RESUMED in waiter.owed
        waiting.leave(channel, waiter)
