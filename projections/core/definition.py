"""Rows of blueprint definitions, by name, and which there are of a kind."""

from collections.abc import Iterator

from broker import keys
from broker.aggregates.definition import BlueprintDefinitionAdded, BlueprintDefinitionRemoved
from broker.clock import US_NS
from broker.decision import Write, delete, hdel, hput, hset, zadd, zrem
from projections.projection import Folds, folding


def _added(event: BlueprintDefinitionAdded) -> Iterator[Write]:
    name, definition_id = event.subject, event.definition_id
    yield hset(
        keys.definition(name),
        id=definition_id,
        kind=event.kind,
        document=event.document,
        guard=event.at_ns,
    )
    yield hput(keys.DEFINITION_IDS, definition_id, name)
    yield zadd(keys.DEFINITIONS, 0, name)
    yield zadd(keys.definitions_of(event.kind), event.at_ns // US_NS, name)


def _removed(event: BlueprintDefinitionRemoved) -> Iterator[Write]:
    yield delete(keys.definition(event.subject))
    yield hdel(keys.DEFINITION_IDS, event.definition_id)
    yield zrem(keys.DEFINITIONS, event.subject)
    yield zrem(keys.definitions_of(event.kind), event.subject)


FOLDS: Folds = dict(
    (folding(BlueprintDefinitionAdded, _added), folding(BlueprintDefinitionRemoved, _removed))
)
