"""Snapshots: which revisions were the newest in a label and below it at one moment.

A snapshot is a number, and names nothing itself. Revisions say how many snapshots had been made
before they were added, and those that were removed which snapshots may name them; so a snapshot of
any size is one event, and finds its revisions when it is read (``broker/revisions.py``). What was
removed is kept as long as a snapshot may name it (``broker/reactors/forget.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from msgspec import Struct

from broker import keys
from broker.access import LONGEST_NAME, Gate, Hash, member, number_in
from broker.aggregates.file import Era
from broker.decision import Decision, Event, absent, equals, has
from broker.errors import Invalid, Taken
from broker.labels import checked_label
from broker.packing import unpacked


class SnapshotCreated(Event, frozen=True, kw_only=True):
    """A snapshot of a label was made; ``subject`` is its id.

    ``number`` counts the snapshots of the colony from 1; it orders them among additions and
    removals of files.
    """

    TYPE: ClassVar[str] = "SnapshotCreated"
    label: str
    name: str
    number: int


class SnapshotRemoved(Event, frozen=True, kw_only=True):
    """A snapshot is gone; ``subject`` is its id.

    ``leaves`` says that there may be removed revisions that it alone named.
    """

    TYPE: ClassVar[str] = "SnapshotRemoved"
    label: str
    name: str
    leaves: bool


class LabelTidied(Event, frozen=True, kw_only=True):
    """All that the removed ``snapshot`` alone named in ``subject`` and below was forgotten."""

    TYPE: ClassVar[str] = "LabelTidied"
    snapshot: str


EVENTS = (SnapshotCreated, SnapshotRemoved, LabelTidied)


class CreateSnapshot(Struct, frozen=True, kw_only=True):
    """A snapshot as somebody wants it."""

    snapshot_id: str
    label: str
    name: str


@dataclass(frozen=True, kw_only=True)
class SnapshotRow:
    """One snapshot as it is stored."""

    id: str
    row: Hash

    @classmethod
    def read(cls, snapshot_id: str, row: Hash) -> "SnapshotRow | None":
        """From its hash; None when there is no such snapshot."""
        return cls(id=snapshot_id, row=row) if row else None

    @cached_property
    def _given(self) -> dict[str, Any]:
        return unpacked(self.row[b"given"])

    @property
    def label(self) -> str:
        """Of which label it is."""
        return self._given["label"]

    @property
    def name(self) -> str:
        """What it is called."""
        return self._given["name"]

    @property
    def number(self) -> int:
        """Its number."""
        return self._given["number"]

    @property
    def at_ns(self) -> int:
        """When it was made."""
        return number_in(self.row, b"at")


def create(
    gate: Gate, command: CreateSnapshot, namesake: str | None, era: Era, now_ns: int
) -> Decision:
    """Make a snapshot; ``namesake`` is the one that has its name already.

    Raises:
        Denied, Invalid, Taken: not a member; not a name or a label; the name is taken.
    """
    expects = member(gate)
    name, label = command.name, command.label.removesuffix("/")
    checked_label(label, "Failed to create snapshot, label")
    if len(name) > LONGEST_NAME or "\0" in name:
        raise Invalid(
            f"Failed to create snapshot, name is longer than {LONGEST_NAME} characters or has a NUL"
        )
    if namesake is not None:
        raise Taken(f"Snapshot with name <{name}> in Colony <{gate.colony_name}> already exists")
    created = SnapshotCreated(
        subject=command.snapshot_id,
        actor=gate.caller,
        at_ns=now_ns,
        label=label,
        name=name,
        number=era.made + 1,
    )
    free = absent(keys.snapshot_named(name))
    return Decision(expects=(*expects, free, *era.lasts()), events=(created,))


def remove(gate: Gate, rows: Sequence[SnapshotRow], *, keeps: bool, now_ns: int) -> Decision:
    """Remove snapshots; ``keeps`` is whether the colony keeps any removed revision.

    Raises:
        Denied: not a member.
    """
    expects = member(gate)
    if not rows:
        return Decision(expects=expects)
    events = (
        SnapshotRemoved(
            subject=row.id,
            actor=gate.caller,
            at_ns=now_ns,
            label=row.label,
            name=row.name,
            leaves=keeps,
        )
        for row in rows
    )
    there = (has(keys.snapshot(row.id), "given") for row in rows)
    nothing_kept = () if keeps else (absent(keys.KEPT_LABELS),)
    return Decision(expects=(*expects, *there, *nothing_kept), events=tuple(events))


def tidied(label: str, snapshot_id: str, now_ns: int) -> Decision:
    """Nothing is left to be forgotten, unless another snapshot of the label was removed since."""
    event = LabelTidied(subject=label, actor="", at_ns=now_ns, snapshot=snapshot_id)
    return Decision(expects=(equals(keys.UNNAMED, label, snapshot_id),), events=(event,))
