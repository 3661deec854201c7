"""Blueprints: what should be, with executors that see to it.

A blueprint has a ``spec``, which says what should be, and a ``status``, in which its reconciler
says what is. Each change of the spec is a new generation and submits a process to reconcile it, in
the same append; so there is no generation that nobody was told of, and no process for one that does
not exist.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import Any, ClassVar

from msgspec import Struct

from broker import keys
from broker.access import Gate, Hash, checked_name, member, member_or_owner, text_in
from broker.aggregates import cron, process_submit
from broker.aggregates.cron import AddCron, CronRemoved
from broker.aggregates.definition import (
    DefinitionRow,
    checked_optional,
    checked_size,
    checked_text,
)
from broker.aggregates.location import LocationAdded
from broker.aggregates.process_submit import SubmitProcess
from broker.decision import Decision, Event, Expect, absent, counts, equals, lacks
from broker.errors import Clash, Invalid, NotFound
from broker.matching import class_of
from broker.schema import check, read, same

MOST_GENERATION = 2**63 - 2
CREATE, UPDATE = "create", "update"


class BlueprintAdded(Event, frozen=True, kw_only=True):
    """A blueprint is there; ``subject`` is its id.

    ``metadata`` (without the generation), ``spec`` and ``status`` are JSON; no status is empty.
    ``history_id`` names this change in the history of the blueprint.
    """

    TYPE: ClassVar[str] = "BlueprintAdded"
    name: str
    kind: str
    location: str
    generation: int
    metadata: bytes
    spec: bytes
    status: bytes
    history_id: str


class BlueprintUpdated(Event, frozen=True, kw_only=True):
    """A blueprint was replaced by another with its id and name; ``subject`` is its id.

    The fields are those of BlueprintAdded. ``history_id`` is empty when the spec is the same and
    no new generation was asked for.
    """

    TYPE: ClassVar[str] = "BlueprintUpdated"
    name: str
    was_kind: str
    was_location: str
    kind: str
    location: str
    generation: int
    metadata: bytes
    spec: bytes
    status: bytes
    history_id: str


class BlueprintStatusChanged(Event, frozen=True, kw_only=True):
    """A member said how a blueprint stands; ``subject`` is its id. JSON, empty for nothing."""

    TYPE: ClassVar[str] = "BlueprintStatusChanged"
    name: str
    status: bytes


class BlueprintForced(Event, frozen=True, kw_only=True):
    """A blueprint is to be reconciled whatever was done before; ``subject`` is its id."""

    TYPE: ClassVar[str] = "BlueprintForced"
    name: str
    generation: int


class BlueprintRemoved(Event, frozen=True, kw_only=True):
    """A blueprint is gone, with its history; ``subject`` is its id."""

    TYPE: ClassVar[str] = "BlueprintRemoved"
    name: str
    kind: str
    location: str


EVENTS = (
    BlueprintAdded,
    BlueprintUpdated,
    BlueprintStatusChanged,
    BlueprintForced,
    BlueprintRemoved,
)


class PutBlueprint(Struct, frozen=True, kw_only=True):
    """A blueprint as somebody wants it; the fields are those of BlueprintAdded.

    ``location_id`` is the id of its location if that is not known yet.
    """

    blueprint_id: str
    name: str
    kind: str
    location: str
    location_id: str
    generation: int
    metadata: bytes
    spec: bytes
    status: bytes
    history_id: str


@dataclass(frozen=True, kw_only=True)
class BlueprintRow:
    """One blueprint as it is stored."""

    name: str
    row: Hash

    @classmethod
    def read(cls, name: str, row: Hash) -> "BlueprintRow | None":
        """From its hash; None when there is no such blueprint."""
        return cls(name=name, row=row) if row else None

    @property
    def id(self) -> str:
        """Its id."""
        return text_in(self.row, b"id")

    @property
    def kind(self) -> str:
        """Which definition it follows."""
        return text_in(self.row, b"kind")

    @property
    def location(self) -> str:
        """Where it is reconciled, "" for anywhere."""
        return text_in(self.row, b"location")

    @property
    def generation(self) -> int:
        """How often its spec was changed or forced, counted from what it was added with."""
        return int(self.row[b"generation"])

    @property
    def metadata(self) -> bytes:
        """What else is said of it, JSON."""
        return self.row[b"metadata"]

    @property
    def spec(self) -> bytes:
        """What should be, JSON."""
        return self.row[b"spec"]

    @property
    def status(self) -> bytes:
        """What is, JSON; empty if nothing was said."""
        return self.row[b"status"]

    @cached_property
    def key(self) -> keys.Key:
        """Where it is stored."""
        return keys.blueprint(self.name)

    def as_read(self) -> Expect:
        """It has not changed since, except for its status."""
        return equals(self.key, "guard", int(self.row[b"guard"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a change of a blueprint is judged by.

    ``row`` is the blueprint there is, ``definition`` that of its kind, ``work`` the process that is
    to be submitted, if the definition names somebody for it. ``classes`` is the requirement
    classes there are. ``same_id`` has the id already, ``knows_location`` whether its location has a
    row. ``cron`` has all of its kind and place reconciled; ``cron_id`` is that one if it is there.
    ``neighbours`` is how many blueprints of the kind of ``row`` are at its place, itself included,
    and ``their_cron`` the id of the cron there.
    """

    row: BlueprintRow | None
    definition: DefinitionRow | None = None
    work: SubmitProcess | None = None
    classes: Container[str] = ()
    same_id: str | None = None
    knows_location: bool = True
    cron: AddCron | None = None
    cron_id: str | None = None
    neighbours: int = 0
    their_cron: str | None = None


