"""Blueprints: add, look, replace, reconcile, remove."""

import uuid
from collections.abc import Awaitable, Callable, Container
from functools import partial

from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from api import reconciling
from api import wire_blueprint as wire
from api.context import Call, Context
from api.handlers.definition import PAGE, check_metadata, of_kind, pages
from api.listing import Listing
from api.present import process_of_event
from api.reconciling import About
from api.wire import Empty, decode, encode, rfc3339
from api.wire_process import Process
from broker import access, keys
from broker.access import Gate
from broker.aggregates import blueprint as aggregate
from broker.aggregates.blueprint import (
    BlueprintAdded,
    BlueprintRow,
    BlueprintUpdated,
    PutBlueprint,
    Site,
)
from broker.aggregates.definition import DefinitionRow
from broker.aggregates.process import ProcessSubmitted
from broker.aggregates.process_submit import SubmitProcess
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Denied, Invalid, Malformed, NotFound
from broker.schema import read as read_json
from projections.core.blueprint import MOST_REMEMBERED, Change, read_change

_Rows = tuple[Gate, Colony, Site]
_Rule = Callable[[Gate], object]
_Work = Callable[[Colony, DefinitionRow | None, About], SubmitProcess | None]
_Put = Callable[[Gate, PutBlueprint, Site, int], Decision]


# -------------------------------------------------------------------- add, replace


async def add(ctx: Context, call: Call, msg: wire.AddBlueprintMsg) -> wire.Blueprint:
    """Add a blueprint, and have it reconciled."""
    return await _put(ctx, call, msg.blueprint, "Failed to add blueprint", aggregate.add)


async def update(ctx: Context, call: Call, msg: wire.UpdateBlueprintMsg) -> wire.Blueprint:
    """Replace a blueprint; if its spec is another, have it reconciled."""

    def decide(gate: Gate, command: PutBlueprint, site: Site, now_ns: int) -> Decision:
        return aggregate.update(gate, command, site, now_ns, force=msg.forcegeneration)

    return await _put(ctx, call, msg.blueprint, "Failed to update blueprint", decide)


async def _put(
    ctx: Context, call: Call, given: wire.Blueprint | None, what: str, put: _Put
) -> wire.Blueprint:
    if given is None:
        raise Invalid(f"{what}, blueprint is nil")
    drafted = _draft(given, what)

    async def read(fresh: bool) -> tuple[Colony, tuple[_Rows, PutBlueprint]]:  # noqa: FBT001
        name, rule = given.metadata.colonyname, access.member_or_owner
        gate, colony = await _entitled(ctx, call, name, rule, fresh=fresh)
        command = replace(
            drafted,
            blueprint_id=drafted.blueprint_id or keys.new_id(colony.suffix),
            location_id=keys.new_id(colony.suffix),
        )
        site = await _site_of(ctx, colony, command, fresh=fresh)
        return colony, ((gate, colony, site), command)

    def decide(rows: tuple[_Rows, PutBlueprint], now_ns: int) -> Decision:
        (gate, colony, site), command = rows
        return _admitted(ctx, colony, put(gate, command, site, now_ns))

    event = await ctx.write(call, read, decide)
    if not isinstance(event, BlueprintAdded | BlueprintUpdated):
        raise Corrupt("a blueprint that is not in the log")
    return _shown(event.subject, event)


def _draft(given: wire.Blueprint, what: str) -> PutBlueprint:
    """The command without the ids that the server makes up if there are none."""
    metadata = given.metadata
    wire.tidy(metadata)
    try:
        check_metadata(metadata)
    except Malformed as error:
        raise Malformed(f"{what}, invalid JSON: {error}") from error
    return PutBlueprint(
        blueprint_id=given.blueprintid,
        name=metadata.name,
        kind=given.kind,
        location=metadata.locationname or "",
        location_id="",
        generation=metadata.generation or 0,
        metadata=encode(replace(metadata, generation=UNSET)),
        spec=_object(given.spec, what),
        status=_status(given.status, what),
        history_id=str(uuid.uuid4()),
    )


