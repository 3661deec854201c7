"""Periodic work: at its interval, whatever the wall clock of the machine does."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.errors import Unavailable
from broker.reactors.periodic import Periodic, Work
from tests.acceptance.processes import Running, environment
from tests.patience import PATIENCE_S
from tests.storms.clock import HOUR_S, Clock

PROGRAM = """
import asyncio, time
from broker.reactors.periodic import Periodic

async def main():
    async def work():
        print("ran", int(time.time()), flush=True)
    periodic = Periodic()
    periodic.every(0.02, work)
    periodic.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_stepped_clock_does_not_stop_it(tmp_path: Path, seconds: int) -> None:
    clock = Clock(tmp_path / "clock")
    running = Running.start([sys.executable, "-c", PROGRAM], environment(clock.environ))
    try:
        before = _ran(running.log.until(lambda line: line.startswith("ran")))

        clock.step(seconds)

        def stepped(line: str) -> bool:
            return abs(_ran(line) - before - seconds) < PATIENCE_S

        running.log.until(stepped, PATIENCE_S)
        running.log.until(stepped, PATIENCE_S)
    finally:
        running.kill()


def _ran(line: str) -> int:
    return int(line.split()[1])


@asynccontextmanager
async def repeated(seconds: float, work: Work) -> AsyncGenerator[Periodic]:
    """Work that is done again and again until the end of the block."""
    periodic = Periodic()
    periodic.every(seconds, work)
    periodic.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield periodic
    finally:
        await periodic.stop()


async def test_failure_does_not_stop_it() -> None:
    again = asyncio.Event()
    errors: list[Exception] = [Unavailable("away"), ValueError("a bug")]

    async def work() -> None:
        if errors:
            raise errors.pop()
        again.set()

    async with repeated(0.001, work):
        await again.wait()


async def test_end_waits_for_what_runs_and_begins_nothing() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def long() -> None:
        begun.set()
        await go_on.wait()
        ended.append("long")

    async with repeated(0.001, long) as periodic:
        await begun.wait()
        stopping = asyncio.create_task(periodic.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        go_on.set()
        await stopping

    assert ended == ["long"]


async def test_work_may_ask_to_be_done_sooner() -> None:
    done = asyncio.Event()
    runs = 0

    async def work() -> float:
        nonlocal runs
        runs += 1
        if runs == 2 * PATIENCE_S:
            done.set()
        return 0.0

    async with repeated(1, work):
        await done.wait()
