"""What was trimmed, for whoever reads a log from before that: it comes from the archive."""

from collections.abc import Awaitable, Callable, Sequence

from broker.archived import EVENTS
from broker.envelope import RawEntry
from broker.errors import Unavailable
from broker.keys import Tag
from broker.position import START, Position
from projections.archive.archive import Archive

Ask = Callable[[Tag, Position, Position, int], Awaitable[list[RawEntry]]]
"""Asks for some of the events between two positions, the second one too."""


class Older:
    """The ``broker.store.Older`` of an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._ends: dict[Tag, Position] = {}

    async def page(
        self, tag: Tag, after: Position, until: Position, count: int
    ) -> Sequence[RawEntry]:
        """The first events between two positions, the second one too.

        Raises:
            Unavailable: the archive is away, or does not go so far: it is not that of this store.
        """
        return await self._sure(self._archive.page, tag, after, until, count)

    async def tail(
        self, tag: Tag, after: Position, until: Position, count: int
    ) -> Sequence[RawEntry]:
        """The last events between two positions, the second one too, the latest first.

        Raises:
            Unavailable: as ``page``.
        """
        return await self._sure(self._archive.tail, tag, after, until, count)

    async def _sure(
        self, ask: Ask, tag: Tag, after: Position, until: Position, count: int
    ) -> list[RawEntry]:
        """What is answered, if the archive goes so far."""
        if self._ends.get(tag, START) < until:
            await self._look(tag, until)
        found = await ask(tag, after, until, count)
        if len(found) < count:
            # All there is, or all that is left of it.
            await self._look(tag, until)
        return found

    async def _look(self, tag: Tag, until: Position) -> None:
        end = self._ends[tag] = await self._archive.position(tag, EVENTS) or START
        if end < until:
            raise Unavailable(
                f"the archive has no events after {end}, and the store has none up to {until}:"
                " this is not its archive"
            )
