"""Processes: submitted, assigned, closed; the heart of the broker.

Waiting 0, running 1, success 2, failed 3, cancelled 4 (core.md, section 8.2). Assignment is decided
in ``claim.lua``; its event and its fold are the ones here.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, ClassVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from broker import keys
from broker.access import Gate, Hash, member
from broker.aggregates.backoff import backoff_in
from broker.aggregates.colony import RequirementClassAdded
from broker.clock import DAY_NS, LAST_NS, deadline
from broker.decision import Decision, Event, Expect, above, equals, has, lacks
from broker.errors import Denied, Invalid, Missing
from broker.matching import Requirement, class_of
from broker.packing import unpacked

MOST_PRIORITY = 50_000
MOST_EXEC_S = 9_999_999_999
WORKFLOW_FAILED = "another process of the workflow failed"
WAITED_TOO_LONG = "Maximum waiting time limit exceeded"
RAN_TOO_LONG = "Maximum execution time limit exceeded"
UNLIMITED_EXEC = "0" * 10
"""``max_exec_s`` of a ProcessAssigned without execution deadline."""
HELD = "held"
"""In place of a requirement class: the queue of processes that wait for their parents."""
DELAYED = "delayed"
"""In place of a requirement class: the queue of processes that are not offered again yet."""


class _Channels(Struct):
    channels: list[str] = []


_channels_in = msgspec.json.Decoder(_Channels).decode


class State(IntEnum):
    """State of a process, as the protocol numbers them."""

    WAITING = 0
    RUNNING = 1
    SUCCESS = 2
    FAILED = 3
    CANCELLED = 4


class ProcessSubmitted(Event, frozen=True, kw_only=True):
    """A process waits to be assigned; ``subject`` is its id.

    ``spec`` is the function spec as replies show it (JSON). Times in Unix ns, 0 is never;
    ``max_wait_s`` and ``max_exec_s`` in seconds, at most 0 is unlimited. ``requires`` is the packed
    Requirement, from which the class follows.
    """

    TYPE: ClassVar[str] = "ProcessSubmitted"
    spec: bytes
    initiator_name: str
    function: str
    label: str
    priority_time: int
    wait_deadline_ns: int
    max_wait_s: int
    max_exec_s: int
    max_retries: int
    requires: bytes
    env: dict[str, str]


class NodeSubmitted(ProcessSubmitted, frozen=True, kw_only=True):
    """A process of a workflow waits: for its parents, or to be assigned if it has none.

    ``graph`` is the id of the workflow, ``node`` its name in it, ``order`` its place among the
    processes of the workflow, which processes that are added at the same time share. ``parents``
    are in the order of its dependencies. ``input`` is a JSON list, or empty.
    """

    TYPE: ClassVar[str] = "NodeSubmitted"
    graph: str
    node: str
    order: int
    parents: list[str]
    children: list[str]
    input: bytes


class ProcessReleased(Event, frozen=True, kw_only=True):
    """All parents of a process succeeded, it waits to be assigned; ``subject`` is its id.

    ``input`` is their outputs, concatenated in the order of its parents (a JSON list).
    """

    TYPE: ClassVar[str] = "ProcessReleased"
    class_key: str
    queued_as: str
    input: bytes


class ProcessAssigned(Event, frozen=True, kw_only=True):
    """The executor ``actor`` holds the process; ``subject`` is the process id.

    ``queued_as`` and ``class_key`` say where it waited. ``max_exec_s`` is ten digits of seconds,
    because claim.lua fills it into the packed body; zeros are unlimited.
    """

    TYPE: ClassVar[str] = "ProcessAssigned"
    class_key: str
    queued_as: str
    max_exec_s: str


class OutputSet(Event, frozen=True, kw_only=True):
    """A running process has (partial) output; ``subject`` is its id. JSON list."""

    TYPE: ClassVar[str] = "OutputSet"
    out: bytes


class ProcessClosed(Event, frozen=True, kw_only=True):
    """The holder ``actor`` finished the process; ``subject`` is its id.

    ``outcome`` 2 success, 3 failed. ``out`` is a JSON list, or None to keep what is there.
    ``function``, ``waited_ns`` and ``ran_ns`` are here for statistics.
    """

    TYPE: ClassVar[str] = "ProcessClosed"
    outcome: int
    out: bytes | None
    errors: list[str]
    function: str
    executor_name: str
    waited_ns: int
    ran_ns: int


class ProcessCancelled(Event, frozen=True, kw_only=True):
    """Somebody called the process off; ``subject`` is its id.

    ``was`` is the state it had; then ``queued_as`` and ``class_key``, or ``holder``, apply.
    """

    TYPE: ClassVar[str] = "ProcessCancelled"
    was: int
    class_key: str
    queued_as: str
    holder: str


class ProcessRequeued(Event, frozen=True, kw_only=True):
    """A running process waits again, at its old place; ``subject`` is its id.

    ``wait_deadline_ns`` is until when, Unix ns, 0 for ever.
    """

    TYPE: ClassVar[str] = "ProcessRequeued"
    reason: str
    holder: str
    class_key: str
    queued_as: str
    wait_deadline_ns: int


class ProcessFailed(Event, frozen=True, kw_only=True):
    """A process failed though nobody closed it; ``subject`` is its id, ``error`` says why.

    ``cause`` is "deadline", or "workflow" when another process of it failed. ``was`` is the state
    it had; then ``queued_as`` and ``class_key``, or ``holder``, apply.
    """

    TYPE: ClassVar[str] = "ProcessFailed"
    was: int
    holder: str
    class_key: str
    queued_as: str
    error: str


class ProcessRetried(Event, frozen=True, kw_only=True):
    """A process ran out of execution time and waits once more; ``subject`` is its id.

    ``retries`` counts this one, ``wait_deadline_ns`` is its new wait deadline, Unix ns, 0 for none.
    It is not offered before ``ready_ns`` (Unix ns), 0 for at once.
    """

    TYPE: ClassVar[str] = "ProcessRetried"
    holder: str
    class_key: str
    queued_as: str
    retries: int
    wait_deadline_ns: int
    ready_ns: int


class ProcessReady(Event, frozen=True, kw_only=True):
    """The delay of a retried process is over, it is offered; ``subject`` is its id."""

    TYPE: ClassVar[str] = "ProcessReady"
    class_key: str
    queued_as: str


class ProcessHandedOver(Event, frozen=True, kw_only=True):
    """A running process moved with its executor to another key; ``subject`` is the process id."""

    TYPE: ClassVar[str] = "ProcessHandedOver"
    holder: str
    new_holder: str


class ProcessRemoved(Event, frozen=True, kw_only=True):
    """A process that was not running is gone; ``subject`` is its id."""

    TYPE: ClassVar[str] = "ProcessRemoved"
    was: int
    class_key: str
    queued_as: str
    attributes: list[str]
    channels: list[str]


EVENTS = (
    ProcessSubmitted,
    NodeSubmitted,
    ProcessReleased,
    ProcessAssigned,
    OutputSet,
    ProcessClosed,
    ProcessCancelled,
    ProcessRequeued,
    ProcessHandedOver,
    ProcessFailed,
    ProcessRetried,
    ProcessReady,
    ProcessRemoved,
)


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
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
        return State(int(self.row[b"state"]))

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

    @property
    def parents(self) -> list[str]:
        """The processes whose outputs it gets, in the order of its dependencies."""
        return self._relatives(b"parents")

    @property
    def children(self) -> list[str]:
        """The processes that wait for it."""
        return self._relatives(b"children")

    def _relatives(self, which: bytes) -> list[str]:
        if not self.graph:
            return []
        changed = self.row.get(which)
        return unpacked(changed) if changed else self.given[which.decode()]

    @property
    def links(self) -> int:
        """How often children were added to it."""
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
    def added_attributes(self) -> dict[str, tuple[int, str, str]]:
        """Attributes put on it later: id -> type, key, value."""
        return self.attributes_until(LAST_NS)

    def attributes_until(self, at_ns: int) -> dict[str, tuple[int, str, str]]:
        """The same, without those set after a moment."""
        stored = {k[2:].decode(): unpacked(v) for k, v in self.row.items() if k[:2] == b"a:"}
        return {i: (kind, key, text) for i, (kind, key, text, at) in stored.items() if at <= at_ns}


class SubmitProcess(Struct, frozen=True, kw_only=True):
    """Queue a function spec: JSON as replies show it, and the packed Requirement in it."""

    process_id: str
    spec: bytes
    requires: bytes
    function: str
    label: str
    priority: int
    max_wait_s: int
    max_exec_s: int
    max_retries: int
    env: dict[str, str]


class CloseProcess(Struct, frozen=True, kw_only=True):
    """Finish a process the caller holds."""

    process_id: str
    outcome: State
    out: bytes | None
    errors: list[str]


def submit(gate: Gate, command: SubmitProcess, now_ns: int, *, class_known: bool) -> Decision:
    """Queue a process for whoever satisfies its requirements first.

    Raises:
        Denied, Invalid: not an approved member; priority out of range.
    """
    expects = member(gate)
    check_priority(command.priority)
    class_key = class_of(command.requires)
    event = submitted(command, gate.caller, gate.member.name if gate.member else "", now_ns)
    if class_known:
        expected, events = has(keys.CLASSES, class_key), (event,)
    else:
        added = RequirementClassAdded(
            subject=class_key, actor=gate.caller, at_ns=now_ns, requires=command.requires
        )
        expected, events = lacks(keys.CLASSES, class_key), (added, event)
    return Decision(expects=(*expects, expected), events=events, wakes=(class_key,))


def check_priority(priority: int) -> None:
    """A priority in days.

    Raises:
        Invalid: out of range.
    """
    if abs(priority) > MOST_PRIORITY:
        raise Invalid(
            "Failed to submit function spec, priority outside range"
            f" [-{MOST_PRIORITY}, {MOST_PRIORITY}]"
        )


def submitted(command: SubmitProcess, by: str, by_name: str, now_ns: int) -> ProcessSubmitted:
    """The event of a function spec that is queued for somebody."""
    return ProcessSubmitted(
        subject=command.process_id,
        actor=by,
        at_ns=now_ns,
        spec=command.spec,
        initiator_name=by_name,
        function=command.function,
        label=command.label,
        priority_time=now_ns - command.priority * DAY_NS,
        wait_deadline_ns=deadline(now_ns, command.max_wait_s),
        max_wait_s=command.max_wait_s,
        max_exec_s=min(command.max_exec_s, MOST_EXEC_S),
        max_retries=command.max_retries,
        requires=command.requires,
        env=command.env,
    )


def set_output(gate: Gate, row: ProcessRow | None, out: bytes | None, now_ns: int) -> Decision:
    """Give a running process output before it is closed.

    Raises:
        Missing, Denied: no such process; not running, or not the caller's.
    """
    if row is None:
        raise Missing("Failed to set output, process is nil")
    expects = member(gate)
    if row.holder != gate.caller:
        raise Denied(
            "Failed to close process as successful, not allowed to close process as successful"
        )
    if row.state is not State.RUNNING:
        raise Denied("Failed to set output, process is not running")
    if out is None:
        return Decision(expects=expects)
    event = OutputSet(subject=row.id, actor=gate.caller, at_ns=now_ns, out=out)
    return Decision(expects=(*expects, *held_as_read(row)), events=(event,))


def close(gate: Gate, command: CloseProcess, row: ProcessRow | None, now_ns: int) -> Decision:
    """Finish a process. Only the executor that holds it may, and only once.

    Raises:
        Missing, Denied, Invalid: no such process; not the caller's; not running.
    """
    outcome = "successful" if command.outcome is State.SUCCESS else "failed"
    if row is None:
        raise Missing(f"Failed to close process as {outcome}, process is nil")
    expects = member(gate)
    if not row.holder:
        raise Denied(f"Failed to close process as {outcome}, process is not assigned")
    if row.holder != gate.caller:
        raise Denied(
            f"Failed to close process as {outcome}, not allowed to close process as {outcome}"
        )
    if row.state is not State.RUNNING:
        raise Invalid(_cannot_close(row.state, outcome))
    closed = ProcessClosed(
        subject=row.id,
        actor=gate.caller,
        at_ns=now_ns,
        outcome=int(command.outcome),
        out=command.out,
        errors=command.errors,
        function=row.given["function"],
        executor_name=gate.member.name if gate.member else "",
        waited_ns=row.started_ns - row.submitted_ns,
        ran_ns=now_ns - row.started_ns,
    )
    return Decision(expects=(*expects, *held_as_read(row)), events=(closed,))


def _cannot_close(state: State, outcome: str) -> str:
    names = {State.SUCCESS: "successful", State.FAILED: "failed", State.CANCELLED: "cancelled"}
    if state is State.WAITING:
        return f"Tried to set waiting process as {outcome} without being running"
    return f"Tried to set {names[state]} process as {outcome}"


def cancel(gate: Gate, row: ProcessRow | None, now_ns: int) -> Decision:
    """Call off a waiting or running process.

    Raises:
        Missing, Denied, Invalid: no such process; not a member; ended already.
    """
    if row is None:
        raise Missing("Failed to cancel process, process is nil")
    expects = member(gate)
    refusals = {
        State.SUCCESS: "Tried to cancel successful process",
        State.FAILED: "Tried to cancel failed process",
        State.CANCELLED: "Tried to cancel already cancelled process",
    }
    if row.graph:
        raise Invalid(
            "Failed to cancel, cannot cancel a process part of a workflow, cancel the entire"
            " workflow instead"
        )
    if row.state in refusals:
        raise Invalid(refusals[row.state])
    return Decision(
        expects=(*expects, *as_read(row)), events=(_cancelled(row, gate.caller, now_ns),)
    )


def _cancelled(row: ProcessRow, actor: str, now_ns: int) -> ProcessCancelled:
    return ProcessCancelled(
        subject=row.id,
        actor=actor,
        at_ns=now_ns,
        was=int(row.state),
        class_key=row.class_key,
        queued_as=row.queued_as,
        holder=row.holder,
    )


def cancelled_with_workflow(row: ProcessRow, now_ns: int) -> tuple[Event, ...]:
    """The workflow was cancelled: so is what is not finished."""
    open_still = row.state in {State.WAITING, State.RUNNING}
    return (_cancelled(row, "", now_ns),) if open_still else ()


def failed_with_workflow(row: ProcessRow, now_ns: int) -> tuple[Event, ...]:
    """Another process of the workflow failed: so does what is not finished."""
    if row.state not in {State.WAITING, State.RUNNING}:
        return ()
    return (_failed(row, WORKFLOW_FAILED, "workflow", now_ns),)


def removed_with_workflow(row: ProcessRow, now_ns: int) -> tuple[Event, ...]:
    """The workflow was removed: so is each process, whatever its state."""
    if row.state is not State.RUNNING:
        return (_removed(row, "", now_ns),)
    removed = replace(_removed(row, "", now_ns), was=int(State.CANCELLED))
    return (_cancelled(row, "", now_ns), removed)


def remove(gate: Gate, row: ProcessRow | None, now_ns: int) -> Decision:
    """Remove a process that is not running, with its attributes.

    Raises:
        Missing, Denied, Invalid: no such process; not a member; running.
    """
    if row is None:
        raise Missing("Failed to remove process, process is nil")
    expects = member(gate)
    if row.graph:
        raise Invalid(
            "Failed to remove, cannot remove a process part of a workflow, delete the entire"
            " workflow instead"
        )
    if row.state is State.RUNNING:
        raise Invalid("Failed to remove process, cannot remove a running process")
    return Decision(expects=(*expects, *as_read(row)), events=(_removed(row, gate.caller, now_ns),))


def remove_many(
    allowed: tuple[Expect, ...], rows: list[ProcessRow], actor: str, now_ns: int
) -> Decision:
    """Remove some processes at once, but none of a workflow; ``allowed`` is why the actor may."""
    removable = [row for row in rows if row.state is not State.RUNNING and not row.graph]
    return Decision(
        expects=(*allowed, *(e for row in removable for e in as_read(row))),
        events=tuple(_removed(row, actor, now_ns) for row in removable),
    )


def requeue(
    rows: list[ProcessRow], holder: str, reason: str, known: Container[str], now_ns: int
) -> Decision:
    """Put processes that ``holder`` runs back where they waited.

    ``known`` is the requirement classes there are; one that was retired meanwhile comes back.
    """
    running = [row for row in rows if row.state is State.RUNNING and row.holder == holder]
    expected, added = classes_again(_requires(running), known, now_ns)
    requeued = tuple(
        ProcessRequeued(
            subject=row.id,
            actor="",
            at_ns=now_ns,
            reason=reason,
            holder=holder,
            class_key=row.class_key,
            queued_as=row.queued_as,
            wait_deadline_ns=row.wait_deadline_ns,
        )
        for row in running
    )
    return Decision(
        expects=(
            *(e for row in running for e in held_as_read(row)),
            *expected,
        ),
        events=(*added, *requeued),
        wakes=tuple(row.class_key for row in running),
    )


def expire(row: ProcessRow | None, known: Container[str], now_ns: int) -> Decision:
    """What the passing of time means for a process: nothing, failure, or another try.

    ``known`` is the requirement classes there are. Times out exactly once: whoever is first.
    """
    if row is None:
        return Decision()
    if row.state is State.WAITING and 0 < row.wait_deadline_ns <= now_ns:
        return Decision(
            expects=as_read(row), events=(_failed(row, WAITED_TOO_LONG, "deadline", now_ns),)
        )
    if row.state is not State.RUNNING or not 0 < row.exec_deadline_ns <= now_ns:
        return Decision()
    if 0 <= row.given["max_retries"] <= row.retries:
        return Decision(
            expects=as_read(row), events=(_failed(row, RAN_TOO_LONG, "deadline", now_ns),)
        )
    backoff, retry = backoff_in(row.given["spec"]), row.retries + 1
    retried = ProcessRetried(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        cause="deadline",
        holder=row.holder,
        class_key=DELAYED if backoff else row.class_key,
        queued_as=row.queued_as,
        retries=retry,
        wait_deadline_ns=deadline(now_ns, row.given["max_wait_s"]),
        ready_ns=now_ns + backoff.delay_ns(row.id, retry) if backoff else 0,
    )
    if backoff:
        return Decision(expects=as_read(row), events=(retried,))
    expected, added = classes_again(_requires([row]), known, now_ns)
    return Decision(
        expects=(*as_read(row), *expected),
        events=(*added, retried),
        wakes=(row.class_key,),
    )


def offer(row: ProcessRow | None, known: Container[str], now_ns: int) -> Decision:
    """Offer a process again whose delay is over."""
    if row is None or row.state is not State.WAITING or not 0 < row.ready_ns <= now_ns:
        return Decision()
    requires: bytes = row.given["requires"]
    class_key = class_of(requires)
    ready = ProcessReady(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        class_key=class_key,
        queued_as=row.queued_as,
    )
    expected, added = classes_again({class_key: requires}, known, now_ns)
    return Decision(expects=(*as_read(row), *expected), events=(*added, ready), wakes=(class_key,))


def _failed(row: ProcessRow, error: str, cause: str, now_ns: int) -> ProcessFailed:
    return ProcessFailed(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        cause=cause,
        was=int(row.state),
        holder=row.holder,
        class_key=row.class_key,
        queued_as=row.queued_as,
        error=error,
    )


def _requires(rows: list[ProcessRow]) -> dict[str, bytes]:
    return {row.class_key: row.given["requires"] for row in rows}


def classes_again(
    classes: Mapping[str, bytes], known: Container[str], now_ns: int
) -> tuple[tuple[Expect, ...], tuple[RequirementClassAdded, ...]]:
    """Requirement classes (packed Requirement) about to get work: they are there, or come back."""
    expected = tuple((has if name in known else lacks)(keys.CLASSES, name) for name in classes)
    added = tuple(
        RequirementClassAdded(subject=name, actor="", at_ns=now_ns, requires=requires)
        for name, requires in classes.items()
        if name not in known
    )
    return expected, added


def _removed(row: ProcessRow, actor: str, now_ns: int) -> ProcessRemoved:
    return ProcessRemoved(
        subject=row.id,
        actor=actor,
        at_ns=now_ns,
        was=int(row.state),
        class_key=row.class_key,
        queued_as=row.queued_as,
        attributes=[*env_attributes(row.id, row.given["env"]), *row.added_attributes],
        channels=row.channels,
    )


def env_attributes(process_id: str, env: Mapping[str, str]) -> list[str]:
    """The attribute ids of a submitted environment."""
    return [keys.attribute_id(process_id, name, keys.ENV) for name in env]


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


def links_as_read(row: ProcessRow) -> Expect:
    """It has the same parents and children."""
    key = keys.process(row.id)
    return equals(key, "links", row.links) if row.links else lacks(key, "links")


def held_as_read(row: ProcessRow) -> tuple[Expect, ...]:
    """The same hold: running, by the same executor, since the same nanosecond."""
    key = keys.process(row.id)
    return (
        equals(key, "state", int(State.RUNNING)),
        equals(key, "holder", row.holder),
        equals(key, "started", row.started_ns),
    )
