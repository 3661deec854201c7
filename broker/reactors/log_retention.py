"""Forget log lines that are too old or too many, a colony at a time.

What may stay is a setting of the server, and of a colony if its owner has said so.
"""

from dataclasses import dataclass

from broker import archived, keys, logs
from broker.access import ColonyRow
from broker.directory import Colony
from broker.logs import Retention
from broker.store import EventStore


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRetention:
    """Trims logs; ``default`` is what holds for a colony that says nothing itself.

    With an archive, lines wait for it.
    """

    store: EventStore
    default: Retention
    has_archive: bool = False

    async def trim(self, colony: Colony) -> int:
        """Forget what one colony's log should not keep; the number of lines."""
        row = ColonyRow.read((await self.store.hashes(colony.tag, keys.COLONY))[0])
        if row is None:
            return 0
        own = Retention(
            age_s=_either(row.log_retention_s, self.default.age_s),
            size=_either(row.log_retention_bytes, self.default.size),
        )
        until = (await archived.marks(self.store, colony.tag)).lines if self.has_archive else None
        return await logs.trim(self.store, colony.tag, own, until)


def _either(own: int, default: int) -> int:
    return default if own < 0 else own
