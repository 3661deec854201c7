"""Generators: workflows that are started when enough arguments were packed.

A generator counts the ``room`` it has: how many arguments more start a workflow. Whoever packs the
last one starts it in the same append, which takes all that wait. So there is nothing between
"packed" and "started" that a dying server could lose, and until the last one, packs do not get in
each other's way: they only expect that there is room for more than one.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from broker import keys
from broker.access import Gate, Hash, MemberRow, member, number_in, text_in
from broker.aggregates.planning import spawn
from broker.aggregates.succession import MOST_PASSED_ON
from broker.aggregates.template import checked_title, creator_in, initiator, is_entitled
from broker.aggregates.workflow import Node
from broker.clock import SECOND_NS, deadline
from broker.decision import Decision, Event, Expect, above, equals, has, lacks
from broker.errors import Invalid, Missing, Overloaded
from broker.packing import unpacked

MOST_TRIGGER = 100_000
FULL, TIMEOUT = "full", "timeout"
"""Causes of a workflow: there was no more room, or the arguments had waited long enough."""
_AGAIN_S = 60
_spec_of = msgspec.json.Decoder(dict[str, Raw]).decode
_json = msgspec.json.Encoder().encode


class GeneratorAdded(Event, frozen=True, kw_only=True):
    """A generator begins; ``subject`` is its id.

    ``trigger`` arguments start a workflow, or fewer after ``timeout`` seconds (at most 0: never).
    ``workflow`` is the text that was given, ``template`` the processes it means, ``capacity`` the
    bytes of arguments that one workflow may get. ``initiator_kind`` is "user" or "executor".
    """

    TYPE: ClassVar[str] = "GeneratorAdded"
    name: str
    initiator_kind: str
    initiator_name: str
    trigger: int
    timeout: int
    workflow: str
    template: bytes
    capacity: int


class ArgumentPacked(Event, frozen=True, kw_only=True):
    """An argument waits in the generator ``subject``; ``size`` is its bytes as JSON.

    ``due_ns`` is when it will have waited long enough, Unix ns, 0 for never.
    """

    TYPE: ClassVar[str] = "ArgumentPacked"
    argument: str
    size: int
    due_ns: int


class GeneratorTriggered(Event, frozen=True, kw_only=True):
    """A generator has started ``workflow`` with all ``count`` arguments that waited in it.

    ``subject`` is the generator, ``cause`` "full" or "timeout"; ``trigger`` and ``capacity`` are
    the room there is afterwards.
    """

    TYPE: ClassVar[str] = "GeneratorTriggered"
    workflow: str
    count: int
    trigger: int
    capacity: int


class GeneratorPostponed(Event, frozen=True, kw_only=True):
    """What waits in a generator stays there until ``due_ns``, for a ``reason``."""

    TYPE: ClassVar[str] = "GeneratorPostponed"
    reason: str
    due_ns: int


class GeneratorRemoved(Event, frozen=True, kw_only=True):
    """A generator is gone with what waited in it, its workflows stay; ``subject`` is its id."""

    TYPE: ClassVar[str] = "GeneratorRemoved"
    name: str


EVENTS = (GeneratorAdded, ArgumentPacked, GeneratorTriggered, GeneratorPostponed, GeneratorRemoved)


class AddGenerator(Struct, frozen=True, kw_only=True):
    """A generator as somebody wants it; ``roots`` is how many processes will get arguments."""

    generator_id: str
    name: str
    trigger: int
    timeout: int
    workflow: str
    template: bytes
    roots: int


@dataclass(frozen=True, kw_only=True)
class GeneratorRow:
    """One generator as it is stored."""

    id: str
    row: Hash

    @classmethod
    def read(cls, generator_id: str, row: Hash) -> "GeneratorRow | None":
        """From its hash; None when there is no such generator."""
        return cls(id=generator_id, row=row) if row else None

    @cached_property
    def given(self) -> Mapping[str, Any]:
        """The body of its GeneratorAdded event."""
        return unpacked(self.row[b"given"])

    @property
    def initiator_id(self) -> str:
        """Who added it."""
        return text_in(self.row, b"by")

    @property
    def room(self) -> int:
        """How many arguments more start a workflow; at least 1."""
        return number_in(self.row, b"room")

    @property
    def space(self) -> int:
        """How many bytes more the arguments may have."""
        return number_in(self.row, b"space")

    @property
    def runs(self) -> int:
        """How many workflows it has started."""
        return number_in(self.row, b"runs")

    @property
    def waiting(self) -> int:
        """How many arguments wait."""
        return self.given["trigger"] - self.room

    @property
    def first_ns(self) -> int:
        """When the first argument ever was packed, 0 if none was."""
        return number_in(self.row, b"first")

    @property
    def last_ns(self) -> int:
        """When it last started a workflow, 0 if it never did."""
        return number_in(self.row, b"last")

    @property
    def key(self) -> keys.Key:
        """Where it is stored."""
        return keys.generator(self.id)

    def emptied(self) -> "GeneratorRow":
        """As if nothing waited in it: what a pack may assume before it has read it."""
        given = self.given
        room = {b"room": b"%d" % given["trigger"], b"space": b"%d" % given["capacity"]}
        return GeneratorRow(id=self.id, row={**self.row, **room})

    def flush_ns(self, now_ns: int) -> int:
        """When what waits (from now on) will have waited long enough, 0 for never."""
        due_ns = deadline(self.last_ns or self.first_ns or now_ns, self.given["timeout"])
        return max(due_ns, now_ns) if due_ns else 0

    def as_read(self) -> tuple[Expect, ...]:
        """Nothing was packed or started since, so exactly the same arguments wait."""
        return (equals(self.key, "room", self.room), equals(self.key, "runs", self.runs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a workflow is started with.

    ``arguments`` are those that wait, oldest first; ``known`` is the requirement classes there are;
    ``full`` whether as many processes wait as may.
    """

    workflow_id: str
    nodes: list[Node]
    arguments: Sequence[str]
    creator: MemberRow | None
    known: Container[str]
    full: bool


