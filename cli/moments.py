"""Moments of a log as people type them: a position, a time, or how long ago."""

import re
import time
from datetime import UTC, datetime

from broker.errors import Malformed
from broker.position import Position
from cli.errors import UsageError

_LAST_SEQ = 2**64 - 1
_AGO = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)\Z")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_HINT = (
    "a time is 2026-11-23T14:30:00Z, '2026-11-23 15:30' (local), now, or 10m (ago: ms, s, m, h, d);"
    " a position is what `colonies history show` prints first"
)


def until(text: str) -> Position:
    """The last position that belongs to a moment; of a time, that of its millisecond.

    Raises:
        UsageError: it is no moment.
    """
    if "-" in text and text.replace("-", "").isdigit() and text.count("-") == 1:
        return _position(text)
    return Position(_milliseconds(text), _LAST_SEQ)


def time_of(position: Position) -> datetime:
    """When a position is; now for one that is not yet."""
    return datetime.fromtimestamp(min(position.ms / 1_000, time.time()), UTC)


def since(text: str) -> Position:
    """The last position before a moment.

    Raises:
        UsageError: it is no moment.
    """
    last = until(text)
    if last.seq == _LAST_SEQ:
        return Position(max(0, last.ms - 1), _LAST_SEQ)
    return last.previous


def _position(text: str) -> Position:
    try:
        found = Position.parse(text)
    except Malformed as error:
        raise UsageError(str(error), hint=_HINT) from error
    if max(found) > _LAST_SEQ:
        raise UsageError(f"not a stream position: {text!r}", hint=_HINT)
    return found


def _milliseconds(text: str) -> int:
    now_ms = time.time_ns() // 1_000_000
    if text == "now":
        return now_ms
    if ago := _AGO.match(text):
        return max(0, now_ms - round(float(ago[1]) * _UNITS_MS[ago[2]]))
    try:
        at = datetime.fromisoformat(text)
        # Without a zone it is the local time, as everything that is shown.
        return max(0, int(at.astimezone().timestamp() * 1_000))
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"not a moment: {text!r}", hint=_HINT) from error
