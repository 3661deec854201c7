"""Users of a colony."""

from api import wire, wire_user
from api.context import Call, Context, MemberRows
from api.present import shown_user
from broker import access
from broker.access import USER
from broker.aggregates import user as aggregate
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Invalid, Missing, NotFound


async def add(ctx: Context, call: Call, msg: wire_user.AddUserMsg) -> wire_user.User:
    """Add a user."""
    if msg.user is None:
        raise Invalid("Failed to add user, executor is nil")
    user = msg.user
    command = aggregate.AddUser(
        user_id=user.userid, name=user.name, email=user.email, phone=user.phone
    )

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        field = aggregate.name_field(user.name)
        return await ctx.member_rows(call, user.colonyname, field, user.userid, fresh=fresh)

    def decide(rows: MemberRows, now_ns: int) -> Decision:
        return aggregate.add(
            rows.gate,
            command,
            now_ns,
            name_taken=rows.named is not None,
            id_taken=rows.with_id is not None,
        )

    await ctx.write(call, read, decide)
    return user


async def get_all(ctx: Context, call: Call, msg: wire_user.GetUsersMsg) -> list[wire_user.User]:
    """List users, by name."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.existing_colony(gate)
    access.member(gate, approved=False)
    return [shown_user(row, msg.colonyname) for row in await ctx.members(colony, USER)]


async def get(ctx: Context, call: Call, msg: wire_user.GetUserMsg) -> wire_user.User:
    """Read a user by name."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.existing_colony(gate)
    access.member(gate, approved=False)
    row = await ctx.member_named(colony, aggregate.name_field(msg.name))
    if row is None:
        raise Missing("Failed to get user, user is nil")
    return shown_user(row, msg.colonyname)


async def get_by_id(ctx: Context, call: Call, msg: wire_user.GetUserByIdMsg) -> wire_user.User:
    """Read a user by id."""
    colony, gate = await ctx.gate(call, msg.colonyname)
    access.existing_colony(gate)
    access.member(gate, approved=False)
    row = await ctx.member_with_id(colony, msg.userid)
    if row is None or row.kind != USER:
        raise NotFound("Failed to get user by ID, user is nil")
    return shown_user(row, msg.colonyname)


async def remove(ctx: Context, call: Call, msg: wire_user.RemoveUserMsg) -> wire.Empty:
    """Remove a user."""

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        field = aggregate.name_field(msg.name)
        return await ctx.member_rows(call, msg.colonyname, field, "", fresh=fresh)

    def decide(rows: MemberRows, now_ns: int) -> Decision:
        user_id = rows.named.id if rows.named else None
        return aggregate.remove(rows.gate, msg.name, user_id, now_ns)

    await ctx.write(call, read, decide)
    return wire.Empty()


async def change_id(ctx: Context, call: Call, msg: wire_user.ChangeUserIdMsg) -> bytes:
    """Move the calling user to another key."""

    async def read(fresh: bool) -> tuple[Colony | None, MemberRows]:  # noqa: FBT001
        return await ctx.member_rows(call, msg.colonyname, "", msg.userid, fresh=fresh)

    def decide(rows: MemberRows, now_ns: int) -> Decision:
        return aggregate.change_id(rows.gate, msg.userid, now_ns, taken=rows.with_id is not None)

    await ctx.write(call, read, decide)
    return call.payload