def check(command: AddGenerator) -> None:
    """See that a generator can start workflows.

    Raises:
        Invalid: it cannot.
    """
    if not 0 < command.trigger <= MOST_TRIGGER:
        raise Invalid(f"Generator trigger must be larger than 0 and at most {MOST_TRIGGER}")


def add(gate: Gate, command: AddGenerator, namesake: str | None, now_ns: int) -> Decision:
    """Begin a generator that ``check`` has found sound; ``namesake`` has its name already.

    Raises:
        Denied, Invalid: not an approved member; the name is taken.
    """
    expects = member(gate)
    name = checked_title(command.name, "Generator")
    if namesake is not None:
        raise Invalid(f"Generator with name <{name}> in Colony <{gate.colony_name}> already exists")
    kind, initiator_name = creator_in(gate)
    added = GeneratorAdded(
        subject=command.generator_id,
        actor=gate.caller,
        at_ns=now_ns,
        name=name,
        initiator_kind=kind,
        initiator_name=initiator_name,
        trigger=command.trigger,
        timeout=command.timeout,
        workflow=command.workflow,
        template=command.template,
        capacity=MOST_PASSED_ON // command.roots,
    )
    return Decision(expects=(*expects, lacks(keys.GENERATOR_NAMES, name)), events=(added,))


