"""Events as they are told to people: which of them somebody wants, and their bodies as JSON."""

import base64
from collections.abc import Iterable
from typing import cast

import msgspec

from broker.aggregates.attribute import AttributeSet
from broker.aggregates.process import NodeSubmitted
from broker.decision import Event
from broker.feed import Entry
from broker.keys import Tag
from broker.registry import body_fields
from broker.store import EventStore
from projections.core import listings

_HOLDERS = ("holder", "new_holder")


class Filter:
    """Which events somebody wants: of each thing that it named, all that are about that."""

    def __init__(
        self,
        *,
        types: Iterable[str] = (),
        process: str = "",
        workflow: str = "",
        executor: str = "",
    ) -> None:
        self._types = frozenset(types)
        self._process = process
        self._workflow = workflow
        self._executor = executor
        self._nodes: set[str] = set()

    @property
    def learns(self) -> bool:
        """Whether what it wants depends on events that it has seen before."""
        return bool(self._workflow)

    async def prepare(self, store: EventStore, tag: Tag) -> None:
        """Look up which processes a workflow has; those it gets later tell so themselves."""
        if self._workflow:
            ids = await listings.nodes(store, tag, self._workflow)
            self._nodes |= set(ids)

    def wants(self, entry: Entry) -> bool:
        """Whether an event is to be told."""
        if self._workflow and entry.type == NodeSubmitted.TYPE:
            event = entry.event
            if isinstance(event, NodeSubmitted) and event.graph == self._workflow:
                self._nodes.add(entry.subject)
        if self._types and entry.type not in self._types:
            return False
        about = _about(entry) if self._process or self._workflow else entry.subject
        if self._process and about != self._process:
            return False
        if self._workflow and about != self._workflow and about not in self._nodes:
            return False
        return not self._executor or self._executor in _executors(entry)


def _about(entry: Entry) -> str:
    """The process or workflow an event is about; an attribute is about its process."""
    if entry.type != AttributeSet.TYPE:
        return entry.subject
    event = entry.event
    return event.process_id if isinstance(event, AttributeSet) else entry.subject


def _executors(entry: Entry) -> set[str]:
    """The identities that had a part in an event."""
    event = entry.event
    return {entry.subject, entry.actor} | {getattr(event, name, "") for name in _HOLDERS}


def body_of(event: Event) -> dict[str, object]:
    """The fields of a body, ready for JSON."""
    return {name: _json(getattr(event, name)) for name in body_fields(type(event))}


def _json(value: object) -> object:
    """Bytes that are JSON as they are, others in base64; all else as JSON has it."""
    if isinstance(value, bytes):
        try:
            return _raw(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {k: _json(v) for k, v in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_json(v) for v in cast("list[object]", value)]
    return value


_raw = msgspec.json.Decoder(msgspec.Raw).decode
