"""Hearing that something was said in a channel: an event for each subscription, set by notices.

A colony's notices are listened to as long as somebody here is subscribed to one of its channels.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from broker import keys
from broker.keys import Tag


class Said:
    """Who in this process waits for entries of which channels."""

    def __init__(
        self, listen: Callable[[str], Awaitable[None]], leave: Callable[[str], None]
    ) -> None:
        """``listen`` returns when nothing can be missed any more; ``leave`` ends it."""
        self._listen = listen
        self._leave = leave
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._count = Counter[str]()

    @asynccontextmanager
    async def heard(self, tag: Tag, process_id: str, name: str) -> AsyncGenerator[asyncio.Event]:
        """An event that is set whenever there may be an entry more.

        Raises:
            Unavailable: the store is away.
        """
        topic, event = keys.said_channel(tag), asyncio.Event()
        place = topic, f"{process_id}/{name}"
        self._waiting[place].add(event)
        self._count[topic] += 1
        try:
            await self._listen(topic)
            yield event
        finally:
            self._waiting[place].discard(event)
            if not self._waiting[place]:
                del self._waiting[place]
            self._count[topic] -= 1
            if not self._count[topic]:
                del self._count[topic]
                self._leave(topic)

    def hear(self, topic: str, text: str) -> bool:
        """Pass on a notice; whether it was one of these."""
        for event in self._waiting.get((topic, text), ()):
            event.set()
        return topic in self._count

    def wake_all(self) -> None:
        """Something may have been missed: let everybody look."""
        for events in self._waiting.values():
            for event in events:
                event.set()