def cron_name(kind: str, location: str) -> str:
    """The name of the cron for the blueprints of a kind at a place."""
    return f"reconcile-{kind}-{location}" if location else f"reconcile-{kind}"


def add(gate: Gate, command: PutBlueprint, site: Site, now_ns: int) -> Decision:
    """Say what should be.

    Raises:
        Denied, Invalid, Clash: neither member nor owner; not what the definition asks for; taken.
    """
    expects = member_or_owner(gate)
    definition = _checked(gate, command, site.definition)
    if site.row is not None:
        raise Clash(
            f"blueprint with name '{command.name}' already exists in colony '{gate.colony_name}'"
        )
    if site.same_id is not None:
        raise Clash(f"blueprint with id '{command.blueprint_id}' already exists")
    added = BlueprintAdded(
        subject=command.blueprint_id,
        actor=gate.caller,
        at_ns=now_ns,
        name=command.name,
        kind=command.kind,
        location=command.location,
        generation=command.generation,
        metadata=command.metadata,
        spec=command.spec,
        status=command.status,
        history_id=command.history_id,
    )
    free = (
        absent(keys.blueprint(command.name)),
        lacks(keys.BLUEPRINT_IDS, command.blueprint_id),
    )
    place = _place(gate, command, site, now_ns)
    again = _again(gate, site, now_ns)
    work = _submitted(gate, site, now_ns)
    known = (definition.as_read(), *place.expects, *again.expects)
    return Decision(
        expects=(*expects, *free, *known, *work.expects),
        events=(*place.events, *again.events, *work.events, added),
        wakes=work.wakes,
    )


def _checked(gate: Gate, command: PutBlueprint, definition: DefinitionRow | None) -> DefinitionRow:
    if not command.kind:
        raise Invalid("blueprint kind is required")
    if definition is None:
        raise Invalid(
            f"BlueprintDefinition for kind '{command.kind}' not found in namespace"
            f" '{gate.colony_name}'"
        )
    checked_text(command.name, "blueprint name")
    checked_text(command.blueprint_id, "blueprint id")
    checked_optional(command.kind, "blueprint kind")
    if command.location:
        checked_name(command.location, "Location")
    checked_size("blueprint", command.metadata, command.spec, command.status)
    if not 0 <= command.generation <= MOST_GENERATION:
        raise Invalid(f"blueprint generation must be from 0 to {MOST_GENERATION}")
    try:
        check(_fields(command.spec), definition.schema)
    except Invalid as error:
        raise Invalid(f"blueprint validation failed: {error}") from error
    return definition


def _fields(spec: bytes) -> dict[str, Any]:
    """What is in a spec; one that was not given is empty."""
    found: dict[str, Any] | None = read(spec)
    return found or {}


def _place(gate: Gate, command: PutBlueprint, site: Site, now_ns: int) -> Decision:
    """The location of a blueprint is known, or becomes so."""
    if site.knows_location or not command.location:
        return Decision()
    added = LocationAdded(
        subject=command.location,
        actor=gate.caller,
        at_ns=now_ns,
        location_id=command.location_id,
        description=f"Auto-created from blueprint {command.name}",
        long=0.0,
        lat=0.0,
    )
    return Decision(expects=(lacks(keys.LOCATIONS, command.location),), events=(added,))


def _again(gate: Gate, site: Site, now_ns: int) -> Decision:
    """The cron for a blueprint is there, or comes; one of the owner's could start nothing."""
    if site.cron is None:
        return Decision()
    if site.cron_id is not None:
        return Decision(expects=(equals(keys.CRON_NAMES, site.cron.name, site.cron_id),))
    if gate.member is None:
        return Decision()
    return cron.add(gate, site.cron, None, UTC, now_ns)


def _leave(gate: Gate, row: BlueprintRow, site: Site, now_ns: int) -> Decision:
    """A blueprint leaves its kind or place; the cron there goes with the last one."""
    there = counts(keys.blueprints_at(row.kind, row.location), site.neighbours)
    if site.neighbours > 1 or site.their_cron is None:
        return Decision(expects=(there,))
    name, cron_id = cron_name(row.kind, row.location), site.their_cron
    removed = CronRemoved(subject=cron_id, actor=gate.caller, at_ns=now_ns, name=name)
    return Decision(expects=(there, equals(keys.CRON_NAMES, name, cron_id)), events=(removed,))


