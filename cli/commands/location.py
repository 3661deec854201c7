"""``colonies location``: the directory of places."""

import secrets
from typing import Annotated

from cyclopts import App, Parameter

from api import wire_location
from cli import render, spec
from cli.config import Role
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session

app = App(name="location", help="Manage locations.", help_format="plaintext")

Name = Annotated[str, Parameter(name=("--name",))]


@app.command
async def add(
    *,
    name: str,
    desc: str = "",
    longitude: Annotated[float, Parameter(name=("--long",))] = 0.0,
    latitude: Annotated[float, Parameter(name=("--lat",))] = 0.0,
    options: Options = NONE,
) -> None:
    """Add a location; signed by the colony owner.

    Args:
        name: name of the location, unique in the colony.
        desc: description.
        longitude: degrees.
        latitude: degrees.
        options: global options.
    """
    async with Session(options) as session:
        location = wire_location.Location(
            locationid=secrets.token_hex(32),
            name=name,
            colonyname=session.colony,
            description=desc,
            long=longitude,
            lat=latitude,
        )
        message = wire_location.AddLocationMsg(location=location)
        added = await session.client(Role.OWNER).ask(message, wire_location.Location)
        session.out.done(
            "Location added",
            ids=added.name,
            data=spec.plain(added),
            ColonyName=added.colonyname,
            Description=added.description,
            Lat=f"{added.lat:g}",
            LocationID=added.locationid,
            Long=f"{added.long:g}",
            Name=added.name,
        )


@app.command
async def ls(*, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List the locations of the colony."""
    async with Session(options) as session:
        client, message = session.client(), wire_location.GetLocationsMsg(colonyname=session.colony)

        async def ask() -> render.Listing:
            found = await client.ask_list(message, wire_location.Location)
            return render.Listing(
                header=("NAME", "DESCRIPTION", "LONG", "LAT"),
                rows=[
                    (place.name, place.description, f"{place.long:.4f}", f"{place.lat:.4f}")
                    for place in found
                ],
                nothing="No locations found",
                data=spec.plain(found),
                ids=[place.name for place in found],
            )

        await session.show(ask, watch)


@app.command
async def get(name: Name, *, options: Options = NONE) -> None:
    """Show a location.

    Args:
        name: name of the location.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_location.GetLocationMsg(colonyname=session.colony, name=name)
        place = await session.client().ask(message, wire_location.Location)
        rows: list[render.Row] = [
            ("Name", place.name),
            ("LocationID", render.Id(place.locationid)),
            ("Colony", place.colonyname),
            ("Description", place.description),
            ("Longitude", f"{place.long:.6f}"),
            ("Latitude", f"{place.lat:.6f}"),
        ]
        block = render.Block(rows=rows)
        data = spec.plain(place)
        session.out.show(render.Detail(blocks=(block,), data=data, ids=(place.name,)))


@app.command
async def remove(name: Name, *, options: Options = NONE) -> None:
    """Remove a location; signed by the colony owner.

    Args:
        name: name of the location.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client(Role.OWNER)
        session.out.confirm(f"Are you sure you want to remove location <{name}>?")
        await client.tell(wire_location.RemoveLocationMsg(colonyname=session.colony, name=name))
        session.out.done("Location removed", ids=name, ColonyName=session.colony, LocationName=name)
