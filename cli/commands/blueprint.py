"""``colonies blueprint``: what should be, and executors that see to it."""

from typing import Annotated

from cyclopts import App, Parameter

from api import wire_process, wire_user
from api.wire_blueprint import (
    AddBlueprintMsg,
    Blueprint,
    BlueprintHistory,
    GetBlueprintHistoryMsg,
    ReconcileBlueprintMsg,
    RemoveBlueprintMsg,
    UpdateBlueprintMsg,
)
from cli import blueprintcheck, blueprints, render, spec
from cli.client import Client
from cli.commands import blueprint_definition, blueprint_doctor, blueprint_log
from cli.errors import CliError, UsageError
from cli.options import NONE, ONCE, Format, Options, Watch
from cli.session import Session

app = App(name="blueprint", help="Manage blueprints.", help_format="plaintext")
app.command(blueprint_definition.app)
app.command(blueprint_doctor.doctor)
app.command(blueprint_log.log)

Name = Annotated[str, Parameter(name=("--name",))]
SpecFile = Annotated[str, Parameter(name=("--spec",))]
_ALL = 0


@app.command
async def add(*, spec_: SpecFile, options: Options = NONE) -> None:
    """Add a blueprint; a process that reconciles it is submitted in the same step.

    Args:
        spec_: a JSON file with the blueprint, - for standard input, or the JSON itself.
        options: global options.
    """
    async with Session(options) as session:
        wished = blueprints.read_blueprint(spec_, session.colony)
        added = await session.client().ask(AddBlueprintMsg(blueprint=wished), Blueprint)
        _done(session, "Blueprint added", added, Namespace=added.metadata.colonyname)


@app.command
async def update(*, spec_: SpecFile, options: Options = NONE) -> None:
    """Replace a blueprint, all of it; another spec is a new generation, and reconciled.

    Args:
        spec_: a JSON file with the blueprint, - for standard input, or the JSON itself.
        options: global options.
    """
    async with Session(options) as session:
        wished = blueprints.read_blueprint(spec_, session.colony)
        updated = await session.client().ask(UpdateBlueprintMsg(blueprint=wished), Blueprint)
        _done(session, "Blueprint updated", updated, Namespace=updated.metadata.colonyname)


def _done(session: Session, text: str, blueprint: Blueprint, **fields: str) -> None:
    session.out.done(
        text,
        ids=blueprint.blueprintid,
        data=spec.plain(blueprint),
        BlueprintID=blueprint.blueprintid,
        Kind=blueprint.kind,
        Name=blueprint.metadata.name,
        **fields,
    )


@app.command(name="set")
async def set_field(name: Name, *, key: str, value: str, options: Options = NONE) -> None:
    """Set one field of the spec of a blueprint; another value is a new generation.

    Args:
        name: name of the blueprint.
        key: the field, inner ones with dots: env.TZ; an item of a list by its number: ports.0.host.
        value: the value, as JSON; what is no JSON is a text.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        known = await blueprints.named(client, session.colony, name)
        before = blueprints.generation(known)
        message = UpdateBlueprintMsg(blueprint=blueprints.changed(known, key, value))
        updated = await client.ask(message, Blueprint)
        if blueprints.generation(updated) != before:
            await _say_who_reconciles(session, client, updated)
        _done(session, "Blueprint field updated", updated, Key=key, Value=value)


async def _say_who_reconciles(session: Session, client: Client, blueprint: Blueprint) -> None:
    kinds = blueprints.by_kind(await blueprints.definitions(client, session.colony))
    handler = kinds[blueprint.kind].spec.handler if blueprint.kind in kinds else None
    if handler and handler.executor_type and handler.function:
        session.out.say("Reconciliation triggered", ExecutorType=handler.executor_type)


@app.command
async def ls(*, kind: str = "", watch: Watch = ONCE, options: Options = NONE) -> None:
    """List the blueprints of the colony, with how many executors each wants and has.

    Args:
        kind: only those of this kind.
        watch: how often.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()

        async def ask() -> render.Listing:
            found = await blueprints.listed(client, session.colony, kind)
            if found and session.out.format is Format.TABLE:
                fields = {"ColonyName": session.colony, "Count": str(len(found)), "Kind": kind}
                session.out.say("Blueprints retrieved", **fields)
            kinds = await blueprints.definitions(client, session.colony) if found else []
            executors = await blueprints.executors(client, session.colony) if found else []
            known = blueprints.by_kind(kinds)
            return render.Listing(
                header=(
                    *("NAME", "KIND", "LOCATION", "EXECUTOR TYPE"),
                    *("REPLICAS", "OLDGEN", "GEN"),
                ),
                rows=[blueprints.row(each, known, executors) for each in found],
                nothing="No blueprints found",
                data=spec.plain(found),
                ids=[each.metadata.name for each in found],
            )

        await session.show(ask, watch)


