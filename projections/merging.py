"""Fewer writes with the same effect, for events that count and measure the same things."""

from collections.abc import Iterable
from typing import cast

from broker.decision import Arg, Write
from broker.keys import Key

_ADDS, _BOUNDS = "HINCRBY", "ZADD"
_LOWER, _RAISE = "LT", "GT"
_BOUND_ARGS = 3

_Slot = tuple[str, Key, Arg, Arg]
"""Command, key, field or member, and for a bound the way it is moved."""


def merged(writes: Iterable[Write]) -> list[Write]:
    """Add to each counter once, and move each bound once, as far as it goes.

    All other writes stay behind those that came before them and before those that come later.
    """
    found: list[Write] = []
    pending: dict[_Slot, int] = {}
    for write in writes:
        command, key, args = write
        if command == _ADDS:
            name, by = cast("tuple[str, int]", args)
            slot = (command, key, name, "")
            pending[slot] = pending.get(slot, 0) + by
        elif command == _BOUNDS and len(args) == _BOUND_ARGS:
            how, score, member = cast("tuple[str, int, str]", args)
            other = (command, key, member, _RAISE if how == _LOWER else _LOWER)
            if other in pending:
                found += _spelled(pending)
                pending.clear()
            slot = (command, key, member, how)
            known = pending.get(slot, score)
            pending[slot] = min(known, score) if how == _LOWER else max(known, score)
        else:
            found += _spelled(pending)
            pending.clear()
            found.append(write)
    found += _spelled(pending)
    return found


def _spelled(pending: dict[_Slot, int]) -> Iterable[Write]:
    for (command, key, name, how), value in pending.items():
        args = (how, value, name) if how else (name, value)
        yield (command, key, args)
