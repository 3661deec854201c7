"""Periodic work: APScheduler calls, we see that a run in progress is finished before the end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from broker.errors import Overloaded, Unavailable

_log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]


class Periodic:
    """Some pieces of work, each at its interval and never twice at a time."""

    def __init__(self) -> None:
        self._scheduler: Any = AsyncIOScheduler()  # APScheduler 3 is untyped
        self._running: set[asyncio.Task[Any]] = set()

    def every(self, seconds: float, work: Work) -> None:
        """Do something every so often; a run that is late is not made up for."""

        async def run() -> None:
            await self._run(work)

        options = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler.add_job(run, "interval", seconds=seconds, **options)

    async def _run(self, work: Work) -> None:
        """One run. A store that is away leaves the work for the next."""
        task = asyncio.current_task()
        if task is not None:
            self._running.add(task)
        try:
            await work()
        except (Unavailable, Overloaded) as error:
            _log.warning("postponed", work=work.__qualname__, error=str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the next run may go well
            _log.exception("run_failed", work=work.__qualname__)
        finally:
            self._running.discard(task)  # pyright: ignore[reportArgumentType] - None is in no set

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    async def stop(self) -> None:
        """Start nothing more, and finish what runs."""
        self._scheduler.pause()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._scheduler.shutdown(wait=False)
