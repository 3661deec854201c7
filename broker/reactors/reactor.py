"""What reactors have in common: they decide and write for the server, and tell what happened."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from broker.decision import Decision, Event
from broker.directory import Colony, Happened
from broker.keys import Tag
from broker.store import BY_SERVER, Done, EventStore

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
