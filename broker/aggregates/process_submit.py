"""How a process comes to wait: what was asked for, and the requirement class it waits in."""

from collections.abc import Container, Mapping

from msgspec import Struct

from broker import keys
from broker.access import Gate, member
from broker.aggregates.colony import RequirementClassAdded
from broker.aggregates.process import ProcessSubmitted
from broker.clock import DAY_NS, deadline
from broker.decision import Decision, Expect, has, lacks
from broker.errors import Invalid
from broker.matching import class_of

MOST_PRIORITY = 50_000
MOST_EXEC_S = 9_999_999_999


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
