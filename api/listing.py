"""A list in a reply, put together a page at a time."""

from collections.abc import Iterable
from itertools import islice

from broker.errors import Invalid

MOST_ANSWERED = 64 * 1024 * 1024
"""Bytes of a reply with a list."""


class Listing:
    """JSON texts that become one list; of at most ``count`` items if that is not None."""

    def __init__(self, count: int | None = None) -> None:
        self._room = count
        self._size = 0
        self._texts: list[bytes] = []

    def add(self, texts: Iterable[bytes]) -> bool:
        """Take more items, as far as there is room; whether there is still some.

        Raises:
            Invalid: the list does not fit into a reply.
        """
        taken = list(islice(texts, self._room))
        if self._room is not None:
            self._room -= len(taken)
        self._size += sum(map(len, taken))
        self._texts += taken
        if self._size > MOST_ANSWERED:
            raise Invalid(
                f"there are more than the {MOST_ANSWERED} bytes that are answered at once;"
                " ask for less"
            )
        return self._room != 0

    def text(self) -> bytes:
        """All of it as JSON."""
        return b"[" + b",".join(self._texts) + b"]"
