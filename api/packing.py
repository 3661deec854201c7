"""What one API process remembers of generators, so that a pack costs one append."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from broker.aggregates.generator import GeneratorRow

_MOST_REMEMBERED = 1_000
_SMALL = 32
"""Arguments of a workflow, compared with how many packs are under way at a time."""


@dataclass(slots=True)
class Packing:
    """Generators that were packed here, and whose turn it is to pack the last argument."""

    _rows: dict[str, GeneratorRow] = field(default_factory=dict[str, GeneratorRow])
    _turns: "WeakValueDictionary[str, asyncio.Lock]" = field(
        default_factory=WeakValueDictionary["str", asyncio.Lock]
    )

    def assumed(self, generator_id: str) -> GeneratorRow | None:
        """A generator as it most likely is: with room for more than one.

        None when it is not known, when each pack starts a workflow, and when the time of the last
        one matters.
        """
        row = self._rows.get(generator_id)
        if row is None or row.given["trigger"] == 1 or row.given["timeout"] > 0:
            return None
        return row.emptied()

    def remember(self, generator_id: str, row: GeneratorRow | None) -> None:
        """A generator as it was read; the oldest is forgotten first."""
        if row is None:
            self._rows.pop(generator_id, None)
            return
        if len(self._rows) >= _MOST_REMEMBERED and generator_id not in self._rows:
            del self._rows[next(iter(self._rows))]
        self._rows[generator_id] = row

    def must_queue(self, generator_id: str) -> bool:
        """Whether a pack that has not tried yet has to wait for those that found too little room.

        Only where workflows are small: there they would always be overtaken. Elsewhere everybody
        would end up in the queue.
        """
        row = self._rows.get(generator_id)
        small = row is not None and row.given["trigger"] <= _SMALL
        return small and self.turn(generator_id).locked()

    def turn(self, generator_id: str) -> asyncio.Lock:
        """Held by the one in this process that looks at what waits in a generator."""
        return self._turns.setdefault(generator_id, asyncio.Lock())
