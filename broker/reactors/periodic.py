"""Periodic work: at intervals of the monotonic clock; a run in progress is finished before the end.

APScheduler, which knows the times of crons here, would wait by the wall clock: on a machine whose
clock is set back by an hour nothing would be done for an hour (docs/adr/0014).
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from broker.errors import Overloaded, Unavailable

_log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[float | None]]
"""Does something; seconds until it wants to be done again, None for the whole interval."""


class Periodic:
    """Some pieces of work, each at its interval and never twice at a time."""

    def __init__(self) -> None:
        self._wanted: list[tuple[float, Work]] = []
        self._loops: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    def every(self, seconds: float, work: Work) -> None:
        """Do something at least every so often; a run that is late is not made up for."""
        self._wanted.append((seconds, work))

    async def _repeat(self, seconds: float, work: Work) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        while not self._stopping:
            await asyncio.sleep(due - loop.time())
            sooner = await self._run(work)
            now = loop.time()
            if sooner is not None:
                due = now + min(sooner, seconds)
                continue
            due += seconds
            if due <= now:
                due = now + seconds - (now - due) % seconds

    async def _run(self, work: Work) -> float | None:
        """One run. A store that is away leaves the work for the next."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - it is one of ours
        self._running.add(task)
        try:
            return await work()
        except (Unavailable, Overloaded) as error:
            _log.warning("postponed", work=work.__qualname__, error=str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the next run may go well
            _log.exception("run_failed", work=work.__qualname__)
        finally:
            self._running.discard(task)
        return None

    def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._loops = {loop.create_task(self._repeat(*wanted)) for wanted in self._wanted}

    async def stop(self) -> None:
        """Start nothing more, and finish what runs."""
        self._stopping = True
        for loop in self._loops - self._running:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
