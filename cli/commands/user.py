"""``colonies user``: the people and programs that submit."""

from typing import Annotated

from cyclopts import App, Parameter

from api import wire_user
from cli import render, spec
from cli.config import Role
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session

app = App(name="user", help="Manage users.", help_format="plaintext")

Name = Annotated[str, Parameter(name=("--name",))]


@app.command
async def add(
    *, name: str, userid: str, email: str = "", phone: str = "", options: Options = NONE
) -> None:
    """Add a user; signed by the colony owner.

    Args:
        name: name of the user, unique in the colony.
        userid: id of the user's key, 64 hex digits.
        email: mail address.
        phone: telephone number.
        options: global options.
    """
    async with Session(options) as session:
        user = wire_user.User(
            colonyname=session.colony, userid=userid, name=name, email=email, phone=phone
        )
        added = await session.client(Role.OWNER).ask(
            wire_user.AddUserMsg(user=user), wire_user.User
        )
        session.out.done(
            "User added",
            ids=added.name,
            data=spec.plain(added),
            ColonyName=added.colonyname,
            Email=added.email,
            Phone=added.phone,
            UserId=added.userid,
            Username=added.name,
        )


@app.command
async def ls(*, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List the users of the colony."""
    async with Session(options) as session:
        client, message = session.client(), wire_user.GetUsersMsg(colonyname=session.colony)

        async def ask() -> render.Listing:
            users = await client.ask_list(message, wire_user.User)
            return render.Listing(
                header=("USERNAME", "EMAIL", "PHONE"),
                rows=[(user.name, user.email, user.phone) for user in users],
                nothing="No users found",
                data=spec.plain(users),
                ids=[user.name for user in users],
            )

        await session.show(ask, watch)


@app.command
async def get(name: Name, *, options: Options = NONE) -> None:
    """Show a user.

    Args:
        name: name of the user.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_user.GetUserMsg(colonyname=session.colony, name=name)
        user = await session.client().ask(message, wire_user.User)
        rows: list[render.Row] = [
            ("Name", user.name),
            ("ID", render.Id(user.userid)),
            ("ColonyName", user.colonyname),
            ("Email", user.email),
            ("Phone", user.phone),
        ]
        block = render.Block(rows=rows)
        data = spec.plain(user)
        session.out.show(render.Detail(blocks=(block,), data=data, ids=(user.userid,)))


@app.command
async def remove(name: Name, *, options: Options = NONE) -> None:
    """Remove a user; signed by the colony owner.

    Args:
        name: name of the user.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client(Role.OWNER)
        session.out.confirm(f"Are you sure you want to remove user <{name}>?")
        await client.tell(wire_user.RemoveUserMsg(colonyname=session.colony, name=name))
        session.out.done("User removed", ids=name, ColonyName=session.colony, Username=name)


@app.command
async def chid(
    userid: Annotated[str, Parameter(name=("--userid",))], *, options: Options = NONE
) -> None:
    """Move the calling user to another key; the old key is dead at once.

    Args:
        userid: id of the new key, 64 hex digits.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_user.ChangeUserIdMsg(colonyname=session.colony, userid=userid)
        await session.client().tell(message)
        session.out.done("Changed user Id", ids=userid, ColonyName=session.colony, UserId=userid)
        session.out.say("The new key belongs into COLONIES_PRVKEY or the profile")
