"""Units of time, and the time of the store: a stepped clock on one server moves no deadline."""

import time

US_NS = 1_000
MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
LAST_NS = 2**63 - 1
"""The last moment that a time can be, in Unix ns."""


def deadline(from_ns: int, seconds: int) -> int:
    """A moment some seconds later, 0 (never) for no limit; the far future stays representable."""
    return min(from_ns + seconds * SECOND_NS, LAST_NS) if seconds > 0 else 0


class StoreClock:
    """The store's clock, carried on by the local monotonic clock between two looks at it."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._last_ns = 0

    def now_ns(self) -> int:
        """Later than every earlier answer of this process."""
        now = time.monotonic_ns() + self._offset_ns
        self._last_ns = now if now > self._last_ns else self._last_ns + 1
        return self._last_ns

    def synchronise(self, asked_ns: int, store_ns: int, answered_ns: int) -> None:
        """Take over the store's time, read between two readings of the local monotonic clock."""
        self._offset_ns = store_ns - (asked_ns + answered_ns) // 2
