"""What was just submitted or assigned is shown as any process is, put together in a shorter way."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api import wire, wire_spec
from api.present import process_of_event, shown_assignment, shown_process, shown_submission
from broker.aggregates.process import NodeSubmitted, ProcessSubmitted, State
from broker.aggregates.process_row import ProcessRow
from broker.packing import packed
from broker.registry import pack
from tests import strategies

SPECS = st.builds(wire_spec.FunctionSpec, funcname=strategies.TEXTS | st.just("%b %d %%")).map(
    wire.encode
)
TIMES = st.integers(1, 2**62)
NUMBERS = TIMES.map(lambda number: b"%d" % number)


@st.composite
def events(draw: st.DrawFn, kind: type[ProcessSubmitted]) -> ProcessSubmitted:
    """A spec is always JSON, ids are ids, and seconds are few enough for a time."""
    event: ProcessSubmitted = draw(strategies.events(kind))
    return replace(
        event,
        subject=draw(strategies.IDS),
        actor=draw(strategies.IDS),
        at_ns=draw(TIMES),
        spec=draw(SPECS),
        wait_deadline_ns=draw(st.just(0) | TIMES),
        max_exec_s=draw(st.integers(-1, 2**31)),
    )


SUBMITTED = events(ProcessSubmitted) | events(NodeSubmitted)


@st.composite
def rows(draw: st.DrawFn) -> ProcessRow:
    event = draw(SUBMITTED)
    stored = {
        b"given": pack(event),
        b"by": event.actor.encode(),
        b"at": b"%d" % event.at_ns,
        b"state": b"%d" % draw(st.sampled_from(State)),
        b"holder": draw(strategies.IDS).encode(),
        b"started": draw(NUMBERS),
    }
    if isinstance(event, NodeSubmitted):
        stored[b"graph"] = b"f" * 64
    attribute = packed((3, draw(strategies.TEXTS), "value", 1))
    changes = (
        {b"max_exec": draw(NUMBERS)},
        {b"wait": draw(NUMBERS)},
        {b"retries": b"2", b"ended": draw(NUMBERS)},
        {b"attributed": b"1", b"a:" + b"f" * 64: attribute},
        {b"in": b'["input"]'},
        {b"out": b'["output"]'},
        {b"errors": packed(["error"])},
    )
    for change in draw(st.lists(st.sampled_from(changes), max_size=3)):
        stored |= change
    return ProcessRow(id=event.subject, row=stored)


@given(SUBMITTED)
def test_a_submission_is_shown_as_its_event_is(event: ProcessSubmitted) -> None:
    assert shown_submission(event, "colony") == wire.encode(process_of_event(event, "colony"))


@given(rows())
def test_an_assignment_is_shown_as_its_row_is(row: ProcessRow) -> None:
    assert shown_assignment(row, "colony") == wire.encode(shown_process(row, "colony"))
