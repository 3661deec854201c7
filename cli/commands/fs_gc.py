"""``colonies fs gc``: removes the objects that nothing names any more."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter

from cli import render
from cli.errors import CliError, UsageError
from cli.fs import tables, unnamed
from cli.fs.opened import shelf_of, transfer_of
from cli.fs.store import Present
from cli.options import NONE, Options
from cli.session import Session

_Switch = Annotated[bool, Parameter(negative="")]
_WEEK = 7 * 24


async def gc(
    *,
    dry: _Switch = False,
    olderthan: int = _WEEK,
    force: _Switch = False,
    options: Options = NONE,
) -> None:
    """Remove the objects in the object store that no file and no snapshot of the colony names.

    They are left behind where revisions go without a client at hand, as by retention or with the
    last snapshot that named them, and by uploads that were killed. Nobody can read them any more.

    Args:
        dry: only list them.
        olderthan: only those that are older than so many hours; younger ones may be of files that
            are uploaded at this moment (168).
        force: also when the server names none of the objects that are there.
        options: global options; --yes does not ask.
    """
    if olderthan < 0:
        raise UsageError("--olderthan must not be negative")
    before = datetime.now(UTC) - timedelta(hours=olderthan)
    async with Session(options) as session:
        shelf = shelf_of(session)
        prefix = await shelf.prefix()
        async with transfer_of(session.config) as transfer:
            found = await unnamed.find(shelf, transfer, prefix, before=before)
            if dry:
                session.out.show(_listing(found.objects))
                return
            if found.objects and not (found.knows_others or force):
                raise CliError(
                    f"the server names none of the objects that are there, {len(found.objects)} "
                    "would be removed: is it the right server?",
                    hint="--dry lists them, --force removes them all the same",
                )
            if found.objects:
                size = tables.size(sum(one.size for one in found.objects))
                session.out.agree(
                    f"{len(found.objects)} objects ({size}) that nothing names will be removed. "
                    "Are you sure you want to continue?"
                )
            removed = await unnamed.remove(shelf, transfer, found.objects) if found.objects else []
        session.out.done(
            "Objects removed" if removed else "No objects to be removed",
            ids="\n".join(one.key for one in removed),
            ObjectsRemoved=str(len(removed)),
            Size=tables.size(sum(one.size for one in removed)),
        )


def _listing(objects: Sequence[Present]) -> render.Listing:
    """What would be removed."""
    since = {one.key: one.modified.isoformat() for one in objects}
    return render.Listing(
        header=("OBJECT", "SIZE", "SINCE"),
        rows=[(one.key, tables.size(one.size), render.moment(since[one.key])) for one in objects],
        nothing="No objects to be removed",
        data=[{"object": one.key, "size": one.size, "since": since[one.key]} for one in objects],
        ids=[one.key for one in objects],
    )
