"""The server: version, where it listens, what is on it, who owns it."""

from datetime import UTC, datetime

import structlog

from api import wire
from api.context import Call, Context
from broker import access, keys
from broker.access import ServerRow, text_in
from broker.aggregates import server as aggregate
from broker.aggregates.process import State
from broker.keys import SERVER
from broker.store import BY_SERVER, Conflict
from projections.core import listings

_log = structlog.get_logger(__name__)
EXTENSIONS = ["nonce", "retrybackoff", "addlogs", "subscribelogs", "events"]
"""What clients may use beyond the protocol; ``getserverinfomsg`` announces it."""


async def version(ctx: Context, call: Call, msg: wire.VersionMsg) -> wire.Version:
    """What this server was built from."""
    del call, msg
    settings = ctx.settings
    return wire.Version(buildversion=settings.build_version, buildtime=settings.build_time)


async def info(ctx: Context, call: Call, msg: wire.Message) -> wire.ServerInfo:
    """Where this server listens."""
    del call, msg
    settings = ctx.settings
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    backend = wire.Backend(type="http", port=settings.port, host=settings.host)
    if settings.tls is not None:
        backend.tls = True
    return wire.ServerInfo(
        buildversion=settings.build_version or "dev",
        buildtime=settings.build_time or now,
        backends=[backend],
        extensions=EXTENSIONS,
        durability=settings.durability,
        servertime=wire.rfc3339(ctx.store.clock.now_ns()),
    )


async def statistics(ctx: Context, call: Call, msg: wire.GetStatisticsMsg) -> wire.Statistics:
    """Count everything on the server."""
    del msg
    access.server_owner(call.caller, await ctx.directory.server())
    total = wire.Statistics()
    for colony in await ctx.directory.every():
        total.colonies += 1
        states = await member_states(ctx, colony.tag)
        total.executors += sum(state != access.MemberState.UNREGISTERED for state in states)
        classes = await ctx.directory.classes(colony, fresh=True)
        count = await listings.counts(ctx.store, colony.tag, classes)
        total.waitingprocesses += count[State.WAITING]
        total.runningprocesses += count[State.RUNNING]
        total.successfulprocesses += count[State.SUCCESS]
        total.failedprocesses += count[State.FAILED]
        total.cancelledprocesses += count[State.CANCELLED]
        workflows = await listings.workflow_counts(ctx.store, colony.tag)
        total.waitingworkflows += workflows[State.WAITING]
        total.runningworkflows += workflows[State.RUNNING]
        total.successfulworkflows += workflows[State.SUCCESS]
        total.failedworkflows += workflows[State.FAILED]
        total.cancelledworkflows += workflows[State.CANCELLED]
    return total


async def member_states(ctx: Context, tag: keys.Tag) -> list[access.MemberState]:
    """The state of every executor of a colony."""
    names = (await ctx.store.hashes(tag, keys.NAMES))[0]
    prefix = f"{access.EXECUTOR}/".encode()
    ids = [value.decode() for name, value in names.items() if name.startswith(prefix)]
    if not ids:
        return []
    found = await ctx.store.read(*(("HGET", tag.key(keys.member(i)), "state") for i in ids))
    return [access.MemberState(int(state)) for state in found if state is not None]


async def cluster(ctx: Context, call: Call, msg: wire.GetClusterMsg) -> wire.Cluster:
    """This server as the only node and leader: API servers are alike and know of no others."""
    del msg
    access.server_owner(call.caller, await ctx.directory.server())
    settings = ctx.settings
    node = wire.Node(name="colonies", host=settings.host, apiport=settings.port)
    return wire.Cluster(nodes=[node], leader=node)


async def change_id(ctx: Context, call: Call, msg: wire.ChangeServerIdMsg) -> bytes:
    """Hand the server to another key."""

    async def read(_fresh: bool) -> ServerRow | None:  # noqa: FBT001
        return await ctx.directory.server()

    await ctx.write_server(
        call, read, lambda row, now: aggregate.change_id(call.caller, row, msg.serverid, now)
    )
    return call.payload


async def ensure_founded(ctx: Context) -> None:
    """Make the configured id the owner of an empty store; a store that has an owner keeps it."""
    decision = aggregate.found(ctx.settings.server_id, ctx.store.clock.now_ns())
    outcome = await ctx.store.append(SERVER, decision, BY_SERVER)
    if isinstance(outcome, Conflict):
        owner = text_in(outcome.row, b"id")
        if owner != ctx.settings.server_id:
            _log.warning("server_id_ignored", configured=ctx.settings.server_id, owner=owner)
