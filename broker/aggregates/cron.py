"""Crons: workflows that are started by the clock.

A cron knows its next time. Whoever sees that it has come starts the workflow and moves the time on,
in one append that expects time and count of runs as they were read: so each time comes once, with
any number of servers, and one that dies loses and doubles nothing.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Any, ClassVar

from msgspec import Struct

from broker import keys
from broker.access import Gate, Hash, MemberRow, member, number_in, text_in
from broker.aggregates.planning import spawn
from broker.aggregates.process import State
from broker.aggregates.succession import MOST_PASSED_ON
from broker.aggregates.template import (
    checked_title,
    creator_in,
    initiator,
    is_entitled,
)
from broker.aggregates.workflow import Node, WorkflowRow
from broker.clock import LAST_NS, SECOND_NS
from broker.decision import Decision, Event, Expect, equals, lacks
from broker.errors import Invalid, Missing
from broker.packing import unpacked
from broker.schedule import parse

BY_EXPRESSION = -1
"""Interval of a cron that goes by its expression."""
MOST_INTERVAL_S = 1_000_000_000
SKIP, RUN = "skip", "run"
"""What is done about a time that passed while no server was there."""
TICK = "tick"
"""Cause of what a cron does because its time has come."""
_UNFINISHED = {State.WAITING, State.RUNNING}
_LEAST_GRACE_NS = 5 * SECOND_NS
_MOST_GRACE_NS = 300 * SECOND_NS
_AGAIN_NS = 60 * SECOND_NS


class CronAdded(Event, frozen=True, kw_only=True):
    """A cron begins; ``subject`` is its id, ``next_ns`` its first time (Unix ns, 0 for never).

    ``interval`` in seconds, -1 when ``expression`` counts. ``workflow`` is the text that was given,
    ``template`` the processes it means. ``waits`` for the previous workflow to end; ``missed`` is
    "skip" or "run". ``initiator_kind`` is "user" or "executor".
    """

    TYPE: ClassVar[str] = "CronAdded"
    name: str
    initiator_kind: str
    initiator_name: str
    expression: str
    interval: int
    random: bool
    waits: bool
    missed: str
    workflow: str
    template: bytes
    next_ns: int


class CronFired(Event, frozen=True, kw_only=True):
    """A cron has started ``workflow``; ``subject`` is the cron, ``next_ns`` its next time.

    What it was before is here for the reply to who asked for it. Times are Unix ns, 0 is never.
    """

    TYPE: ClassVar[str] = "CronFired"
    workflow: str
    next_ns: int
    was_next_ns: int
    was_last_ns: int
    was_workflow: str


class CronHeld(Event, frozen=True, kw_only=True):
    """The time of a cron has come, its previous workflow has not ended; ``subject`` is the cron."""

    TYPE: ClassVar[str] = "CronHeld"


class CronSkipped(Event, frozen=True, kw_only=True):
    """A time of a cron passed without a workflow, for a ``reason``; ``subject`` is the cron."""

    TYPE: ClassVar[str] = "CronSkipped"
    reason: str
    next_ns: int


class CronRemoved(Event, frozen=True, kw_only=True):
    """A cron is gone, its workflows stay; ``subject`` is its id."""

    TYPE: ClassVar[str] = "CronRemoved"
    name: str


EVENTS = (CronAdded, CronFired, CronHeld, CronSkipped, CronRemoved)


class AddCron(Struct, frozen=True, kw_only=True):
    """A cron as somebody wants it; the fields are those of CronAdded. ``chance`` as in Draft."""

    cron_id: str
    name: str
    expression: str
    interval: int
    random: bool
    waits: bool
    missed: str
    workflow: str
    template: bytes
    chance: int


class Draft(Struct, frozen=True, kw_only=True):
    """What a firing needs that a decision cannot make up.

    The id of the workflow, its processes, and for a random cron how many seconds later it fires
    again.
    """

    workflow_id: str
    nodes: list[Node]
    chance: int


@dataclass(frozen=True, kw_only=True)
class CronRow:
    """One cron as it is stored."""

    id: str
    row: Hash

    @classmethod
    def read(cls, cron_id: str, row: Hash) -> "CronRow | None":
        """From its hash; None when there is no such cron."""
        return cls(id=cron_id, row=row) if row else None

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """The body of its CronAdded event."""
        return unpacked(self.row[b"given"])

    @property
    def initiator_id(self) -> str:
        """Who added it."""
        return text_in(self.row, b"by")

    @property
    def next_ns(self) -> int:
        """Its next time, 0 for never."""
        return number_in(self.row, b"next")

    @property
    def last_ns(self) -> int:
        """When it last started a workflow, 0 if it never did."""
        return number_in(self.row, b"last")

    @property
    def runs(self) -> int:
        """How many workflows it has started."""
        return number_in(self.row, b"runs")

    @property
    def previous(self) -> str:
        """The workflow that it started last, "" if it never did."""
        return text_in(self.row, b"prev")

    @property
    def is_held(self) -> bool:
        """Whether its time has come, and it waits for its previous workflow."""
        return b"held" in self.row

    @property
    def key(self) -> keys.Key:
        """Where it is stored."""
        return keys.cron(self.id)

    def as_read(self) -> tuple[Expect, ...]:
        """It has not fired since, nor has its time been moved."""
        return (equals(self.key, "next", self.next_ns), equals(self.key, "runs", self.runs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a firing is judged by: the cron, who added it, and the workflow before.

    ``output`` is what the processes at the end of that have put out, a JSON list. ``known`` is the
    requirement classes there are; ``full`` whether as many processes wait as may.
    """

    cron: CronRow | None
    creator: MemberRow | None = None
    previous: WorkflowRow | None = None
    output: bytes = b"[]"
    known: Container[str] = ()
    full: bool = False