def pack(
    gate: Gate, row: GeneratorRow | None, argument: str, batch: Batch | None, now_ns: int
) -> Decision:
    """Add an argument; the one for which there is no more room starts the workflow.

    ``batch`` is there when the row says that it is the last.

    Raises:
        Missing, Denied: no such generator; not a member.
        Invalid, Overloaded: the arguments would be too large; no workflow can be started now.
    """
    if row is None:
        raise Missing("Failed to increment generator, generator is nil")
    expects = member(gate)
    size = len(_json(argument)) + 1
    if size > row.space:
        raise Invalid(
            f"Failed to increment generator, the arguments of one workflow would have more than"
            f" {row.given['capacity']} bytes"
        )
    packed = ArgumentPacked(
        subject=row.id,
        actor=gate.caller,
        at_ns=now_ns,
        argument=argument,
        size=size,
        due_ns=row.flush_ns(now_ns),
    )
    fits = above(row.key, "space", size - 1)
    if batch is None:
        timed = (equals(row.key, "runs", row.runs),) if packed.due_ns else ()
        room = above(row.key, "room", 1)
        return Decision(expects=(*expects, room, fits, *timed), events=(packed,))
    _check_can_start(batch)
    alone = row.given["trigger"] == 1
    unchanged = (has(row.key, "given"), fits) if alone else (*row.as_read(), fits)
    arguments = [argument] if alone else [*batch.arguments, argument]
    started = _start(row, batch, arguments, FULL, now_ns)
    return Decision(
        expects=(*expects, *unchanged, *started.expects),
        events=(packed, *started.events),
        wakes=started.wakes,
    )


def _check_can_start(batch: Batch) -> None:
    if not is_entitled(batch.creator):
        raise Invalid(
            "Failed to increment generator, its creator is no longer a member of the colony"
        )
    if batch.full:
        raise Overloaded(
            "as many processes wait in the colony as the server allows; try again later"
        )


def _start(
    row: GeneratorRow, batch: Batch, arguments: Sequence[str], cause: str, now_ns: int
) -> Decision:
    creator = batch.creator
    assert creator is not None  # noqa: S101 - looked at before
    nodes = _given_to_roots(batch.nodes, arguments)
    spawned = spawn(batch.workflow_id, nodes, initiator(creator), batch.known, now_ns)
    triggered = GeneratorTriggered(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        cause=cause,
        workflow=batch.workflow_id,
        count=len(arguments),
        trigger=row.given["trigger"],
        capacity=row.given["capacity"],
    )
    entitled = equals(keys.member(creator.id), "guard", creator.guard)
    return Decision(
        expects=(entitled, *spawned.expects),
        events=(triggered, *spawned.events),
        wakes=spawned.wakes,
    )


def _given_to_roots(nodes: Sequence[Node], arguments: Sequence[str]) -> list[Node]:
    """The processes; those that depend on nothing with these arguments and no others."""
    changes = {"args": Raw(_json(arguments)), "kwargs": Raw(b"{}")}
    return [node if node.depends else _with(node, changes) for node in nodes]


def _with(node: Node, changes: Mapping[str, Raw]) -> Node:
    spec = _json({**_spec_of(node.process.spec), **changes})
    return replace(node, process=replace(node.process, spec=spec))


def flush(row: GeneratorRow | None, batch: Batch, now_ns: int) -> Decision:
    """Start a workflow with what has waited long enough."""
    if row is None or row.waiting == 0 or not 0 < row.flush_ns(0) <= now_ns:
        return Decision()
    if is_entitled(batch.creator) and not batch.full:
        started = _start(row, batch, batch.arguments, TIMEOUT, now_ns)
        return Decision(
            expects=(*row.as_read(), *started.expects), events=started.events, wakes=started.wakes
        )
    postponed = GeneratorPostponed(
        subject=row.id,
        actor="",
        at_ns=now_ns,
        cause=TIMEOUT,
        reason=(
            "as many processes wait in the colony as the server allows"
            if batch.full
            else "its creator is no longer a member of the colony"
        ),
        due_ns=now_ns + max(row.given["timeout"], _AGAIN_S) * SECOND_NS,
    )
    return Decision(expects=row.as_read(), events=(postponed,))


def remove(gate: Gate, row: GeneratorRow | None, now_ns: int) -> Decision:
    """Remove a generator with what waits in it; workflows that it has started go on.

    Raises:
        Missing, Denied: no such generator; not a member.
    """
    if row is None:
        raise Missing("Failed to remove generator, generator is nil")
    expects = member(gate)
    name = row.given["name"]
    removed = GeneratorRemoved(subject=row.id, actor=gate.caller, at_ns=now_ns, name=name)
    return Decision(
        expects=(*expects, equals(keys.GENERATOR_NAMES, name, row.id)), events=(removed,)
    )
