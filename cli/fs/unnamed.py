"""Objects of a colony that no revision and no snapshot names: which they are, and removing them.

One that is named must stay, whatever others do meanwhile. So the objects are listed first, and only
then what names them: revisions before snapshots, since a revision that goes is named by these. An
object that is younger than the grace may be of a file whose revision is not added yet. Whatever
cannot be read ends it before anything is removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from api.wire_file import File
from cli.errors import CliError, RpcError
from cli.fs.remote import Shelf
from cli.fs.store import Present
from cli.fs.sync import PARALLEL, each
from cli.fs.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Unnamed:
    """What nothing names, by key, and whether the server names any other object that is there."""

    objects: Sequence[Present]
    knows_others: bool


async def find(shelf: Shelf, transfer: Transfer, prefix: str, *, before: datetime) -> Unnamed:
    """The objects under the colony's prefix that were there before, and that nothing names.

    Raises:
        CliError: the server does not say all that names them.
    """
    there = await transfer.present(prefix)
    old = [one for one in there if one.modified < before]
    if not old:
        return Unnamed([], knows_others=True)
    names = await _Census(shelf).taken()
    return Unnamed(
        [one for one in old if one.key not in names],
        knows_others=any(one.key in names for one in there),
    )


async def remove(shelf: Shelf, transfer: Transfer, objects: Sequence[Present]) -> list[Present]:
    """Remove objects that nothing named, unless something names them by now; which they were."""
    names = await _Census(shelf).taken()
    doomed = [one for one in objects if one.key not in names]
    await each(PARALLEL, [partial(transfer.forget, one.key) for one in doomed])
    return doomed


class _Census:
    """Goes over all that names objects."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._names: set[str] = set()
        self._seen: set[str] = set()
        self._missing: set[str] = set()

    async def taken(self) -> set[str]:
        """The objects of all revisions that are in a label or in a snapshot."""
        files: list[tuple[str, str]] = []

        async def listed(label: str) -> None:
            files.extend((label, name) for name in await self._shelf.files(label))

        labels = [label.name for label in await self._shelf.labels()]
        await each(PARALLEL, [partial(listed, label) for label in labels])
        await each(PARALLEL, (partial(self._file, *file) for file in files))
        kept = await self._in_snapshots() - self._seen
        await each(PARALLEL, (partial(self._revision, file_id) for file_id in kept))
        if self._missing and self._missing & await self._in_snapshots():
            raise CliError("a snapshot names a revision that cannot be read; nothing was removed")
        return self._names

    async def _in_snapshots(self) -> set[str]:
        return {file_id for one in await self._shelf.snapshots() for file_id in one.fileids}

    async def _file(self, label: str, name: str) -> None:
        try:
            found = await self._shelf.revisions(label, name)
        except RpcError:
            # Removed since it was listed; otherwise there are objects that we do not know of.
            if name in await self._shelf.files(label):
                raise
            return
        for file in found:
            self._note(file)

    async def _revision(self, file_id: str) -> None:
        try:
            self._note(await self._shelf.revision(file_id))
        except RpcError:
            self._missing.add(file_id)

    def _note(self, file: File) -> None:
        self._seen.add(file.fileid)
        self._names.add(file.ref.s3object.object)
