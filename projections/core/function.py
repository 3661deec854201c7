"""Rows of registered functions, one hash an executor."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.function import FunctionAdded, FunctionRemoved, FunctionRow
from broker.decision import Write, hdel, hput
from broker.packing import packed, unpacked
from projections.projection import Folds, folding


def _added(event: FunctionAdded) -> Iterator[Write]:
    stored = packed(
        [event.executor, event.executor_type, event.name, event.location, event.described]
    )
    yield hput(keys.functions(event.executor), event.subject, stored)


def _removed(event: FunctionRemoved) -> Iterator[Write]:
    yield hdel(keys.functions(event.executor), event.subject)


def read_function(function_id: str, stored: bytes) -> FunctionRow:
    """A registration as it is stored."""
    executor, executor_type, name, location, described = unpacked(stored)
    return FunctionRow(
        function_id=function_id,
        executor=executor,
        executor_type=executor_type,
        name=name,
        location=location,
        described=described,
    )


FOLDS: Folds = dict((folding(FunctionAdded, _added), folding(FunctionRemoved, _removed)))
