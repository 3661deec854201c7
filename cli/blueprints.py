"""Blueprints and their definitions as commands read and show them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from msgspec import Raw, UnsetType

from api.wire_blueprint import (
    Blueprint,
    BlueprintDefinition,
    BlueprintHistory,
    GetBlueprintDefinitionsMsg,
    GetBlueprintMsg,
    GetBlueprintsMsg,
)
from api.wire_cron import Cron, GetCronsMsg
from api.wire_executor import Executor, GetExecutorsMsg
from broker.schema import Schema
from cli import render, spec
from cli.client import Client
from cli.errors import UsageError
from cli.given import given_json

_APPROVED = 1
_NOT_SAID = "-"
_LONGEST = 60
_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many executors a blueprint wants (None if it does not say), and has."""

    wanted: int | None
    current: int
    older: int

    @property
    def text(self) -> str:
        """As a list shows it."""
        return _NOT_SAID if self.wanted is None else f"{self.current}/{self.wanted}"


# -------------------------------------------------------------------- read


def read_blueprint(source: str, colony: str) -> Blueprint:
    """A blueprint out of a file, for this colony unless it names another.

    Raises:
        UsageError: unreadable, or not the shape of a blueprint.
    """
    found = spec.one(source, Blueprint)
    found.metadata.colonyname = found.metadata.colonyname or colony
    return found


def read_definition(source: str, colony: str) -> BlueprintDefinition:
    """The definition of a kind of blueprints out of a file.

    Raises:
        UsageError: unreadable, or not the shape of a definition.
    """
    found = spec.one(source, BlueprintDefinition)
    found.metadata.colonyname = found.metadata.colonyname or colony
    return found


async def named(client: Client, colony: str, name: str) -> Blueprint:
    """The blueprint of a name."""
    return await client.ask(GetBlueprintMsg(namespace=colony, name=name), Blueprint)


async def listed(client: Client, colony: str, kind: str = "") -> list[Blueprint]:
    """All blueprints, or those of a kind."""
    return await client.ask_list(GetBlueprintsMsg(namespace=colony, kind=kind), Blueprint)


async def crons(client: Client, colony: str) -> list[Cron]:
    """What starts by the clock."""
    return await client.ask_list(GetCronsMsg(colonyname=colony, count=_COUNT), Cron)


async def definitions(client: Client, colony: str) -> list[BlueprintDefinition]:
    """All kinds of blueprints."""
    message = GetBlueprintDefinitionsMsg(colonyname=colony)
    return await client.ask_list(message, BlueprintDefinition)


async def executors(client: Client, colony: str) -> list[Executor]:
    """All executors."""
    return await client.ask_list(GetExecutorsMsg(colonyname=colony), Executor)


def content(text: Raw | UnsetType) -> dict[str, object]:
    """A spec or a status; nothing is an empty one."""
    value = given_json(bytes(text)) if isinstance(text, Raw) else None
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def generation(blueprint: Blueprint) -> int:
    """Which version of its spec a blueprint has; the first is 0."""
    return blueprint.metadata.generation or 0


def location(blueprint: Blueprint) -> str:
    """Where a blueprint is to be seen to, "" for anywhere."""
    return blueprint.metadata.locationname or ""


def executor_type(blueprint: Blueprint, kinds: Mapping[str, BlueprintDefinition]) -> str:
    """The type of executors it is about: that in its spec, or who reconciles its kind."""
    said = content(blueprint.spec).get("executorType")
    if isinstance(said, str) and said:
        return said
    kind = kinds.get(blueprint.kind)
    return kind.spec.handler.executor_type if kind else ""


def by_kind(found: Iterable[BlueprintDefinition]) -> dict[str, BlueprintDefinition]:
    """Definitions by the kind of blueprints that they are of."""
    return {each.spec.names.kind: each for each in found}


