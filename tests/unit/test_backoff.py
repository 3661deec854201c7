"""Delays before retries."""

from hypothesis import given
from hypothesis import strategies as st

from broker.aggregates.backoff import MOST_S, Backoff, backoff_in
from tests.strategies import IDS

_SECOND_NS = 1_000_000_000


def _backoff(initial: float, more: float, factor: float, jitter: float) -> Backoff:
    return Backoff(initial=initial, maximum=initial + more, factor=factor, jitter=jitter)


_BACKOFFS = st.builds(
    _backoff,
    st.floats(0.001, MOST_S / 2),
    st.floats(0, MOST_S / 2),
    st.floats(1, MOST_S),
    st.floats(0, 1),
)


@given(backoff=_BACKOFFS, process_id=IDS, retry=st.integers(1, 2**63 - 1))
def test_delay_is_within_its_bounds(backoff: Backoff, process_id: str, retry: int) -> None:
    backoff.check()

    delay_ns = backoff.delay_ns(process_id, retry)

    least = backoff.initial * (1 - backoff.jitter) * _SECOND_NS
    most = backoff.maximum * (1 + backoff.jitter) * _SECOND_NS
    assert least * 0.999 - 1 <= delay_ns <= most * 1.001 + 1
    assert delay_ns == backoff.delay_ns(process_id, retry)


@given(backoff=_BACKOFFS, process_id=IDS, retry=st.integers(1, 1000))
def test_delays_do_not_shrink_without_jitter(backoff: Backoff, process_id: str, retry: int) -> None:
    steady = Backoff(initial=backoff.initial, maximum=backoff.maximum, factor=backoff.factor)

    later = steady.delay_ns(process_id, retry + 1)

    assert later >= steady.delay_ns(process_id, retry) * 0.999


def test_delays_double_until_the_maximum() -> None:
    backoff = Backoff(initial=1, factor=2, maximum=10)

    delays = [backoff.delay_ns("f" * 64, retry) / _SECOND_NS for retry in range(1, 7)]

    assert [round(delay, 6) for delay in delays] == [1, 2, 4, 8, 10, 10]


def test_jitter_spreads_what_failed_together() -> None:
    backoff = Backoff(initial=100, jitter=0.5)

    delays = {backoff.delay_ns(f"{n:064x}", 1) // _SECOND_NS for n in range(100)}

    assert min(delays) < 65
    assert max(delays) > 135


def test_spec_without_backoff_has_none() -> None:
    assert backoff_in(b'{"funcname":"echo","args":[1,{"retrybackoff":3}]}') is None
    assert backoff_in(b'{"retrybackoff":{"initial":5,"factor":2}}') == Backoff(initial=5)
