"""Looking into the store behind the servers: is it what the log says?"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import redis.asyncio

from broker import keys
from broker.clock import StoreClock
from broker.cluster import way_to
from broker.directory import Directory
from broker.keys import SERVER, Tag
from broker.store import EventStore
from projections.core import fold
from projections.replay import verify
from tests.acceptance.asking import Answer, Api, eventually
from tests.acceptance.tenants import Executor


@asynccontextmanager
async def opened_store(url: str) -> AsyncGenerator[EventStore]:
    """The store of some servers."""
    pipeline = way_to(url, 1000)
    await pipeline.start()
    try:
        yield EventStore(pipeline, fold, StoreClock())
    finally:
        await pipeline.close()


async def tag_of(store: EventStore, colony_name: str) -> Tag:
    """The hash tag of a colony."""
    colony = await Directory(store).named(colony_name)
    assert colony is not None
    return colony.tag


async def verified(url: str, *colony_names: str) -> None:
    """Every row of the server and of these colonies must follow from its log.

    A colony that a test has removed is looked for in vain, and left out.
    """
    async with opened_store(url) as store:
        directory = Directory(store)
        colonies = [await directory.named(name) for name in colony_names]
        for tag in (SERVER, *(colony.tag for colony in colonies if colony)):
            assert (await verify(store, tag, fold)).differences == ()


async def events_in(url: str, *colony_names: str) -> list[int]:
    """How many events of somebody's making the server and these colonies have had.

    What the server does by itself (it sweeps up after removed colonies) does not count.
    """
    async with opened_store(url) as store:
        tags = [SERVER, *[await tag_of(store, name) for name in colony_names]]
        streams = [await store.send("XRANGE", tag.key(keys.EVENTS), "-", "+") for tag in tags]
    return [sum(_actor(fields) != b"" for _, fields in stream) for stream in streams]


def _actor(fields: list[bytes]) -> bytes:
    """Whose doing an entry of a stream is."""
    return fields[fields.index(b"actor") + 1]


async def keys_of(url: str, text: str) -> list[str]:
    """All keys that contain a text."""
    async with redis.asyncio.from_url(url) as client:  # pyright: ignore[reportUnknownMemberType] - **kwargs untyped
        found = cast("list[bytes]", await client.keys("*"))  # pyright: ignore[reportUnknownMemberType]
    return sorted(name.decode() for name in found if text in name.decode())


class Ear:
    """Knows who listens, and what the store was told to do."""

    def __init__(self, url: str) -> None:
        self._client: Any = redis.asyncio.from_url(url)  # pyright: ignore[reportUnknownMemberType]
        self._url = url

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def listeners(self, colony_name: str) -> int:
        """How many processes wait for notices of a colony."""
        async with opened_store(self._url) as store:
            channel = keys.wake_channel(await tag_of(store, colony_name))
        ((_, count),) = await self._client.pubsub_numsub(channel)
        return count

    async def scripts(self) -> int:
        """How many scripts have run: every try to claim is one."""
        stats = await self._client.info("commandstats")
        return sum(int(stats.get(f"cmdstat_{n}", {}).get("calls", 0)) for n in ("evalsha", "eval"))


async def waiting(api: Api, ear: Ear, executor: Executor, timeout_s: int) -> "asyncio.Task[Answer]":
    """A long poll that has tried twice in vain, so that it waits."""
    before = await ear.scripts()
    task = asyncio.create_task(executor.assign(api, timeout_s))

    async def tried() -> bool:
        return task.done() or await ear.scripts() >= before + 2

    await eventually(tried, "a waiting executor")
    return task