def approved(found: Iterable[Executor], kind: str, place: str) -> list[Executor]:
    """Approved executors of a type, at a place if there has to be one."""
    return [
        each
        for each in found
        if each.state == _APPROVED and each.executortype == kind and place in {"", _place(each)}
    ]


def _place(executor: Executor) -> str:
    return executor.locationname if isinstance(executor.locationname, str) else ""


def replicas(blueprint: Blueprint, found: Iterable[Executor]) -> Replicas:
    """How many executors a blueprint has brought about, of how many."""
    wanted = content(blueprint.spec).get("replicas")
    current = generation(blueprint)
    mine = [
        each.blueprintgen or 0
        for each in found
        if each.blueprintid == blueprint.blueprintid and each.state == _APPROVED
    ]
    is_number = isinstance(wanted, int | float) and not isinstance(wanted, bool)
    return Replicas(
        wanted=int(cast("float", wanted)) if is_number else None,
        current=sum(each == current for each in mine),
        older=sum(each < current for each in mine),
    )


# -------------------------------------------------------------------- change


def changed(blueprint: Blueprint, key: str, value: str) -> Blueprint:
    """The blueprint with one field of its spec, named with dots, set to a JSON value or a text.

    Raises:
        UsageError: the spec has no such field; a misspelled one must not become a new one.
    """
    whole = content(blueprint.spec)
    *steps, last = key.removeprefix("spec.").split(".")
    place: object = whole
    for step in steps:
        place = _inside(place, step, key)
    _inside(place, last, key)
    if isinstance(place, list):
        cast("list[object]", place)[int(last)] = _value(value)
    else:
        cast("dict[str, object]", place)[last] = _value(value)
    blueprint.spec = spec.json_text(whole)
    return blueprint


def _inside(place: object, step: str, key: str) -> object:
    if isinstance(place, dict):
        fields = cast("dict[str, object]", place)
        if step in fields:
            return fields[step]
        known = ", ".join(sorted(fields))
        raise UsageError(
            f"there is no field {step!r} in the spec (--key {key})",
            hint=f"there are: {known}" if known else "there is nothing in it",
        )
    if isinstance(place, list):
        items = cast("list[object]", place)
        if step.isdecimal() and int(step) < len(items):
            return items[int(step)]
        raise UsageError(f"there is no item {step!r} among {len(items)} (--key {key})")
    raise UsageError(f"{step!r} is looked for in a value that has no fields (--key {key})")


def _value(text: str) -> object:
    try:
        return cast("object", json.loads(text))
    except json.JSONDecodeError:
        return text


# -------------------------------------------------------------------- show


def row(
    blueprint: Blueprint,
    kinds: Mapping[str, BlueprintDefinition],
    found: Iterable[Executor],
) -> render.Row:
    """One line of the list of blueprints."""
    have = replicas(blueprint, found)
    return (
        blueprint.metadata.name,
        blueprint.kind,
        location(blueprint) or _NOT_SAID,
        executor_type(blueprint, kinds) or _NOT_SAID,
        have.text,
        str(have.older) if have.older else _NOT_SAID,
        str(generation(blueprint)),
    )


def blocks(
    blueprint: Blueprint, found: Sequence[Executor], again: Sequence[Cron]
) -> list[render.Block]:
    """Everything about one blueprint; ``again`` are the crons that have it reconciled."""
    metadata = blueprint.metadata
    rows: list[render.Row] = [
        ("Name", metadata.name),
        ("ID", render.Id(blueprint.blueprintid)),
        ("Kind", blueprint.kind),
        ("Location", location(blueprint) or _NOT_SAID),
        ("Generation", str(generation(blueprint))),
        ("Replicas", replicas(blueprint, found).text),
    ]
    if metadata.reconciled_by:
        rows.append(("LastReconciliation", render.Id(metadata.reconciled_by)))
    mine = [each for each in found if each.blueprintid == blueprint.blueprintid]
    return [
        render.Block(caption="Blueprint", rows=rows),
        *_named("Labels", metadata.labels or {}),
        *_named("Annotations", metadata.annotations or {}),
        render.Block(caption="Spec", rows=_fields(content(blueprint.spec)), nothing="Nothing"),
        render.Block(caption="Status", rows=_fields(content(blueprint.status)), nothing="None"),
        render.Block(
            caption="Executors",
            header=("NAME", "TYPE", "STATE", "GEN"),
            rows=[_executor(each) for each in mine],
            nothing="No executors found",
        ),
        render.Block(
            caption="Crons",
            header=("NAME", "INTERVAL", "NEXT RUN"),
            rows=[(each.name, f"{each.interval} s", render.moment(each.nextrun)) for each in again],
            nothing="No crons found",
        ),
    ]


