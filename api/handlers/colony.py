"""Colonies: add, look, hand over, remove.

Adding and removing touch two streams, the server's and the colony's, which no atomic step spans.
The server's comes first and is the truth: a colony that is registered but not founded is founded by
whoever meets it next (``Context``), one that is unregistered but not dissolved by the purge.

Until then a server that remembers the latter goes on answering: the removal was answered to nobody
yet, so what arrives counts as before it and goes with it. In the other order a colony that is
dissolved and not unregistered would be founded anew, on top of what it had.
"""

from dataclasses import dataclass

from api import census, wire, wire_colony
from api.context import Call, Context
from broker import access, keys
from broker.access import Gate, MemberState, ServerRow
from broker.aggregates import colony as aggregate
from broker.aggregates import server as server_aggregate
from broker.aggregates.server import Entry
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Rejected
from broker.keys import SERVER
from broker.store import BY_SERVER


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the directory says about a name, an id and a suffix."""

    server: ServerRow | None
    suffix: str | None
    name_of_id: str | None


async def _entry(ctx: Context, name: str, colony_id: str) -> _Entry:
    server = await ctx.directory.server()
    suffix, holder = await ctx.store.read(
        ("HGET", SERVER.key(keys.COLONIES), name), ("HGET", SERVER.key(keys.COLONY_IDS), colony_id)
    )
    return _Entry(server, suffix.decode() if suffix else None, holder.decode() if holder else None)


async def add(ctx: Context, call: Call, msg: wire_colony.AddColonyMsg) -> wire_colony.Colony:
    """Create a colony."""
    access.server_owner(call.caller, await ctx.directory.server())
    if msg.colony is None:
        raise Invalid("Failed to add colony, colony is <nil>")
    name, colony_id = msg.colony.name, msg.colony.colonyid

    async def read(_fresh: bool) -> _Entry:  # noqa: FBT001
        return await _entry(ctx, name, colony_id)

    def decide(entry: _Entry, now_ns: int) -> Decision:
        return server_aggregate.register(
            call.caller,
            entry.server,
            name,
            colony_id,
            keys.new_suffix(),
            now_ns,
            name_taken=entry.suffix is not None,
            id_taken=entry.name_of_id is not None,
        )

    await ctx.write_server(call, read, decide)
    await ctx.gate(call, name)
    return wire_colony.Colony(colonyid=colony_id, name=name)


async def remove(ctx: Context, call: Call, msg: wire_colony.RemoveColonyMsg) -> wire.Empty:
    """Remove a colony; its keys are deleted in the background."""
    name = msg.colonyname
    colony = await ctx.directory.named(name, fresh=True)

    async def read(_fresh: bool) -> tuple[ServerRow | None, Entry | None]:  # noqa: FBT001
        ids = (await ctx.store.hashes(SERVER, keys.COLONY_IDS))[0]
        its_ids = tuple(i.decode() for i, n in ids.items() if n == name.encode())
        suffix = await ctx.store.send("HGET", SERVER.key(keys.COLONIES), name)
        entry = Entry(suffix=suffix.decode(), colony_ids=its_ids) if suffix else None
        return await ctx.directory.server(), entry

    def decide(rows: tuple[ServerRow | None, Entry | None], now_ns: int) -> Decision:
        return server_aggregate.unregister(call.caller, *rows, name, now_ns)

    await ctx.write_server(call, read, decide)
    if colony is not None:
        now_ns = ctx.store.clock.now_ns()
        await ctx.store.append(colony.tag, aggregate.dissolve(name, call.caller, now_ns), BY_SERVER)
        colony.forget()
    return wire.Empty()


async def get_all(
    ctx: Context, call: Call, msg: wire_colony.GetColoniesMsg
) -> list[wire_colony.Colony]:
    """List all colonies, by name."""
    del msg
    access.server_owner(call.caller, await ctx.directory.server())
    found: list[wire_colony.Colony] = []
    for colony in await ctx.directory.every():
        row = access.ColonyRow.read((await ctx.store.hashes(colony.tag, keys.COLONY))[0])
        if row is not None:
            found.append(wire_colony.Colony(colonyid=row.owner, name=row.name))
    return found


async def get(ctx: Context, call: Call, msg: wire_colony.GetColonyMsg) -> wire_colony.Colony:
    """Read a colony."""
    _, gate = await ctx.gate(call, msg.colonyname)
    access.member(gate)
    row = access.known_colony(gate)
    return wire_colony.Colony(colonyid=row.owner, name=row.name)


async def statistics(
    ctx: Context, call: Call, msg: wire_colony.GetColonyStatsMsg
) -> wire_colony.Statistics:
    """Count what is in a colony."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.existing_colony(gate, "Colony with name <{}> not found")
    access.reader(gate)
    if colony is None:
        raise Invalid(f"Colony with name <{msg.colonyname}> not found")
    counted = await census.census(ctx.store, ctx.directory, colony)
    found = census.statistics([counted])
    # A colony shows all its executors, a server those that are registered.
    found.executors = len(counted.members)
    found.activeexecutors = counted.executors(MemberState.APPROVED)
    found.unregisteredexecutors = counted.executors(MemberState.UNREGISTERED)
    return found


