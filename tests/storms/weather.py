"""A store that stops, that has no room, or whose disk is slow; and goes on afterwards by itself."""

import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from broker.settings import Limits
from tests.acceptance.inspection import opened_store
from tests.acceptance.processes import Store, own_store
from tests.storms.fleet import plan, sailing
from tests.storms.storm import Outcome, Storm, Wish, judge, storming

PATIENCE_MS = 500
"""For the servers: a store that does not answer for so long is given up."""
STOPPED_S, STOPPED_LONG_S = 2.0, 5.0
REFUSALS = 10
BETWEEN = 100
WRITERS = 3
FULL = "the store is out of memory"
HOG = """
import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
while True:
    os.pwrite(file, bytes(4 << 20), 0)
    os.fsync(file)
"""


async def weather(wish: Wish) -> Outcome:
    """The whole storm."""
    with own_store() as store:
        limits = Limits(store_timeout_ms=PATIENCE_MS)
        async with sailing(plan(store.url, limits=limits)) as fleet:
            async with storming("weather", wish, lambda: fleet.apis) as storm:
                await _rage(storm, store, wish.chance())
            outcome = await judge(storm, store.url)
            outcome.wrong += fleet.bugs
            return outcome


async def _rage(storm: Storm, store: Store, chance: random.Random) -> None:
    """One of each, and then as chance has it."""
    kinds = [stopped, full, slow]
    rounds = 0
    while storm.goes_on(rounds) or rounds < len(kinds):
        if rounds % len(kinds) == 0:
            chance.shuffle(kinds)
        await storm.witness.more(BETWEEN)
        await kinds[rounds % len(kinds)](storm, store)
        rounds += 1
    await storm.witness.more(BETWEEN)


async def stopped(storm: Storm, store: Store) -> None:
    """SIGSTOP for some seconds: whoever asks is told so before it goes on."""
    seconds = STOPPED_LONG_S if storm.wish.seconds > 60 else STOPPED_S
    storm.strike(f"the store stopped for {seconds:g} s")
    assert store.running is not None
    store.running.tell(signal.SIGSTOP)
    try:
        began = time.monotonic()
        await storm.witness.trouble(REFUSALS)
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
    finally:
        store.running.tell(signal.SIGCONT)
    await storm.witness.more(BETWEEN)


async def full(storm: Storm, store: Store) -> None:
    """The store may not take any more memory than it has, until many were refused."""
    storm.strike("the memory of the store was full")
    witness = storm.witness
    async with opened_store(store.url) as opened:
        await opened.send("CONFIG", "SET", "maxmemory", 1 << 20)
        refused = lambda: sum(n for text, n in witness.refused.items() if FULL in text)  # noqa: E731
        goal = refused() + REFUSALS
        await witness.until(lambda: refused() >= goal, "refusals for want of memory")
        await opened.send("CONFIG", "SET", "maxmemory", 0)
    await witness.more(BETWEEN)


async def slow(storm: Storm, store: Store) -> None:
    """Others write to the same disk, and wait for it, all the time."""
    storm.strike("the disk of the store was slow")
    calm_ms = await asyncio.to_thread(_fsync_ms, store.directory)
    with _hogs(store.directory):
        await storm.witness.more(BETWEEN)
        busy_ms = await asyncio.to_thread(_fsync_ms, store.directory)
        await storm.witness.more(BETWEEN)
    storm.outcome.notes.append(
        f"An fsync took {calm_ms:.1f} ms (median of 20) beside the store, and {busy_ms:.1f} ms"
        f" while {WRITERS} others wrote there."
    )


@contextmanager
def _hogs(directory: Path) -> Generator[None]:
    files = [directory / f"hog{number}" for number in range(WRITERS)]
    hogs = [
        subprocess.Popen([sys.executable, "-c", HOG, str(file)])  # noqa: S603 - our own program
        for file in files
    ]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        for file in files:
            file.unlink(missing_ok=True)


def _fsync_ms(directory: Path) -> float:
    """How long an fsync of a little takes there."""
    path = directory / "probe"
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    took: list[float] = []
    try:
        for _ in range(20):
            os.write(file, b"x")
            began = time.monotonic()
            os.fsync(file)
            took.append((time.monotonic() - began) * 1_000)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(took)
