"""Logs as files: exported from entries that a test makes up, and checked."""

import json
from collections.abc import Sequence
from typing import Any

from api.history.check import Checker, Report
from api.history.seal import Sealer
from broker.decision import Event
from broker.envelope import FIELDS, RawEntry, entry

Lines = list[dict[str, Any]]


def raw(number: int, event: Event, signed: bytes) -> RawEntry:
    """An entry as a stream has it."""
    values = (v if isinstance(v, bytes) else str(v).encode() for v in entry(event, signed))
    flat = [
        part for pair in zip((f.encode() for f in FIELDS), values, strict=True) for part in pair
    ]
    return [b"%d-0" % number, flat]


def exported(entries: Sequence[RawEntry]) -> Lines:
    """The lines of a file."""
    sealer = Sealer("dev")
    texts = [sealer.head()]
    for one in entries:
        texts += sealer.lines(one)
    texts += sealer.end()
    return [json.loads(text) for text in texts]


def checked(lines: Lines, request: bytes = b"", *, show: bool = False) -> Report:
    """What is to be said of a file with these lines."""
    return Checker(request, show=show).run(json.dumps(line).encode() for line in lines)


def at(lines: Lines, number: int) -> int:
    """Where the line of an event is."""
    return next(place for place, line in enumerate(lines) if line.get("n") == number)
