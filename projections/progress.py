"""Reading your own writes from an async projection: wait, bounded, until it has caught up."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from broker import keys
from broker.keys import Tag
from broker.position import START
from broker.store import EventStore
from projections import checkpoint
from projections.projection import Projection

PATIENCE_S = 1.0


class Progress:
    """Hears how far async projections are."""

    def __init__(
        self,
        store: EventStore,
        listen: Callable[[str], Awaitable[None]],
        leave: Callable[[str], None],
    ) -> None:
        """``listen`` returns when nothing that is published from then on can be missed."""
        self._store = store
        self._listen = listen
        self._leave = leave
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def heard(self, channel: str) -> bool:
        """Somebody made progress; whether anybody here waits for that."""
        waiting = self._waiting.get(channel)
        for step in waiting or ():
            step.set()
        return waiting is not None

    async def caught_up(self, tag: Tag, projection: Projection) -> bool:
        """Wait until a projection has applied every event there was; False when out of patience."""
        lag = await checkpoint.lag(self._store, tag, projection)
        if lag.last is None or not lag.behind:
            return True
        channel, step = keys.progress_channel(tag), asyncio.Event()
        self._waiting[channel].add(step)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._listen(channel)
                while (await checkpoint.load(self._store, tag, projection) or START) < lag.last:
                    await step.wait()
                    step.clear()
        except TimeoutError:
            return False
        finally:
            self._waiting[channel].discard(step)
            if not self._waiting[channel]:
                del self._waiting[channel]
                self._leave(channel)
        return True
