"""The time of the store, so that a stepped clock on one server moves no deadline and no order."""

import time


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
