"""Hearing that work arrived: one subscribed connection a process, one channel a colony.

A channel is subscribed when the first executor waits in a colony, and left some time after the
last has gone, so that a colony whose executors never wait costs nothing to publish to.
"""

import asyncio
from collections.abc import Callable

from broker.pipeline import Connection, Lost, Pipeline, Reply, Subscription, hear_out

_LINGER_S = 5.0
_MOST_IN_FLIGHT = 100_000

Heard = Callable[[str, str], None]
"""Called with channel and text."""


class RedisNotices:
    """Notices over Redis pub/sub."""

    def __init__(
        self, url: str, heard: Heard, missed: Callable[[], None], *, patience_s: float = 0.0
    ) -> None:
        """``missed`` is called when a connection came back: something may have been missed.

        One that is silent for ``patience_s`` is given up, although it has little to say.
        """
        self._heard = heard
        self._missed = missed
        self._pipeline = Pipeline(
            url,
            _MOST_IN_FLIGHT,
            make=self._make,
            on_connected=self._on_connected,
            patience_s=patience_s,
            pings=True,
        )
        self._channels: dict[str, asyncio.Future[Reply]] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}

    def _make(self, max_in_flight: int, on_lost: Lost) -> Connection:
        return Subscription(self._heard, max_in_flight, on_lost)

    def _on_connected(self) -> None:
        """Subscribe again, one reply a command; only then is what was missed over."""
        again = [self._pipeline.call("SUBSCRIBE", channel) for channel in self._channels]
        if again:
            for reply in again[:-1]:
                reply.add_done_callback(hear_out)
            again[-1].add_done_callback(self._subscribed_again)

    def _subscribed_again(self, reply: asyncio.Future[Reply]) -> None:
        if not reply.cancelled() and reply.exception() is None:
            self._missed()

    async def listen(self, channel: str) -> None:
        """Hear a channel; returns when nothing published from now on can be missed.

        Raises:
            Unavailable: the store is away.
        """
        leaving = self._leaving.pop(channel, None)
        if leaving is not None:
            leaving.cancel()
        subscribing = self._channels.get(channel)
        if subscribing is None:
            work = self._pipeline.call("SUBSCRIBE", channel)
            subscribing = self._channels[channel] = asyncio.ensure_future(work)
            subscribing.add_done_callback(lambda done: self._subscribed(channel, done))
        await asyncio.shield(subscribing)

    def _subscribed(self, channel: str, done: asyncio.Future[Reply]) -> None:
        """A subscription that failed is forgotten, so that the next listener tries again."""
        if done.cancelled() or done.exception() is not None:
            self._channels.pop(channel, None)

    def leave(self, channel: str) -> None:
        """A channel does not matter any more; it is left some time from now."""
        loop = asyncio.get_running_loop()
        self._leaving[channel] = loop.call_later(_LINGER_S, self._left, channel)

    def _left(self, channel: str) -> None:
        del self._leaving[channel]
        if self._channels.pop(channel, None) is not None:
            self._pipeline.forget("UNSUBSCRIBE", channel)

    async def start(self) -> None:
        """Connect."""
        await self._pipeline.start()

    async def close(self) -> None:
        """End for good."""
        for timer in self._leaving.values():
            timer.cancel()
        await self._pipeline.close()
