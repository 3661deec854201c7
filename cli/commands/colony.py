"""``colonies colony``: colonies, as the server owner, their owner and their members see them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import App, Parameter
from msgspec import structs

from api import wire_colony
from cli import render, spec
from cli.commands.server import statistics
from cli.config import Role
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session

app = App(name="colony", help="Manage colonies.", help_format="plaintext")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is to be set; the rest stays. 0 is without limit, -1 as the server has it."""

    requirenonce: bool | None = None
    """Refuse what could be sent again by somebody else: requests without a nonce."""

    logretentionseconds: int | None = None
    """Seconds log lines are kept; 0 is without limit, here and below, -1 as the server has it."""

    logretentionbytes: int | None = None
    """How many bytes of log the colony keeps."""

    successretentionseconds: int | None = None
    """Seconds successful processes and workflows are kept."""

    failedretentionseconds: int | None = None
    """Seconds failed ones are kept."""

    cancelledretentionseconds: int | None = None
    """Seconds cancelled ones are kept."""

    filerevisions: int | None = None
    """How many revisions of a file are kept."""

    filerevisionseconds: int | None = None
    """Seconds a revision is kept that was replaced."""


_AS_THEY_ARE = Wishes()


@app.command
async def add(*, name: str, colonyid: str, options: Options = NONE) -> None:
    """Add a colony; signed by the server owner.

    Args:
        name: name of the colony.
        colonyid: id of its owner's key, 64 hex digits.
        options: global options.
    """
    async with Session(options) as session:
        colony = wire_colony.Colony(colonyid=colonyid, name=name)
        added = await session.client(Role.SERVER).ask(
            wire_colony.AddColonyMsg(colony=colony), wire_colony.Colony
        )
        session.out.done(
            "Colony added",
            ids=added.name,
            data=spec.plain(added),
            ColonyID=added.colonyid,
            ColonyName=added.name,
        )


@app.command
async def ls(*, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List all colonies; signed by the server owner."""
    async with Session(options) as session:
        client = session.client(Role.SERVER)

        async def ask() -> render.Listing:
            colonies = await client.ask_list(wire_colony.GetColoniesMsg(), wire_colony.Colony)
            return render.Listing(
                header=("NAME",),
                rows=[(colony.name,) for colony in colonies],
                nothing="No Colonies found",
                data=spec.plain(colonies),
                ids=[colony.name for colony in colonies],
            )

        await session.show(ask, watch)


@app.command
async def remove(name: str, *, options: Options = NONE) -> None:
    """Remove a colony with everything in it; signed by the server owner.

    Args:
        name: name of the colony.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client(Role.SERVER)
        session.out.confirm(f"Are you sure you want to remove Colony <{name}> and all it contains?")
        await client.tell(wire_colony.RemoveColonyMsg(colonyname=name))
        session.out.done("Colony removed", ids=name, ColonyName=name)


@app.command
async def stats(*, name: str | None = None, options: Options = NONE) -> None:
    """Count executors, processes and workflows of a colony; signed by a member.

    Args:
        name: the colony, instead of the configured one.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_colony.GetColonyStatsMsg(colonyname=name or session.colony)
        counts = await session.client().ask(message, wire_colony.Statistics)
        block = render.Block(caption="Process statistics", rows=statistics(counts))
        session.out.show(render.Detail(blocks=(block,), data=spec.plain(counts)))


@app.command
async def check(*, name: str | None = None, options: Options = NONE) -> None:
    """Check that a colony exists and that our key belongs to a member of it.

    Args:
        name: the colony, instead of the configured one.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_colony.GetColonyMsg(colonyname=name or session.colony)
        colony = await session.client().ask(message, wire_colony.Colony)
        session.out.done(
            "Colony exists",
            ids=colony.name,
            data=spec.plain(colony),
            ColonyName=colony.name,
        )


@app.command
async def settings(*, wishes: Wishes = _AS_THEY_ARE, options: Options = NONE) -> None:
    """Show the settings of the colony, or change some; these are signed by its owner.

    Args:
        wishes: what is to be set.
        options: global options.
    """
    async with Session(options) as session:
        if wishes == _AS_THEY_ARE:
            asked = wire_colony.GetColonySettingsMsg(colonyname=session.colony)
            found = await session.client().ask(asked, wire_colony.ColonySettings)
        else:
            wished = wire_colony.WishedSettings(**asdict(wishes))
            change = wire_colony.SetColonySettingsMsg(colonyname=session.colony, settings=wished)
            found = await session.client(Role.OWNER).ask(change, wire_colony.ColonySettings)
        block = render.Block(
            rows=[("requirenonce", str(found.requirenonce).lower()), *_limits(found)]
        )
        data = spec.plain(found)
        session.out.show(render.Detail(blocks=(block,), data=data, ids=(session.colony,)))


def _limits(settings: wire_colony.ColonySettings) -> Iterator[tuple[str, str]]:
    meant = {0: "without limit", -1: "as the server has it"}
    for name, limit in structs.asdict(settings).items():
        if name != "requirenonce":
            yield name, meant.get(limit, str(limit))


@app.command
async def chid(
    colonyid: Annotated[str, Parameter(name=("--colonyid",))], *, options: Options = NONE
) -> None:
    """Hand the colony to another key; signed by its owner, whose old key is dead at once.

    Args:
        colonyid: id of the new key, 64 hex digits.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_colony.ChangeColonyIdMsg(colonyname=session.colony, colonyid=colonyid)
        await session.client(Role.OWNER).tell(message)
        session.out.done(
            "Changed colony Id", ids=colonyid, ColonyId=colonyid, ColonyName=session.colony
        )
        session.out.say("The new key belongs into COLONIES_COLONY_PRVKEY or the profile")
