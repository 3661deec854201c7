"""Whoever asks whether a server is well is told soon."""

import asyncio
from typing import Any

import pytest

from api import health
from broker.clock import StoreClock
from broker.store import EventStore
from projections.core import fold


class Silent:
    """A way to a store that takes commands and does not answer."""

    def call(self, *_args: Any) -> "asyncio.Future[Any]":  # noqa: ANN401 - what Redis takes
        """Take one."""
        return asyncio.get_running_loop().create_future()


async def test_a_store_that_hangs_is_no_healthy_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE_S", 0.01)

    answer = await health.answering(EventStore(Silent(), fold, StoreClock()))

    assert (answer.status_code, answer.body) == (503, b"the store has not answered for 0.01 s")
