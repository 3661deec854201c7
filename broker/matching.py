"""Requirement classes: what a process asks of an executor, and whether one satisfies it.

A million waiting processes ask for a handful of different things. Everything that matching looks
at is hashed into a class, each class has its own queue, and an executor is matched against classes,
never against processes.
"""

import hashlib
from dataclasses import dataclass

from msgspec import Struct

from broker.packing import packed, unpacked
from broker.remembered import remembered

_CLASS_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What an executor must be and have. ``names`` empty means anybody; location compares folded.

    CPU in millicores, memory in bytes; both are inclusive. Storage, nodes, gpu and wall time are
    stored with the process and not matched, as core.md's section 8.3 has it.
    """

    executor_type: str
    names: tuple[str, ...] = ()
    location: str = ""
    cpu: int = 0
    mem: int = 0

    def pack(self) -> bytes:
        """The stored form."""
        return packed([self.executor_type, list(self.names), self.location, self.cpu, self.mem])

    @classmethod
    def unpack(cls, data: bytes) -> "Requirement":
        """From the stored form."""
        executor_type, names, location, cpu, mem = unpacked(data)
        return cls(
            executor_type=executor_type, names=tuple(names), location=location, cpu=cpu, mem=mem
        )

    @property
    def class_key(self) -> str:
        """The class: 16 hex digits that are equal when everything matched is equal."""
        return class_of(self.pack())


@remembered(most=4_096, longest=256)
def class_of(requires: bytes) -> str:
    """The class of a packed requirement."""
    return hashlib.sha256(requires).hexdigest()[:_CLASS_DIGITS]


class Offer(Struct, frozen=True, kw_only=True):
    """An executor as matching sees it; None means it set no limit."""

    executor_id: str
    executor_type: str
    name: str
    location: str = ""
    cpu: int | None = None
    mem: int | None = None


def satisfies(offer: Offer, asked: Requirement) -> bool:
    """Whether an executor may take processes of a class."""
    return (
        asked.executor_type == offer.executor_type
        and (not asked.names or offer.name in asked.names or offer.executor_id in asked.names)
        and (not asked.location or asked.location == offer.location.casefold())
        and (offer.cpu is None or asked.cpu <= offer.cpu)
        and (offer.mem is None or asked.mem <= offer.mem)
    )
