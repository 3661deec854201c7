"""Workflows, graphs of processes that release each other: what happens to them and what is stored.

How one begins is decided in ``planning.py``, how it goes on when a process ends in
``succession.py``, how it grows in ``growth.py``, and how it is called off or removed in
``dissolution.py``.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import Hash
from broker.aggregates.process import State
from broker.aggregates.process_submit import SubmitProcess
from broker.clock import US_NS
from broker.decision import Event, Expect, equals, lacks
from broker.packing import unpacked

REMOVING = -1
"""State of a workflow that is being removed, process by process."""
_NO_SWEEP = -1
_FINISHED = {State.SUCCESS, State.FAILED, State.CANCELLED}


class WorkflowSubmitted(Event, frozen=True, kw_only=True):
    """A workflow begins, its processes (NodeSubmitted) are there; ``subject`` is its id.

    ``processes`` is their ids in the order of the specs, ``roots`` those without dependencies.
    """

    TYPE: ClassVar[str] = "WorkflowSubmitted"
    initiator_name: str
    roots: list[str]
    processes: list[str]


class WorkflowStarted(Event, frozen=True, kw_only=True):
    """The first process of a workflow was assigned; ``subject`` is the workflow.

    ``submitted_us`` is when it was submitted: 16 digits, because claim.lua fills it into the body.
    """

    TYPE: ClassVar[str] = "WorkflowStarted"
    submitted_us: str


class WorkflowAdvanced(Event, frozen=True, kw_only=True):
    """A process of a workflow succeeded; ``subject`` is the workflow.

    ``awaited`` is its children that wait for other parents, too.
    """

    TYPE: ClassVar[str] = "WorkflowAdvanced"
    process: str
    awaited: list[str]


class WorkflowEnded(Event, frozen=True, kw_only=True):
    """A workflow is in state ``outcome`` (2, 3 or 4), it ``was`` in another or ended before.

    ``subject`` is the workflow, ``submitted_us`` when it was submitted (Unix μs). ``sweeps`` is the
    state that its unfinished processes are to get, -1 when they go on.
    """

    TYPE: ClassVar[str] = "WorkflowEnded"
    submitted_us: int
    was: int
    outcome: int
    sweeps: int


class WorkflowSwept(Event, frozen=True, kw_only=True):
    """No process of an ended workflow is left unfinished; ``subject`` is the workflow."""

    TYPE: ClassVar[str] = "WorkflowSwept"


class WorkflowGrew(Event, frozen=True, kw_only=True):
    """A running process got a child that was not planned; ``subject`` is the workflow.

    ``followers`` are the processes that wait for ``child`` now: with ``inserted`` instead of for
    ``parent``, whose children they were, else besides all that they waited for.
    """

    TYPE: ClassVar[str] = "WorkflowGrew"
    parent: str
    child: str
    followers: list[str]
    inserted: bool


class WorkflowLeft(Event, frozen=True, kw_only=True):
    """A workflow is to be removed, and shown no more; ``subject`` is its id."""

    TYPE: ClassVar[str] = "WorkflowLeft"
    was: int


class WorkflowRemoved(Event, frozen=True, kw_only=True):
    """A workflow is gone with all its processes; ``subject`` is its id."""

    TYPE: ClassVar[str] = "WorkflowRemoved"


EVENTS = (
    WorkflowSubmitted,
    WorkflowStarted,
    WorkflowAdvanced,
    WorkflowEnded,
    WorkflowSwept,
    WorkflowGrew,
    WorkflowLeft,
    WorkflowRemoved,
)


class Node(Struct, frozen=True, kw_only=True):
    """One function spec of a workflow: its name there, and the names of those it depends on."""

    name: str
    depends: list[str]
    process: SubmitProcess


class Initiator(Struct, frozen=True, kw_only=True):
    """On whose behalf a workflow is submitted."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class WorkflowRow:
    """One workflow as it is stored."""

    id: str
    row: Hash

    @classmethod
    def read(cls, workflow_id: str, row: Hash) -> "WorkflowRow | None":
        """From its hash; None when there is no such workflow (any more)."""
        return cls(id=workflow_id, row=row) if row and int(row[b"state"]) != REMOVING else None

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return State(int(self.row[b"state"]))

    @property
    def left(self) -> int:
        """How many of its processes have not succeeded."""
        return int(self.row[b"left"])

    @property
    def size(self) -> int:
        """How many processes it has."""
        return int(self.row[b"size"])

    @property
    def sweeps(self) -> int | None:
        """The state its unfinished processes are being given, None when they go on."""
        return int(self.row[b"sweeps"]) if b"sweeps" in self.row else None

    @property
    def initiator(self) -> Initiator:
        """Who submitted it."""
        return Initiator(id=self.row[b"by"].decode(), name=self.row[b"by_name"].decode())

    @property
    def roots(self) -> list[str]:
        """Its processes without dependencies, in the order of their specs."""
        return unpacked(self.row[b"roots"])

    @property
    def submitted_ns(self) -> int:
        """When it was submitted."""
        return int(self.row[b"at"])

    @property
    def started_ns(self) -> int:
        """When its first process was assigned, 0 if none was."""
        return int(self.row.get(b"started", b"0"))

    @property
    def ended_ns(self) -> int:
        """When it ended or, later, one of its processes did; 0 while it goes on."""
        return int(self.row.get(b"ended", b"0")) if self.state in _FINISHED else 0

    @cached_property
    def key(self) -> keys.Key:
        """Where it is stored."""
        return keys.workflow(self.id)


def in_state(workflow: WorkflowRow) -> Expect:
    """It is in the state that was read."""
    return equals(workflow.key, "state", int(workflow.state))


def as_read(workflow: WorkflowRow) -> tuple[Expect, Expect]:
    """In the same state, and swept, or not, as it was."""
    sweeps = workflow.sweeps
    unswept = lacks(workflow.key, "sweeps")
    swept_so = unswept if sweeps is None else equals(workflow.key, "sweeps", sweeps)
    return in_state(workflow), swept_so


def ended(
    workflow: WorkflowRow, outcome: State, actor: str, now_ns: int, *, sweeps: State | None = None
) -> WorkflowEnded:
    """The event of a workflow that ends; ``sweeps`` is what its unfinished processes are to get."""
    return WorkflowEnded(
        subject=workflow.id,
        actor=actor,
        at_ns=now_ns,
        submitted_us=workflow.submitted_ns // US_NS,
        was=int(workflow.state),
        outcome=int(outcome),
        sweeps=_NO_SWEEP if sweeps is None else int(sweeps),
    )
