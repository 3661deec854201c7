"""What reactors have in common: they decide and write for the server, and tell what happened."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from broker.decision import Decision, Event
from broker.directory import Colony, Happened
from broker.errors import BrokerError, Overloaded, Unavailable
from broker.keys import Tag
from broker.store import BY_SERVER, Done, EventStore

_log = structlog.get_logger(__name__)
Rows = TypeVar("Rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactor:
    """Writes to colonies what nobody asked for."""

    store: EventStore
    happened: Happened

    async def act(
        self,
        colony: Colony,
        read: Callable[[bool], Awaitable[Rows]],
        decide: Callable[[Rows, int], Decision],
    ) -> tuple[Event, ...]:
        """Read, decide and append, as ``EventStore.run``; what happened."""

        async def located(fresh: bool) -> tuple[Tag, Rows]:  # noqa: FBT001 - run's own shape
            return colony.tag, await read(fresh)

        outcome = await self.store.run(located, decide, BY_SERVER)
        if not isinstance(outcome, Done):
            return ()
        self.happened(colony, outcome)
        return outcome.events

    async def append(self, colony: Colony, decision: Decision) -> bool:
        """Whether nobody was faster."""
        outcome = await self.store.append(colony.tag, decision, BY_SERVER)
        if not isinstance(outcome, Done):
            return False
        self.happened(colony, outcome)
        return True


def forget_gone(seen: dict[Tag, Any], colonies: Iterable[Colony]) -> None:
    """Keep what was seen in these colonies, which are all there are; the others are gone."""
    for tag in seen.keys() - {colony.tag for colony in colonies}:
        del seen[tag]


async def each(colonies: Sequence[Colony], work: Callable[[Colony], Awaitable[object]]) -> None:
    """Do something in each colony; what is wrong with one keeps no other waiting.

    Raises:
        Unavailable, Overloaded: a shard, or all of the store, is away; the others were seen to.
    """
    lost: list[BrokerError] = []
    for colony in colonies:
        try:
            await work(colony)
        except (Unavailable, Overloaded) as error:
            lost.append(error)
        except Exception:  # noqa: BLE001 - whatever it is, the others can be seen to
            _log.exception("failed", colony=colony.name)
    if lost:
        raise lost[0]
