"""``colonies fs label``: what files are kept under."""

from functools import partial
from typing import Annotated

from cyclopts import App, Parameter

from cli import render, spec
from cli.fs import safe
from cli.fs.opened import shelf_of, transfer_of
from cli.fs.sync import PARALLEL, each
from cli.options import NONE, Options
from cli.session import Session

app = App(name="label", help="Manage labels.", help_format="plaintext")


@app.command
async def ls(*, options: Options = NONE) -> None:
    """List the labels of the colony, each with the number of its files.

    Args:
        options: global options.
    """
    async with Session(options) as session:
        found = await shelf_of(session).labels(distinct=True)
        session.out.show(
            render.Listing(
                header=("LABEL", "NUMBER OF FILES"),
                rows=[(label.name, str(label.files)) for label in found],
                nothing="No labels found",
                data=spec.plain(found),
                ids=[label.name for label in found],
            )
        )


@app.command
async def remove(
    *, label: Annotated[str, Parameter(name=("--label", "-l"))], options: Options = NONE
) -> None:
    """Remove all files of a label and of those below it; files on this machine stay.

    Args:
        label: the label.
        options: global options; --yes does not ask.
    """
    async with Session(options) as session:
        shelf = shelf_of(session)
        root = safe.normalised(label)
        files = [
            (each_label.name, name)
            for each_label in await shelf.labels(root)
            for name in await shelf.files(each_label.name)
        ]
        if not files:
            session.out.done("No files found", ids="", Label=root)
            return
        async with transfer_of(session.config) as transfer:
            session.out.agree(
                f"All {len(files)} files with label <{root}> and below it will be removed. "
                "Local files are not removed. Are you sure you want to continue?"
            )

            async def forget(where: str, name: str) -> None:
                for unnamed in await shelf.remove(where, name):
                    await transfer.forget(unnamed.key, bucket=unnamed.bucket)

            await each(PARALLEL, [partial(forget, where, name) for where, name in files])
        session.out.done("Label removed", ids=root, FilesRemoved=str(len(files)), Label=root)
