"""Lua source from the fold: its writes, with variables in the places of what differs.

The fold is run once on an event whose values are recognisable. Wherever one of them comes out, the
source gets the variable that holds the real one. So a script that is made from it has no state
change of its own: what it writes is what replaying its event writes, and ``verify`` watches that
it stays so.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from broker.decision import Arg, Event, Write
from broker.envelope import FIELDS, entry
from broker.keys import Key


class Source:
    """Spells values in Lua. ``variables`` are Lua expressions by the value of the sample."""

    def __init__(self, variables: Mapping[Arg, str]) -> None:
        self._variables = {_text(value): name for value, name in variables.items()}
        # What contains another value is looked for first.
        longest = sorted(self._variables, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, longest)) + ")", re.DOTALL)

    def entry(self, event: Event, signed: str) -> str:
        """Field names and values of a stream entry; ``signed`` is an expression."""
        pairs = zip(FIELDS, entry(event, b""), strict=True)
        return ", ".join(
            f"'{name}', {signed if name == 'signed' else self._expression(value)}"
            for name, value in pairs
        )

    def prefixed(self, key: Key) -> str:
        """A key; the variable ``prefix`` is what it begins with."""
        return f"prefix .. {self._expression(key)}"

    def writes(self, writes: Iterable[Write], spell: Callable[[Key], str]) -> str:
        """A call each; ``spell`` makes an expression of a key."""
        lines: list[str] = []
        for command, key, args in writes:
            said = ", ".join([f"'{command}'", spell(key), *map(self._expression, args)])
            lines.append(f"call({said})")
        return "\n".join(lines)

    def _expression(self, value: Arg) -> str:
        parts = [part for part in self._split.split(_text(value)) if part]
        return " .. ".join(self._variables.get(p) or _quoted(p) for p in parts) or "''"


def _text(value: Arg) -> str:
    """One character a byte, as Lua has it."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return raw.decode("latin-1")


def quoted(value: Arg) -> str:
    """A Lua string."""
    return _quoted(_text(value))


def _quoted(text: str) -> str:
    plain = (c if (c.isascii() and c.isalnum()) or c in ":_/ " else f"\\{ord(c):03d}" for c in text)
    return "'" + "".join(plain) + "'"
