"""Snapshots put into directories."""

from collections.abc import Sequence
from functools import partial

from api.wire_file import File, Snapshot
from cli.fs import safe
from cli.fs.progress import Watching
from cli.fs.remote import Shelf, object_of
from cli.fs.sync import PARALLEL, Outcome, digest_of, each, fetch, noted
from cli.fs.threads import in_thread
from cli.fs.transfer import Transfer
from cli.fs.tree import Directory


async def revisions(shelf: Shelf, snapshot: Snapshot) -> list[File]:
    """What a snapshot names, by label and name."""
    found: list[File] = []

    async def look(file_id: str) -> None:
        found.append(await shelf.revision(file_id))

    await each(PARALLEL, (partial(look, file_id) for file_id in snapshot.fileids))
    return sorted(found, key=lambda file: (file.label, file.name))


class Restorer:
    """Downloads what a snapshot names and a directory has not."""

    def __init__(
        self, shelf: Shelf, directory: Directory, transfer: Transfer, watching: Watching
    ) -> None:
        self._shelf = shelf
        self._directory = directory
        self._transfer = transfer
        self._watching = watching
        self._outcome = Outcome()

    async def run(self, snapshot: Snapshot, files: Sequence[File]) -> Outcome:
        """Put all files in their places, in the directory of their label below the snapshot's.

        Files that are here and different are replaced; those that fail are noted.
        """
        steps = (partial(self._one, snapshot, file) for file in files)
        await each(PARALLEL, (partial(noted, self._outcome, step) for step in steps))
        return self._outcome

    async def _one(self, snapshot: Snapshot, file: File) -> None:
        name = safe.checked(file.name)
        parts = safe.place(file.label, snapshot.label)
        present = self._directory.stamp(parts, name)
        if present is not None and present.size == file.size:
            digest = await in_thread(lambda: digest_of(self._directory, parts, name, present.size))
            if digest == file.checksum:
                return
        await fetch(
            self._transfer,
            object_of(file),
            self._shelf.facts(file.label, name, file.size, file.checksum),
            self._watching,
            into=self._directory,
            parts=parts,
            instead_of=present,
        )
        self._outcome.downloaded += 1
