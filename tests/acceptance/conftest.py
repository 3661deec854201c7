"""Two server processes on one store, and colonies on them; what is verified after every test."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from broker.identity import Identity
from broker.settings import Settings
from tests.acceptance.asking import Api
from tests.acceptance.inspection import events_in, verified
from tests.acceptance.processes import Server, Store, own_store, read_entry, started
from tests.acceptance.tenants import Tenant, found
from tests.valkey import running_valkey

OWNER = Identity.from_hex("5e" * 32)
SETTINGS = Settings(redis_url="redis://", server_id=OWNER.id, host="127.0.0.1", port=0)

Found = Callable[..., Awaitable[Tenant]]


def settings_on(store_url: str, **changes: object) -> dict[str, str]:
    """The environment of a server on a store."""
    return replace(SETTINGS, redis_url=store_url, **changes).to_env()  # pyright: ignore[reportArgumentType] - fields of Settings


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """A store for the two servers alone: all other tests empty theirs again and again."""
    with running_valkey() as url:
        yield url


@pytest.fixture(scope="session")
def servers(valkey: str) -> Generator[tuple[Server, Server]]:
    """Two separate server processes on one store, for all tests that do not kill them."""
    with started(settings_on(valkey)) as first, started(settings_on(valkey)) as second:
        yield first, second
        for server in (first, second):
            assert server.stop() == 0, server.log.text
            unread = [line for line in server.log.lines if read_entry(line).event == ""]
            assert not unread, "".join(unread)


@pytest.fixture(autouse=True)
def _no_bugs(request: pytest.FixtureRequest) -> Generator[None]:
    """No request of a test may have met a bug: the servers say in their logs when one did."""
    if "servers" not in request.fixturenames:
        yield
        return
    servers: tuple[Server, Server] = request.getfixturevalue("servers")
    said = [len(server.log.lines) for server in servers]
    yield
    for server, before in zip(servers, said, strict=True):
        bugs = [line for line in server.log.lines[before:] if read_entry(line).event == "bug"]
        assert not bugs, "\n".join(json.loads(line)["exception"] for line in bugs)


@pytest.fixture
async def api(servers: tuple[Server, Server]) -> AsyncGenerator[Api]:
    """The first server."""
    async with Api(servers[0].url) as first:
        yield first


@pytest.fixture
async def other(servers: tuple[Server, Server]) -> AsyncGenerator[Api]:
    """The second server."""
    async with Api(servers[1].url) as second:
        yield second


@pytest.fixture
async def founded(api: Api, valkey: str) -> AsyncGenerator[Found]:
    """Makes colonies; afterwards their rows must be what their logs say."""
    made: list[Tenant] = []

    async def make(name: str = "") -> Tenant:
        made.append(await found(api, OWNER, name))
        return made[-1]

    yield make
    await verified(valkey, *(tenant.name for tenant in made))


@pytest.fixture
async def tenant(founded: Found) -> Tenant:
    """A colony."""
    return await founded()


@pytest.fixture(scope="session")
def common(servers: tuple[Server, Server]) -> Tenant:
    """A colony for requests that must not change anything."""

    async def make() -> Tenant:
        async with Api(servers[0].url) as api:
            return await found(api, OWNER)

    # Of a thread of its own, because the loops of tests come and go.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, make()).result()


@pytest.fixture
async def untouched(common: Tenant, valkey: str) -> AsyncGenerator[Tenant]:
    """A colony; afterwards neither it nor the server may have one event more."""
    before = await events_in(valkey, common.name)
    yield common
    assert await events_in(valkey, common.name) == before


@pytest.fixture
def store() -> Generator[Store]:
    """A store of one's own, to kill."""
    with own_store() as running:
        yield running
