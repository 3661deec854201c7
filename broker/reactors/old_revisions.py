"""Remove old revisions of files: those beyond a number of each file, or replaced long ago.

What may stay is a setting of the server, and of a colony if its owner has said so; off unless set.
The newest revision of a file always stays, and what a snapshot names is kept for it, as whoever
removes a file keeps it. Removing is an event like any other, at most _STEP revisions a step.

A label that has as many revisions as files is passed over, and so is one that has as many of both
as when it was looked at, if nothing is due: for an hour at most, because what was taken from one
file may have been given to another.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from broker import keys, shelf
from broker.access import ColonyRow, number_in
from broker.aggregates import file
from broker.aggregates.file import FileRow, Removal
from broker.clock import SECOND_NS
from broker.decision import Decision
from broker.directory import Colony
from broker.keys import Tag
from broker.pace import rest
from broker.reactors.reactor import Reactor, each, forget_gone
from broker.removing import Followed, removal

_STEP = 100
_NEVER = 2**63
_AGAIN_NS = 3_600 * SECOND_NS
_EVERYWHERE = ((b"-", b"+"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRevisions:
    """How many revisions of a file stay, and for how long after they were replaced; 0 is all."""

    count: int = 0
    age_s: int = 0

    def unless_said(self, row: ColonyRow) -> "KeepRevisions":
        """What holds in a colony: its own where it says something, -1 is nothing."""
        return KeepRevisions(
            count=self.count if row.file_revisions < 0 else row.file_revisions,
            age_s=self.age_s if row.file_revision_s < 0 else row.file_revision_s,
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many revisions and files a label had, and when the next of them is due, Unix ns."""

    counts: tuple[bytes | None, ...]
    keep: KeepRevisions
    due_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRevisions(Reactor):
    """Removes, and tells what happened; ``default`` is for colonies that say nothing."""

    default: KeepRevisions
    _seen: dict[Tag, dict[str, _Seen]] = field(default_factory=dict[Tag, dict[str, _Seen]])
    """By colony and label."""

    async def remove_all(self, colonies: Sequence[Colony]) -> None:
        """Remove in all colonies there are."""
        forget_gone(self._seen, colonies)
        await each(colonies, self.remove)

    async def remove(self, colony: Colony) -> int:
        """Remove what one colony should not keep; how many revisions."""
        row = ColonyRow.read((await self.store.hashes(colony.tag, keys.COLONY))[0])
        keep = self.default.unless_said(row) if row else KeepRevisions()
        if not keep.count and not keep.age_s:
            return 0
        removed = 0
        before, now = self._seen.get(colony.tag, {}), dict[str, _Seen]()
        async for page in shelf.walked(self.store, colony.tag, keys.LABELS, _EVERYWHERE):
            for label in page:
                gone, seen = await self._in_label(colony, label, keep, before.get(label))
                removed += gone
                if seen is not None:
                    now[label] = seen
        self._seen[colony.tag] = now  # labels that are gone are in it no more
        return removed

    async def _in_label(
        self, colony: Colony, label: str, keep: KeepRevisions, seen: _Seen | None
    ) -> tuple[int, _Seen | None]:
        """Remove in a label; how many, and what there is to know of it for the next time."""
        counts = await self._counts(colony.tag, label)
        now_ns = self.store.clock.now_ns()
        if counts[0] == counts[1]:
            return 0, None
        if seen and (seen.counts, seen.keep) == (counts, keep) and now_ns < seen.due_ns:
            return 0, seen
        removed, due_ns = 0, _NEVER
        async for name in self._with_old(colony.tag, label):
            gone, due = await self._in_file(colony, label, name, keep)
            removed, due_ns = removed + gone, min(due_ns, due)
        # Counts as they were before: whatever was added meanwhile makes it look again.
        return removed, _Seen(counts, keep, min(due_ns, now_ns + _AGAIN_NS))

    async def _counts(self, tag: Tag, label: str) -> tuple[bytes | None, ...]:
        return tuple(await self.store.send("HMGET", tag.key(keys.label(label)), "files", "names"))

    async def _with_old(self, tag: Tag, label: str) -> AsyncIterator[str]:
        """The files of a label that have more than one revision."""
        async for page in shelf.newest(self.store, tag, label):
            names = [revision.name for revision in page]
            rows = await self.store.hashes(tag, *(keys.file(label, name) for name in names))
            for name, row in zip(names, rows, strict=True):
                if number_in(row, b"revisions") > 1:
                    yield name

    async def _in_file(
        self, colony: Colony, label: str, name: str, keep: KeepRevisions
    ) -> tuple[int, int]:
        """Remove the old revisions of a file; how many, and when the next one is due."""
        due_ns, removed = _NEVER, 0

        async def read(_fresh: bool) -> Removal | None:  # noqa: FBT001 - run's shape
            nonlocal due_ns
            page, due_ns = await self._old(colony.tag, label, name, keep)
            return await removal(self.store, colony.tag, label, name, page)

        while True:
            began = time.monotonic()
            events = await self.act(colony, read, _decided)
            removed += len(events)
            if len(events) < _STEP:
                return removed, due_ns
            await rest(began)

    async def _old(
        self, tag: Tag, label: str, name: str, keep: KeepRevisions
    ) -> tuple[list[Followed], int]:
        """The revisions that should not stay, oldest first, and when the next one should not."""
        page = await shelf.oldest(self.store, tag, label, name, _STEP + 1)
        row, *successors = await self.store.hashes(
            tag, keys.file(label, name), *(keys.revision(each.file_id) for each in page[1:])
        )
        file_row, now_ns = FileRow.read(row), self.store.clock.now_ns()
        beyond = max(0, file_row.revisions - keep.count) if file_row and keep.count else 0
        old: list[Followed] = []
        for place, (revision, after) in enumerate(pairwise(page)):
            due_ns = number_in(successors[place], b"at") + keep.age_s * SECOND_NS
            if place >= beyond and (not keep.age_s or due_ns > now_ns):
                return old, due_ns if keep.age_s else _NEVER
            old.append((revision, after))
        return old, _NEVER


def _decided(wanted: Removal | None, now_ns: int) -> Decision:
    return file.retire(wanted, now_ns) if wanted else Decision()
