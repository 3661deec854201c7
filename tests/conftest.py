"""Fixtures that every kind of test may use."""

import gc
import signal
from collections.abc import AsyncGenerator, Iterator

import hypothesis
import pytest
import redis

from broker.clock import StoreClock
from broker.pipeline import Pipeline
from broker.reading import Link
from broker.store import EventStore
from projections.core import fold
from tests.links import FakeLink
from tests.valkey import running_valkey

IN_FLIGHT = 4_096
# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")
# Whoever runs us in the background may have us ignore Ctrl-C, and whatever we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test has left to the garbage collector is collected at its end, not in another."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The URL of a real Valkey server; each test process (xdist worker) has its own."""
    with running_valkey() as url:
        yield url


@pytest.fixture
def redis_url(valkey: str) -> str:
    """The URL of a real and empty Valkey server."""
    with redis.Redis(unix_socket_path=valkey.removeprefix("unix://")) as client:
        client.flushall()  # pyright: ignore[reportUnknownMemberType] - redis-py leaves **kwargs untyped
    return valkey


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.real)])
async def link(request: pytest.FixtureRequest) -> AsyncGenerator[Link]:
    """A way to an empty store: once fakeredis, once a real server over the real pipeline."""
    if request.param == "fake":
        yield FakeLink()
        return
    pipeline = Pipeline(request.getfixturevalue("redis_url"), IN_FLIGHT)
    await pipeline.start()
    yield pipeline
    await pipeline.close()


@pytest.fixture
def store(link: Link) -> EventStore:
    """An empty event store, fake and real."""
    return EventStore(link, fold, StoreClock())
