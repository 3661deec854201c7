"""How load is offered: in a closed loop for throughput, in an open one for latency.

In a closed loop every connection sends its next request when it has the reply to the last, so the
server sets the pace and the time of a request is its service time. In an open loop requests are
due at fixed times, and latency counts from then: a server that stalls is charged for everything
that was due meanwhile.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from bench.connection import Connection
from bench.latency import Latencies

# Timers of the loop fire on whole milliseconds; what is left is spent turning the loop.
_TURNING_S = 0.002


@dataclass(slots=True, kw_only=True)
class Phase:
    """One stretch of load: how many requests, or whatever was counted, in how much time."""

    count: int
    seconds: float
    latencies: dict[str, Latencies] = field(default_factory=dict[str, Latencies])
    values: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def rate(self) -> float:
        """What was counted, per second."""
        return self.count / self.seconds


async def closed_loop(
    connections: Sequence[Connection],
    work: Callable[[int, Connection], Awaitable[None]],
) -> float:
    """Run ``work(n, connection)`` on every connection at once until all are done.

    Returns:
        The seconds from the first start to the last end.
    """
    with _no_garbage_collection():
        begun = perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, connection in enumerate(connections):
                group.create_task(_awaited(work(number, connection)))
        return perf_counter() - begun


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def due_times(count: int, interval_s: float) -> AsyncIterator[tuple[int, float]]:
    """Wake at ``count`` times ``interval_s`` apart; yields each number and when it was due.

    Nobody who is late moves a later one: the times are fixed at the start.
    """
    begun = perf_counter() + interval_s
    for number in range(count):
        due = begun + number * interval_s
        await _until(due)
        yield number, due


async def _until(due: float) -> None:
    coarse = due - perf_counter() - _TURNING_S
    if coarse > 0:
        await asyncio.sleep(coarse)
    while perf_counter() < due:  # noqa: ASYNC110 - nothing happens at a due time but time itself
        await asyncio.sleep(0)


@contextmanager
def _no_garbage_collection() -> Generator[None]:
    """A pause of ours would be measured as one of the server."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
