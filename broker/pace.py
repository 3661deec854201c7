"""Work in the background that leaves as much time to others as it takes itself.

Steps of such work follow each other without a gap, and whatever else runs in this process, or asks
the same store, gets one turn between two of them. What takes ten turns, such as meeting a deadline,
would wait for ten steps.
"""

import asyncio
import time

_LONGEST_S = 0.1


async def rest(began: float) -> None:
    """After a step that began at a time of ``time.monotonic``: wait for as long as it took."""
    await asyncio.sleep(min(time.monotonic() - began, _LONGEST_S))
