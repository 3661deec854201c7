"""Work in the background that leaves at least as much time to others as it takes itself.

Steps of such work follow each other without a gap, and whatever else runs in this process, or asks
the same store, gets one turn between two of them. What takes ten turns, such as meeting a deadline,
would wait for ten steps.
"""

import asyncio
import time

_LONGEST_S = 0.1
_BUSY = 0.25
_SELDOM = 49
_LOOK_S = 0.1
"""What others do shows in rests of so long together: in one of a millisecond they may just wait."""


async def rest(began: float) -> None:
    """After a step that began at a time of ``time.monotonic``: wait for as long as it took."""
    await asyncio.sleep(min(time.monotonic() - began, _LONGEST_S))


class Leisure:
    """Rests of work that can wait: long ones while this process has other things to do.

    A fiftieth of the time is left to it then, so that it does not wait for ever.
    """

    def __init__(self) -> None:
        self._ended_s, self._used_s = time.monotonic(), time.process_time()
        self._rested_s = self._taken_s = 0.0
        self._others = 1.0

    def begin(self) -> None:
        """A step begins; what others took since the last one is added to what they took before."""
        used_s = time.process_time()
        self._rested_s += time.monotonic() - self._ended_s
        self._taken_s += used_s - self._used_s
        self._used_s = used_s
        if self._rested_s >= _LOOK_S:
            self._others = self._taken_s / self._rested_s
            self._rested_s = self._taken_s = 0.0

    async def rest(self, *, hurry: bool = False) -> None:
        """The step has ended; with ``hurry`` it does not matter what others do."""
        took_s = time.process_time() - self._used_s
        self._ended_s, self._used_s = time.monotonic(), self._used_s + took_s
        await asyncio.sleep(pause_s(took_s, 0.0 if hurry else self._others))


def pause_s(took_s: float, others: float) -> float:
    """How long to rest after a step, by the share of a processor that others took before it."""
    return took_s * (_SELDOM if others > _BUSY else 1)
