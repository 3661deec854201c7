"""Fewer writes with the same effect, for events that count and measure the same things."""

from collections.abc import Iterable
from typing import Any

from broker.decision import Arg, Write
from broker.keys import Key
from projections.rows import KEPT

_ADDS, _BOUNDS = "HINCRBY", "ZADD"
_BOUND_ARGS = 3
_OTHER_WAY = {"LT": "GT", "GT": "LT"}

_Slot = tuple[str, Key, Arg, Arg]
"""Command, key, field or member, and for a bound the way it is moved."""


def merged(writes: Iterable[Write]) -> list[Write]:
    """Add to each counter once, and move each bound once, as far as it goes.

    All other writes stay behind those that came before them and before those that come later.
    """
    found: list[Write] = []
    pending: dict[_Slot, float] = {}
    for write in writes:
        command, key, values = write
        args: Any = values  # the command says what they are
        if command == _ADDS:
            added: tuple[str, int] = args
            name, by = added
            slot = (command, key, name, "")
            pending[slot] = pending.get(slot, 0) + by
        elif command == _BOUNDS and len(args) == _BOUND_ARGS:
            moved: tuple[str, float, str] = args
            how, score, member = moved
            if (command, key, member, _OTHER_WAY[how]) in pending:
                found += _spelled(pending)
                pending.clear()
            slot = (command, key, member, how)
            pending[slot] = KEPT[how](pending.get(slot, score), score)
        else:
            found += _spelled(pending)
            pending.clear()
            found.append(write)
    found += _spelled(pending)
    return found


def _spelled(pending: dict[_Slot, float]) -> Iterable[Write]:
    for (command, key, name, how), value in pending.items():
        args = (how, value, name) if how else (name, value)
        yield (command, key, args)
