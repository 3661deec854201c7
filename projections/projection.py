"""What a projection is.

The *inline* one (``projections.core``) is a fold that is applied with the append. *Async* ones are
named and versioned, and applied by a projector behind a checkpoint.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from broker.decision import Event, Fold, Write

E_contra = TypeVar("E_contra", bound=Event, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A fold with a name that a projector applies behind the log.

    Changing the fold means a new version, built beside the old one.
    ``reads`` is the event types it folds, None for all; others are not even unpacked for it.
    """

    name: str
    version: int
    fold: Fold
    reads: frozenset[str] | None = None


class FoldOne(Protocol[E_contra]):
    """The fold of one event type."""

    def __call__(self, event: E_contra, /) -> Iterable[Write]:
        """The writes of one event."""
        ...


Folds = dict[type[Event], FoldOne[Event]]
"""One fold an event type."""


def folding(kind: type[E_contra], fold: FoldOne[E_contra]) -> tuple[type[Event], FoldOne[Event]]:
    """One row of a fold table; the table looks up by the exact type, so the fold fits it."""
    return kind, cast("FoldOne[Event]", fold)