def _object(value: Raw, what: str) -> bytes:
    """The text of a JSON object, or of null."""
    text = bytes(value)
    try:
        found = read_json(text)
    except Malformed as error:
        raise Malformed(f"{what}, invalid JSON: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise Malformed(f"{what}, invalid JSON")
    return text


def _status(value: Raw | UnsetType, what: str) -> bytes:
    """The text of a status, empty for one in which there is nothing."""
    text = _object(value, what) if isinstance(value, Raw) else b""
    return b"" if text == b"null" or not text[1:-1].strip() else text


async def _entitled(
    ctx: Context, call: Call, name: str, rule: _Rule, *, fresh: bool
) -> tuple[Gate, Colony]:
    """Who asks, if a rule lets them: nothing is looked at for others."""
    colony, gate = await ctx.gate(call, name, fresh=fresh)
    rule(gate)
    if colony is None:
        raise Corrupt("a member of no colony")
    return gate, colony


async def _site_of(ctx: Context, colony: Colony, command: PutBlueprint, *, fresh: bool) -> Site:
    """What a blueprint is put into."""
    row = await _row(ctx, colony, command.name)
    definition = await of_kind(ctx, colony, command.kind)
    same_id, knows_location = await ctx.store.read(
        ("HGET", colony.tag.key(keys.BLUEPRINT_IDS), command.blueprint_id),
        ("HEXISTS", colony.tag.key(keys.LOCATIONS), command.location),
    )
    about = About(command.name, command.kind, command.location)
    name = aggregate.cron_name(command.kind, command.location)
    neighbours, their_cron = await _neighbours(ctx, colony, row)
    return Site(
        row=row,
        definition=definition,
        work=reconciling.reconcile(colony, definition, about),
        classes=await _classes(ctx, colony, fresh=fresh),
        same_id=same_id.decode() if same_id else None,
        knows_location=bool(knows_location),
        cron=reconciling.cron(ctx, colony, definition, about),
        cron_id=await ctx.id_named(colony, keys.CRON_NAMES, name),
        neighbours=neighbours,
        their_cron=their_cron,
    )


async def _neighbours(
    ctx: Context, colony: Colony, row: BlueprintRow | None
) -> tuple[int, str | None]:
    """How many blueprints of its kind are where a blueprint is, and the cron there."""
    if row is None:
        return 0, None
    key = colony.tag.key(keys.blueprints_at(row.kind, row.location))
    name = aggregate.cron_name(row.kind, row.location)
    return int(await ctx.store.send("SCARD", key)), await ctx.id_named(
        colony, keys.CRON_NAMES, name
    )


async def _classes(ctx: Context, colony: Colony, *, fresh: bool) -> Container[str]:
    await ctx.count_waiting(colony)
    return (await ctx.directory.classes(colony, fresh=fresh)).by_key


async def _row(ctx: Context, colony: Colony, name: str) -> BlueprintRow | None:
    return BlueprintRow.read(name, (await ctx.rows(colony, keys.blueprint(name)))[0])


def _admitted(ctx: Context, colony: Colony, decision: Decision) -> Decision:
    """A decision that queues no more than there is room for."""
    if decision.wakes:
        ctx.check_queue(colony)
    return decision


# -------------------------------------------------------------------- status, reconcile, remove


async def set_status(ctx: Context, call: Call, msg: wire.UpdateBlueprintStatusMsg) -> Empty:
    """Say how a blueprint stands."""
    status = _status(msg.status, "Failed to update blueprint status")

    async def read(fresh: bool) -> tuple[Colony, tuple[Gate, BlueprintRow | None]]:  # noqa: FBT001
        gate, colony = await _entitled(ctx, call, msg.colonyname, access.member, fresh=fresh)
        return colony, (gate, await _row(ctx, colony, msg.blueprintname))

    def decide(rows: tuple[Gate, BlueprintRow | None], now_ns: int) -> Decision:
        return aggregate.set_status(*rows, status, now_ns)

    await ctx.write(call, read, decide)
    return Empty()


async def reconcile(ctx: Context, call: Call, msg: wire.ReconcileBlueprintMsg) -> Process:
    """Have a blueprint reconciled; the reply is the process that does it."""

    def decide(rows: _Rows, now_ns: int) -> Decision:
        gate, colony, site = rows
        decision = aggregate.reconcile(gate, site, now_ns, force=msg.force)
        return _admitted(ctx, colony, decision)

    work = partial(reconciling.reconcile, force=msg.force)
    event = await ctx.write(call, _existing(ctx, call, msg, access.member, work), decide)
    if not isinstance(event, ProcessSubmitted):
        raise Corrupt("a process that is not in the log")
    return process_of_event(event, msg.namespace)


async def remove(ctx: Context, call: Call, msg: wire.RemoveBlueprintMsg) -> Empty:
    """Remove a blueprint, and have cleaned up behind it."""

    def decide(rows: _Rows, now_ns: int) -> Decision:
        gate, colony, site = rows
        return _admitted(ctx, colony, aggregate.remove(gate, site, now_ns))

    read = _existing(ctx, call, msg, access.member_or_owner, reconciling.clean_up)
    await ctx.write(call, read, decide)
    return Empty()


def _existing(
    ctx: Context, call: Call, msg: wire.OfNamespace, rule: _Rule, work: _Work
) -> Callable[[bool], Awaitable[tuple[Colony, _Rows]]]:
    """How to read a blueprint with what is to be done about it."""

    async def read(fresh: bool) -> tuple[Colony, _Rows]:  # noqa: FBT001 - run's own shape
        gate, colony = await _entitled(ctx, call, msg.namespace, rule, fresh=fresh)
        row = await _row(ctx, colony, msg.name)
        if row is None:
            return colony, (gate, colony, Site(row=None))
        definition = await of_kind(ctx, colony, row.kind)
        about = About(row.name, row.kind, row.location)
        neighbours, their_cron = await _neighbours(ctx, colony, row)
        site = Site(
            row=row,
            definition=definition,
            work=work(colony, definition, about),
            classes=await _classes(ctx, colony, fresh=fresh),
            neighbours=neighbours,
            their_cron=their_cron,
        )
        return colony, (gate, colony, site)

    return read


# -------------------------------------------------------------------- look


async def get(ctx: Context, call: Call, msg: wire.GetBlueprintMsg) -> wire.Blueprint:
    """Read a blueprint."""
    _, colony = await _entitled(ctx, call, msg.namespace, access.member_or_owner, fresh=True)
    row = await _row(ctx, colony, msg.name)
    if row is None:
        raise NotFound("Blueprint not found")
    return _shown(row.id, row)


def _shown(
    blueprint_id: str, found: BlueprintRow | BlueprintAdded | BlueprintUpdated
) -> wire.Blueprint:
    metadata = decode(found.metadata, wire.Metadata)
    metadata.generation = found.generation or UNSET
    return wire.Blueprint(
        blueprintid=blueprint_id,
        kind=found.kind,
        metadata=metadata,
        spec=Raw(found.spec),
        status=Raw(found.status) if found.status else UNSET,
    )


async def get_all(ctx: Context, call: Call, msg: wire.GetBlueprintsMsg) -> bytes:
    """List blueprints, by name; the location counts only together with the kind."""
    _, colony = await _entitled(ctx, call, msg.namespace, access.member_or_owner, fresh=True)
    listing = keys.blueprints_of(msg.kind) if msg.kind else keys.BLUEPRINTS
    names = await ctx.store.send("ZRANGE", colony.tag.key(listing), 0, -1)
    place = msg.locationname.casefold() if msg.kind else ""
    found = Listing()
    for page in pages([name.decode() for name in names]):
        hashes = await ctx.rows(colony, *map(keys.blueprint, page))
        rows = (BlueprintRow.read(name, row) for name, row in zip(page, hashes, strict=True))
        there = (row for row in rows if row and place in {"", row.location.casefold()})
        found.add(encode(_shown(row.id, row)) for row in there)
    return found.text()


async def history(ctx: Context, call: Call, msg: wire.GetBlueprintHistoryMsg) -> bytes:
    """List changes of a blueprint, newest first."""
    colony = await _colony_with(ctx, call, msg.blueprintid)
    key = colony.tag.key(keys.blueprint_history(msg.blueprintid))
    most = msg.limit if msg.limit > 0 else MOST_REMEMBERED
    found = Listing()
    for first in range(0, min(most, MOST_REMEMBERED), PAGE):
        last = min(first + PAGE, most) - 1
        page = await ctx.store.send("ZREVRANGE", key, first, last)
        changes = map(read_change, page)
        found.add(encode(_shown_change(msg.blueprintid, colony.name, each)) for each in changes)
        if len(page) < PAGE:
            break
    return found.text()


async def _colony_with(ctx: Context, call: Call, blueprint_id: str) -> Colony:
    """The colony that has a blueprint and is the caller's. Clients choose ids as they like.

    Raises:
        NotFound, Denied: no colony has it; the caller belongs to none of those that have.
    """
    every = await ctx.directory.every()
    asked = (("HEXISTS", colony.tag.key(keys.BLUEPRINT_IDS), blueprint_id) for colony in every)
    known = await ctx.store.read(*asked) if every else []
    refusal: Exception = NotFound("Blueprint not found")
    for colony, is_there in zip(every, known, strict=True):
        if not is_there:
            continue
        try:
            _, entitled = await _entitled(
                ctx, call, colony.name, access.member_or_owner, fresh=True
            )
        except Denied as error:
            refusal = error
        else:
            return entitled
    raise refusal


def _shown_change(blueprint_id: str, colony_name: str, change: Change) -> wire.BlueprintHistory:
    return wire.BlueprintHistory(
        historyid=change.history_id,
        blueprintid=blueprint_id,
        kind=change.kind,
        namespace=colony_name,
        name=change.name,
        generation=change.generation,
        spec=Raw(change.spec),
        status=Raw(change.status) if change.status else UNSET,
        timestamp=rfc3339(change.at_ns),
        changedby=change.by,
        changetype=change.change,
    )
