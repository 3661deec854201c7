"""Definitions of blueprints: add, look, remove."""

from collections.abc import Iterable, Sequence

from api import wire
from api import wire_blueprint as blueprints
from api.context import Call, Context
from api.listing import Listing
from broker import access, keys
from broker.access import Gate
from broker.aggregates import definition as aggregate
from broker.aggregates.definition import (
    AddDefinition,
    BlueprintDefinitionAdded,
    DefinitionRow,
)
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Malformed, NotFound
from broker.schema import check_schema

PAGE = 100

_Added = tuple[Gate, AddDefinition, DefinitionRow | None, str | None]
_Removed = tuple[Gate, DefinitionRow | None, int]


async def add(ctx: Context, call: Call, msg: blueprints.AddBlueprintDefinitionMsg) -> bytes:
    """Define a kind of blueprints; the reply is the definition."""
    given = msg.blueprintdefinition
    if given is None:
        raise Invalid("Failed to add blueprint definition, blueprint definition is nil")
    _check(given)

    async def read(fresh: bool) -> tuple[Colony | None, _Added]:  # noqa: FBT001 - run's own shape
        colony, gate = await ctx.gate(call, given.metadata.colonyname, fresh=fresh)
        access.colony_owner(gate)
        if colony is None:
            raise Corrupt("the owner of no colony")
        command = _command(given, colony)
        namesake = await named(ctx, colony, command.name)
        same_id = await ctx.store.send(
            "HGET", colony.tag.key(keys.DEFINITION_IDS), command.definition_id
        )
        return colony, (gate, command, namesake, same_id.decode() if same_id else None)

    def decide(rows: _Added, now_ns: int) -> Decision:
        return aggregate.add(*rows, now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, BlueprintDefinitionAdded):
        raise Corrupt("a definition that is not in the log")
    return event.document


def _check(given: blueprints.BlueprintDefinition) -> None:
    blueprints.tidy(given)
    try:
        check_metadata(given.metadata)
        if given.spec.schema:
            check_schema(given.spec.schema)
    except Malformed as error:
        raise Malformed(f"Failed to add blueprint definition, invalid JSON: {error}") from error


def check_metadata(given: blueprints.Metadata) -> None:
    """See that its times are times.

    Raises:
        Malformed: they are not.
    """
    for moment in (given.created, given.updated, given.reconciled):
        wire.parse_time(moment)


def _command(given: blueprints.BlueprintDefinition, colony: Colony) -> AddDefinition:
    given.blueprintdefinitionid = given.blueprintdefinitionid or keys.new_id(colony.suffix)
    return AddDefinition(
        name=given.metadata.name,
        definition_id=given.blueprintdefinitionid,
        kind=given.spec.names.kind,
        document=wire.encode(given),
    )


async def named(ctx: Context, colony: Colony, name: str) -> DefinitionRow | None:
    """A definition by its name."""
    return DefinitionRow.read(name, (await ctx.rows(colony, keys.definition(name)))[0])


async def of_kind(ctx: Context, colony: Colony, kind: str) -> DefinitionRow | None:
    """The definition that counts for a kind of blueprints."""
    names = await ctx.store.send("ZRANGE", colony.tag.key(keys.definitions_of(kind)), 0, 0)
    return await named(ctx, colony, names[0].decode()) if names else None


async def get(ctx: Context, call: Call, msg: blueprints.GetBlueprintDefinitionMsg) -> bytes:
    """Read a definition."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member_or_owner(gate)
    row = await named(ctx, colony, msg.name) if colony else None
    if row is None:
        raise NotFound("Blueprint definition not found")
    return row.document


async def get_all(ctx: Context, call: Call, msg: blueprints.GetBlueprintDefinitionsMsg) -> bytes:
    """List definitions, by name."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.member_or_owner(gate)
    if colony is None:
        return b"[]"
    listed = await ctx.store.send("ZRANGE", colony.tag.key(keys.DEFINITIONS), 0, -1)
    found = Listing()
    for page in pages([name.decode() for name in listed]):
        rows = await ctx.rows(colony, *map(keys.definition, page))
        found.add(row[b"document"] for row in rows if row)
    return found.text()


def pages(names: Sequence[str]) -> Iterable[Sequence[str]]:
    """Names, a bounded number at a time."""
    return (names[first : first + PAGE] for first in range(0, len(names), PAGE))


async def remove(
    ctx: Context, call: Call, msg: blueprints.RemoveBlueprintDefinitionMsg
) -> wire.Empty:
    """Remove a definition without blueprints."""

    async def read(fresh: bool) -> tuple[Colony | None, _Removed]:  # noqa: FBT001 - run's own shape
        colony, gate = await ctx.gate(call, msg.namespace, fresh=fresh)
        access.colony_owner(gate)
        row = await named(ctx, colony, msg.name) if colony else None
        if row is None or colony is None:
            return colony, (gate, None, 0)
        in_use = await ctx.store.send("ZCARD", colony.tag.key(keys.blueprints_of(row.kind)))
        return colony, (gate, row, int(in_use))

    def decide(rows: _Removed, now_ns: int) -> Decision:
        gate, row, in_use = rows
        return aggregate.remove(gate, msg.name, row, in_use, now_ns)

    await ctx.write(call, read, decide)
    return wire.Empty()
