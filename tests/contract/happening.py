"""What happens in the store of a server, for those who wait until something has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis.asyncio

STREAMS = ("__keyspace@*__:*:events", "__keyspace@*__:*:logs")
TOLD = "Kt"
"""Of what happens to keys, Redis tells by name what happens to streams."""


class Happening(Protocol):
    """Where something happens."""

    @property
    def so_far(self) -> int:
        """How much has happened."""
        ...

    async def more_than(self, happened: int, within_s: float) -> bool:
        """Wait until more has happened than so much; False when nothing did in time."""
        ...


@dataclass(slots=True)
class Changes:
    """The changes of a store's streams, as it tells them."""

    so_far: int = 0
    _waiting: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self) -> None:
        """Something has changed."""
        self.so_far += 1
        self._waiting.set()

    async def more_than(self, happened: int, within_s: float) -> bool:
        """Wait until more has changed than so much; False when nothing did in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.so_far <= happened:
                    self._waiting.clear()
                    await self._waiting.wait()
        return self.so_far > happened


@asynccontextmanager
async def changes_of(redis_url: str) -> AsyncGenerator[Changes]:
    """What changes in the streams of a store from now on."""
    store: Any = redis.asyncio.Redis.from_url(redis_url)  # pyright: ignore[reportUnknownMemberType] - redis-py leaves **kwargs untyped
    changes = Changes()
    async with store, store.pubsub() as told:
        await store.config_set("notify-keyspace-events", TOLD)
        await told.psubscribe(*STREAMS)
        for _ in STREAMS:
            await told.get_message(timeout=None)

        async def listen() -> None:
            async for _ in told.listen():
                changes.heard()

        listening = asyncio.create_task(listen())
        try:
            yield changes
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await store.config_set("notify-keyspace-events", "")
