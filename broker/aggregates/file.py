"""Files: revisions of metadata under a label and a name; the bytes are elsewhere.

Revisions of one file are numbered upwards, and each is added to the last one that was seen, so two
that arrive at once have an order. Each says how many snapshots there had been before it: that is
all a snapshot needs to know its files, see ``broker/aggregates/snapshot.py``. So adding collides
with adding to the same file and with a snapshot, and with nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import Gate, Hash, member, number_in
from broker.decision import Decision, Event, Expect, above, absent, equals, has, lacks, listed
from broker.errors import Invalid
from broker.labels import checked_label
from broker.revisions import Listed, kept

MOST_NAME = 1_024
MOST_BYTES = 64 * 1024
"""Of what is said of one revision."""


class FileAdded(Event, frozen=True, kw_only=True):
    """A revision of a file is there; ``subject`` is its id.

    ``reference`` is where its bytes are (JSON), ``object`` the part of it that lists show. ``made``
    is how many snapshots had been made before, ``first`` whether the file has no other revision.
    """

    TYPE: ClassVar[str] = "FileAdded"
    label: str
    name: str
    size: int
    checksum: str
    checksum_alg: str
    reference: bytes
    object: str
    number: int
    made: int
    first: bool


class FileRemoved(Event, frozen=True, kw_only=True):
    """A revision was removed; ``subject`` is its id.

    Snapshots from ``made`` + 1 to ``until`` may name it, with 0 none. ``ends_file`` and
    ``ends_label`` say that it was the last one there.
    """

    TYPE: ClassVar[str] = "FileRemoved"
    label: str
    name: str
    number: int
    made: int
    until: int
    ends_file: bool
    ends_label: bool


class FilesForgotten(Event, frozen=True, kw_only=True):
    """No snapshot names these removed revisions of the label ``subject`` any more.

    ``members`` is their place in the index by their ids.
    """

    TYPE: ClassVar[str] = "FilesForgotten"
    members: dict[str, bytes]


class LabelForgotten(Event, frozen=True, kw_only=True):
    """No removed revision of the label ``subject`` is left."""

    TYPE: ClassVar[str] = "LabelForgotten"


EVENTS = (FileAdded, FileRemoved, FilesForgotten, LabelForgotten)


class AddFile(Struct, frozen=True, kw_only=True):
    """A revision as somebody wants it; the fields are those of FileAdded."""

    file_id: str
    label: str
    name: str
    size: int
    checksum: str
    checksum_alg: str
    reference: bytes
    object: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """How many snapshots were ever made in a colony, and how many of them are gone."""

    made: int
    gone: int

    @classmethod
    def read(cls, row: Hash) -> "Era":
        """From the hash ``keys.FILES``."""
        return cls(made=number_in(row, b"made"), gone=number_in(row, b"gone"))

    def lasts(self) -> tuple[Expect, ...]:
        """No snapshot was made since."""
        return (_same("made", self.made),)

    def as_read(self) -> tuple[Expect, ...]:
        """Nor was one removed."""
        return (*self.lasts(), _same("gone", self.gone))


def _same(field: str, count: int) -> Expect:
    return equals(keys.FILES, field, count) if count else lacks(keys.FILES, field)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A file: how many revisions it has, and the number of the last that was added."""

    revisions: int
    last: int

    @classmethod
    def read(cls, row: Hash) -> "FileRow | None":
        """From its hash; None when it has no revision."""
        if not row:
            return None
        return cls(revisions=number_in(row, b"revisions"), last=number_in(row, b"last"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a revision is added: the file, the highest number in the colony, and the era."""

    file: FileRow | None
    highest: int
    era: Era


def add(gate: Gate, command: AddFile, site: Site, now_ns: int) -> Decision:
    """Add a revision.

    Raises:
        Denied, Invalid: not a member; a value that cannot be kept.
    """
    return add_many(gate, [(command, site)], now_ns)


def add_many(gate: Gate, wishes: Sequence[tuple[AddFile, Site]], now_ns: int) -> Decision:
    """Add revisions of different files, all of them or none; their sites were read together.

    The number of each is one more than any that was seen in the colony, as far as its file allows.

    Raises:
        Denied, Invalid: not a member; a value that cannot be kept; a file that is there twice.
    """
    expects, events = [*member(gate)], list[Event]()
    above = 0
    for command, site in wishes:
        _check(command)
        key = keys.file(command.label, command.name)
        last = site.file.last if site.file else 0
        above = max(above, site.highest, last) + 1
        expects.append(equals(key, "last", last) if site.file else absent(key))
        events.append(_added(gate, command, site, number=above, now_ns=now_ns))
    _check_different([command for command, _ in wishes])
    eras = dict.fromkeys(expect for _, site in wishes for expect in site.era.lasts())
    return Decision(expects=(*expects, *eras), events=tuple(events))


def _added(gate: Gate, command: AddFile, site: Site, *, number: int, now_ns: int) -> FileAdded:
    return FileAdded(
        subject=command.file_id,
        actor=gate.caller,
        at_ns=now_ns,
        label=command.label,
        name=command.name,
        size=command.size,
        checksum=command.checksum,
        checksum_alg=command.checksum_alg,
        reference=command.reference,
        object=command.object,
        number=number,
        made=site.era.made,
        first=site.file is None,
    )


def _check_different(commands: Sequence[AddFile]) -> None:
    seen = set[tuple[str, str]]()
    for command in commands:
        place = (command.label, command.name)
        if place in seen:
            raise Invalid(f"Failed to add files, {command.name} in {command.label} is there twice")
        seen.add(place)


def _check(command: AddFile) -> None:
    checked_label(command.label, "Failed to add file, label")
    if len(command.name) > MOST_NAME:
        raise Invalid(f"Failed to add file, name is longer than {MOST_NAME} characters")
    if "\0" in command.name:
        raise Invalid("Failed to add file, name has a NUL character")
    if command.size < 0:
        raise Invalid("Failed to add file, size must not be negative")
    texts = len(command.checksum) + len(command.checksum_alg) + len(command.reference)
    if texts > MOST_BYTES:
        raise Invalid(f"Failed to add file, more than {MOST_BYTES} bytes are said of it")


class Doomed(Struct, frozen=True, kw_only=True):
    """A revision that is to be removed; ``until`` is the last snapshot that may name it, or 0."""

    file_id: str
    number: int
    made: int
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Revisions of one file that are to be removed, and what was read beside them.

    ``in_label`` is how many revisions there are in the label.
    """

    label: str
    name: str
    doomed: Sequence[Doomed]
    file: FileRow
    in_label: int
    era: Era


def nameable(revision: Listed, successor: Listed | None, era: Era) -> tuple[int, int]:
    """The first and the last number of a snapshot that may name a revision if it goes now.

    It was the newest from when it was added until its successor was. There is none if the first is
    greater than the last.
    """
    last = era.made if successor is None else min(era.made, successor.made)
    return revision.made + 1, last


def remove(gate: Gate, removal: Removal | None, now_ns: int) -> Decision:
    """Remove revisions of one file; without any there is nothing to do.

    Raises:
        Denied: not a member.
    """
    expects = member(gate)
    if removal is None:
        return Decision(expects=expects)
    return _without(removal, gate.caller, expects, now_ns)


def retire(removal: Removal, now_ns: int) -> Decision:
    """Remove old revisions of one file, which nobody asked for."""
    return _without(removal, "", (), now_ns)


def _without(removal: Removal, actor: str, expects: tuple[Expect, ...], now_ns: int) -> Decision:
    last = removal.doomed[-1]
    ends_file = len(removal.doomed) == removal.file.revisions
    ends_label = len(removal.doomed) == removal.in_label
    events = tuple(
        FileRemoved(
            subject=each.file_id,
            actor=actor,
            at_ns=now_ns,
            label=removal.label,
            name=removal.name,
            number=each.number,
            made=each.made,
            until=each.until,
            ends_file=ends_file and each is last,
            ends_label=ends_label and each is last,
        )
        for each in removal.doomed
    )
    return Decision(expects=(*expects, *_as_read(removal)), events=events)


def _as_read(removal: Removal) -> tuple[Expect, ...]:
    """Who removes one that is not the last of its label does not mind others."""
    count, row = len(removal.doomed), keys.label(removal.label)
    there = (has(keys.revision(each.file_id), "given") for each in removal.doomed)
    still = (lacks(keys.revision(each.file_id), "until") for each in removal.doomed)
    return (
        *removal.era.as_read(),
        equals(keys.file(removal.label, removal.name), "revisions", removal.file.revisions),
        equals(row, "files", count) if count == removal.in_label else above(row, "files", count),
        *there,
        *still,
    )


def forget(label: str, members: Sequence[bytes], now_ns: int) -> Decision:
    """Forget removed revisions that no snapshot names; ``members`` is their place in the index."""
    by_id = {kept(member).file_id: member for member in members}
    forgotten = FilesForgotten(subject=label, actor="", at_ns=now_ns, members=by_id)
    expects = tuple(has(keys.revision(file_id), "until") for file_id in by_id)
    return Decision(expects=expects, events=(forgotten,))


def forget_label(label: str, now_ns: int) -> Decision:
    """Forget a label of which no removed revision is left."""
    expects = (absent(keys.kept_in(label)), listed(keys.KEPT_LABELS, label))
    return Decision(
        expects=expects, events=(LabelForgotten(subject=label, actor="", at_ns=now_ns),)
    )
