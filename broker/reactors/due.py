"""Whatever must happen at a time: deadlines, sweeps, ticks.

keys.DUE holds all of it by its moment, so a look costs one command a colony, whether ten or a
million processes wait. A look sees a little ahead, so that the next one comes when something is
due. Each due item becomes an ordinary guarded command: it takes effect once, whoever is first, and
a server that dies in between leaves it for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from broker import keys
from broker.clock import MS_NS
from broker.directory import Colony
from broker.errors import BrokerError, Overloaded, Unavailable
from broker.store import EventStore

_log = structlog.get_logger(__name__)
_STEP = 100
_AT_ONCE = 256
AHEAD_MS = 500
"""How far ahead a look sees, and how long nobody looks when nothing is near.

Deadlines are whole seconds, so each is seen before it is due. What is due sooner than this after
it was written, as a generator's overdue batch, may be late by as much. It is what colonies cost
that do nothing.
"""
RETRY_MS = 50
"""How soon one looks again at what could not be done."""
AGAIN_MS = 5
"""How soon one looks again at the earliest: what is due within that time is done together."""

Meet = Callable[[Colony, str], Awaitable[None]]
"""Does what is due for one id in a colony."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Looks at what is due; ``meets`` says who does what, by the kind in keys.DUE."""

    store: EventStore
    meets: Mapping[str, Meet]

    async def all_due(self, colonies: Sequence[Colony]) -> list[int]:
        """Do everything whose moment has passed; for each colony, when to look again (Unix ms).

        A shard that is away keeps no other waiting.

        Raises:
            Unavailable, Overloaded: all of the store is away.
        """
        now_ms = self.store.clock.now_ns() // MS_NS
        looks, lost = list[int](), list[BrokerError]()
        for first in range(0, len(colonies), _AT_ONCE):
            some = colonies[first : first + _AT_ONCE]
            asked = (self.store.send(*_look(colony, now_ms + AHEAD_MS)) for colony in some)
            pages = await asyncio.gather(*asked, return_exceptions=True)
            for colony, page in zip(some, pages, strict=True):
                try:
                    if isinstance(page, BaseException):
                        raise page
                    looks.append(await self._look_at(colony, page, now_ms))
                except (Unavailable, Overloaded) as error:
                    lost.append(error)
                    looks.append(now_ms + RETRY_MS)
        if lost and len(lost) == len(colonies):
            raise lost[0]
        if lost:
            _log.warning("shard_away", colonies=len(lost), error=str(lost[0]))
        return looks

    async def _look_at(self, colony: Colony, page: Sequence[bytes], now_ms: int) -> int:
        """Do what is due of one page; when to look again."""
        moments = dict(zip(page[::2], map(float, page[1::2]), strict=True))
        members = [member for member, ms in moments.items() if ms < now_ms]
        if members:
            failed = await self._meet(colony, members, now_ms)
            return now_ms + (RETRY_MS if failed else AGAIN_MS)
        # What is due within a millisecond has passed when that has.
        return int(min(moments.values(), default=now_ms + AHEAD_MS)) + 1

    async def _meet(self, colony: Colony, members: Sequence[bytes], now_ms: int) -> int:
        """Page by page, behind what cannot be done, as long as there is progress; what was not."""
        failed = 0
        while members:
            parts = [keys.due_parts(member.decode()) for member in members]
            work = list({(self.meets[kind], i) for kind, i in parts if kind in self.meets})
            met = await asyncio.gather(*(self._meet_one(colony, meet, i) for meet, i in work))
            done = dict(zip(work, met, strict=True))
            failed += sum(
                kind not in self.meets or not done[self.meets[kind], i] for kind, i in parts
            )
            left = (await self.store.send(*_look(colony, now_ms - 1, failed)))[::2]
            members = [] if left == members else left
        return failed

    async def _meet_one(self, colony: Colony, meet: Meet, identifier: str) -> bool:
        """Whether it was done. One that cannot be does not keep the others waiting."""
        try:
            await meet(colony, identifier)
        except (Unavailable, Overloaded) as error:
            _log.warning("postponed", colony=colony.name, id=identifier, error=str(error))
            return False
        except BrokerError as error:
            _log.error("cannot_be_done", colony=colony.name, id=identifier, error=str(error))
            return False
        except Exception:  # noqa: BLE001 - whatever it is, the others can be done
            _log.exception("cannot_be_done", colony=colony.name, id=identifier)
            return False
        return True


def _look(colony: Colony, latest_ms: int, skip: int = 0) -> tuple[str | int, ...]:
    """The command for a page of what is due up to a moment, with the moments, behind some."""
    due = colony.tag.key(keys.DUE)
    within = ("-inf", latest_ms, "WITHSCORES", "LIMIT", skip, _STEP)
    return ("ZRANGEBYSCORE", due, *within)
