"""``colonies fs snapshot``: labels as they were."""

import secrets
from typing import Annotated

from cyclopts import App, Parameter

from api.wire_file import (
    CreateSnapshotMsg,
    RemoveAllSnapshotMsg,
    RemoveSnapshotMsg,
    Snapshot,
)
from cli import render, spec
from cli.commands.fs_sync import Dir
from cli.errors import Exit, UsageError
from cli.fs import safe, tables
from cli.fs.opened import directory_of, seen, shelf_of, transfer_of
from cli.fs.remote import Shelf
from cli.fs.restore import Restorer, revisions
from cli.options import NONE, Options
from cli.session import Session

app = App(name="snapshot", help="Manage snapshots.", help_format="plaintext")

SnapshotId = Annotated[str, Parameter(name=("--snapshotid", "-i"))]
SnapshotName = Annotated[str, Parameter(name=("--snapshotname", "-n"))]


@app.command
async def create(
    *,
    label: Annotated[str, Parameter(name=("--label", "-l"))],
    snapshotname: SnapshotName = "",
    options: Options = NONE,
) -> None:
    """Make a snapshot of a label and those below it: it stays as it is.

    Args:
        label: the label.
        snapshotname: its name, unique in the colony; without it a random one.
        options: global options.
    """
    async with Session(options) as session:
        shelf = shelf_of(session)
        message = CreateSnapshotMsg(
            colonyname=session.colony,
            label=safe.normalised(label),
            name=snapshotname or secrets.token_hex(8),
        )
        made = await shelf.client.ask(message, Snapshot)
        session.out.say("Snapshot created", Label=made.label, SnapshotName=made.name)
        await _show(session, shelf, made)


@app.command
async def info(
    *, snapshotid: SnapshotId = "", snapshotname: SnapshotName = "", options: Options = NONE
) -> None:
    """Show a snapshot and the files in it.

    Args:
        snapshotid: its id.
        snapshotname: its name.
        options: global options.
    """
    async with Session(options) as session:
        shelf = shelf_of(session)
        await _show(session, shelf, await _asked_for(shelf, snapshotid, snapshotname))


async def _show(session: Session, shelf: Shelf, found: Snapshot) -> None:
    files = await revisions(shelf, found)
    if not files:
        session.out.say("No files in snapshot", level="WARN")
    session.out.show(tables.snapshot(found, files))


async def _asked_for(shelf: Shelf, snapshotid: str, snapshotname: str) -> Snapshot:
    _check_named(snapshotid, snapshotname)
    return await shelf.snapshot(snapshot_id=snapshotid, name=snapshotname)


def _check_named(snapshotid: str, snapshotname: str) -> None:
    if not snapshotid and not snapshotname:
        raise UsageError(
            "Snapshot Id nor name was provided", hint="give --snapshotid or --snapshotname"
        )


@app.command
async def ls(*, options: Options = NONE) -> None:
    """List the snapshots of the colony, newest first.

    Args:
        options: global options.
    """
    async with Session(options) as session:
        found = await shelf_of(session).snapshots()
        session.out.show(
            render.Listing(
                header=("NAME", "ID", "LABEL", "FILES", "ADDED"),
                rows=[
                    (
                        each.name,
                        render.Id(each.snapshotid),
                        each.label,
                        str(len(each.fileids)),
                        render.moment(each.added),
                    )
                    for each in found
                ],
                nothing="No snapshots found",
                data=spec.plain(found),
                ids=[each.snapshotid for each in found],
            )
        )


@app.command
async def download(
    *,
    snapshotid: SnapshotId = "",
    snapshotname: SnapshotName = "",
    dir_: Dir = None,
    options: Options = NONE,
) -> int:
    """Put a snapshot into a directory; files there that are different are replaced.

    Args:
        snapshotid: its id.
        snapshotname: its name.
        dir_: the directory; it is made if it is not there.
        options: global options.
    """
    _check_named(snapshotid, snapshotname)
    if dir_ is None:
        raise UsageError("Download directory must be specified", hint="give --dir")
    async with Session(options) as session:
        shelf = shelf_of(session)
        found = await _asked_for(shelf, snapshotid, snapshotname)
        files = await revisions(shelf, found)
        async with transfer_of(session.config) as transfer:
            with (
                directory_of(dir_, create=True) as directory,
                seen(session.out, sum(file.size for file in files)) as watching,
            ):
                restorer = Restorer(shelf, directory, transfer, watching)
                outcome = await restorer.run(found, files)
        for note in outcome.failures:
            session.out.say(note, level="ERRO")
        session.out.done(
            "Snapshot downloaded",
            ids="",
            Downloaded=str(outcome.downloaded),
            Failed=str(len(outcome.failures)),
            SnapshotName=found.name,
        )
    return Exit.FAILED if outcome.failures else Exit.DONE


@app.command
async def remove(
    *, snapshotid: SnapshotId = "", snapshotname: SnapshotName = "", options: Options = NONE
) -> None:
    """Remove a snapshot; files that are in their label stay.

    The bytes that it alone named stay until `colonies fs gc`.

    Args:
        snapshotid: its id.
        snapshotname: its name.
        options: global options.
    """
    _check_named(snapshotid, snapshotname)
    async with Session(options) as session:
        message = RemoveSnapshotMsg(
            colonyname=session.colony, snapshotid=snapshotid, name=snapshotname
        )
        await session.client().tell(message)
        if snapshotid:
            session.out.done("Snapshot removed", ids=snapshotid, SnapshotId=snapshotid)
        else:
            session.out.done("Snapshot removed", ids=snapshotname, SnapshotName=snapshotname)


@app.command
async def removeall(*, options: Options = NONE) -> None:
    """Remove all snapshots of the colony; bytes that they alone named stay until `colonies fs gc`.

    Args:
        options: global options; --yes does not ask.
    """
    async with Session(options) as session:
        client = session.client()
        session.out.confirm(
            f"Are you sure you want to remove all snapshots in colony <{session.colony}>."
        )
        await client.tell(RemoveAllSnapshotMsg(colonyname=session.colony))
        session.out.done("All snapshots removed", ids="", Colony=session.colony)
