"""A running floor: the smallest real server that the load generator can talk to."""

from collections.abc import AsyncIterator

import pytest_asyncio

from bench import servers
from bench.servers import Target


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def floor() -> AsyncIterator[Target]:
    """The constant-reply app with one worker."""
    async with servers.floor(1) as target:
        yield target
