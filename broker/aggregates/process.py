"""Processes: submitted, assigned, closed; the heart of the broker. Here is what is stored of one.

Waiting 0, running 1, success 2, failed 3, cancelled 4 (core.md, section 8.2). The decisions are in
``process_submit``, ``process_close``, ``process_end`` and ``process_retry``; assignment is decided
in ``claim.lua``, its event and its fold are the ones here.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import ClassVar

from broker import keys
from broker.decision import Event

UNLIMITED_EXEC = "0" * 10
"""``max_exec_s`` of a ProcessAssigned without execution deadline."""
HELD = "held"
"""In place of a requirement class: the queue of processes that wait for their parents."""
PARENT, CHILD = "+p:", "+c:"
"""What fields of a row begin with that name parents and children which were not planned. The value
is when they were added (Unix ns), 0 for planned ones that were taken away."""
DELAYED = "delayed"
"""In place of a requirement class: the queue of processes that are not offered again yet."""


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
    ``function``, ``waited_ns`` and ``ran_ns`` are here for statistics. ``timed`` says whether it
    had an execution deadline, which is then over.
    """

    TYPE: ClassVar[str] = "ProcessClosed"
    outcome: int
    out: bytes | None
    errors: list[str]
    function: str
    executor_name: str
    waited_ns: int
    ran_ns: int
    timed: bool = True


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


def env_attributes(process_id: str, env: Mapping[str, str]) -> list[str]:
    """The attribute ids of a submitted environment."""
    return [keys.attribute_id(process_id, name, keys.ENV) for name in env]
