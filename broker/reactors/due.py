"""Whatever must happen at a time: deadlines, sweeps, ticks.

keys.DUE holds all of it by its moment, so a look costs one command a colony, whether ten or a
million processes wait. Each due item becomes an ordinary guarded command: it takes effect once,
whoever is first, and a server that dies in between leaves it for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from broker import keys
from broker.clock import MS_NS
from broker.directory import Colony
from broker.errors import Corrupt
from broker.store import EventStore

_log = structlog.get_logger(__name__)
_STEP = 100

Meet = Callable[[Colony, str], Awaitable[None]]
"""Does what is due for one id in a colony."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Looks at what is due; ``meets`` says who does what, by the kind in keys.DUE."""

    store: EventStore
    meets: Mapping[str, Meet]

    async def all_due(self, colonies: Sequence[Colony]) -> None:
        """Do everything whose moment has passed."""
        if not colonies:
            return
        latest_ms = self.store.clock.now_ns() // MS_NS - 1
        looks = (_look(colony, latest_ms) for colony in colonies)
        for colony, members in zip(colonies, await self.store.read(*looks), strict=True):
            if members:
                await self._meet(colony, members, latest_ms)

    async def _meet(self, colony: Colony, members: Sequence[bytes], latest_ms: int) -> None:
        """Page by page, as long as there is progress."""
        while members:
            parts = {keys.due_parts(member.decode()) for member in members}
            work = {(self.meets[kind], i) for kind, i in parts if kind in self.meets}
            await asyncio.gather(*(self._meet_one(colony, meet, i) for meet, i in work))
            left = await self.store.send(*_look(colony, latest_ms))
            members = [] if left == members else left

    async def _meet_one(self, colony: Colony, meet: Meet, identifier: str) -> None:
        """One that cannot be read does not keep the others waiting."""
        try:
            await meet(colony, identifier)
        except Corrupt as error:
            _log.error("unreadable", colony=colony.name, id=identifier, error=str(error))


def _look(colony: Colony, latest_ms: int) -> tuple[str | int, ...]:
    """The command for the first page of what is due."""
    due = colony.tag.key(keys.DUE)
    return ("ZRANGEBYSCORE", due, "-inf", latest_ms, "LIMIT", 0, _STEP)
