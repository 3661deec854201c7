"""Prepared appends: a script of its own for what is appended all the time.

``append.lua`` is told with each call what it is to test and to write, and in nearly the same words
for every submit and every close. Here these words become the text of a script, once for each form
an event comes in: which tests there are, and which of the writes that its fold makes only
sometimes. What differs between two events of one form is sent, and nothing else. An event without a
form is appended by ``append.lua``, with the same effect.
"""

from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct

from broker import keys
from broker.aggregates.process import ProcessClosed, ProcessSubmitted, State
from broker.clock import MS_NS, US_NS
from broker.decision import Arg, Decision, Event, Fold, Test
from broker.keys import Key
from broker.lua_source import Source, quoted
from broker.matching import class_of
from broker.packing import packed
from broker.registry import pack
from broker.script import PREPARED, Script

_MOST_SCRIPTS = 256
_KEYS_BEFORE, _ARGS_BEFORE = 2, 3
"""In front of those that expectations have; prepared.lua says which."""
_RUNNING = int(State.RUNNING)
_AT = 1_713_579_024_680_135_791


class _Form(Struct, frozen=True):
    """How the events of one type are prepared.

    ``shape`` says which writes there are, None when that depends on more than a few yes or no.
    ``written`` are the keys of these writes, ``values`` all else that differs between two events
    of one shape. ``sample`` makes an event of a shape in which no value occurs in another or in
    what is the same for all, unless it contains it.
    """

    shape: Callable[[Any], Hashable | None]
    written: Callable[[Any], tuple[Key, ...]]
    values: Callable[[Any], tuple[Arg, ...]]
    sample: Callable[[Any], Event]


# ---------------------------------------------------------------- submitted


def _shape_of_submitted(event: ProcessSubmitted) -> Hashable | None:
    if event.env or event.cause:
        return None
    return event.max_exec_s > 0, event.wait_deadline_ns != 0


def _written_by_submitted(event: ProcessSubmitted) -> tuple[Key, ...]:
    always = keys.process(event.subject), keys.queue(class_of(event.requires))
    return (*always, keys.DUE) if event.wait_deadline_ns else always