@app.command
async def get(name: Name, *, options: Options = NONE) -> None:
    """Show a blueprint: its spec, its status, its executors and what has it reconciled.

    Args:
        name: name of the blueprint.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        found = await blueprints.named(client, session.colony, name)
        blocks: list[render.Block] = []
        if session.out.format is Format.TABLE:
            session.out.say(
                "Blueprint retrieved",
                BlueprintID=found.blueprintid,
                Kind=found.kind,
                Name=found.metadata.name,
                Namespace=found.metadata.colonyname,
            )
            executors = await blueprints.executors(client, session.colony)
            wanted = blueprintcheck.cron_name(found)
            crons = await blueprints.crons(client, session.colony)
            again = [cron for cron in crons if cron.name == wanted]
            blocks = blueprints.blocks(found, executors, again)
        session.out.show(
            render.Detail(blocks=blocks, data=spec.plain(found), ids=(found.blueprintid,))
        )


@app.command
async def remove(name: Name, *, options: Options = NONE) -> None:
    """Remove a blueprint; a process that cleans up behind it is submitted in the same step.

    Args:
        name: name of the blueprint.
        options: global options.
    """
    async with Session(options) as session:
        await session.client().tell(RemoveBlueprintMsg(namespace=session.colony, name=name))
        session.out.done("Blueprint removed", ids=name, ColonyName=session.colony, Name=name)


@app.command
async def reconcile(
    name: Name,
    *,
    force: Annotated[bool, Parameter(name=("--force", "-f"), negative="")] = False,
    options: Options = NONE,
) -> None:
    """Submit a process that reconciles a blueprint.

    Args:
        name: name of the blueprint.
        force: a new generation, so that everything is made anew.
        options: global options.
    """
    async with Session(options) as session:
        message = ReconcileBlueprintMsg(namespace=session.colony, name=name, force=force)
        process = await session.client().ask(message, wire_process.Process)
        session.out.done(
            "Submitted reconciliation process",
            ids=process.processid,
            data=spec.plain(process),
            BlueprintName=name,
            Force=str(force).lower(),
            ProcessId=process.processid,
        )


@app.command
async def history(
    name: Name,
    *,
    limit: Annotated[int, Parameter(name=("--limit", "-l"))] = 10,
    generation: Annotated[int, Parameter(name=("--generation", "-g"))] = -1,
    options: Options = NONE,
) -> None:
    """List the changes of a blueprint, newest first, or show one generation.

    Args:
        name: name of the blueprint.
        limit: number of changes to list, 0 for all (10).
        generation: show this one.
        options: global options.
    """
    if limit < 0:
        raise UsageError("--limit must not be negative")
    async with Session(options) as session:
        client = session.client()
        blueprint = await blueprints.named(client, session.colony, name)
        most = limit if generation < 0 else _ALL
        message = GetBlueprintHistoryMsg(blueprintid=blueprint.blueprintid, limit=most)
        changes = await client.ask_list(message, BlueprintHistory)
        names = await _names(client, session.colony) if changes else {}
        if generation < 0:
            session.out.show(_changes(changes, names))
        else:
            session.out.show(_change(changes, generation, names))


def _changes(changes: list[BlueprintHistory], names: dict[str, str]) -> render.Listing:
    return render.Listing(
        header=("GENERATION", "TIMESTAMP", "CHANGE TYPE", "CHANGED BY"),
        rows=[blueprints.change_row(each, names) for each in changes],
        nothing="No history found for this blueprint",
        data=spec.plain(changes),
        ids=[each.historyid for each in changes],
    )


def _change(
    changes: list[BlueprintHistory], generation: int, names: dict[str, str]
) -> render.Detail:
    found = [each for each in changes if each.generation == generation]
    if not found:
        known = ", ".join(str(each.generation) for each in changes)
        raise CliError(
            f"generation {generation} is not in the history", hint=f"there are: {known or 'none'}"
        )
    return render.Detail(
        blocks=blueprints.change_blocks(found[0], names),
        data=spec.plain(found[0]),
        ids=(found[0].historyid,),
    )


async def _names(client: Client, colony: str) -> dict[str, str]:
    """What members are called, by their ids."""
    users = await client.ask_list(wire_user.GetUsersMsg(colonyname=colony), wire_user.User)
    executors = await blueprints.executors(client, colony)
    return {user.userid: f"user: {user.name}" for user in users} | {
        each.executorid: f"executor: {each.executorname}" for each in executors
    }
