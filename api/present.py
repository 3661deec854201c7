"""Rows and events as the protocol shows them."""

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from api import (
    wire,
    wire_attribute,
    wire_executor,
    wire_function,
    wire_process,
    wire_spec,
    wire_user,
)
from broker import keys
from broker.access import MemberRow, text_in
from broker.aggregates.executor import ExecutorAdded
from broker.aggregates.function import FunctionRow
from broker.aggregates.process import NodeSubmitted, ProcessSubmitted, State
from broker.aggregates.process_row import ProcessRow
from broker.packing import unpacked
from projections.functions import FunctionStatistics

_NOTHING = Raw(b"[]")
_spec_of = msgspec.json.Decoder(wire_spec.FunctionSpec).decode


def process_of_event(event: ProcessSubmitted, colony_name: str) -> wire_process.Process:
    """A process as it was when it was submitted."""
    env = [(keys.ENV, name, value) for name, value in event.env.items()] if event.env else []
    node = event if isinstance(event, NodeSubmitted) else None
    graph = node.graph if node else ""
    attributes = [_attribute(event.subject, colony_name, State.WAITING, graph, t) for t in env]
    return wire_process.Process(
        processid=event.subject,
        initiatorid=event.actor,
        initiatorname=event.initiator_name,
        assignedexecutorid="",
        isassigned=False,
        state=int(State.WAITING),
        prioritytime=event.priority_time,
        submissiontime=wire.rfc3339(event.at_ns),
        starttime=wire.NO_TIME,
        endtime=wire.NO_TIME,
        waitdeadline=wire.rfc3339(event.wait_deadline_ns),
        execdeadline=wire.NO_TIME,
        retries=0,
        attributes=attributes,
        spec=Raw(event.spec),
        waitforparents=bool(node and node.parents),
        parents=node.parents if node else [],
        children=node.children if node else [],
        processgraphid=graph,
        input=_NOTHING,
        output=_NOTHING,
        errors=[],
    )


def shown_process(row: ProcessRow, colony_name: str) -> wire_process.Process:
    """A process as it is stored."""
    given, stored, started = row.given, row.row, row.started_ns
    out, errors = stored.get(b"out"), stored.get(b"errors")
    return wire_process.Process(
        processid=row.id,
        initiatorid=row.initiator_id,
        initiatorname=given["initiator_name"],
        assignedexecutorid=row.holder,
        isassigned=b"holder" in stored,
        state=int(row.state),
        prioritytime=given["priority_time"],
        submissiontime=wire.rfc3339(row.submitted_ns),
        starttime=wire.rfc3339(started),
        endtime=wire.rfc3339(row.ended_ns),
        waitdeadline=wire.rfc3339(row.wait_deadline_ns),
        execdeadline=wire.rfc3339(row.exec_deadline_ns),
        retries=row.retries,
        attributes=attributes_of(row, colony_name),
        spec=_spec(row),
        waitforparents=row.pending > 0,
        parents=row.parents,
        children=row.children,
        processgraphid=row.graph,
        input=Raw(stored.get(b"in", _NOTHING)),
        output=Raw(out) if out else _NOTHING,
        errors=unpacked(errors) if errors else [],
    )


def shown_submission(event: ProcessSubmitted, colony_name: str) -> bytes:
    """``process_of_event`` as JSON; an ordinary one is mostly what every ordinary one is."""
    if event.env or type(event) is not ProcessSubmitted:
        return wire.encode(process_of_event(event, colony_name))
    return _SUBMITTED % (
        event.subject.encode(),
        event.actor.encode(),
        wire.encode(event.initiator_name),
        event.priority_time,
        wire.rfc3339(event.at_ns).encode(),
        wire.rfc3339(event.wait_deadline_ns).encode(),
        event.spec,
    )


def shown_assignment(row: ProcessRow, colony_name: str) -> bytes:
    """``shown_process`` as JSON of one that was just assigned; an ordinary one as above."""
    stored, given = row.row, row.given
    if given["env"] or row.state is not State.RUNNING or not stored.keys() <= _ORDINARY:
        return wire.encode(shown_process(row, colony_name))
    return _ASSIGNED % (
        row.id.encode(),
        stored[b"by"],
        wire.encode(given["initiator_name"]),
        stored[b"holder"],
        given["priority_time"],
        wire.rfc3339(row.submitted_ns).encode(),
        wire.rfc3339(row.started_ns).encode(),
        wire.rfc3339(row.wait_deadline_ns).encode(),
        wire.rfc3339(row.exec_deadline_ns).encode(),
        given["spec"],
    )


_ORDINARY = frozenset(
    (b"given", b"by", b"at", b"state", b"max_exec", b"wait", b"holder", b"started")
)
"""The fields of a process that runs for the first time, in no workflow."""