def _values_of_submitted(event: ProcessSubmitted) -> tuple[Arg, ...]:
    values: tuple[Arg, ...] = (
        event.subject,
        event.actor,
        event.at_ns,
        pack(event),
        keys.queue_member(event.priority_time, event.subject),
    )
    if event.wait_deadline_ns:
        values += (event.wait_deadline_ns, event.wait_deadline_ns // MS_NS)
    if event.max_exec_s > 0:
        values += (event.max_exec_s,)
    return values


def _submitted(shape: tuple[bool, bool]) -> ProcessSubmitted:
    bounded, waits = shape
    return ProcessSubmitted(
        subject="i" * 64,
        actor="a" * 64,
        at_ns=_AT,
        spec=b"spec",
        initiator_name="name",
        function="function",
        label="label",
        priority_time=_AT,
        wait_deadline_ns=_AT + 86_420_975_318_642_097 if waits else 0,
        max_wait_s=1,
        max_exec_s=9_753_186_420 if bounded else 0,
        max_retries=1,
        requires=b"requires",
        env={},
    )


# ---------------------------------------------------------------- closed


def _shape_of_closed(event: ProcessClosed) -> Hashable | None:
    if event.cause:
        return None
    return event.outcome, event.out is not None, bool(event.errors), event.timed


def _written_by_closed(event: ProcessClosed) -> tuple[Key, ...]:
    row, held = keys.process(event.subject), keys.held(event.actor)
    before, after = keys.listing(_RUNNING), keys.listing(event.outcome)
    return (row, before, held, keys.DUE, after) if event.timed else (row, before, held, after)


def _values_of_closed(event: ProcessClosed) -> tuple[Arg, ...]:
    at_ns = event.at_ns
    values: tuple[Arg, ...] = (event.subject, event.actor, at_ns, at_ns // US_NS, pack(event))
    if event.out is not None:
        values += (event.out,)
    if event.errors:
        values += (packed(event.errors),)
    return values


def _closed(shape: tuple[int, bool, bool, bool]) -> ProcessClosed:
    outcome, says, fails, timed = shape
    return ProcessClosed(
        subject="i" * 64,
        actor="a" * 64,
        at_ns=_AT,
        outcome=outcome,
        out=b'["output"]' if says else None,
        errors=["error"] if fails else [],
        function="function",
        executor_name="name",
        waited_ns=1,
        ran_ns=1,
        timed=timed,
    )


_FORMS: dict[type[Event], _Form] = {
    ProcessSubmitted: _Form(
        _shape_of_submitted, _written_by_submitted, _values_of_submitted, _submitted
    ),
    ProcessClosed: _Form(_shape_of_closed, _written_by_closed, _values_of_closed, _closed),
}


class Prepared:
    """The scripts there are so far."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._scripts: dict[Hashable, Script | None] = {}

    def of(self, decision: Decision) -> tuple[Script, tuple[Key, ...], tuple[Arg, ...]] | None:
        """The script that appends what was decided, if any, and keys and values of its event."""
        events, notices = decision.events, len(decision.wakes)
        if len(events) != 1 or notices > 1:
            return None
        event = events[0]
        form = _FORMS.get(type(event))
        if form is None or (shape := form.shape(event)) is None:
            return None
        tests = tuple([test for test, _, _ in decision.expects])
        known = (event.TYPE, shape, tests, notices)
        try:
            script = self._scripts[known]
        except KeyError:
            if len(self._scripts) >= _MOST_SCRIPTS:
                return None
            script = self._scripts[known] = self._prepare(form.sample(shape), form, tests, notices)
        return (script, form.written(event), form.values(event)) if script else None

    def _prepare(
        self, sample: Event, form: _Form, tests: tuple[Test, ...], notices: int
    ) -> Script | None:
        expected, conditions = _ARGS_BEFORE, list[str]()
        for index, test in enumerate(tests, 1):
            condition = _condition(index, test, expected + 1)
            if condition is None:
                return None
            conditions.append(condition)
            expected += _values_of(test)
        values = form.values(sample)
        source = Source({v: f"argv[{at}]" for at, v in enumerate(values, expected + 1)})
        written = enumerate(form.written(sample), _KEYS_BEFORE + len(tests) + 1)
        places = {key: f"KEYS[{at}]" for at, key in written}
        last = expected + len(values)
        return PREPARED.completed(
            {
                "expectations": "\n".join(conditions),
                "event": source.entry(sample, "argv[3]"),
                "writes": source.writes(self._fold(sample), places.__getitem__),
                "notice": f"call('PUBLISH', argv[{last + 1}], argv[{last + 2}])" * notices,
            }
        )


def _values_of(test: Test) -> int:
    """How many values an expectation with this test has."""
    return len(test) - 2 if test[0] == "matches" else 1


def _condition(index: int, test: Test, value: int) -> str | None:
    """Lua that sets ``failed`` if an expectation does not hold; None when no such test is known."""
    kind, *names = test
    key, fields = f"KEYS[{index + _KEYS_BEFORE}]", [quoted(name) for name in names]
    match kind:
        case "equals":
            found, differs = f"call('HGET', {key}, {fields[0]})", f"found ~= argv[{value}]"
        case "has":
            found, differs = f"call('HEXISTS', {key}, argv[{value}])", "found == 0"
        case "matches":
            found = f"call('HMGET', {key}, {', '.join(fields[1:])})"
            differs = " or ".join(
                f"found[{at}] ~= argv[{value + at - 1}]" for at in range(1, len(fields))
            )
        case _:
            return None
    return f"""if not failed then
  local found = {found}
  if {differs} then failed = {index} end
end"""
