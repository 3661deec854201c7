"""What a server process counts while it answers, and the sums over the workers of one server.

Counting is a few steps in plain containers, because every request does it; Prometheus' own classes
come in when somebody asks. Workers share one port, so whichever is asked speaks for all: each
leaves what it has counted in a file beside the others', every second and before it answers. A
worker that is replaced goes on with the counts of the one before it, so that sums never fall.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

BOUNDS_S = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)
"""Upper bounds of the histograms of latency; a long poll takes as long as it waits."""
_FILES = "*.counts"


class Series(Struct):
    """The requests of one type that were answered with one status.

    ``buckets`` holds how many took at most each of BOUNDS_S and more than the one before; the last
    is beyond all of them.
    """

    asked: str
    status: int
    seconds: float
    buckets: list[int]


class Snapshot(Struct):
    """What one or more workers have counted, and what they hold now."""

    requests: list[Series]
    counters: dict[str, int]
    gauges: dict[str, int]


Held = Callable[[], Mapping[str, int]]
"""Numbers by name, as they are now."""


class Tally:
    """The counts of this process."""

    def __init__(self, counters: Held, gauges: Held, share: Path | None = None) -> None:
        """``counters`` began at 0 with this process; ``share`` is its file, beside the others'."""
        self._counters = counters
        self._gauges = gauges
        self._share = share
        self._series: dict[tuple[str, int], Series] = {}
        self._earlier: dict[str, int] = {}
        if share is not None and share.exists():
            before = msgspec.json.decode(share.read_bytes(), type=Snapshot)
            self._series = {(one.asked, one.status): one for one in before.requests}
            self._earlier = before.counters

    def count(self, asked: str, status: int, seconds: float) -> None:
        """One request was answered; ``asked`` is "" when its type is none of ours."""
        series = self._series.get((asked, status))
        if series is None:
            series = Series(asked, status, 0.0, [0] * (len(BOUNDS_S) + 1))
            self._series[asked, status] = series
        series.seconds += seconds
        series.buckets[bisect_left(BOUNDS_S, seconds)] += 1

    async def leave(self) -> None:
        """Leave the counts where other workers find them; a piece of periodic work."""
        self._save()

    def _save(self) -> None:
        if self._share is None:
            return
        fresh = self._share.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._own()))
        os.replace(fresh, self._share)  # noqa: PTH105 - the same call by a shorter name

    def total(self) -> Snapshot:
        """The sums over all workers."""
        if self._share is None:
            return self._own()
        self._save()
        files = sorted(self._share.parent.glob(_FILES))
        return added(msgspec.json.decode(f.read_bytes(), type=Snapshot) for f in files)

    def _own(self) -> Snapshot:
        now = self._counters()
        counters = {name: self._earlier.get(name, 0) + count for name, count in now.items()}
        return Snapshot(list(self._series.values()), counters, dict(self._gauges()))


def share_of(directory: Path, worker: int) -> Path:
    """The file of one worker."""
    return directory / f"{worker}.counts"


def added(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of several."""
    total = Snapshot([], {}, {})
    series: dict[tuple[str, int], Series] = {}
    for snapshot in snapshots:
        for mine, theirs in (
            (total.counters, snapshot.counters),
            (total.gauges, snapshot.gauges),
        ):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        for one in snapshot.requests:
            known = series.setdefault(
                (one.asked, one.status),
                Series(one.asked, one.status, 0.0, [0] * len(one.buckets)),
            )
            known.seconds += one.seconds
            known.buckets = [a + b for a, b in zip(known.buckets, one.buckets, strict=True)]
    total.requests = [series[key] for key in sorted(series)]
    return total
