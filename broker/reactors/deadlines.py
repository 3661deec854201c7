"""Wait and execution deadlines: fail, or queue once more, what ran out of time.

keys.DUE holds every deadline by its moment, so a look costs one command a colony, whether ten or a
million processes wait. Each due item becomes an ordinary guarded command: it takes effect once,
whoever is first, and a server that dies in between leaves it for the next.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from broker import keys
from broker.aggregates.process import ProcessRow, expire
from broker.decision import Decision
from broker.directory import Classes, Colony, Directory
from broker.errors import Corrupt
from broker.keys import Tag
from broker.store import BY_SERVER, Done, EventStore

_log = structlog.get_logger(__name__)
_STEP = 100
_MS_NS = 1_000_000

Happened = Callable[[Colony | None, Done], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Meets deadlines, and tells what happened."""

    store: EventStore
    directory: Directory
    happened: Happened

    async def all_due(self, colonies: Sequence[Colony]) -> None:
        """Meet every deadline that has passed."""
        if not colonies:
            return
        latest_ms = self.store.clock.now_ns() // _MS_NS - 1
        looks = (_look(colony, latest_ms) for colony in colonies)
        for colony, members in zip(colonies, await self.store.read(*looks), strict=True):
            if members:
                await self._meet(colony, members, latest_ms)

    async def _meet(self, colony: Colony, members: Sequence[bytes], latest_ms: int) -> None:
        """Page by page, as long as there is progress."""
        while members:
            ids = {keys.due_process(member.decode()) for member in members}
            await asyncio.gather(*(self._expire_one(colony, i) for i in sorted(ids)))
            left = await self.store.send(*_look(colony, latest_ms))
            members = [] if left == members else left

    async def _expire_one(self, colony: Colony, process_id: str) -> None:
        """One that cannot be read does not keep the others waiting."""
        try:
            await self._expire(colony, process_id)
        except Corrupt as error:
            _log.error("unreadable", colony=colony.name, process=process_id, error=str(error))

    async def _expire(self, colony: Colony, process_id: str) -> None:
        async def read(fresh: bool) -> tuple[Tag, tuple[ProcessRow | None, Classes]]:  # noqa: FBT001
            row = (await self.store.hashes(colony.tag, keys.process(process_id)))[0]
            classes = await self.directory.classes(colony, fresh=fresh)
            return colony.tag, (ProcessRow.read(process_id, row), classes)

        def decide(rows: tuple[ProcessRow | None, Classes], now_ns: int) -> Decision:
            return expire(rows[0], rows[1].by_key, now_ns)

        outcome = await self.store.run(read, decide, BY_SERVER)
        if isinstance(outcome, Done):
            self.happened(colony, outcome)


def _look(colony: Colony, latest_ms: int) -> tuple[str | int, ...]:
    """The command for the first page of what is due."""
    due = colony.tag.key(keys.DUE)
    return ("ZRANGEBYSCORE", due, "-inf", latest_ms, "LIMIT", 0, _STEP)
