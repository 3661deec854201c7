"""Exactly once: what the generator saw happen to every process, and whether that can be right."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.errors import WrongAnswer

_SHOWN = 3


@dataclass(slots=True)
class Ledger:
    """Process ids as they were acknowledged to the generator, in the order of the replies."""

    submitted: list[str] = field(default_factory=list[str])
    assigned: list[str] = field(default_factory=list[str])
    closed: list[str] = field(default_factory=list[str])

    def faults(self, *, waiting: int = 0) -> list[str]:
        """What contradicts "every process was assigned once and closed once"; empty when nothing.

        Args:
            waiting: how many of the submitted processes are meant to be waiting still.
        """
        return [
            *_repeated("submitted", self.submitted),
            *_repeated("assigned", self.assigned),
            *_repeated("closed", self.closed),
            *_strange("assigned but never submitted", self.assigned, self.submitted),
            *_strange("assigned but never closed", self.assigned, self.closed),
            *_strange("closed but never assigned", self.closed, self.assigned),
            *_left(len(set(self.submitted) - set(self.closed)), waiting),
        ]

    def check(self, *, waiting: int = 0) -> None:
        """Refuse a run in which a process was lost or doubled.

        Raises:
            WrongAnswer: with every fault.
        """
        faults = self.faults(waiting=waiting)
        if faults:
            raise WrongAnswer("; ".join(faults))

    def forget(self) -> None:
        """Start anew, after a check."""
        self.submitted.clear()
        self.assigned.clear()
        self.closed.clear()


def _repeated(what: str, ids: list[str]) -> list[str]:
    more = [process_id for process_id, times in Counter(ids).items() if times > 1]
    return [f"{len(more)} processes were {what} more than once{_some(more)}"] if more else []


def _strange(what: str, ids: Iterable[str], known: Iterable[str]) -> list[str]:
    odd = sorted(set(ids) - set(known))
    return [f"{len(odd)} processes were {what}{_some(odd)}"] if odd else []


def _left(found: int, expected: int) -> list[str]:
    if found == expected:
        return []
    return [f"{found} submitted processes were not closed, {expected} should be left"]


def _some(ids: list[str]) -> str:
    return f" ({', '.join(ids[:_SHOWN])}{', …' if len(ids) > _SHOWN else ''})"
