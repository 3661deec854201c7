"""Looking for lines with a text, newest first: bounded in time, and nobody waits for it.

What is searched for and what was said are both a stranger's. So the work between two looks at the
clock is bounded, not by lines (one may have 64 KiB, and every place in it may have to be tried at
length), but by comparisons of characters; in between others get their turn.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker import keys
from broker.errors import Invalid
from broker.keys import Tag
from broker.logs import Line, line_of, place
from broker.store import EventStore

SEARCH_S = 5.0
MOST_TEXT = 1_000
"""Characters of a text to look for."""
_PAGE = 100
_COMPARISONS = 1_000_000
"""In one go: about ten milliseconds."""


def check_text(text: str) -> None:
    """A text that can be looked for.

    Raises:
        Invalid: it is too long.
    """
    if len(text) > MOST_TEXT:
        raise Invalid(
            f"the text to search for has {len(text)} characters, more than the limit of {MOST_TEXT}"
        )


async def search(
    store: EventStore, tag: Tag, text: str, *, since_ns: int, count: int
) -> list[Line]:
    """The newest lines that contain a text, newest first; ``%`` and ``_`` as in SQL's LIKE.

    Ends after SEARCH_S with what it has found.
    """
    wanted, found = Pattern(text), list[Line]()
    pace = _Pace(time.monotonic() + SEARCH_S)
    low, high = place(since_ns), "+"
    while not pace.is_over:
        page = await store.send("XREVRANGE", tag.key(keys.LOGS), high, low, "COUNT", _PAGE)
        for line in map(line_of, page):
            if await _is_in(wanted, line.text, pace):
                found.append(line)
            if len(found) == count or pace.is_over:
                return found
        if len(page) < _PAGE:
            break
        high = f"({page[-1][0].decode()}"
    return found


async def _is_in(wanted: "Pattern", text: str, pace: "_Pace") -> bool:
    """Whether a pattern stands in a text; False, too, when there is no more time to see."""
    for verdict in wanted.looked_for(text):
        await pace.go_on(_COMPARISONS if verdict is None else len(text))
        if verdict is not None:
            return verdict
        if pace.is_over:
            break
    return False


@dataclass(slots=True)
class _Pace:
    """Lets others go on after each bounded piece of work, and knows when the time is over."""

    until: float
    _done: int = field(default=0)

    @property
    def is_over(self) -> bool:
        """Whether there is no more time."""
        return time.monotonic() >= self.until

    async def go_on(self, comparisons: int) -> None:
        """So much was done."""
        self._done += comparisons
        if self._done >= _COMPARISONS:
            self._done = 0
            await asyncio.sleep(0)


class Pattern:
    """What to search for: any text for ``%``, any character for ``_``.

    Its pieces are looked for one after the other, each from where the one before it ends.
    """

    def __init__(self, text: str) -> None:
        self._pieces = [_Piece(piece) for piece in text.split("%") if piece]

    def is_in(self, text: str) -> bool:
        """Whether it stands somewhere in a text."""
        return any(self.looked_for(text))

    def looked_for(self, text: str) -> Iterator[bool | None]:
        """The same in bounded steps: None after each that does not decide, the verdict at last."""
        at = 0
        for piece in self._pieces:
            found = -1
            for found in piece.ends_after(text, at):
                if found >= 0:
                    break
                yield None
            if found < 0:
                yield False
                return
            at = found
        yield True


class _Piece:
    """A part of a pattern that stands in one place."""

    def __init__(self, piece: str) -> None:
        self._length = len(piece)
        # How many places are tried in one go; a text without _ is found in one, however long.
        self._window = max(1, _COMPARISONS // self._length) if "_" in piece else 0
        dots = ".".join(re.escape(part) for part in piece.split("_"))
        self._found = re.compile(dots, re.DOTALL)
        self._piece = piece

    def ends_after(self, text: str, at: int) -> Iterator[int]:
        """Where it ends when it is found from a place on, or -1 after each window without it."""
        if not self._window:
            found = text.find(self._piece, at)
            yield found + self._length if found >= 0 else -1
            return
        for begin in range(at, max(len(text) - self._length, at) + 1, self._window):
            found = self._found.search(text, begin, begin + self._window + self._length - 1)
            yield found.end() if found else -1
