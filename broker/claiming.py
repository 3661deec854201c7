"""The claim script, completed with the fold's own event and writes.

The fold is run once on an event whose values are recognisable; wherever such a value comes out, the
Lua source gets the variable that holds the real one. So assignment has no second state change:
what the script writes is what replaying its event writes, and ``verify`` watches that it stays so.
Values in the packed body have fixed widths (member 84, class 16, exec 10), so that it stays
well-formed msgpack.
"""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from broker.aggregates.process import UNLIMITED_EXEC, ProcessAssigned
from broker.aggregates.workflow import WorkflowStarted
from broker.decision import Arg, Event, Fold, Write
from broker.registry import pack
from broker.script import CLAIM, Script, of_text

_AT = 1_111_111_111_111_111_111
_SAMPLE = ProcessAssigned(
    subject="i" * 64,
    actor="a" * 63 + "z",
    at_ns=_AT,
    class_key="k" * 16,
    queued_as="m" * 84,
    max_exec_s="x" * 10,
)
_ONE_SECOND = "0000000001"
_STARTED = WorkflowStarted(subject="g" * 64, actor=_SAMPLE.actor, at_ns=_AT, submitted_us="2" * 16)
_VARIABLES = {
    _STARTED.subject: "graph",
    _STARTED.submitted_us: "since",
    _SAMPLE.subject: "id",
    _SAMPLE.actor: "actor",
    _SAMPLE.queued_as: "member",
    _SAMPLE.class_key: "class",
    _SAMPLE.max_exec_s: "exec",
    str(_AT): "at",
    str(_AT // 1_000): "us",
    str(_AT // 1_000_000 + 1_000): "due",
    str(_AT // 1_000_000): "ms",
}
_SPLIT = re.compile("(" + "|".join(_VARIABLES) + ")")


def claim_script(fold: Fold) -> Script:
    """Complete claim.lua from a fold."""
    always = list(fold(replace(_SAMPLE, max_exec_s=UNLIMITED_EXEC)))
    bounded = list(fold(replace(_SAMPLE, max_exec_s=_ONE_SECOND)))
    deadline = [write for write in bounded if write not in always]
    marks = {
        "--[[event]]": _event(_SAMPLE),
        "--[[writes]]": _calls(always),
        "--[[deadline]]": _calls(deadline),
        "--[[event: started]]": _event(_STARTED),
        "--[[writes: started]]": _calls(fold(_STARTED)),
    }
    text = CLAIM.text
    for mark, source in marks.items():
        text = text.replace(mark, source)
    return of_text("claim", text)


def _event(event: Event) -> str:
    """All fields of the stream entry but the proof, in the order of envelope.FIELDS."""
    fields: tuple[tuple[str, Arg], ...] = (
        ("type", event.TYPE),
        ("v", event.VERSION),
        ("subject", event.subject),
        ("actor", event.actor),
        ("at", event.at_ns),
        ("cause", event.cause),
        ("body", pack(event)),
    )
    return "".join(f"'{name}', {_expression(value)}, " for name, value in fields)


def _calls(writes: Iterable[Write]) -> str:
    lines: list[str] = []
    for command, key, args in writes:
        values = ", ".join(_expression(arg) for arg in args)
        lines.append(f"call('{command}', prefix .. {_expression(key)}, {values})")
    return "\n".join(lines)


def _expression(value: Arg) -> str:
    """A Lua expression for a value in which recognisable parts are variables."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    parts = [_VARIABLES.get(part) or _quoted(part) for part in _SPLIT.split(text) if part]
    return " .. ".join(parts) or "''"


def _quoted(text: str) -> str:
    plain = (c if (c.isascii() and c.isalnum()) or c in ":_/ " else f"\\{ord(c):03d}" for c in text)
    return "'" + "".join(plain) + "'"
