"""Attributes: named values on a process, put there by the executor that runs it."""

from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import Gate, member
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow, held_as_read
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid, NotFound

MOST_ATTRIBUTES = 10_000
MOST_BYTES = 16 * 1024 * 1024
"""Of all values on a process together: whoever reads the process gets them all."""


class AttributeSet(Event, frozen=True, kw_only=True):
    """A process has a named value, new or changed; ``subject`` is the attribute id.

    ``kind`` 0 IN, 1 OUT, 2 ERR, 3 ENV.
    """

    TYPE: ClassVar[str] = "AttributeSet"
    process_id: str
    kind: int
    key: str
    value: str


EVENTS = (AttributeSet,)


class SetAttribute(Struct, frozen=True, kw_only=True):
    """Put a named value on a running process."""

    process_id: str
    kind: int
    key: str
    value: str

    @property
    def attribute_id(self) -> str:
        """The id that follows from process, key and type."""
        return keys.attribute_id(self.process_id, self.key, self.kind)


def put(gate: Gate, command: SetAttribute, row: ProcessRow | None, now_ns: int) -> Decision:
    """Set an attribute; one of the same key and type is overwritten.

    Raises:
        NotFound, Denied: no such process; not running; not the caller's.
        Invalid: as many, or as much, as a process may have.
    """
    if row is None:
        raise NotFound("Failed to add attribute, process not found")
    expects = member(gate)
    if row.state is not State.RUNNING:
        raise Denied("Failed to add attribute, process is not running")
    if row.holder != gate.caller:
        raise Denied(
            f"Failed to add attribute, only executor with id <{row.holder}> is allowed to set"
            " attributes"
        )
    _check_room(command, row)
    event = AttributeSet(
        subject=command.attribute_id,
        actor=gate.caller,
        at_ns=now_ns,
        process_id=row.id,
        kind=command.kind,
        key=command.key,
        value=command.value,
    )
    return Decision(expects=(*expects, *held_as_read(row)), events=(event,))


def _check_room(command: SetAttribute, row: ProcessRow) -> None:
    others = [stored for name, stored in row.attributes if name != command.attribute_id]
    if len(others) >= MOST_ATTRIBUTES:
        raise Invalid(f"Failed to add attribute, process has {len(others)} attributes, the limit")
    if sum(map(len, others)) + len(command.value.encode()) > MOST_BYTES:
        raise Invalid(f"Failed to add attribute, process would have more than {MOST_BYTES} bytes")
