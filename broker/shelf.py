"""Reading labels and what is in them back: by name, by revision, and as a snapshot names it.

Every list is walked in pages of bounded size, so that nobody's long list holds up anybody else.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from heapq import merge

from broker import keys, labels
from broker.keys import Key, Tag
from broker.labels import Range
from broker.revisions import (
    LARGEST,
    Kept,
    Listed,
    at,
    behind,
    behind_revision,
    kept,
    listed,
    place,
)
from broker.store import EventStore

PAGE = 500


async def walked(
    store: EventStore, tag: Tag, index: Key, ranges: Sequence[Range], *, after: str = ""
) -> AsyncIterator[list[str]]:
    """The labels of an index that stand in some ranges, bytewise in each, a page at a time."""
    for low, high in ranges:
        start = max(low, b"(" + after.encode(), key=_place) if after else low
        while True:
            command = ("ZRANGEBYLEX", tag.key(index), start, high, "LIMIT", 0, PAGE)
            page: list[bytes] = await store.send(*command)
            if page:
                yield [label.decode() for label in page]
            if len(page) < PAGE:
                break
            start = b"(" + page[-1]


def _place(bound: bytes) -> tuple[bytes, bool]:
    """Lower bounds in order; one that leaves its member out comes after one that does not."""
    return bound[1:], bound[:1] == b"("


async def newest(
    store: EventStore, tag: Tag, label: str, *, after: str = ""
) -> AsyncIterator[list[Listed]]:
    """The newest revision of each file in a label, by name, a page at a time."""
    low = behind(after) if after else b"-"
    while True:
        page = await _page(store, tag.key(keys.files_in(label)), low, b"+")
        by_name: dict[str, Listed] = {}
        for revision in map(listed, page):
            by_name.setdefault(revision.name, revision)
        if by_name:
            yield list(by_name.values())
        if len(page) < PAGE:
            return
        low = behind(next(reversed(by_name)))


async def of_file(
    store: EventStore, tag: Tag, label: str, name: str
) -> AsyncIterator[list[Listed]]:
    """The revisions of one file, newest first, a page at a time."""
    low, high = at(name), behind(name)
    while page := await _page(store, tag.key(keys.files_in(label)), low, high):
        yield [listed(member) for member in page]
        low = b"(" + page[-1]


async def newest_of_file(store: EventStore, tag: Tag, label: str, name: str) -> Listed | None:
    """The newest revision of one file."""
    command = ("ZRANGEBYLEX", tag.key(keys.files_in(label)), at(name), behind(name))
    found = await store.send(*command, "LIMIT", 0, 1)
    return listed(found[0]) if found else None


async def oldest(store: EventStore, tag: Tag, label: str, name: str, count: int) -> list[Listed]:
    """The first revisions of one file that are left, oldest first."""
    return await _backwards(store, tag, label, behind(name), at(name), count)


async def around(
    store: EventStore, tag: Tag, label: str, name: str, number: int
) -> list[tuple[Listed, Listed | None]]:
    """A revision with the one that was added to it, if there is one; nothing if it is not there."""
    high = behind_revision(name, number)
    found = await _backwards(store, tag, label, high, at(name), 2)
    if not found or found[0].number != number:
        return []
    return [(found[0], found[1] if len(found) > 1 else None)]


async def kept_pages(store: EventStore, tag: Tag, label: str) -> AsyncIterator[list[bytes]]:
    """The members of ``keys.kept_in``, a page at a time."""
    low = b"-"
    while page := await _page(store, tag.key(keys.kept_in(label)), low, b"+"):
        yield page
        low = b"(" + page[-1]


async def named_by(
    store: EventStore, tag: Tag, label: str, number: int
) -> AsyncIterator[list[str]]:
    """The ids of the revisions that a snapshot names: of each file the newest there was then."""
    seen: set[str] = set()
    for index in (keys.LABELS, keys.KEPT_LABELS):
        async for page in walked(store, tag, index, labels.tree(label)):
            for each in page:
                if each not in seen:
                    seen.add(each)
                    async for ids in _named_in(store, tag, each, number):
                        yield ids


async def _named_in(
    store: EventStore, tag: Tag, label: str, number: int
) -> AsyncIterator[list[str]]:
    """The same of one label: the same stretch of both indexes, stretch by stretch."""
    low, last = b"-", None
    while low != b"+":
        stretch, low = await _stretch(store, tag, label, low)
        ids: list[str] = []
        for revision in stretch:
            if revision.name != last and revision.made < number <= revision.until:
                ids.append(revision.file_id)
                last = revision.name
        yield ids


async def _stretch(
    store: EventStore, tag: Tag, label: str, low: bytes
) -> tuple[Iterable[Kept], bytes]:
    """Revisions that are there or kept, in order, and the bound behind them, "+" at the end."""
    page = await _page(store, tag.key(keys.files_in(label)), low, b"+")
    there = [_as_kept(listed(member)) for member in page]
    high = _end(there)
    gone = [kept(each) for each in await _page(store, tag.key(keys.kept_in(label)), low, high)]
    if len(gone) == PAGE:
        high = _end(gone)
        there = [revision for revision in there if _order(revision) < high[1:]]
    return merge(there, gone, key=_order), high


def _end(page: Sequence[Kept]) -> bytes:
    """The bound behind a page; a short one is the last."""
    return b"+" if len(page) < PAGE else behind_revision(page[-1].name, page[-1].number)


def _as_kept(revision: Listed) -> Kept:
    """What is there is named by every snapshot that is made after it, as far as anybody knows."""
    return Kept(revision.name, revision.number, revision.file_id, revision.made, LARGEST)


def _order(revision: Kept) -> bytes:
    return place(revision.name, revision.number)


async def _page(store: EventStore, index: str, low: bytes, high: bytes) -> list[bytes]:
    found: list[bytes] = await store.send("ZRANGEBYLEX", index, low, high, "LIMIT", 0, PAGE)
    return found


async def _backwards(  # noqa: PLR0917 - as the command has them
    store: EventStore, tag: Tag, label: str, high: bytes, low: bytes, count: int
) -> list[Listed]:
    index = tag.key(keys.files_in(label))
    found = await store.send("ZREVRANGEBYLEX", index, high, low, "LIMIT", 0, count)
    return [listed(member) for member in found]
