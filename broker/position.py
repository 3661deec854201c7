"""A place in a stream: two integers. As text ``9-0`` would sort after ``10-0``."""

from typing import NamedTuple

from broker.errors import Malformed


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
        if not (dash and ms.isascii() and ms.isdigit() and seq.isascii() and seq.isdigit()):
            raise Malformed(f"not a stream position: {plain!r}")
        return cls(int(ms), int(seq))

    def __str__(self) -> str:
        return f"{self.ms}-{self.seq}"


START = Position(0, 0)
"""Before the first event of any stream."""
