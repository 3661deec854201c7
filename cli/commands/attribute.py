"""``colonies attribute``: named values on a running process."""

from typing import Annotated

from cyclopts import App, Parameter

from api import wire_attribute
from cli import render, spec
from cli.config import Role
from cli.options import NONE, Options
from cli.processes import attribute_type, whole_id
from cli.session import Session

app = App(name="attribute", help="Manage process attributes.", help_format="plaintext")

_OUT = 1


@app.command
async def add(
    *,
    processid: Annotated[str, Parameter(name=("--processid", "-p"))],
    key: str,
    value: str,
    options: Options = NONE,
) -> None:
    """Add an attribute to a process; signed by the executor it is assigned to.

    Args:
        processid: its id, or the beginning of it.
        key: name of the attribute.
        value: its value.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client(Role.EXECUTOR)
        attribute = wire_attribute.Attribute(
            targetid=await whole_id(client, session.colony, processid),
            targetcolonyname=session.colony,
            attributetype=_OUT,
            key=key,
            value=value,
        )
        message = wire_attribute.AddAttributeMsg(attribute=attribute)
        added = await client.ask(message, wire_attribute.Attribute)
        session.out.done(
            "Attribute added",
            ids=added.attributeid,
            data=spec.plain(added),
            AttributeID=added.attributeid,
        )


@app.command
async def get(
    attributeid: Annotated[str, Parameter(name=("--attributeid",))], *, options: Options = NONE
) -> None:
    """Show an attribute.

    Args:
        attributeid: the attribute.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_attribute.GetAttributeMsg(attributeid=attributeid)
        found = await session.client().ask(message, wire_attribute.Attribute)
        rows: list[render.Row] = [
            ("ID", render.Id(found.attributeid)),
            ("TargetID", render.Id(found.targetid)),
            ("AttributeType", attribute_type(found.attributetype)),
            ("Key", found.key),
            ("Value", found.value),
        ]
        block = render.Block(rows=rows)
        data = spec.plain(found)
        session.out.show(render.Detail(blocks=(block,), data=data, ids=(found.attributeid,)))