def _submitted(gate: Gate, site: Site, now_ns: int) -> Decision:
    """The process about a blueprint waits for whoever its definition names."""
    if site.work is None:
        return Decision()
    name = gate.member.name if gate.member else ""
    class_key = class_of(site.work.requires)
    expected, added = process_submit.classes_again(
        {class_key: site.work.requires}, site.classes, now_ns
    )
    submitted = process_submit.submitted(site.work, gate.caller, name, now_ns)
    return Decision(expects=expected, events=(*added, submitted), wakes=(class_key,))


def update(gate: Gate, command: PutBlueprint, site: Site, now_ns: int, *, force: bool) -> Decision:
    """Replace a blueprint; one with another spec, or ``force``, is a new generation.

    Raises:
        Denied, Invalid, NotFound: neither member nor owner; not what its definition asks for; none.
    """
    expects = member_or_owner(gate)
    definition = _checked(gate, command, site.definition)
    row = site.row
    if row is None:
        raise NotFound(f"blueprint '{command.name}' not found in namespace '{gate.colony_name}'")
    renewed = force or not same(_fields(row.spec), _fields(command.spec))
    updated = BlueprintUpdated(
        subject=row.id,
        actor=gate.caller,
        at_ns=now_ns,
        name=row.name,
        was_kind=row.kind,
        was_location=row.location,
        kind=command.kind,
        location=command.location,
        generation=_next(row) if renewed else row.generation,
        metadata=command.metadata,
        spec=command.spec,
        status=command.status,
        history_id=command.history_id if renewed else "",
    )
    moves = (row.kind, row.location) != (command.kind, command.location)
    left = _leave(gate, row, site, now_ns) if moves else Decision()
    place = _place(gate, command, site, now_ns)
    again = _again(gate, site, now_ns)
    work = _submitted(gate, site, now_ns) if renewed else Decision()
    known = (definition.as_read(), row.as_read(), *left.expects, *place.expects, *again.expects)
    return Decision(
        expects=(*expects, *known, *work.expects),
        events=(*left.events, *place.events, *again.events, *work.events, updated),
        wakes=work.wakes,
    )


def _next(row: BlueprintRow) -> int:
    if row.generation >= MOST_GENERATION:
        raise Invalid(f"blueprint generation is at its limit of {MOST_GENERATION}")
    return row.generation + 1


def set_status(gate: Gate, row: BlueprintRow | None, status: bytes, now_ns: int) -> Decision:
    """Say how a blueprint stands, or (empty) nothing any more.

    Raises:
        Denied, NotFound, Invalid: not a member; no such blueprint; too much to be said.
    """
    expects = member(gate)
    if row is None:
        raise NotFound("Blueprint not found")
    checked_size("blueprint", row.metadata, row.spec, status)
    changed = BlueprintStatusChanged(
        subject=row.id, actor=gate.caller, at_ns=now_ns, name=row.name, status=status
    )
    return Decision(expects=(*expects, row.as_read()), events=(changed,))


def reconcile(gate: Gate, site: Site, now_ns: int, *, force: bool) -> Decision:
    """Submit a process that reconciles a blueprint; ``force`` makes that a new generation.

    Raises:
        Denied, NotFound, Invalid: not a member; no such blueprint; nobody reconciles it.
    """
    expects = member(gate)
    row, definition = site.row, site.definition
    if row is None:
        raise NotFound("Blueprint not found")
    if definition is None or not definition.executor_type:
        raise Invalid("Blueprint has no handler with executor type defined")
    if not definition.function:
        raise Invalid("Blueprint has no handler with function name defined")
    work = _submitted(gate, site, now_ns)
    forced: tuple[Event, ...] = ()
    if force:
        forced = (
            BlueprintForced(
                subject=row.id,
                actor=gate.caller,
                at_ns=now_ns,
                name=row.name,
                generation=_next(row),
            ),
        )
    return Decision(
        expects=(*expects, definition.as_read(), row.as_read(), *work.expects),
        events=(*forced, *work.events),
        wakes=work.wakes,
    )


def remove(gate: Gate, site: Site, now_ns: int) -> Decision:
    """Remove a blueprint, and submit the process that cleans up behind it.

    Raises:
        Denied, NotFound: neither member nor owner; no such blueprint.
    """
    expects = member_or_owner(gate)
    row = site.row
    if row is None:
        raise NotFound("Blueprint not found")
    removed = BlueprintRemoved(
        subject=row.id,
        actor=gate.caller,
        at_ns=now_ns,
        name=row.name,
        kind=row.kind,
        location=row.location,
    )
    left = _leave(gate, row, site, now_ns)
    work = _submitted(gate, site, now_ns)
    return Decision(
        expects=(*expects, row.as_read(), *left.expects, *work.expects),
        events=(*left.events, *work.events, removed),
        wakes=work.wakes,
    )
