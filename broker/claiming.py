"""The templates that claim.lua fills in: the fold's own event and writes, with gaps.

The fold is run once on an event whose values are recognisable; wherever such a value comes out, the
template gets the token that the script replaces. So assignment has no second state change: what
the script writes is what replaying its event writes, and ``verify`` watches that it stays so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from broker.aggregates.process import UNLIMITED_EXEC, ProcessAssigned
from broker.decision import Arg, Fold, Write
from broker.registry import pack

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
_TOKENS = (
    (_SAMPLE.subject, "<id>"),
    (_SAMPLE.actor, "<actor>"),
    (_SAMPLE.queued_as, "<member>"),
    (_SAMPLE.class_key, "<class>"),
    (_SAMPLE.max_exec_s, "<exec>"),
    (str(_AT), "<at>"),
    (str(_AT // 1_000), "<us>"),
    (str(_AT // 1_000_000 + 1_000), "<due>"),
    (str(_AT // 1_000_000), "<ms>"),
)


@dataclass(frozen=True, slots=True)
class ClaimTemplate:
    """The part of claim.lua's arguments that is the same for every claim."""

    args: tuple[Arg, ...]


def claim_template(fold: Fold) -> ClaimTemplate:
    """Derive the template from a fold."""
    always = tuple(fold(replace(_SAMPLE, max_exec_s=UNLIMITED_EXEC)))
    bounded = tuple(fold(replace(_SAMPLE, max_exec_s=_ONE_SECOND)))
    deadline = tuple(write for write in bounded if write not in always)
    body = pack(_SAMPLE)
    for value, token in _TOKENS:
        body = body.replace(value.encode(), token.encode())
    args = (ProcessAssigned.TYPE, ProcessAssigned.VERSION, body)
    return ClaimTemplate((*args, *_spelled(always), *_spelled(deadline)))


def _spelled(writes: Iterable[Write]) -> list[Arg]:
    args: list[Arg] = []
    count = 0
    for write in writes:
        count += 1
        args += [write.command, _gapped(write.key), len(write.args)]
        args += [_gapped(str(arg)) for arg in write.args]
    return [count, *args]


def _gapped(text: str) -> str:
    for value, token in _TOKENS:
        text = text.replace(value, token)
    return text
