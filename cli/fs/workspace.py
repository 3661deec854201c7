"""The files of a process, for the executor that runs it.

    async with workspace(process, client, root="/scratch"):
        run(process)

Before the run the snapshots and directories in the ``fs`` field of the process are put below the
root; after it the directories go back to their labels. What the process says is never trusted to
stay below the root: a directory that would not is refused.
"""

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from api import wire
from api.wire_file import RemoveSnapshotMsg
from api.wire_process import Process
from api.wire_spec import Filesystem, FunctionSpec, SnapshotMount, SyncDir
from cli.client import Client
from cli.errors import CliError
from cli.fs import safe
from cli.fs.opened import configured, directory_of, transfer_of
from cli.fs.progress import Silent
from cli.fs.remote import Shelf
from cli.fs.restore import Restorer, revisions
from cli.fs.sync import Synchroniser, Task, survey
from cli.fs.transfer import Transfer
from cli.fs.tree import Directory, Parts

_PROCESS_ID = "{processid}"
# A function of this name is there for what happens before a run, and for nothing else.
_ONLY_BEFORE = "sync"


class FilesFailed(CliError):
    """Some files of a process could not be brought to where they belong."""


@asynccontextmanager
async def workspace(
    process: Process,
    client: Client,
    *,
    root: str | Path = "",
    environ: Mapping[str, str] | None = None,
) -> AsyncGenerator[Path]:
    """The root, with the files of an assigned process below it.

    Where both sides have changed a file, ``onstart`` decides before the run and ``onclose`` after
    it who is kept; unless they say otherwise that is the label. A run that raises gives back its
    files, too: what it has written may say why.

    Args:
        process: the process, as it was assigned.
        client: a client of the executor.
        root: where the files go; by default what EXECUTOR_FS_DIR says.
        environ: where the settings of the object store are (the environment).

    Raises:
        FilesFailed: files are missing before the run, or could not be given back; then the
            directories are kept.
        CliError: the server or the object store cannot be reached, or refuses.
    """
    environ = os.environ if environ is None else environ
    path = Path(root or environ.get("EXECUTOR_FS_DIR", "") or ".")
    function = wire.decode(bytes(process.spec), FunctionSpec)
    wanted = function.fs
    # Without a mount point there is no file handling at all.
    if wanted is None or not wanted.mount:
        yield path
        return
    colony = function.conditions.colonyname if function.conditions else ""
    shelf = Shelf(client, colony or "")
    async with transfer_of(configured(environ)) as transfer:
        with directory_of(path, create=True) as directory:
            files = _Files(shelf, transfer, directory, process.processid, wanted)
            await files.before()
            try:
                yield path
            finally:
                if function.funcname != _ONLY_BEFORE:
                    await files.after()


class _Files:
    """What one process wants of the meta-filesystem."""

    def __init__(
        self,
        shelf: Shelf,
        transfer: Transfer,
        directory: Directory,
        process_id: str,
        wanted: Filesystem,
    ) -> None:
        self._shelf = shelf
        self._transfer = transfer
        self._directory = directory
        self._process_id = process_id
        self._snapshots = [each for each in wanted.snapshots or () if each.snapshotid]
        self._dirs = [each for each in wanted.dirs or () if each.label and each.dir]

    async def before(self) -> None:
        """Snapshots, then directories."""
        for snapshot in self._snapshots:
            await self._restore(snapshot)
        for each in self._dirs:
            await self._synchronise(each, keeplocal=each.onconflicts.onstart.keeplocal)

    async def after(self) -> None:
        """Snapshots that are not kept, directories back to their labels, and what is not kept."""
        for snapshot in self._snapshots:
            if not snapshot.keepsnapshot:
                await self._forget(snapshot)
        for each in self._dirs:
            await self._synchronise(each, keeplocal=each.onconflicts.onclose.keeplocal)
        for each in self._dirs:
            if not each.keepfiles:
                self._directory.remove_below(self._place(each.dir))

    async def _restore(self, wanted: SnapshotMount) -> None:
        found = await self._shelf.snapshot(snapshot_id=wanted.snapshotid)
        files = await revisions(self._shelf, found)
        with self._directory.below(self._place(wanted.dir)) as target:
            restorer = Restorer(self._shelf, target, self._transfer, Silent())
            outcome = await restorer.run(found, files)
        _check(outcome.failures)

    async def _forget(self, snapshot: SnapshotMount) -> None:
        message = RemoveSnapshotMsg(colonyname=self._shelf.colony, snapshotid=snapshot.snapshotid)
        await self._shelf.client.tell(message)
        if not snapshot.keepfiles:
            self._directory.remove_below(self._place(snapshot.dir))

    async def _synchronise(self, wanted: SyncDir, *, keeplocal: bool) -> None:
        label = safe.normalised(self._filled(wanted.label))
        task = Task(label=label, keeplocal=keeplocal)
        with self._directory.below(self._place(wanted.dir)) as target:
            outlook = await survey(self._shelf, target, task)
            if any(plan.ups for plan in outlook.plans):
                await self._transfer.prepare(await self._shelf.upload_prefix())
            synchroniser = Synchroniser(self._shelf, target, self._transfer, Silent())
            outcome = await synchroniser.run(outlook.plans, task)
        _check([*outlook.refused, *outcome.failures])

    def _place(self, text: str) -> Parts:
        """The directory of a process, below the root.

        Raises:
            Unsafe: it is the root itself, or not below it.
        """
        parts = safe.place(safe.normalised(self._filled(text)), "/")
        if not parts:
            raise safe.Unsafe(f"directory {text!r} of the process is refused: it is the root")
        return parts

    def _filled(self, text: str) -> str:
        return text.replace(_PROCESS_ID, self._process_id, 1)


def _check(failures: Sequence[str]) -> None:
    if failures:
        raise FilesFailed("; ".join(failures))