def check(command: AddCron, zone: tzinfo) -> None:
    """See that the times of a cron can be told.

    Raises:
        Invalid: they cannot, in the reference's words and order.
    """
    if not 0 < command.interval <= MOST_INTERVAL_S and command.interval != BY_EXPRESSION:
        beyond = f", and at most {MOST_INTERVAL_S}" if command.interval > 0 else ""
        raise Invalid(f"Cron interval must be -1 (disabled) or larger than 0{beyond}")
    if command.interval == BY_EXPRESSION:
        parse(command.expression, zone)
        if command.random:
            raise Invalid("Random cron is only supported when specifying intervals")
    if command.missed not in {SKIP, RUN}:
        raise Invalid(f"Cron missed must be {SKIP} or {RUN}")


def add(gate: Gate, command: AddCron, namesake: str | None, zone: tzinfo, now_ns: int) -> Decision:
    """Begin a cron that ``check`` has found sound; ``namesake`` has its name already.

    Raises:
        Denied, Invalid: not an approved member; the name is taken.
    """
    expects = member(gate)
    name = checked_title(command.name, "Cron")
    if namesake is not None:
        raise Invalid(f"Cron with name <{name}> in Colony <{gate.colony_name}> already exists")
    kind, initiator_name = creator_in(gate)
    added = CronAdded(
        subject=command.cron_id,
        actor=gate.caller,
        at_ns=now_ns,
        name=name,
        initiator_kind=kind,
        initiator_name=initiator_name,
        expression=command.expression,
        interval=command.interval,
        random=command.random,
        waits=command.waits,
        missed=command.missed,
        workflow=command.workflow,
        template=command.template,
        next_ns=_first(command, zone, now_ns),
    )
    return Decision(expects=(*expects, lacks(keys.CRON_NAMES, name)), events=(added,))


def _first(command: AddCron, zone: tzinfo, now_ns: int) -> int:
    if command.interval == BY_EXPRESSION:
        return parse(command.expression, zone).after(now_ns)
    return _later(now_ns, command.chance if command.random else command.interval)


def _later(moment_ns: int, seconds: int) -> int:
    return min(moment_ns + seconds * SECOND_NS, LAST_NS)


def _next(cron: CronRow, zone: tzinfo, chance: int, from_ns: int, now_ns: int) -> int:
    """The first time after now. Intervals are counted from ``from_ns``, so that they do not drift.

    Raises:
        Invalid: the expression is none to this server: it does not know the zone in it.
    """
    interval = cron.given["interval"]
    if interval == BY_EXPRESSION:
        return parse(cron.given["expression"], zone).after(now_ns)
    if cron.given["random"]:
        return _later(now_ns, chance)
    passed = max(now_ns - from_ns, 0) // (interval * SECOND_NS)
    return _later(from_ns, (passed + 1) * interval)


def tick(occasion: Occasion, draft: Draft, zone: tzinfo, now_ns: int) -> Decision:
    """What the coming of its time means for a cron: a workflow, or to wait, or to let it pass."""
    cron = occasion.cron
    if cron is None or not 0 < cron.next_ns <= now_ns:
        return Decision()
    if cron.given["waits"] and is_unfinished(occasion.previous):
        held = CronHeld(subject=cron.id, actor="", at_ns=now_ns, cause=TICK)
        return Decision() if cron.is_held else Decision(expects=cron.as_read(), events=(held,))
    try:
        next_ns = _next(cron, zone, draft.chance, cron.next_ns, now_ns)
        reason = _obstacle(occasion, draft) or _missed(cron, zone, now_ns)
    except Invalid as error:
        next_ns, reason = now_ns + _AGAIN_NS, str(error)
    if reason:
        skipped = CronSkipped(
            subject=cron.id, actor="", at_ns=now_ns, cause=TICK, reason=reason, next_ns=next_ns
        )
        return Decision(expects=cron.as_read(), events=(skipped,))
    return _fire(cron, occasion, draft, next_ns, _Because("", TICK, now_ns))


