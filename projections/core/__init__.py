"""The inline projection: the rows that decisions and immediate reads need.

One fold a noun; together they are the only place where an event becomes a row. They are applied
with the append, and replayed from the log by verify.
"""

from collections.abc import Iterable

from broker.decision import Event, Write
from projections.core import (
    attribute,
    blueprint,
    colony,
    cron,
    definition,
    executor,
    file,
    function,
    generator,
    location,
    process,
    server,
    snapshot,
    user,
    workflow,
)
from projections.projection import Folds

_FOLDS: Folds = {
    **server.FOLDS,
    **colony.FOLDS,
    **user.FOLDS,
    **executor.FOLDS,
    **function.FOLDS,
    **location.FOLDS,
    **process.FOLDS,
    **attribute.FOLDS,
    **workflow.FOLDS,
    **cron.FOLDS,
    **generator.FOLDS,
    **definition.FOLDS,
    **blueprint.FOLDS,
    **file.FOLDS,
    **snapshot.FOLDS,
}


def fold(event: Event) -> Iterable[Write]:
    """The writes of one event. Pure: the same event always gives the same writes."""
    return _FOLDS[type(event)](event)


def folded_types() -> set[type[Event]]:
    """Every event type the core rows understand."""
    return set(_FOLDS)
