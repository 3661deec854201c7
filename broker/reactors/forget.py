"""Forget removed revisions of files when the last snapshot that named them is gone.

The event that removes a snapshot says of which label it was. Whoever looks first walks what is kept
in the tree of that label, a page at a time, each step an ordinary guarded command; a server that
dies half-way leaves the label for the next. A snapshot names nothing that was removed before it was
made, so what was removed under the snapshots that are known can be judged by these.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from broker import keys, labels, shelf
from broker.aggregates import file, snapshot
from broker.aggregates.file import Era
from broker.directory import Colony
from broker.reactors.reactor import Reactor
from broker.revisions import Kept, kept

_STEP = 100
_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetter(Reactor):
    """Does it, and tells what happened."""

    async def forget(self, colony: Colony) -> None:
        """See to every label of which a snapshot was removed."""
        unnamed = (await self.store.hashes(colony.tag, keys.UNNAMED))[0]
        for label, snapshot_id in unnamed.items():
            await self._tidy(colony, label.decode(), snapshot_id.decode())

    async def _tidy(self, colony: Colony, label: str, snapshot_id: str) -> None:
        """See to the tree of a label; what somebody else changed meanwhile is for the next look."""
        ranges = labels.tree(label)
        async for page in shelf.walked(self.store, colony.tag, keys.KEPT_LABELS, ranges):
            for each in page:
                if not await self._tidy_one(colony, each):
                    return
        now_ns = self.store.clock.now_ns()
        await self.append(colony, snapshot.tidied(label, snapshot_id, now_ns))

    async def _tidy_one(self, colony: Colony, label: str) -> bool:
        """Forget what no snapshot names of one label, and the label if nothing is left."""
        era = Era.read((await self.store.hashes(colony.tag, keys.FILES))[0])
        numbers = await self._numbers(colony, label)
        left = False
        async for page in shelf.kept_pages(self.store, colony.tag, label):
            unnamed = [member for member in page if not _may_be_named(kept(member), numbers, era)]
            left = left or len(unnamed) < len(page)
            for first in range(0, len(unnamed), _STEP):
                step = unnamed[first : first + _STEP]
                now_ns = self.store.clock.now_ns()
                if not await self.append(colony, file.forget(label, step, now_ns)):
                    return False
        now_ns = self.store.clock.now_ns()
        return left or await self.append(colony, file.forget_label(label, now_ns))

    async def _numbers(self, colony: Colony, label: str) -> list[int]:
        """The numbers of the snapshots in whose tree a label is, in order."""
        found: list[int] = []
        for above in labels.trees_with(label):
            index, last = colony.tag.key(keys.snapshots_of(above)), 0
            while page := await self.store.send(
                "ZRANGEBYSCORE", index, f"({last}", "+inf", "WITHSCORES", "LIMIT", 0, _PAGE
            ):
                found += (last := int(float(score)) for score in page[1::2])
        return sorted(found)


def _may_be_named(revision: Kept, numbers: Sequence[int], era: Era) -> bool:
    """Whether one of these snapshots names a revision, or one that was made since."""
    after = bisect_right(numbers, revision.made)
    return revision.until > era.made or (after < len(numbers) and numbers[after] <= revision.until)
