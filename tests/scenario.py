"""given(events).when(decide).then(events), for decisions; no Redis, no clock.

What is given is folded into rows with the folds that production uses, and decisions read these
rows. ``then`` also holds a decision to its own expectations: they must be true of the rows it read,
or it would conflict for ever; ``unless`` shows that a fact that arrives before the append is
noticed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

import pytest

from broker import keys
from broker.access import ColonyRow, Gate, Hash, MemberRow, ServerRow
from broker.aggregates.process_row import ProcessRow
from broker.decision import Decision, Event, Expect
from broker.errors import Rejected
from broker.keys import Key
from projections.core import fold
from projections.rows import Rows, Value, encoded
from tests.facts import COLONY


class World:
    """Rows as decisions read them."""

    def __init__(self, events: Iterable[Event]) -> None:
        rows = Rows()
        for event in events:
            for write in fold(event):
                rows.apply(write)
        self.values = rows.values()

    def hash(self, key: Key) -> Hash:
        """A whole hash, empty when there is none."""
        return cast("Hash", self.values.get(key, {}))

    def gate(self, caller: str, colony: str = COLONY) -> Gate:
        """What authorisation looks at."""
        row = ColonyRow.read(self.hash(keys.COLONY)) if colony == COLONY else None
        return Gate(caller=caller, colony_name=colony, colony=row, member=self.member(caller))

    def member(self, member_id: str) -> MemberRow | None:
        """A member by id."""
        return MemberRow.read(member_id, self.hash(keys.member(member_id)))

    def named(self, name_field: str) -> MemberRow | None:
        """A member by name."""
        member_id = self.hash(keys.NAMES).get(name_field.encode())
        return self.member(member_id.decode()) if member_id else None

    def server(self) -> ServerRow | None:
        """The server's own row."""
        return ServerRow.read(self.hash(keys.SERVER_ROW))

    def process(self, process_id: str) -> ProcessRow | None:
        """A process."""
        return ProcessRow.read(process_id, self.hash(keys.process(process_id)))

    def failed(self, decision: Decision) -> list[Expect]:
        """The expectations of a decision that do not hold."""
        return [expect for expect in decision.expects if not _holds(self.values, expect)]


def _holds(values: dict[Key, Value], expect: Expect) -> bool:
    row = values.get(expect[1])
    as_hash = cast("Hash", row or {})
    match expect:
        case (("equals", field), _, (value,)):
            return as_hash.get(str(field).encode()) == encoded(value)
        case (("matches", _, *fields), _, wanted):
            pairs = zip(fields, wanted, strict=True)
            return all(as_hash.get(str(f).encode()) == encoded(v) for f, v in pairs)
        case (("above" | "below" as kind, field), _, (value,)):
            counted = int(as_hash.get(str(field).encode(), b"%d" % value))
            return counted > int(value) if kind == "above" else counted < int(value)
        case (("has" | "listed" | "lacks" as kind,), _, (field,)):
            return (str(field).encode() in (row or {})) is (kind != "lacks")
        case (("absent",), _, ()):
            return row is None
        case (("counts",), _, (members,)):
            return len(row or ()) == members
        case _:
            raise AssertionError(f"unknown expectation {expect}")


Decide = Callable[[World], Decision]


def given(*events: Event) -> "Given":
    """What has happened so far."""
    return Given(events)


@dataclass(frozen=True)
class Given:
    """Facts, waiting for a command."""

    events: tuple[Event, ...]

    def when(self, decide: Decide) -> "When":
        """The command."""
        return When(self.events, decide)


@dataclass(frozen=True)
class When:
    """A command, waiting to be judged."""

    events: tuple[Event, ...]
    decide: Decide

    def then(self, *expected: Event) -> "When":
        """It is accepted with exactly these events, and would be appended to these rows."""
        world = World(self.events)
        decision = self.decide(world)
        assert decision.events == expected
        assert world.failed(decision) == []
        return self

    def unless(self, *meanwhile: Event) -> "When":
        """Facts that arrive between reading and appending make the append a conflict."""
        decision = self.decide(World(self.events))
        assert World((*self.events, *meanwhile)).failed(decision) != []
        return self

    def wakes(self, *texts: str) -> "When":
        """Executors that wait for these classes are told."""
        assert self.decide(World(self.events)).wakes == texts
        return self

    def rejected(self, kind: type[Rejected], text: str) -> None:
        """It is refused, in these words."""
        with pytest.raises(kind) as caught:
            self.decide(World(self.events))
        assert (type(caught.value), str(caught.value)) == (kind, text)
