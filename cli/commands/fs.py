"""``colonies fs``: files of a colony, synchronised with directories."""

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from api.wire_file import File
from cli import render
from cli.commands.fs_gc import gc
from cli.commands.fs_sync import Dir, Label, clean, sync
from cli.errors import UsageError
from cli.fs import safe, tables
from cli.fs.opened import directory_of, label_of, seen, shelf_of, transfer_of
from cli.fs.remote import Shelf, object_of
from cli.fs.sync import PARALLEL, each, fetch
from cli.options import NONE, Options
from cli.session import Session

app = App(name="fs", help="Manage file storage.", help_format="plaintext")
app.command(sync)
app.command(clean)
app.command(gc)
app.command("cli.commands.fs_label:app", name="label", help="Manage labels.")
app.command("cli.commands.fs_snapshot:app", name="snapshot", help="Manage snapshots.")
app.command("cli.commands.fs_key:app", name="key", help="Manage the key that encrypts files.")

Name = Annotated[str, Parameter(name=("--name", "-n"))]
FileId = Annotated[str, Parameter(name=("--fileid", "-i"))]


@app.command
async def ls(*, label: Label = None, options: Options = NONE) -> None:
    """List the files of a label.

    Args:
        label: the label; without it the one of the current directory.
        options: global options.
    """
    async with Session(options) as session:
        wanted = label_of(label, Path())
        shelf = shelf_of(session)
        revisions: dict[str, list[File]] = {}

        async def look(name: str) -> None:
            revisions[name] = await shelf.revisions(wanted, name)

        await each(PARALLEL, [partial(look, name) for name in await shelf.files(wanted)])
        newest = [(revisions[name][0], len(revisions[name])) for name in sorted(revisions)]
        session.out.show(
            render.Listing(
                header=("FILENAME", "SIZE", "LATEST ID", "ADDED", "REVISIONS"),
                rows=[
                    (
                        file.name,
                        tables.size(file.size),
                        render.Id(file.fileid),
                        render.moment(file.added),
                        str(count),
                    )
                    for file, count in newest
                ],
                nothing="No files found",
                data=[
                    {
                        "name": file.name,
                        "size": file.size,
                        "fileid": file.fileid,
                        "added": file.added,
                        "revisions": count,
                    }
                    for file, count in newest
                ],
                ids=[file.fileid for file, _ in newest],
            )
        )


@app.command
async def info(
    *, fileid: FileId = "", label: Label = None, name: Name = "", options: Options = NONE
) -> None:
    """Show a revision of a file, or all of a file, newest first.

    Args:
        fileid: id of a revision.
        label: label of a file.
        name: name of the file.
        options: global options.
    """
    async with Session(options) as session:
        found = await _asked_for(shelf_of(session), fileid, label, name)
        session.out.show(
            render.Detail(
                blocks=[tables.revision(file) for file in found],
                data=[tables.revision_data(file) for file in found],
                ids=[file.fileid for file in found],
            )
        )


async def _asked_for(
    shelf: Shelf, fileid: str, label: str | None, name: str, *, latest: bool = False
) -> list[File]:
    if fileid:
        return [await shelf.revision(fileid)]
    if label is None or not name:
        raise UsageError(
            "FileId nor filename + label were specified",
            hint="give --fileid, or --label and --name",
        )
    return await shelf.revisions(safe.normalised(label), name, latest=latest)


@app.command
async def get(
    *,
    fileid: FileId = "",
    label: Label = None,
    name: Name = "",
    dir_: Dir = None,
    options: Options = NONE,
) -> None:
    """Download a file into a directory; a file of that name that is there is replaced.

    Args:
        fileid: id of a revision.
        label: label of a file, of which the newest revision is downloaded.
        name: name of the file.
        dir_: the directory; it is made if it is not there.
        options: global options.
    """
    if dir_ is None:
        raise UsageError("Download directory must be specified", hint="give --dir")
    async with Session(options) as session:
        shelf = shelf_of(session)
        (file,) = await _asked_for(shelf, fileid, label, name, latest=True)
        async with transfer_of(session.config) as transfer:
            with (
                directory_of(dir_, create=True) as directory,
                seen(session.out, file.size) as watching,
            ):
                await fetch(
                    transfer,
                    object_of(file),
                    shelf.facts(file.label, safe.checked(file.name), file.size, file.checksum),
                    watching,
                    into=directory,
                    parts=(),
                    instead_of=directory.stamp((), file.name),
                )
        session.out.done(
            "Downloaded file",
            ids=str(dir_ / file.name),
            File=str(dir_ / file.name),
        )


@app.command
async def remove(
    *,
    fileid: FileId = "",
    label: Label = None,
    name: Name = "",
    dir_: Dir = None,
    options: Options = NONE,
) -> None:
    """Remove a revision of a file, or all of a file; the file on this machine stays.

    The bytes go, too, unless a snapshot names them.

    Args:
        fileid: id of a revision.
        label: label of a file.
        name: name of the file.
        dir_: accepted for older versions.
        options: global options.
    """
    del dir_
    async with Session(options) as session:
        shelf = shelf_of(session)
        found = await _asked_for(shelf, fileid, label, name)
        async with transfer_of(session.config) as transfer:
            for file in found:
                for unnamed in await shelf.remove_revision(file):
                    await transfer.forget(unnamed.key, bucket=unnamed.bucket)
        session.out.done(
            "Removed file (local file is not removed)",
            ids=fileid,
            FileID=fileid,
            Label=label or "",
            Name=name,
        )
