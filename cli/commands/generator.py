"""``colonies generator``: workflows that start when enough arguments have been packed."""

from typing import Annotated

from cyclopts import App, Parameter

from api.wire_generator import (
    AddGeneratorMsg,
    Generator,
    GetGeneratorMsg,
    GetGeneratorsMsg,
    PackGeneratorMsg,
    RemoveGeneratorMsg,
)
from cli import ids, render, spec, workflowspec
from cli.client import Client
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session
from cli.workflowspec import spec_blocks

app = App(name="generator", help="Manage generators.", help_format="plaintext")

GeneratorId = Annotated[str, Parameter(name=("--generatorid",))]
_COUNT = 100


@app.command
async def add(
    *,
    spec_: Annotated[str, Parameter(name=("--spec",))],
    name: str,
    trigger: int,
    timeout_s: Annotated[int, Parameter(name=("--timeout",))] = -1,
    options: Options = NONE,
) -> None:
    """Start a workflow whenever so many arguments have been packed.

    Args:
        spec_: a JSON file with a list of function specs, - for standard input, or the JSON itself.
        name: name of the generator, unique in the colony.
        trigger: number of arguments that start a workflow.
        timeout_s: seconds after which fewer arguments start one, too; -1 for never (-1).
        options: global options.
    """
    async with Session(options) as session:
        asked = Generator(
            colonyname=session.colony,
            name=name,
            trigger=trigger,
            timeout=timeout_s,
            workflowspec=workflowspec.text(workflowspec.read(spec_, session.colony)),
        )
        added = await session.client().ask(AddGeneratorMsg(generator=asked), Generator)
        session.out.done(
            "Generator added",
            ids=added.generatorid,
            data=spec.plain(added),
            GeneratorID=added.generatorid,
            GeneratorName=added.name,
            Timeout=str(added.timeout),
            Trigger=str(added.trigger),
        )


@app.command
async def pack(
    generatorid: GeneratorId,
    *,
    arg: str,
    options: Options = NONE,
) -> None:
    """Pack an argument; the first nodes of the next workflow get all that are packed.

    Args:
        generatorid: its id, the beginning of it, or its name.
        arg: the argument.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        generatorid = await _whole_id(client, session.colony, generatorid)
        await client.tell(PackGeneratorMsg(generatorid=generatorid, arg=arg))
        session.out.done(
            "Packing arg to generator", ids=generatorid, Arg=arg, GeneratorID=generatorid
        )


@app.command
async def ls(
    *,
    count: int = _COUNT,
    wide: Annotated[bool, Parameter(name=("--wide", "-w"), negative="")] = False,
    watch: Watch = ONCE,
    options: Options = NONE,
) -> None:
    """List the generators of the colony.

    Args:
        count: number of generators to list (100).
        wide: show what starts them, and who added them.
        watch: how often.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()

        async def ask() -> render.Listing:
            found = await _listed(client, session.colony, count)
            return render.Listing(
                header=("GENERATORID", "NAME", "TRIGGER", "TIMEOUT", "LAST RUN", "INITIATOR")
                if wide
                else ("GENERATORID", "NAME"),
                rows=[_row(generator, wide=wide) for generator in found],
                nothing="No generators found",
                data=spec.plain(found),
                ids=[generator.generatorid for generator in found],
            )

        await session.show(ask, watch)


def _row(generator: Generator, *, wide: bool) -> render.Row:
    named = (render.Id(generator.generatorid), generator.name)
    if not wide:
        return named
    limits = (str(generator.trigger), str(generator.timeout))
    return (*named, *limits, render.moment(generator.lastrun), generator.initiatorname)


async def _listed(client: Client, colony: str, count: int = _COUNT) -> list[Generator]:
    return await client.ask_list(GetGeneratorsMsg(colonyname=colony, count=count), Generator)


async def _whole_id(client: Client, colony: str, typed: str) -> str:
    """The id of a generator that has this name, or an id that begins so."""
    typed = ids.beginning(typed)
    if ids.is_whole(typed):
        return typed
    found = await _listed(client, colony)
    return ids.called(typed, [(one.generatorid, one.name) for one in found], "generators")


@app.command
async def get(generatorid: GeneratorId, *, options: Options = NONE) -> None:
    """Show a generator with the workflow that it starts.

    Args:
        generatorid: its id, the beginning of it, or its name.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        generatorid = await _whole_id(client, session.colony, generatorid)
        found = await client.ask(GetGeneratorMsg(generatorid=generatorid), Generator)
        rows: list[render.Row] = [
            ("Id", render.Id(found.generatorid)),
            ("Name", found.name),
            ("Trigger", str(found.trigger)),
            ("Timeout", str(found.timeout)),
            ("Lastrun", render.moment(found.lastrun)),
            ("CheckerPeriod", str(found.checkerperiod)),
            ("QueueSize", str(found.queuesize)),
        ]
        block = render.Block(caption="Generator", rows=rows)
        session.out.show(
            render.Detail(
                blocks=[block, *spec_blocks(found.workflowspec)],
                data=spec.plain(found),
                ids=(found.generatorid,),
            )
        )


@app.command
async def remove(generatorid: GeneratorId, *, options: Options = NONE) -> None:
    """Remove a generator and what is packed; the workflows that it started stay.

    Args:
        generatorid: its id, the beginning of it, or its name.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        generatorid = await _whole_id(client, session.colony, generatorid)
        await client.tell(RemoveGeneratorMsg(generatorid=generatorid))
        session.out.done("Deleting generator", ids=generatorid, GeneratorID=generatorid)
