"""One process as it is stored, and what a decision may expect of it."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct

from broker import keys
from broker.access import Hash
from broker.aggregates.process import CHILD, DELAYED, HELD, PARENT, State
from broker.clock import LAST_NS, deadline
from broker.decision import Expect, above, equals, lacks, matches
from broker.matching import Requirement, class_of
from broker.packing import unpacked


class _Channels(Struct):
    channels: list[str] = []


_channels_in = msgspec.json.Decoder(_Channels).decode
_STATES = {b"%d" % state: state for state in State}


class ProcessRow(Struct, frozen=True, kw_only=True, dict=True):
    """One process as it is stored; what was submitted is unpacked on first use."""

    id: str
    row: Hash

    @classmethod
    def read(cls, process_id: str, row: Hash) -> "ProcessRow | None":
        """From its hash; None when there is no such process."""
        return cls(id=process_id, row=row) if row else None

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """The body of its ProcessSubmitted or NodeSubmitted event."""
        return unpacked(self.row[b"given"])

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return _STATES[self.row[b"state"]]

    @property
    def holder(self) -> str:
        """Who runs it or ran it last, "" for nobody."""
        return self.row.get(b"holder", b"").decode()

    @property
    def initiator_id(self) -> str:
        """Who submitted it."""
        return self.row[b"by"].decode()

    @property
    def submitted_ns(self) -> int:
        """When it was submitted."""
        return int(self.row[b"at"])

    @property
    def started_ns(self) -> int:
        """When it was last assigned, 0 if never; it also names that hold of the process."""
        return int(self.row.get(b"started", b"0"))

    @property
    def ended_ns(self) -> int:
        """When it ended, 0 if it did not."""
        return int(self.row.get(b"ended", b"0"))

    @property
    def wait_deadline_ns(self) -> int:
        """Until when it may wait, 0 for ever."""
        return int(self.row.get(b"wait", b"0"))

    @property
    def exec_deadline_ns(self) -> int:
        """Until when its last run may (or might) have taken, 0 for ever."""
        return deadline(self.started_ns, self.given["max_exec_s"]) if self.started_ns else 0

    @property
    def ready_ns(self) -> int:
        """When it will be offered again, 0 if it is or does not wait."""
        return int(self.row.get(b"ready", b"0"))

    @property
    def retries(self) -> int:
        """How often it was queued again because its time ran out."""
        return int(self.row.get(b"retries", b"0"))

    @property
    def graph(self) -> str:
        """The id of the workflow it is part of, "" for none."""
        return self.row.get(b"graph", b"").decode()

    @property
    def pending(self) -> int:
        """How many of its parents have not succeeded yet."""
        return int(self.row.get(b"pending", b"0"))

    @cached_property
    def parents(self) -> list[str]:
        """The processes whose outputs it gets: in the order it depends on them, then later ones."""
        return self._relatives("parents", PARENT)

    @cached_property
    def children(self) -> list[str]:
        """The processes that wait for it."""
        return self._relatives("children", CHILD)

    def _relatives(self, planned: str, prefix: str) -> list[str]:
        """Those of the plan and those added later, oldest first, without those taken away."""
        if not self.graph:
            return []
        start, skip = prefix.encode(), len(prefix)
        since = {k[skip:].decode(): int(v) for k, v in self.row.items() if k.startswith(start)}
        added = sorted((at, name) for name, at in since.items() if at)
        kept = (name for name in self.given[planned] if name not in since)
        return [*kept, *(name for _, name in added)]

    @property
    def added_children(self) -> int:
        """How many children were put behind it that were not planned."""
        return int(self.row.get(b"links", b"0"))

    @property
    def class_key(self) -> str:
        """The requirement class it waits in; or HELD or DELAYED, where nobody takes it."""
        if self.pending:
            return HELD
        return DELAYED if self.ready_ns else class_of(self.given["requires"])

    @property
    def queued_as(self) -> str:
        """Its member in the queue of its class."""
        return keys.queue_member(self.given["priority_time"], self.id)

    @property
    def requirement(self) -> Requirement:
        """What it asks of an executor."""
        return Requirement.unpack(self.given["requires"])

    @cached_property
    def channels(self) -> list[str]:
        """The names of its channels."""
        spec: bytes = self.given["spec"]
        if b'"channels"' not in spec:
            return []
        return list(dict.fromkeys(_channels_in(spec).channels))

    @property
    def has_attributes(self) -> bool:
        """Whether attributes were put on it later."""
        return b"attributed" in self.row

    @property
    def attributes(self) -> Iterator[tuple[str, bytes]]:
        """The ids of attributes put on it later, and each as it is stored."""
        return ((k[2:].decode(), v) for k, v in self.row.items() if k[:2] == b"a:")

    @property
    def added_attributes(self) -> dict[str, tuple[int, str, str]]:
        """Attributes put on it later: id -> type, key, value."""
        return self.attributes_until(LAST_NS)

    def attributes_until(self, at_ns: int) -> dict[str, tuple[int, str, str]]:
        """The same, without those set after a moment."""
        stored = {name: unpacked(packed) for name, packed in self.attributes}
        return {i: (kind, key, text) for i, (kind, key, text, at) in stored.items() if at <= at_ns}


def as_read(row: ProcessRow) -> tuple[Expect, ...]:
    """The process is still where it was read."""
    if row.state is State.RUNNING:
        return held_as_read(row)
    key = keys.process(row.id)
    if row.state is not State.WAITING:
        return (equals(key, "state", int(row.state)),)
    return (
        equals(key, "state", int(State.WAITING)),
        equals(key, "wait", row.wait_deadline_ns) if row.wait_deadline_ns else lacks(key, "wait"),
        equals(key, "started", row.started_ns) if row.started_ns else lacks(key, "started"),
        *((above(key, "pending", 0),) if row.pending else ()),
        *((equals(key, "ready", row.ready_ns),) if row.ready_ns else ()),
    )


def held_as_read(row: ProcessRow) -> tuple[Expect, ...]:
    """The same hold: running, by the same executor, since the same nanosecond."""
    running, since = int(State.RUNNING), row.started_ns
    return (matches(keys.process(row.id), state=running, holder=row.holder, started=since),)


def children_as_read(row: ProcessRow) -> Expect:
    """No child was added to it."""
    key, added = keys.process(row.id), row.added_children
    return equals(key, "links", added) if added else lacks(key, "links")
