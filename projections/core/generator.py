"""Rows of generators, and the arguments that wait in them."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.generator import (
    ArgumentPacked,
    GeneratorAdded,
    GeneratorPostponed,
    GeneratorRemoved,
    GeneratorTriggered,
)
from broker.clock import MS_NS, US_NS
from broker.decision import (
    Write,
    delete,
    hdel,
    hfirst,
    hincrby,
    hput,
    hset,
    rpush,
    zadd,
    zlower,
    zrem,
)
from broker.registry import pack
from projections.projection import Folds, folding


def _added(event: GeneratorAdded) -> Iterator[Write]:
    generator_id = event.subject
    yield hset(
        keys.generator(generator_id),
        given=pack(event),
        by=event.actor,
        at=event.at_ns,
        runs=0,
        room=event.trigger,
        space=event.capacity,
    )
    yield hput(keys.GENERATOR_NAMES, event.name, generator_id)
    yield zadd(keys.GENERATORS, event.at_ns // US_NS, generator_id)


def _packed(event: ArgumentPacked) -> Iterator[Write]:
    row = keys.generator(event.subject)
    yield rpush(keys.packed_arguments(event.subject), event.argument)
    yield hincrby(row, "room", -1)
    yield hincrby(row, "space", -event.size)
    yield hfirst(row, "first", event.at_ns)
    if event.due_ns:
        yield zlower(keys.DUE, event.due_ns // MS_NS, keys.due_flush(event.subject))


def _triggered(event: GeneratorTriggered) -> Iterator[Write]:
    row = keys.generator(event.subject)
    yield delete(keys.packed_arguments(event.subject))
    yield hset(row, room=event.trigger, space=event.capacity, last=event.at_ns)
    yield hincrby(row, "runs")
    yield zrem(keys.DUE, keys.due_flush(event.subject))


def _postponed(event: GeneratorPostponed) -> Iterator[Write]:
    yield zadd(keys.DUE, event.due_ns // MS_NS, keys.due_flush(event.subject))


def _removed(event: GeneratorRemoved) -> Iterator[Write]:
    yield delete(keys.generator(event.subject))
    yield delete(keys.packed_arguments(event.subject))
    yield hdel(keys.GENERATOR_NAMES, event.name)
    yield zrem(keys.GENERATORS, event.subject)
    yield zrem(keys.DUE, keys.due_flush(event.subject))


FOLDS: Folds = dict(
    (
        folding(GeneratorAdded, _added),
        folding(ArgumentPacked, _packed),
        folding(GeneratorTriggered, _triggered),
        folding(GeneratorPostponed, _postponed),
        folding(GeneratorRemoved, _removed),
    )
)
