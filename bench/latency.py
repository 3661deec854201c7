"""Latencies, kept one by one: percentiles are exact and nothing is averaged away."""

import math
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The shape of many latencies, in microseconds."""

    count: int
    mean_us: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float

    def as_dict(self) -> dict[str, float]:
        """The fields by name, as they are stored."""
        return asdict(self)


class Latencies:
    """A growing list of latencies, in seconds; eight bytes each."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._seconds = array("d", seconds)
        self.add = self._seconds.append

    def __len__(self) -> int:
        return len(self._seconds)

    def summary(self) -> Summary:
        """Percentiles by nearest rank: each is a latency that was really seen.

        Raises:
            ValueError: nothing was added.
        """
        ordered = sorted(self._seconds)
        return Summary(
            count=len(ordered),
            mean_us=math.fsum(ordered) / max(1, len(ordered)) * 1e6,
            p50_us=percentile(ordered, 50) * 1e6,
            p99_us=percentile(ordered, 99) * 1e6,
            p999_us=percentile(ordered, 99.9) * 1e6,
            max_us=percentile(ordered, 100) * 1e6,
        )


def percentile(ordered: list[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of the ascending values do not exceed.

    Raises:
        ValueError: there is no value.
    """
    if not ordered:
        raise ValueError("no percentile of nothing")
    # Rounding first: 99.9 percent of 1000 is 999.0000000000001 in binary, which is rank 999.
    rank = math.ceil(round(len(ordered) * percent / 100, 6))
    return ordered[max(1, rank) - 1]
