"""``colonies fs sync`` and ``clean``: a directory and a label, made alike."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli import render
from cli.errors import Exit, UsageError
from cli.fs import tables
from cli.fs.opened import directory_of, label_of, present_directory, seen, shelf_of, transfer_of
from cli.fs.plan import Totals
from cli.fs.remote import Shelf
from cli.fs.sync import PARALLEL, Outcome, Outlook, Synchroniser, Task, surplus, survey
from cli.options import NONE, Format, Options
from cli.session import Session

Switch = Annotated[bool, Parameter(negative="")]
Label = Annotated[str | None, Parameter(name=("--label", "-l"))]
Dir = Annotated[Path | None, Parameter(name=("--dir", "-d"))]
Quiet = Annotated[bool, Parameter(name=("--quiet", "--quite"), negative="")]
_DRIVER = "s3"


async def sync(
    *,
    label: Label = None,
    dir_: Dir = None,
    driver: str = _DRIVER,
    dry: Switch = False,
    keeplocal: bool = True,
    encrypt: Switch = False,
    syncplans: Switch = False,
    quiet: Quiet = False,
    parallel: int = PARALLEL,
    options: Options = NONE,
) -> int:
    """Synchronise a directory with a label: what is missing on one side is copied there.

    Contents are compared, not times, and nothing is ever deleted: a file that you remove here comes
    back. A file that is different on both sides becomes a new revision; --keeplocal=false replaces
    it here by the newest revision instead.

    Args:
        label: the label; without it the one that the directory was last synchronised with.
        dir_: the directory; it is made if it is not there (the current one).
        driver: where the bytes are kept; only s3 (s3).
        dry: only say what is to be done.
        keeplocal: in a conflict keep the file that is here (true).
        encrypt: encrypt what is uploaded with the key of the colony.
        syncplans: show all of long tables.
        quiet: show no plan and no progress; with --yes.
        parallel: how many files travel side by side (16).
        options: global options; --yes does not ask.
    """
    _check(driver, parallel, quiet=quiet, options=options)
    path = dir_ or Path()
    async with Session(options) as session:
        task = Task(
            label=label_of(label, path), keeplocal=keeplocal, encrypt=encrypt, parallel=parallel
        )
        shelf = shelf_of(session)
        if dry:
            outlook = await _survey(session, shelf, path, task)
            _show(session, outlook, path, task, whole=syncplans)
            if session.out.format is not Format.TABLE:
                return _report(session, outlook, Outcome(), path, task)
            return Exit.FAILED if outlook.refused else Exit.DONE
        async with transfer_of(session.config, parallel=parallel, encrypt=encrypt) as transfer:
            outlook = await _survey(session, shelf, path, task)
            if not quiet:
                _show(session, outlook, path, task, whole=syncplans)
            outcome = Outcome()
            if outlook.plans:
                session.out.agree("Are you sure you want to continue?")
                if any(plan.ups for plan in outlook.plans):
                    await transfer.prepare(await shelf.upload_prefix())
                total = Totals.of(outlook.plans).size
                with (
                    directory_of(path, create=True) as directory,
                    seen(session.out, total, quiet=quiet) as watching,
                ):
                    synchroniser = Synchroniser(shelf, directory, transfer, watching)
                    outcome = await synchroniser.run(outlook.plans, task)
            return _report(session, outlook, outcome, path, task)


def _check(driver: str, parallel: int, *, quiet: bool, options: Options) -> None:
    if driver != _DRIVER:
        raise UsageError(f"there is no driver {driver!r}", hint="the only one is s3")
    if parallel < 1:
        raise UsageError("--parallel must be at least 1")
    if quiet and not options.yes:
        raise UsageError("--quiet needs --yes", hint="nobody sees what would be agreed to")


async def _survey(session: Session, shelf: Shelf, path: Path, task: Task) -> Outlook:
    with present_directory(path) as directory:
        outlook = await survey(shelf, directory, task)
    for note in outlook.skipped:
        session.out.say(note, level="WARN")
    for note in outlook.refused:
        session.out.say(note, level="ERRO")
    return outlook


def _show(session: Session, outlook: Outlook, path: Path, task: Task, *, whole: bool) -> None:
    if not outlook.plans:
        session.out.say(
            "Synchronizing, nothing to do, already synchronized",
            Label=task.label,
            SyncDir=str(path),
        )
    elif session.out.format is Format.TABLE:
        for plan in outlook.plans:
            session.out.write(tables.plan(plan, f"{path}/", session.out.results, whole=whole))
        totals = Totals.of(outlook.plans)
        session.out.say(
            "Sync plans completed",
            ConflictResolution=_resolution(task),
            Conflicts=str(totals.conflicts),
            Download=str(totals.downloads),
            Upload=str(totals.uploads),
        )


def _resolution(task: Task) -> str:
    return "replace-remote" if task.keeplocal else "replace-local"


def _report(session: Session, outlook: Outlook, outcome: Outcome, path: Path, task: Task) -> int:
    """Say what was done, and what was not."""
    for note in outcome.failures:
        session.out.say(note, level="ERRO")
    if outlook.plans or session.out.format is not Format.TABLE:
        session.out.done(
            "Synchronized",
            ids="",
            data=_data(outlook, outcome, path, task),
            Downloaded=str(outcome.downloaded),
            Failed=str(len(outcome.failures)),
            Label=task.label,
            Uploaded=str(outcome.uploaded),
        )
    return Exit.FAILED if outcome.failures or outlook.refused else Exit.DONE


def _data(outlook: Outlook, outcome: Outcome, path: Path, task: Task) -> dict[str, object]:
    return {
        "label": task.label,
        "dir": str(path),
        "conflictresolution": _resolution(task),
        "plans": [tables.plan_data(plan) for plan in outlook.plans],
        "skipped": outlook.skipped,
        "refused": outlook.refused,
        "uploaded": outcome.uploaded,
        "downloaded": outcome.downloaded,
        "failures": outcome.failures,
    }


async def clean(
    *,
    label: Label = None,
    dir_: Dir = None,
    dry: Switch = False,
    cleanplans: Switch = False,
    quiet: Quiet = False,
    options: Options = NONE,
) -> int:
    """Remove the files of a directory that are not in its label; the label stays as it is.

    Args:
        label: the label; without it the one that the directory was last synchronised with.
        dir_: the directory (the current one).
        dry: only say what is to be removed.
        cleanplans: accepted for older versions; what is to be removed is always shown.
        quiet: do not show it; with --yes.
        options: global options; --yes does not ask.
    """
    del cleanplans
    _check(_DRIVER, 1, quiet=quiet, options=options)
    path = dir_ or Path()
    async with Session(options) as session:
        task = Task(label=label_of(label, path), keeplocal=True)
        with directory_of(path, create=False) as directory:
            found = await surplus(shelf_of(session), directory, task)
            shown = [directory.shown(parts, name) for parts, name in found]
            if not quiet or session.out.format is not Format.TABLE:
                listing = render.Listing(
                    header=("FILES TO BE REMOVED",),
                    rows=[(each,) for each in shown],
                    nothing="Clean, nothing to do, all files are in the label",
                    data=shown,
                    ids=shown,
                )
                session.out.show(listing)
            if dry or not found:
                return Exit.DONE
            session.out.agree("Are you sure you want to continue?")
            for parts, name in found:
                directory.remove(parts, name)
            session.out.say("Clean completed", FilesRemoved=str(len(found)))
    return Exit.DONE
