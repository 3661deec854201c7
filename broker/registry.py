"""Event type name and version to class: closed, explicit, and the only way to read an event."""

from functools import lru_cache
from typing import Any

from msgspec.structs import fields

from broker.aggregates import (
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
from broker.decision import Event
from broker.errors import Corrupt
from broker.packing import packed, unpacked

_CLASSES: tuple[type[Event], ...] = (
    *server.EVENTS,
    *colony.EVENTS,
    *user.EVENTS,
    *executor.EVENTS,
    *function.EVENTS,
    *location.EVENTS,
    *process.EVENTS,
    *attribute.EVENTS,
    *workflow.EVENTS,
    *cron.EVENTS,
    *generator.EVENTS,
    *definition.EVENTS,
    *blueprint.EVENTS,
    *file.EVENTS,
    *snapshot.EVENTS,
)
_BY_NAME = {(c.TYPE, c.VERSION): c for c in _CLASSES}
_ENVELOPE = {f.name for f in fields(Event)}


def event_classes() -> tuple[type[Event], ...]:
    """Every event type there is, oldest aggregate first."""
    return _CLASSES


@lru_cache(maxsize=256)
def body_fields(kind: type[Event]) -> tuple[str, ...]:
    """The fields of an event that its body carries; the others travel in the envelope."""
    return tuple(f.name for f in fields(kind) if f.name not in _ENVELOPE)


def pack(event: Event) -> bytes:
    """The msgpack body of an event: a map from field name to value.

    The append packs an event, and so does a fold that keeps what was given; the last one is kept.
    """
    global _last_packed  # noqa: PLW0603 - a cache of one, replaced whole
    last = _last_packed
    if last is not None and last[0] is event:
        return last[1]
    body: bytes = packed({name: getattr(event, name) for name in body_fields(type(event))})
    _last_packed = (event, body)
    return body


_last_packed: tuple[Event, bytes] | None = None


def unpack(  # noqa: PLR0917 - the order of the stream entry
    name: str, version: int, subject: str, actor: str, at_ns: int, cause: str, body: bytes
) -> Event:
    """Read an event back; a fold that keeps its body keeps it as it was stored.

    Raises:
        Corrupt: a type or version nobody knows, or a body that does not fit it.
    """
    global _last_packed  # noqa: PLW0603 - a cache of one, replaced whole
    kind = _BY_NAME.get((name, version))
    if kind is None:
        raise Corrupt(f"unknown event type {name!r} version {version}")
    try:
        given: dict[str, Any] = unpacked(body)
        event = kind(subject=subject, actor=actor, at_ns=at_ns, cause=cause, **given)
    except TypeError as error:
        raise Corrupt(f"unreadable body of {name} version {version}: {error}") from error
    _last_packed = (event, body)
    return event
