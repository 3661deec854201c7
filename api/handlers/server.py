"""The server: version, where it listens, what is on it, who owns it."""

from datetime import UTC, datetime

import structlog

from api import census, wire, wire_colony, wire_server
from api.context import Call, Context
from broker import access
from broker.access import ServerRow, text_in
from broker.aggregates import server as aggregate
from broker.keys import SERVER
from broker.store import BY_SERVER, Conflict

_log = structlog.get_logger(__name__)
EXTENSIONS = ["nonce", "retrybackoff", "addlogs", "addfiles", "subscribelogs", "events"]
"""What clients may use beyond the protocol; ``getserverinfomsg`` announces it."""


async def version(ctx: Context, call: Call, msg: wire_server.VersionMsg) -> wire_server.Version:
    """What this server was built from."""
    del call, msg
    settings = ctx.settings
    return wire_server.Version(buildversion=settings.build_version, buildtime=settings.build_time)


async def info(ctx: Context, call: Call, msg: wire.Message) -> wire_server.ServerInfo:
    """Where this server listens."""
    del call, msg
    settings = ctx.settings
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    backend = wire_server.Backend(type="http", port=settings.port, host=settings.host)
    if settings.tls is not None:
        backend.tls = True
    return wire_server.ServerInfo(
        buildversion=settings.build_version or "dev",
        buildtime=settings.build_time or now,
        backends=[backend],
        extensions=EXTENSIONS,
        durability=settings.durability,
        servertime=wire.rfc3339(ctx.store.clock.now_ns()),
    )


async def statistics(
    ctx: Context, call: Call, msg: wire_server.GetStatisticsMsg
) -> wire_colony.Statistics:
    """Count everything on the server."""
    del msg
    access.server_owner(call.caller, await ctx.directory.server())
    colonies = await ctx.directory.every()
    return census.statistics([await census.census(ctx.store, ctx.directory, c) for c in colonies])


async def cluster(ctx: Context, call: Call, msg: wire_server.GetClusterMsg) -> wire_server.Cluster:
    """This server as the only node and leader: API servers are alike and know of no others."""
    del msg
    access.server_owner(call.caller, await ctx.directory.server())
    settings = ctx.settings
    node = wire_server.Node(name="colonies", host=settings.host, apiport=settings.port)
    return wire_server.Cluster(nodes=[node], leader=node)


async def change_id(ctx: Context, call: Call, msg: wire_server.ChangeServerIdMsg) -> bytes:
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
