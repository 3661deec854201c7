"""Rows of attributes: a field on the process, and where to find it by id."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.attribute import AttributeSet
from broker.decision import Write, hput, hset
from broker.packing import packed
from projections.projection import Folds, folding


def _set(event: AttributeSet) -> Iterator[Write]:
    stored = packed([event.kind, event.key, event.value, event.at_ns])
    attribute = {f"a:{event.subject}": stored, "attributed": 1}
    yield hset(keys.process(event.process_id), **attribute)
    yield hput(keys.ATTRIBUTES, event.subject, event.process_id)


FOLDS: Folds = dict((folding(AttributeSet, _set),))
