"""Function statistics: how often, how long waited, how long run, by executor and function.

Counters and sums add up, minima and maxima are kept by scores that only fall or only rise; so the
fold reads nothing. Histograms count by powers of two of milliseconds, for percentiles.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from broker import keys
from broker.aggregates.process import ProcessClosed, State
from broker.clock import MS_NS, SECOND_NS, US_NS
from broker.decision import Event, Write, hincrby, zlower, zraise
from broker.keys import Key, Tag
from broker.reading import as_hash
from broker.remembered import remembered
from broker.store import EventStore
from projections import builds
from projections.projection import Projection

NAME = "functions"
VERSION = 1
_SECOND_US = 1_000_000
_SUCCESS = int(State.SUCCESS)


class _Measure(NamedTuple):
    """The fields in which one kind of duration is kept."""

    us: str
    below: str
    least: str
    most: str

    @classmethod
    def of(cls, what: str) -> "_Measure":
        return cls(f"{what}_us", f"{what}_ms<", f"{what}_least", f"{what}_most")


_WAITED, _RAN = _Measure.of("waited"), _Measure.of("ran")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds: least, most and mean over all successful runs.

    ``below_ms`` is the histogram: how many took less than so many milliseconds, a power of two,
    and not less than half of it.
    """

    least: float
    most: float
    mean: float
    below_ms: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatistics:
    """What one executor's successful runs of one function took."""

    count: int
    waited: Timing
    ran: Timing


_NEVER = Timing(least=0, most=0, mean=0)
NEVER_RUN = FunctionStatistics(count=0, waited=_NEVER, ran=_NEVER)


def _fold(event: Event) -> Iterator[Write]:
    if not isinstance(event, ProcessClosed) or event.outcome != _SUCCESS:
        return
    sums, bounds = _keys(_row(event.executor_name, event.function))
    yield hincrby(sums, "count")
    for measure, ns in ((_WAITED, event.waited_ns), (_RAN, event.ran_ns)):
        took_ns = max(ns, 0)
        yield hincrby(sums, measure.us, took_ns // US_NS)
        yield hincrby(sums, f"{measure.below}{_bucket(took_ns)}")
        yield zlower(bounds, took_ns, measure.least)
        yield zraise(bounds, took_ns, measure.most)


def _bucket(took_ns: int) -> int:
    """The smallest power of two of milliseconds above a duration."""
    return 1 << (took_ns // MS_NS).bit_length()


@remembered(most=1_024, longest=512)
def _keys(row: str) -> tuple[Key, Key]:
    """The sums and the bounds of an executor and a function."""
    sums, bounds = f"sums:{row}", f"bounds:{row}"
    return keys.projected(NAME, VERSION, sums), keys.projected(NAME, VERSION, bounds)


def _row(executor: str, function: str) -> str:
    return f"{executor}/{function}"


FUNCTIONS = Projection(
    name=NAME,
    version=VERSION,
    fold=_fold,
    reads=frozenset({ProcessClosed.TYPE}),
)


async def read(
    store: EventStore, tag: Tag, pairs: list[tuple[str, str]]
) -> list[FunctionStatistics]:
    """Statistics of pairs of executor and function name."""
    if not pairs:
        return []
    build, asked = 0, -1
    replies: list[Any] = []
    # Which build is served is asked behind the rows: then these were still there.
    while build != asked:
        asked = build
        question = builds.asking(tag, FUNCTIONS)
        *replies, answer = await store.read(*_rows_of(tag, pairs, build), question)
        build = builds.told(answer)
    return [
        _statistics(as_hash(sums), as_hash(bounds))
        for sums, bounds in zip(replies[::2], replies[1::2], strict=True)
    ]


def _rows_of(tag: Tag, pairs: list[tuple[str, str]], build: int) -> Iterator[tuple[str, ...]]:
    for executor, function in pairs:
        sums, bounds = (
            builds.place(FUNCTIONS, build, key) for key in _keys(_row(executor, function))
        )
        yield ("HGETALL", tag.key(sums))
        yield ("ZRANGE", tag.key(bounds), "0", "-1", "WITHSCORES")


def _statistics(sums: Mapping[bytes, bytes], bounds: Mapping[bytes, bytes]) -> FunctionStatistics:
    count = int(sums.get(b"count", b"0"))
    if not count:
        return NEVER_RUN

    def timing(measure: _Measure) -> Timing:
        least = float(bounds[measure.least.encode()]) / SECOND_NS
        mean = int(sums[measure.us.encode()]) / count / _SECOND_US
        return Timing(
            least=least,
            most=float(bounds[measure.most.encode()]) / SECOND_NS,
            # Whole microseconds are summed, so what is alike may come out less than each of it.
            mean=max(mean, least),
            below_ms=_histogram(sums, measure),
        )

    return FunctionStatistics(count=count, waited=timing(_WAITED), ran=timing(_RAN))


def _histogram(sums: Mapping[bytes, bytes], measure: _Measure) -> Mapping[int, int]:
    """The buckets of a row, the shortest durations first."""
    prefix = measure.below.encode()
    buckets = (name for name in sums if name.startswith(prefix))
    bounds = sorted(int(name.removeprefix(prefix)) for name in buckets)
    return {bound: int(sums[prefix + str(bound).encode()]) for bound in bounds}
