"""Where the microseconds of a request go: samples of the API workers under load.

``python -m bench.sampling submit | same | drain | live`` starts our server as the bench does, puts
one phase of the lifecycle on it, and shares the processor time of the workers out over the modules
in which it was spent, in microseconds per request (per pair for ``drain``, per lifecycle for
``live``). Python 3.11 and Linux only: it counts with SIGPROF in the workers themselves.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from bench import servers, usage
from bench.connection import connections
from bench.errors import BenchError
from bench.load import Phase
from bench.scenarios.lifecycle import Crew
from bench.servers import Target
from bench.wire import Colony
from broker.settings import Settings

_HERE = Path(__file__).parent
_PROJECT = str(_HERE.parent) + "/"
_PACKAGES = "/site-packages/"
_OWN = ("api/", "broker/", "projections/")
_WARM_UP = 500
_WIDTH = 16
_WRITTEN_WITHIN_S = 10
_LOOK_AGAIN_S = 0.05


@dataclass(slots=True)
class Samples:
    """Counted stacks; a frame is ``file:function``, relative to the project or the packages."""

    total: int = 0
    modules: Counter[str] = field(default_factory=Counter[str])
    functions: Counter[str] = field(default_factory=Counter[str])

    @classmethod
    def read(cls, folder: Path) -> "Samples":
        """What all processes wrote."""
        found = cls()
        for path in folder.glob("*.samples"):
            found.add(path.read_text("utf-8").splitlines())
        return found

    def add(self, lines: Iterable[str]) -> None:
        """Count the lines that one process wrote."""
        for line in lines:
            count, _, stack = line.rstrip("\n").partition(" ")
            frames = [_short(frame) for frame in stack.split(";")]
            self.total += int(count)
            self.modules[module_of(frames)] += int(count)
            self.functions.update(dict.fromkeys(frames, int(count)))


def module_of(frames: Sequence[str]) -> str:
    """Whose time it is: the innermost file of ours, else the outermost package that was called.

    So coincurve's time belongs to broker/identity.py, which asked for it.
    """
    own = [frame for frame in frames if frame.startswith(_OWN)]
    ours = next((frame for frame in reversed(own) if not frame.startswith("api/serve")), None)
    if ours is not None and not _is_inside_http(frames, ours):
        return ours.partition(":")[0]
    return "uvicorn, uvloop and the rest"


def _is_inside_http(frames: Sequence[str], ours: str) -> bool:
    """Whether uvicorn's own work for one of our calls is what is running."""
    inner = frames[frames.index(ours) + 1 :]
    return any(frame.startswith("uvicorn/") for frame in inner)


def _short(frame: str) -> str:
    if frame.startswith(_PROJECT) and _PACKAGES not in frame:
        return frame.removeprefix(_PROJECT)
    return frame.rpartition(_PACKAGES)[2]


async def sample(phase: str, count: int) -> tuple[Samples, Phase]:
    """Put a phase on a new server, and count meanwhile."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        environ = {"BENCH_SAMPLES": name, "PYTHONPATH": f"{_HERE / 'sampler'}:{_PROJECT}"}
        settings = Settings(redis_url="", server_id="", workers=2)
        async with servers.ours(settings, environ) as target:
            measured = await _under_load(target, phase, count, folder)
        return Samples.read(folder), measured


async def _under_load(target: Target, phase: str, count: int, folder: Path) -> Phase:
    colony = Colony.imagine(target.endpoint, "sampling", _WIDTH)
    assigns = [colony.assign(one, timeout_s=10) for one in colony.executors]
    async with connections(target.endpoint, 1) as (connection,):
        await colony.found(connection, target.owner())
    async with servers.even_connections(target, _WIDTH) as opened:
        crew = Crew(target=target, colony=colony, assigns=assigns, connections=opened)
        await crew.live([colony.submit(f"warm-{n}") for n in range(_WARM_UP)])
        requests = [colony.submit(f"{n:07}") for n in range(count)]
        if phase == "drain":
            await crew.submit(requests)
        workers = list(usage.family(target.pid or 0))[1:]
        _tell(workers, signal.SIGUSR1)
        measured = await _run(crew, phase, requests)
        _tell(workers, signal.SIGUSR2)
        await _all_written(folder, len(workers))
    return measured


async def _run(crew: Crew, phase: str, requests: list[bytes]) -> Phase:
    match phase:
        case "drain":
            return await crew.drain(len(requests))
        case "live":
            return await crew.live(requests)
        case "same":
            return await crew.submit(requests[:1] * len(requests))
        case _:
            return await crew.submit(requests)


def _tell(workers: list[int], what: signal.Signals) -> None:
    for pid in workers:
        os.kill(pid, what)


async def _all_written(folder: Path, count: int) -> None:
    async with asyncio.timeout(_WRITTEN_WITHIN_S):
        while _written(folder) < count:  # noqa: ASYNC110 - a file of another process is no event
            await asyncio.sleep(_LOOK_AGAIN_S)


def _written(folder: Path) -> int:
    return len(list(folder.glob("*.samples")))


def _print(samples: Samples, phase: Phase, functions: int) -> None:
    each = phase.values["server cpu us"] / max(1, samples.total)
    table = Table(
        title=f"{phase.rate:,.0f} per second, {phase.values['server cpu us']:,.0f} us of workers'"
        f" processor time each, {samples.total} samples"
    )
    table.add_column("module, or function with all it calls")
    table.add_column("us", justify="right")
    for name, count in samples.modules.most_common():
        table.add_row(name, f"{count * each:.1f}")
    table.add_section()
    own = [one for one in samples.functions.most_common() if one[0].startswith(_OWN)]
    for name, count in own[:functions]:
        table.add_row(name, f"{count * each:.1f}")
    Console(width=100).print(table)


def main() -> int:
    """Sample one phase and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.sampling", description=__doc__)
    parser.add_argument("phase", choices=["submit", "same", "drain", "live"])
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--functions", type=int, default=30)
    given = parser.parse_args()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            samples, phase = runner.run(sample(given.phase, given.count))
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    _print(samples, phase, given.functions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
