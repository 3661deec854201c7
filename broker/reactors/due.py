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
from broker.errors import BrokerError, Overloaded, Unavailable
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
        """Page by page, behind what cannot be done, as long as there is progress."""
        failed = 0
        while members:
            parts = [keys.due_parts(member.decode()) for member in members]
            work = list({(self.meets[kind], i) for kind, i in parts if kind in self.meets})
            met = await asyncio.gather(*(self._meet_one(colony, meet, i) for meet, i in work))
            done = dict(zip(work, met, strict=True))
            failed += sum(
                kind not in self.meets or not done[self.meets[kind], i] for kind, i in parts
            )
            left = await self.store.send(*_look(colony, latest_ms, failed))
            members = [] if left == members else left

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
    """The command for a page of what is due: the first, or one behind what was skipped."""
    due = colony.tag.key(keys.DUE)
    return ("ZRANGEBYSCORE", due, "-inf", latest_ms, "LIMIT", skip, _STEP)
