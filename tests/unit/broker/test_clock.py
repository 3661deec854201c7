"""The clock: the store's time, and never the same moment twice."""

import time
from itertools import pairwise

from broker.clock import StoreClock

SECOND = 1_000_000_000


def test_no_moment_comes_twice() -> None:
    clock = StoreClock()
    moments = [clock.now_ns() for _ in range(10_000)]

    assert all(one < two for one, two in pairwise(moments))


def test_clock_takes_over_the_time_of_the_store() -> None:
    clock, now = StoreClock(), time.monotonic_ns()

    clock.synchronise(now, 42 * SECOND * SECOND, now)

    assert 0 <= clock.now_ns() - 42 * SECOND * SECOND < 60 * SECOND


def test_clock_that_is_set_back_goes_on() -> None:
    clock, now = StoreClock(), time.monotonic_ns()
    before = clock.now_ns()

    clock.synchronise(now, 5, now)

    assert clock.now_ns() > before


def test_answer_of_the_store_counts_from_the_middle_of_the_question() -> None:
    clock, now = StoreClock(), time.monotonic_ns()

    clock.synchronise(now - 2 * SECOND, 10**18, now)

    assert 10**18 + SECOND <= clock.now_ns() < 10**18 + 60 * SECOND