async def change_id(ctx: Context, call: Call, msg: wire_colony.ChangeColonyIdMsg) -> bytes:
    """Hand a colony to another key: reserve the new id, change the owner, release the old one."""
    new_id = aggregate.checked_new_owner(msg.colonyid)
    colony, gate = await ctx.gate(call, msg.colonyname)
    if colony is not None and await ctx.took_effect(call, colony.tag):
        return call.payload
    aggregate.change_owner(gate, new_id, 0)
    old_id = access.known_colony(gate).owner

    async def read_entry(_fresh: bool) -> _Entry:  # noqa: FBT001
        return await _entry(ctx, msg.colonyname, new_id)

    def reserve(entry: _Entry, now_ns: int) -> Decision:
        return server_aggregate.reserve_id(
            call.caller, msg.colonyname, new_id, entry.name_of_id, now_ns
        )

    reserved = await ctx.write_server(call.unmarked(), read_entry, reserve)

    async def read(fresh: bool) -> tuple[Colony | None, Gate]:  # noqa: FBT001
        return await ctx.gate(call, msg.colonyname, fresh=fresh)

    try:
        await ctx.write(call, read, lambda rows, now: aggregate.change_owner(rows, new_id, now))
    except Rejected:
        if reserved is not None:
            await _release(ctx, call, msg.colonyname, new_id)
        raise
    if old_id != new_id:
        await _release(ctx, call, msg.colonyname, old_id)
    return call.payload


async def _release(ctx: Context, call: Call, name: str, colony_id: str) -> None:
    """Free an identity, unless it owns the colony now: another change may have been faster."""
    _, gate = await ctx.gate(call, name)
    if gate.colony is not None and gate.colony.owner == colony_id:
        return
    released = server_aggregate.release_id(call.caller, name, colony_id, ctx.store.clock.now_ns())
    await ctx.store.append(SERVER, released, call.unmarked().signed)


async def get_settings(
    ctx: Context, call: Call, msg: wire_colony.GetColonySettingsMsg
) -> wire_colony.ColonySettings:
    """Read the settings of a colony."""
    _, gate = await ctx.gate(call, msg.colonyname)
    access.reader(gate)
    row = access.known_colony(gate)
    return _shown_settings(row)


async def set_settings(
    ctx: Context, call: Call, msg: wire_colony.SetColonySettingsMsg
) -> wire_colony.ColonySettings:
    """Change the settings of a colony; what is not given stays."""
    if msg.settings is None:
        raise Invalid("Failed to set colony settings, settings is nil")
    command = aggregate.ChangeSettings(
        require_nonce=msg.settings.requirenonce,
        log_retention_s=msg.settings.logretentionseconds,
        log_retention_bytes=msg.settings.logretentionbytes,
        success_retention_s=msg.settings.successretentionseconds,
        failed_retention_s=msg.settings.failedretentionseconds,
        cancelled_retention_s=msg.settings.cancelledretentionseconds,
        file_revisions=msg.settings.filerevisions,
        file_revision_s=msg.settings.filerevisionseconds,
    )

    async def read(fresh: bool) -> tuple[Colony | None, Gate]:  # noqa: FBT001
        return await ctx.gate(call, msg.colonyname, fresh=fresh)

    def decide(gate: Gate, now_ns: int) -> Decision:
        return aggregate.change_settings(gate, command, now_ns)

    event = await ctx.write(call, read, decide)
    if not isinstance(event, aggregate.ColonySettingsChanged):
        raise Corrupt("settings that are not in the log")
    return _shown_settings(event)


def _shown_settings(
    settings: access.ColonyRow | aggregate.ColonySettingsChanged,
) -> wire_colony.ColonySettings:
    return wire_colony.ColonySettings(
        requirenonce=settings.require_nonce,
        logretentionseconds=settings.log_retention_s,
        logretentionbytes=settings.log_retention_bytes,
        successretentionseconds=settings.success_retention_s,
        failedretentionseconds=settings.failed_retention_s,
        cancelledretentionseconds=settings.cancelled_retention_s,
        filerevisions=settings.file_revisions,
        filerevisionseconds=settings.file_revision_s,
    )
