"""``colonies blueprint definition``: the kinds of blueprints."""

from typing import Annotated

from cyclopts import App, Parameter

from api.wire_blueprint import (
    AddBlueprintDefinitionMsg,
    BlueprintDefinition,
    GetBlueprintDefinitionMsg,
    RemoveBlueprintDefinitionMsg,
)
from cli import blueprints, render, spec
from cli.config import Role
from cli.options import NONE, ONCE, Format, Options, Watch
from cli.session import Session

app = App(name="definition", help="Manage blueprint definitions.", help_format="plaintext")

Name = Annotated[str, Parameter(name=("--name",))]


@app.command
async def add(
    *, spec_: Annotated[str, Parameter(name=("--spec",))], options: Options = NONE
) -> None:
    """Define a kind of blueprints; signed by the colony owner.

    Args:
        spec_: a JSON file with the definition, - for standard input, or the JSON itself.
        options: global options.
    """
    async with Session(options) as session:
        wished = blueprints.read_definition(spec_, session.colony)
        message = AddBlueprintDefinitionMsg(blueprintdefinition=wished)
        added = await session.client(Role.OWNER).ask(message, BlueprintDefinition)
        session.out.done(
            "BlueprintDefinition added",
            ids=added.blueprintdefinitionid,
            data=spec.plain(added),
            BlueprintDefinitionID=added.blueprintdefinitionid,
            ColonyName=added.metadata.colonyname,
            Group=added.spec.group,
            Kind=added.spec.names.kind,
            Name=added.metadata.name,
            Version=added.spec.version,
        )


@app.command
async def get(name: Name, *, options: Options = NONE) -> None:
    """Show a definition, with who reconciles and the schema of a spec.

    Args:
        name: name of the definition.
        options: global options.
    """
    async with Session(options) as session:
        message = GetBlueprintDefinitionMsg(colonyname=session.colony, name=name)
        found = await session.client().ask(message, BlueprintDefinition)
        if session.out.format is Format.TABLE:
            session.out.say(
                "BlueprintDefinition retrieved",
                BlueprintDefinitionID=found.blueprintdefinitionid,
                ColonyName=found.metadata.colonyname,
                Kind=found.spec.names.kind,
                Name=found.metadata.name,
            )
        session.out.show(
            render.Detail(
                blocks=blueprints.definition_blocks(found),
                data=spec.plain(found),
                ids=(found.blueprintdefinitionid,),
            )
        )


@app.command
async def ls(*, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List the kinds of blueprints of the colony."""
    async with Session(options) as session:
        client = session.client()

        async def ask() -> render.Listing:
            found = await blueprints.definitions(client, session.colony)
            if found and session.out.format is Format.TABLE:
                count = str(len(found))
                text = "BlueprintDefinitions retrieved"
                session.out.say(text, ColonyName=session.colony, Count=count)
            return render.Listing(
                header=("NAME", "KIND", "FUNCTIONNAME"),
                rows=[
                    (each.metadata.name, each.spec.names.kind, each.spec.handler.function)
                    for each in found
                ],
                nothing="No blueprint definitions found",
                data=spec.plain(found),
                ids=[each.metadata.name for each in found],
            )

        await session.show(ask, watch)


@app.command
async def remove(name: Name, *, options: Options = NONE) -> None:
    """Remove a definition of which there are no blueprints; signed by the colony owner.

    Args:
        name: name of the definition.
        options: global options.
    """
    async with Session(options) as session:
        message = RemoveBlueprintDefinitionMsg(namespace=session.colony, name=name)
        await session.client(Role.OWNER).tell(message)
        session.out.done(
            "BlueprintDefinition removed", ids=name, ColonyName=session.colony, Name=name
        )
