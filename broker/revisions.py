r"""The index of a label: its revisions by the names of files, the newest of each first.

Two sorted sets a label, every score 0: what is there (``keys.files_in``), and what was removed but
may be named by snapshots (``keys.kept_in``). A member begins with ``<name>\0<number, counted from
the largest down>`` and goes on with what lists show, so a page of a list is one command. A revision
only ever moves from the first set to the second: who reads the first before the second misses
nothing.
"""

from typing import Any

from msgspec import Struct

from broker.packing import packed, unpacked

LARGEST = 2**63 - 1
_DIGITS = 19
_LAST = b"\xff"
"""Sorts after whatever follows a name, or a place, in a member."""


class Listed(Struct, frozen=True):
    """A revision that is there; ``made`` is how many snapshots had been made before it."""

    name: str
    number: int
    file_id: str
    made: int
    size: int
    checksum: str
    object: str


class Kept(Struct, frozen=True):
    """A removed revision; snapshots from ``made`` + 1 to ``until`` may name it."""

    name: str
    number: int
    file_id: str
    made: int
    until: int


def place(name: str, number: int) -> bytes:
    """How the member of a revision begins."""
    return b"%b\0%0*d" % (name.encode(), _DIGITS, LARGEST - number)


def listed_member(revision: Listed) -> bytes:
    """A member of ``keys.files_in``."""
    rest = (revision.file_id, revision.made, revision.size, revision.checksum, revision.object)
    return place(revision.name, revision.number) + packed(rest)


def kept_member(revision: Kept) -> bytes:
    """A member of ``keys.kept_in``."""
    rest = (revision.file_id, revision.made, revision.until)
    return place(revision.name, revision.number) + packed(rest)


def listed(member: bytes) -> Listed:
    """What a member of ``keys.files_in`` says."""
    return Listed(*_parts(member))


def kept(member: bytes) -> Kept:
    """What a member of ``keys.kept_in`` says."""
    return Kept(*_parts(member))


def _parts(member: bytes) -> tuple[Any, ...]:
    end = member.index(b"\0") + 1
    number = LARGEST - int(member[end : end + _DIGITS])
    return (member[: end - 1].decode(), number, *unpacked(member[end + _DIGITS :]))


def at(name: str) -> bytes:
    """The bound before the revisions of a file, for ZRANGEBYLEX."""
    return b"[" + name.encode() + b"\0"


def behind(name: str) -> bytes:
    """The bound behind them."""
    return b"(" + name.encode() + b"\0" + _LAST


def behind_revision(name: str, number: int) -> bytes:
    """The bound behind one revision."""
    return b"(" + place(name, number) + _LAST
