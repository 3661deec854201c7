"""Percentiles are exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.latency import Latencies, percentile


def test_percentile_is_the_nearest_rank() -> None:
    ordered = [float(n) for n in range(1, 1001)]
    assert [percentile(ordered, percent) for percent in (50, 99, 99.9, 100)] == [
        500,
        990,
        999,
        1000,
    ]


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 50) == percentile([7.0], 99.9) == 7.0


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 50)


@given(
    st.lists(st.floats(0, 1e3), min_size=1).map(sorted),
    st.integers(1, 1000).map(lambda n: n / 10),
)
def test_enough_values_lie_at_or_below_a_percentile(ordered: list[float], percent: float) -> None:
    found = percentile(ordered, percent)
    below = sum(value <= found for value in ordered)
    smaller = sum(value < found for value in ordered)
    assert smaller < len(ordered) * percent / 100 + 1e-6
    assert below >= len(ordered) * percent / 100 - 1e-6


def test_summary_is_in_microseconds_and_independent_of_order() -> None:
    latencies = Latencies([0.003, 0.001])
    latencies.add(0.002)
    summary = latencies.summary()
    assert summary.as_dict() == pytest.approx(
        {
            "count": 3,
            "mean_us": 2000,
            "p50_us": 2000,
            "p99_us": 3000,
            "p999_us": 3000,
            "max_us": 3000,
        }
    )


def test_one_stall_in_a_thousand_shows_in_the_last_percentile_only() -> None:
    summary = Latencies([0.001] * 998 + [1.0] * 2).summary()
    assert (summary.p99_us, summary.p999_us) == pytest.approx((1e3, 1e6))
