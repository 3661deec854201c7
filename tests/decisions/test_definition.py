"""Definitions of blueprints: kinds, kept by the owner."""

import pytest

from broker import keys
from broker.aggregates import definition
from broker.aggregates.colony import ColonyOwnerChanged
from broker.aggregates.definition import (
    MOST_BYTES,
    AddDefinition,
    BlueprintDefinitionAdded,
    BlueprintDefinitionRemoved,
    DefinitionRow,
)
from broker.decision import Decision
from broker.errors import Clash, Denied, Invalid, NotFound
from tests.blueprints import DEFINITION, DEFINITION_ID, KIND, defined, document, lit
from tests.facts import COLONY, EXECUTOR, LATER, OWNER, STRANGER, USER, inhabited
from tests.scenario import Decide, World, given

ADDED = BlueprintDefinitionAdded(
    subject=DEFINITION,
    actor=OWNER,
    at_ns=LATER,
    definition_id=DEFINITION_ID,
    kind=KIND,
    document=document(),
)
GONE = BlueprintDefinitionRemoved(
    subject=DEFINITION, actor=OWNER, at_ns=LATER, definition_id=DEFINITION_ID, kind=KIND
)
SOLD = ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner=STRANGER)


def row(world: World, name: str) -> DefinitionRow | None:
    return DefinitionRow.read(name, world.hash(keys.definition(name)))


def add(
    caller: str = OWNER,
    *,
    name: str = DEFINITION,
    definition_id: str = DEFINITION_ID,
    kind: str = KIND,
    content: bytes = b"",
    colony: str = COLONY,
) -> Decide:
    command = AddDefinition(
        name=name, definition_id=definition_id, kind=kind, document=content or document()
    )

    def decide(world: World) -> Decision:
        same_id = world.hash(keys.DEFINITION_IDS).get(definition_id.encode())
        known = same_id.decode() if same_id else None
        return definition.add(world.gate(caller, colony), command, row(world, name), known, LATER)

    return decide


def remove(caller: str = OWNER, name: str = DEFINITION) -> Decide:
    def decide(world: World) -> Decision:
        in_use = len(world.hash(keys.blueprints_of(KIND)))
        return definition.remove(world.gate(caller), name, row(world, name), in_use, LATER)

    return decide


def test_owner_defines_a_kind() -> None:
    given(*inhabited()).when(add()).then(ADDED).unless(ADDED).unless(SOLD)


def test_name_is_taken_once() -> None:
    given(*inhabited(), defined()).when(add(definition_id="other")).rejected(
        Clash, f"blueprint definition with name '{DEFINITION}' already exists in colony '{COLONY}'"
    )


def test_id_is_taken_once() -> None:
    decided = given(*inhabited()).when(add())
    decided.unless(defined(name="meanwhile"))

    given(*inhabited(), defined(name="other")).when(add()).rejected(
        Clash, f"blueprint definition with id '{DEFINITION_ID}' already exists"
    )


def test_several_definitions_may_have_one_kind() -> None:
    given(*inhabited(), defined(name="other", definition_id="o")).when(add()).then(ADDED)


@pytest.mark.parametrize("caller", [USER, EXECUTOR, STRANGER])
def test_only_the_owner_keeps_definitions(caller: str) -> None:
    refusal = "Access denied, not colony owner"
    given(*inhabited()).when(add(caller)).rejected(Denied, refusal)
    given(*inhabited(), defined()).when(remove(caller)).rejected(Denied, refusal)


@pytest.mark.parametrize(
    ("colony", "text"),
    [("nowhere", "Colony with name <nowhere> does not exists"), ("", "Empty Colony name")],
)
def test_definition_needs_a_colony(colony: str, text: str) -> None:
    given(*inhabited()).when(add(colony=colony)).rejected(Denied, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "blueprint definition name is empty"),
        ("a" * 257, "blueprint definition name is longer than 256 characters"),
        ("a\nb", "blueprint definition name 'a\\nb' has a control character"),
    ],
)
def test_name_has_to_be_storable(name: str, text: str) -> None:
    given(*inhabited()).when(add(name=name)).rejected(Invalid, text)


def test_kind_and_id_have_to_be_storable() -> None:
    given(*inhabited()).when(add(kind="k" * 257)).rejected(
        Invalid, "blueprint definition kind is longer than 256 characters"
    )
    given(*inhabited()).when(add(definition_id="i\0")).rejected(
        Invalid, "blueprint definition id 'i\\x00' has a control character"
    )


def test_definition_has_a_largest_size() -> None:
    given(*inhabited()).when(add(content=bytes(MOST_BYTES + 1))).rejected(
        Invalid, f"blueprint definition has {MOST_BYTES + 1} bytes, more than the limit of 262144"
    )


def test_owner_removes_a_definition() -> None:
    again = defined(at_ns=LATER)

    given(*inhabited(), defined()).when(remove()).then(GONE).unless(GONE).unless(SOLD).unless(
        lit()
    ).unless(GONE, again)


def test_unknown_definition_is_not_removed() -> None:
    given(*inhabited()).when(remove()).rejected(
        NotFound, f"BlueprintDefinition '{DEFINITION}' not found in namespace '{COLONY}'"
    )


def test_definition_in_use_is_not_removed() -> None:
    used = given(*inhabited(), defined(), lit(), lit("two", "2"))

    used.when(remove()).rejected(
        Clash,
        f"cannot remove BlueprintDefinition '{DEFINITION}': 2 blueprint(s) of kind '{KIND}' still"
        " exist",
    )