def _templates() -> tuple[bytes, bytes]:
    """The JSON of a process that was just submitted and assigned, with places for what differs."""
    text, number, json = Raw(b'"%b"'), Raw(b"%d"), Raw(b"%b")
    event = ProcessSubmitted(
        subject="",
        actor="",
        at_ns=0,
        spec=b"",
        initiator_name="",
        function="",
        label="",
        priority_time=0,
        wait_deadline_ns=0,
        max_wait_s=0,
        max_exec_s=0,
        max_retries=0,
        requires=b"",
        env={},
    )
    submitted = replace(
        process_of_event(event, ""),
        processid=text,
        initiatorid=text,
        initiatorname=json,
        prioritytime=number,
        submissiontime=text,
        waitdeadline=text,
        spec=json,
    )
    assigned = replace(
        submitted,
        assignedexecutorid=text,
        isassigned=True,
        state=int(State.RUNNING),
        starttime=text,
        execdeadline=text,
    )
    return wire.encode(submitted), wire.encode(assigned)


_SUBMITTED, _ASSIGNED = _templates()


def attributes_of(row: ProcessRow, colony_name: str) -> list[wire_attribute.Attribute]:
    """The environment it was submitted with, and what was put on it since."""
    env = row.given["env"]
    if not env and not row.has_attributes:
        return []
    triples = {keys.attribute_id(row.id, k, keys.ENV): (keys.ENV, k, v) for k, v in env.items()}
    return [
        _attribute(row.id, colony_name, row.state, row.graph, triple)
        for triple in (triples | row.added_attributes).values()
    ]


def _attribute(
    process_id: str, colony_name: str, state: State, graph: str, triple: tuple[int, str, str]
) -> wire_attribute.Attribute:
    kind, key, value = triple
    return wire_attribute.Attribute(
        attributeid=keys.attribute_id(process_id, key, kind),
        targetid=process_id,
        targetcolonyname=colony_name,
        targetprocessgraphid=graph,
        state=int(state),
        attributetype=kind,
        key=key,
        value=value,
    )


def _spec(row: ProcessRow) -> Raw:
    """The spec; its ``env`` follows attributes of type ENV that were added later."""
    stored: bytes = row.given["spec"]
    if not row.has_attributes:
        return Raw(stored)
    later = {k: v for kind, k, v in row.added_attributes.values() if kind == keys.ENV}
    if not later:
        return Raw(stored)
    spec = _spec_of(stored)
    spec.env = (spec.env or {}) | later
    return Raw(wire.encode(spec))


def shown_executor(row: MemberRow, colony_name: str, heard_ns: int) -> wire_executor.Executor:
    """An executor as it is stored; ``heard_ns`` is when it was last heard from, 0 for never."""
    stored = row.row
    blueprint_gen = int(stored[b"blueprint_gen"])
    return wire_executor.Executor(
        executorid=row.id,
        executortype=row.executor_type,
        executorname=row.name,
        colonyname=colony_name,
        state=int(row.state),
        requirefuncreg=stored[b"require_func_reg"] == b"1",
        commissiontime=wire.rfc3339(int(stored[b"commissioned"])),
        lastheardfromtime=wire.rfc3339(max(heard_ns, int(stored[b"heard"]))),
        locationname=row.location or msgspec.UNSET,
        capabilities=wire.decode(stored[b"capabilities"], wire_executor.Capabilities),
        allocations=wire.decode(stored[b"allocations"], wire_executor.Allocations),
        blueprintid=text_in(stored, b"blueprint_id") or msgspec.UNSET,
        blueprintgen=blueprint_gen or msgspec.UNSET,
    )


def executor_of_event(event: ExecutorAdded, colony_name: str) -> wire_executor.Executor:
    """An executor as it was when it was added."""
    return wire_executor.Executor(
        executorid=event.subject,
        executortype=event.executor_type,
        executorname=event.name,
        colonyname=colony_name,
        state=0,
        requirefuncreg=event.require_func_reg,
        commissiontime=wire.rfc3339(event.at_ns),
        lastheardfromtime=wire.rfc3339(event.heard_ns),
        locationname=event.location or msgspec.UNSET,
        capabilities=wire.decode(event.capabilities, wire_executor.Capabilities),
        allocations=wire.decode(event.allocations, wire_executor.Allocations),
        blueprintid=event.blueprint_id or msgspec.UNSET,
        blueprintgen=event.blueprint_gen or msgspec.UNSET,
    )


def shown_user(row: MemberRow, colony_name: str) -> wire_user.User:
    """A user as it is stored."""
    return wire_user.User(
        colonyname=colony_name,
        userid=row.id,
        name=row.name,
        email=text_in(row.row, b"email"),
        phone=text_in(row.row, b"phone"),
    )


def shown_function(
    row: FunctionRow, colony_name: str, taken: FunctionStatistics
) -> wire_function.Function:
    """A registered function with what it has been seen to take."""
    shown = wire.decode(row.described, wire_function.Function)
    shown.functionid = row.function_id
    shown.executorname = row.executor
    shown.executortype = row.executor_type
    shown.colonyname = colony_name
    shown.funcname = row.name
    shown.locationname = row.location or msgspec.UNSET
    shown.counter = taken.count
    shown.minwaittime, shown.maxwaittime = taken.waited.least, taken.waited.most
    shown.minexectime, shown.maxexectime = taken.ran.least, taken.ran.most
    shown.avgwaittime, shown.avgexectime = taken.waited.mean, taken.ran.mean
    return shown
