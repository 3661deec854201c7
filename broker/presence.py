"""When executors were last heard from.

Presence is not history: it changes with every poll and nobody replays it. So it is no event and no
fold; it is collected here and written every now and then, one command a colony (docs/adr/0006).
"""

from collections import defaultdict
from time import monotonic

from broker import keys
from broker.errors import Overloaded, Unavailable
from broker.keys import Tag
from broker.store import EventStore

_ONCE_S = 0.5


class Presence:
    """What was heard since it was last written."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._heard: defaultdict[Tag, dict[str, int]] = defaultdict(dict)
        self._noted: dict[str, float] = {}

    def heard(self, tag: Tag, executor_id: str) -> None:
        """Note a signed request of an executor, now; twice within half a second is once."""
        now = monotonic()
        if now - self._noted.get(executor_id, -1.0) > _ONCE_S:
            self._noted[executor_id] = now
            self._heard[tag][executor_id] = self._store.clock.now_ns()

    async def last(self, tag: Tag) -> dict[str, int]:
        """Executor id -> Unix ns it was last heard from, here or elsewhere."""
        row = (await self._store.hashes(tag, keys.HEARD))[0]
        stored = {name.decode(): int(at) for name, at in row.items()}
        return stored | self._heard.get(tag, {})

    async def write(self) -> None:
        """Write what was heard; until that is done it can still be read here."""
        self._noted.clear()
        for tag, heard in list(self._heard.items()):
            written = dict(heard)
            flat = [item for pair in written.items() for item in pair]
            try:
                if await self._store.send("EXISTS", tag.key(keys.COLONY)):
                    await self._store.send("HSET", tag.key(keys.HEARD), *flat)
            except (Unavailable, Overloaded):
                continue
            self._forget(tag, written)

    def _forget(self, tag: Tag, written: dict[str, int]) -> None:
        """Forget what is written, unless it was heard again meanwhile."""
        heard = self._heard[tag]
        for executor_id, at_ns in written.items():
            if heard.get(executor_id) == at_ns:
                del heard[executor_id]
        if not heard:
            del self._heard[tag]
