"""What one API process remembers of generators, so that a pack costs one append."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from broker.aggregates.generator import GeneratorRow

_MOST_REMEMBERED = 1_000


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

    def turn(self, generator_id: str) -> asyncio.Lock:
        """Held by the one in this process that looks at what waits in a generator."""
        return self._turns.setdefault(generator_id, asyncio.Lock())