def _named(caption: str, texts: Mapping[str, str]) -> list[render.Block]:
    rows = sorted(texts.items())
    return [render.Block(caption=caption, rows=rows)] if rows else []


def _fields(value: Mapping[str, object]) -> list[render.Row]:
    return [(key, _shown(inner)) for key, inner in value.items()]


def _shown(value: object) -> str:
    """A text as it is, anything else as JSON; on lines of its own when it is long."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else json.dumps(value, ensure_ascii=False, indent=2)


def _executor(executor: Executor) -> render.Row:
    state = render.state_of(render.EXECUTOR_STATES, executor.state)
    made_for = str(executor.blueprintgen or 0)
    return executor.executorname, executor.executortype, state, made_for


def definition_blocks(definition: BlueprintDefinition) -> list[render.Block]:
    """Everything about one kind of blueprints."""
    about, handler = definition.spec, definition.spec.handler
    rows: list[render.Row] = [
        ("Name", definition.metadata.name),
        ("ID", render.Id(definition.blueprintdefinitionid)),
        ("Kind", about.names.kind),
        ("Plural", about.names.plural),
        ("Group", about.group),
        ("Version", about.version),
        ("Scope", about.scope),
    ]
    handling = [("Executor Type", handler.executor_type), ("Function Name", handler.function)]
    found = [
        render.Block(caption="BlueprintDefinition", rows=rows),
        render.Block(caption="Handler", rows=handling),
    ]
    return [*found, *_schema(about.schema)] if isinstance(about.schema, Schema) else found


def _schema(schema: Schema) -> list[render.Block]:
    properties = schema.properties or {}
    rows: list[render.Row] = [
        (name, each.type or _NOT_SAID, each.description or _NOT_SAID)
        for name, each in properties.items()
    ]
    needed = ", ".join(schema.required or ()) or _NOT_SAID
    count = f"{len(properties)} fields defined"
    return [
        render.Block(caption="Schema", rows=[("Required Fields", needed), ("Properties", count)]),
        render.Block(
            caption="Schema Properties", header=("FIELD", "TYPE", "DESCRIPTION"), rows=rows
        ),
    ]


def change_row(change: BlueprintHistory, names: Mapping[str, str]) -> render.Row:
    """One line of a history; ``names`` are those of members by their ids."""
    return (
        str(change.generation),
        render.moment(change.timestamp),
        change.changetype,
        names.get(change.changedby, "") or render.Id(change.changedby),
    )


def change_blocks(change: BlueprintHistory, names: Mapping[str, str]) -> list[render.Block]:
    """Everything about one generation."""
    rows: list[render.Row] = [
        ("Blueprint ID", render.Id(change.blueprintid)),
        ("Kind", change.kind),
        ("Name", change.name),
        ("Namespace", change.namespace),
        ("Generation", str(change.generation)),
        ("Timestamp", render.moment(change.timestamp)),
        ("Change Type", change.changetype),
        ("Changed By", names.get(change.changedby, "") or render.Id(change.changedby)),
    ]
    return [
        render.Block(caption="Blueprint History", rows=rows),
        render.Block(caption="Spec", rows=_fields(content(change.spec)), nothing="Nothing"),
        render.Block(caption="Status", rows=_fields(content(change.status)), nothing="None"),
    ]
