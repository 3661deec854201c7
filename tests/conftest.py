"""Fixtures that every kind of test may use."""

from collections.abc import Iterator

import pytest
import redis

from tests.valkey import running_valkey


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
