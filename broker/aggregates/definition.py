"""Blueprint definitions: kinds of blueprints, with their schema and with who reconciles them.

A definition does not change, and stays as long as there are blueprints of its kind. Of several
for one kind the oldest counts.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from broker import keys
from broker.access import LONGEST_NAME, Gate, Hash, colony_owner
from broker.decision import Decision, Event, Expect, absent, equals, lacks
from broker.errors import Clash, Invalid, NotFound
from broker.keys import Key
from broker.schema import Schema

MOST_BYTES = 256 * 1024
"""Of one definition, and of one blueprint."""


class BlueprintDefinitionAdded(Event, frozen=True, kw_only=True):
    """There is a kind of blueprints; ``subject`` is the name of its definition.

    ``document`` is the definition as replies show it (JSON), ``kind`` what its blueprints name.
    """

    TYPE: ClassVar[str] = "BlueprintDefinitionAdded"
    definition_id: str
    kind: str
    document: bytes


class BlueprintDefinitionRemoved(Event, frozen=True, kw_only=True):
    """A definition is gone; ``subject`` is its name."""

    TYPE: ClassVar[str] = "BlueprintDefinitionRemoved"
    definition_id: str
    kind: str


EVENTS = (BlueprintDefinitionAdded, BlueprintDefinitionRemoved)


class AddDefinition(Struct, frozen=True, kw_only=True):
    """A definition as somebody wants it; the fields are those of BlueprintDefinitionAdded."""

    name: str
    definition_id: str
    kind: str
    document: bytes


class _Handler(Struct, frozen=True):
    executor_type: str = msgspec.field(name="executorType", default="")
    function: str = msgspec.field(name="functionName", default="")


class _Spec(Struct, frozen=True):
    handler: _Handler = _Handler()
    schema: Schema | UnsetType = UNSET


class _Document(Struct, frozen=True):
    spec: _Spec


_document_of = msgspec.json.Decoder(_Document).decode


@dataclass(frozen=True, kw_only=True)
class DefinitionRow:
    """One definition as it is stored."""

    name: str
    row: Hash

    @classmethod
    def read(cls, name: str, row: Hash) -> "DefinitionRow | None":
        """From its hash; None when there is no such definition."""
        return cls(name=name, row=row) if row else None

    @property
    def id(self) -> str:
        """Its id."""
        return self.row[b"id"].decode()

    @property
    def kind(self) -> str:
        """The kind of its blueprints."""
        return self.row[b"kind"].decode()

    @property
    def document(self) -> bytes:
        """All of it, as replies show it."""
        return self.row[b"document"]

    @cached_property
    def _spec(self) -> _Spec:
        return _document_of(self.document).spec

    @property
    def schema(self) -> Schema:
        """What the specs of its blueprints may hold."""
        return self._spec.schema or Schema()

    @property
    def executor_type(self) -> str:
        """Executors of which type reconcile its blueprints, "" for none."""
        return self._spec.handler.executor_type

    @property
    def function(self) -> str:
        """The function that reconciles, "" for none."""
        return self._spec.handler.function

    def as_read(self) -> Expect:
        """It is still there; one that came back under its name is another."""
        return equals(keys.definition(self.name), "guard", int(self.row[b"guard"]))


def checked_text(text: str, what: str) -> str:
    """A name that can be stored and listed; colons are common in blueprints.

    Raises:
        Invalid: empty, too long, or with a control character.
    """
    if not text:
        raise Invalid(f"{what} is empty")
    return checked_optional(text, what)


def checked_optional(text: str, what: str) -> str:
    """The same for one that may be empty.

    Raises:
        Invalid: too long, or with a control character.
    """
    if len(text) > LONGEST_NAME:
        raise Invalid(f"{what} is longer than {LONGEST_NAME} characters")
    if any(ord(c) < ord(" ") for c in text):
        raise Invalid(f"{what} {text!r} has a control character")
    return text


def checked_size(what: str, *parts: bytes) -> None:
    """See that something is not too large to be stored.

    Raises:
        Invalid: it is.
    """
    size = sum(map(len, parts))
    if size > MOST_BYTES:
        raise Invalid(f"{what} has {size} bytes, more than the limit of {MOST_BYTES}")


def add(
    gate: Gate,
    command: AddDefinition,
    namesake: DefinitionRow | None,
    same_id: str | None,
    now_ns: int,
) -> Decision:
    """Define a kind of blueprints; ``same_id`` is the definition that has the id already.

    Raises:
        Denied, Clash, Invalid: not the owner; the name or id is taken; too large to be kept.
    """
    expects = colony_owner(gate)
    name = checked_text(command.name, "blueprint definition name")
    definition_id = checked_text(command.definition_id, "blueprint definition id")
    checked_optional(command.kind, "blueprint definition kind")
    checked_size("blueprint definition", command.document)
    if namesake is not None:
        raise Clash(
            f"blueprint definition with name '{name}' already exists in colony '{gate.colony_name}'"
        )
    if same_id is not None:
        raise Clash(f"blueprint definition with id '{definition_id}' already exists")
    added = BlueprintDefinitionAdded(
        subject=name,
        actor=gate.caller,
        at_ns=now_ns,
        definition_id=definition_id,
        kind=command.kind,
        document=command.document,
    )
    free = (absent(keys.definition(name)), lacks(keys.DEFINITION_IDS, definition_id))
    return Decision(expects=(*expects, *free), events=(added,))


def remove(gate: Gate, name: str, row: DefinitionRow | None, in_use: int, now_ns: int) -> Decision:
    """Remove a definition; ``in_use`` is how many blueprints of its kind there are.

    Raises:
        Denied, NotFound, Clash: not the owner; no such definition; it is in use.
    """
    expects = colony_owner(gate)
    if row is None:
        raise NotFound(f"BlueprintDefinition '{name}' not found in namespace '{gate.colony_name}'")
    if in_use:
        raise Clash(
            f"cannot remove BlueprintDefinition '{name}': {in_use} blueprint(s) of kind"
            f" '{row.kind}' still exist"
        )
    removed = BlueprintDefinitionRemoved(
        subject=name, actor=gate.caller, at_ns=now_ns, definition_id=row.id, kind=row.kind
    )
    unused: Key = keys.blueprints_of(row.kind)
    return Decision(expects=(*expects, row.as_read(), absent(unused)), events=(removed,))