def is_unfinished(workflow: WorkflowRow | None) -> bool:
    """Whether a workflow goes on; one that was cancelled or removed does not."""
    return workflow is not None and workflow.state in _UNFINISHED


def _missed(cron: CronRow, zone: tzinfo, now_ns: int) -> str:
    """Why a time that passed while no server was there is let go, "" if it is not.

    A tenth of the time to the next is no miss, within bounds: a server may have to start again. For
    one that waited for its previous workflow no time is too late.
    """
    if cron.is_held or cron.given["missed"] == RUN:
        return ""
    following = _next(cron, zone, cron.given["interval"], cron.next_ns, cron.next_ns)
    tenth = (following - cron.next_ns) // 10 if following else _MOST_GRACE_NS
    late_ns = now_ns - cron.next_ns
    if late_ns <= min(max(tenth, _LEAST_GRACE_NS), _MOST_GRACE_NS):
        return ""
    return f"missed by {late_ns // SECOND_NS} s"


def _obstacle(occasion: Occasion, draft: Draft) -> str:
    """Why no workflow can be started now, "" if one can."""
    if not is_entitled(occasion.creator):
        return "its creator is no longer a member of the colony"
    if occasion.full:
        return "as many processes wait in the colony as the server allows"
    roots = sum(not node.depends for node in draft.nodes)
    if len(occasion.output) * roots > MOST_PASSED_ON:
        return "its previous workflow has put out more than can be passed on"
    return ""


def run(gate: Gate, occasion: Occasion, draft: Draft | None, zone: tzinfo, now_ns: int) -> Decision:
    """Start the workflow of a cron now, as if its time had come.

    It does nothing while the previous workflow goes on, if the cron waits for that.

    Raises:
        Denied, Invalid: not a member; no such cron, or it cannot start a workflow now.
    """
    cron = occasion.cron
    if cron is None or draft is None:
        raise Invalid("cron not found")
    expects = member(gate)
    if cron.given["waits"] and is_unfinished(occasion.previous):
        return Decision(expects=expects)
    if obstacle := _obstacle(occasion, draft):
        raise Invalid(f"Failed to run cron, {obstacle}")
    next_ns = _next(cron, zone, draft.chance, now_ns, now_ns)
    fired = _fire(cron, occasion, draft, next_ns, _Because(gate.caller, "", now_ns))
    return Decision(expects=(*expects, *fired.expects), events=fired.events, wakes=fired.wakes)


@dataclass(frozen=True, slots=True)
class _Because:
    actor: str
    cause: str
    at_ns: int


def _fire(
    cron: CronRow, occasion: Occasion, draft: Draft, next_ns: int, because: _Because
) -> Decision:
    creator = occasion.creator
    assert creator is not None  # noqa: S101 - looked at before
    spawned = spawn(
        draft.workflow_id,
        draft.nodes,
        initiator(creator),
        occasion.known,
        because.at_ns,
        root_input=b"" if occasion.output == b"[]" else occasion.output,
    )
    fired = CronFired(
        subject=cron.id,
        actor=because.actor,
        at_ns=because.at_ns,
        cause=because.cause,
        workflow=draft.workflow_id,
        next_ns=next_ns,
        was_next_ns=cron.next_ns,
        was_last_ns=cron.last_ns,
        was_workflow=cron.previous,
    )
    entitled = equals(keys.member(creator.id), "guard", creator.guard)
    return Decision(
        expects=(*cron.as_read(), entitled, *spawned.expects),
        events=(*spawned.events, fired),
        wakes=spawned.wakes,
    )


def remove(gate: Gate, cron: CronRow | None, now_ns: int) -> Decision:
    """Remove a cron; workflows that it has started go on.

    Raises:
        Missing, Denied: no such cron; not a member.
    """
    if cron is None:
        raise Missing("Failed to remove cron, cron is nil")
    expects = member(gate)
    name = cron.given["name"]
    removed = CronRemoved(subject=cron.id, actor=gate.caller, at_ns=now_ns, name=name)
    return Decision(expects=(*expects, equals(keys.CRON_NAMES, name, cron.id)), events=(removed,))
