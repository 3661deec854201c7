"""Locations of a colony."""

from api import wire, wire_location
from api.context import Call, Context
from broker import access, keys
from broker.access import Gate
from broker.aggregates import location as aggregate
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Invalid, NotFound
from projections.core.location import read_location


async def add(
    ctx: Context, call: Call, msg: wire_location.AddLocationMsg
) -> wire_location.Location:
    """Add a location."""
    if msg.location is None:
        raise Invalid("Failed to add location, location is nil")
    given = msg.location
    command = aggregate.AddLocation(
        name=given.name,
        location_id=given.locationid,
        description=given.description,
        long=given.long,
        lat=given.lat,
    )

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, bool]]:  # noqa: FBT001
        return await _known(ctx, call, given.colonyname, given.name, fresh=fresh)

    def decide(rows: tuple[Gate, bool], now_ns: int) -> Decision:
        return aggregate.add(rows[0], command, now_ns, taken=rows[1])

    await ctx.write(call, read, decide)
    return given


async def _known(
    ctx: Context, call: Call, colony_name: str, name: str, *, fresh: bool
) -> tuple[Colony | None, tuple[Gate, bool]]:
    colony, gate = await ctx.gate(call, colony_name, fresh=fresh)
    stored = (await ctx.rows(colony, keys.LOCATIONS))[0]
    return colony, (gate, name.encode() in stored)


async def get_all(
    ctx: Context, call: Call, msg: wire_location.GetLocationsMsg
) -> list[wire_location.Location]:
    """List locations, by name."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.existing_colony(gate)
    access.member(gate, approved=False)
    stored = (await ctx.rows(colony, keys.LOCATIONS))[0]
    return [_shown(name.decode(), row, msg.colonyname) for name, row in sorted(stored.items())]


async def get(
    ctx: Context, call: Call, msg: wire_location.GetLocationMsg
) -> wire_location.Location:
    """Read a location."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.existing_colony(gate)
    access.member(gate, approved=False)
    row = (await ctx.rows(colony, keys.LOCATIONS))[0].get(msg.name.encode())
    if row is None:
        raise NotFound("Failed to get location, location is nil")
    return _shown(msg.name, row, msg.colonyname)


async def remove(ctx: Context, call: Call, msg: wire_location.RemoveLocationMsg) -> wire.Empty:
    """Remove a location."""

    async def read(fresh: bool) -> tuple[Colony | None, tuple[Gate, bool]]:  # noqa: FBT001
        return await _known(ctx, call, msg.colonyname, msg.name, fresh=fresh)

    def decide(rows: tuple[Gate, bool], now_ns: int) -> Decision:
        return aggregate.remove(rows[0], msg.name, now_ns, known=rows[1])

    await ctx.write(call, read, decide)
    return wire.Empty()


def _shown(name: str, row: bytes, colony_name: str) -> wire_location.Location:
    location_id, description, long, lat = read_location(row)
    return wire_location.Location(
        locationid=location_id,
        name=name,
        colonyname=colony_name,
        description=description,
        long=long,
        lat=lat,
    )
