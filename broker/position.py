"""A place in a stream: two integers. As text ``9-0`` would sort after ``10-0``."""

from typing import NamedTuple

from broker.errors import Malformed

_MOST = 2**64 - 1
_LONGEST = 41


class Position(NamedTuple):
    """Redis stream entry id: milliseconds of the store's clock, and a sequence number within."""

    ms: int
    seq: int

    @classmethod
    def parse(cls, text: str | bytes) -> "Position":
        """Read ``<ms>-<seq>``.

        Raises:
            Malformed: anything else.
        """
        plain = text.decode("ascii", "replace") if isinstance(text, bytes) else text
        ms, dash, seq = plain.partition("-")
        digits = ms.isascii() and ms.isdigit() and seq.isascii() and seq.isdigit()
        # Python reads no number of thousands of digits.
        if not (dash and digits) or len(plain) > _LONGEST:
            raise Malformed(f"not a stream position: {plain[:_LONGEST]!r}")
        found = cls(int(ms), int(seq))
        if found.ms > _MOST or found.seq > _MOST:
            raise Malformed(f"not a stream position: {plain!r}, no stream goes so far")
        return found

    @property
    def previous(self) -> "Position":
        """The place right before it; there is none before the very first."""
        if self.seq:
            return Position(self.ms, self.seq - 1)
        return Position(self.ms - 1, _MOST) if self.ms else self

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"


START = Position(0, 0)
"""Before the first event of any stream."""
END = Position(_MOST, _MOST)
"""The last that any stream can have; the store takes no question about what is behind it."""
