"""Counts of requests: within bounds, summed over workers, kept when a worker is replaced."""

from collections.abc import Mapping
from pathlib import Path

from api.tally import BOUNDS_S, Tally, share_of


def nothing() -> Mapping[str, int]:
    return {}


def test_a_request_counts_in_the_first_bucket_that_holds_it() -> None:
    tally = Tally(nothing, nothing)
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, BOUNDS_S[-1] + 1):
        tally.count("versionmsg", 200, seconds)
    (series,) = tally.total().requests
    assert (series.asked, series.status) == ("versionmsg", 200)
    assert series.buckets == [2, 1] + [0] * (len(BOUNDS_S) - 2) + [1]
    assert series.seconds == BOUNDS_S[0] * 2.01 + BOUNDS_S[-1] + 1


def test_statuses_are_told_apart() -> None:
    tally = Tally(nothing, nothing)
    tally.count("getcolonymsg", 200, 0.1)
    tally.count("getcolonymsg", 403, 0.1)
    assert [one.status for one in tally.total().requests] == [200, 403]


async def test_every_worker_tells_the_sum_of_all(tmp_path: Path) -> None:
    first = Tally(lambda: {"conflicts": 1}, lambda: {"waiting": 5}, share_of(tmp_path, 0))
    second = Tally(lambda: {"conflicts": 2}, lambda: {"waiting": 7}, share_of(tmp_path, 1))
    for tally in (first, second, second):
        tally.count("versionmsg", 200, 0.0)
    await first.leave()
    await second.leave()
    for tally in (first, second):
        total = tally.total()
        assert total.counters == {"conflicts": 3}
        assert total.gauges == {"waiting": 12}
        assert sum(total.requests[0].buckets) == 3


async def test_a_worker_goes_on_where_the_one_before_it_was_killed(tmp_path: Path) -> None:
    share = share_of(tmp_path, 0)
    killed = Tally(lambda: {"conflicts": 4}, lambda: {"waiting": 9}, share)
    killed.count("versionmsg", 200, 0.0)
    await killed.leave()
    after = Tally(lambda: {"conflicts": 1}, lambda: {"waiting": 0}, share)
    after.count("versionmsg", 200, 0.0)
    total = after.total()
    assert total.counters == {"conflicts": 5}
    assert total.gauges == {"waiting": 0}
    assert sum(total.requests[0].buckets) == 2


def test_what_was_shown_is_never_taken_back(tmp_path: Path) -> None:
    """Whoever shows its counts has left them first: a successor begins with no less."""
    share = share_of(tmp_path, 0)
    shown = Tally(nothing, nothing, share)
    shown.count("versionmsg", 200, 0.0)
    before = shown.total()
    assert Tally(nothing, nothing, share).total() == before
