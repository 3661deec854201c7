"""Fewer writes with the same effect."""

from hypothesis import given
from hypothesis import strategies as st

from broker.decision import Write, hdel, hincrby, hput, sadd, zadd, zlower, zraise, zrem
from broker.keys import Key
from projections.functions import FUNCTIONS
from projections.merging import merged
from projections.rows import Rows, Value
from tests.projections.test_rebuild import ends

COUNTS, BOUNDS, NAMES = Key("counts"), Key("bounds"), Key("names")
names = st.sampled_from(["a", "b"])
numbers = st.integers(-3, 3)
writes = st.lists(
    st.one_of(
        st.builds(hincrby, st.sampled_from([COUNTS, Key("others")]), names, numbers),
        st.builds(zlower, st.just(BOUNDS), numbers, names),
        st.builds(zraise, st.just(BOUNDS), numbers, names),
        st.builds(zadd, st.just(BOUNDS), numbers, names),
        st.builds(zrem, st.just(BOUNDS), names),
        st.builds(hput, st.just(COUNTS), names, numbers),
        st.builds(hdel, st.just(COUNTS), names),
        st.builds(sadd, st.just(NAMES), names),
    ),
    max_size=30,
)


def effect(of: list[Write]) -> dict[Key, Value]:
    rows = Rows()
    for write in of:
        rows.apply(write)
    return rows.values()


@given(writes)
def test_effect_is_the_same(several: list[Write]) -> None:
    assert effect(merged(several)) == effect(several)


def test_a_batch_adds_to_each_counter_and_moves_each_bound_once() -> None:
    several = [write for end in ends(500) for write in FUNCTIONS.fold(end)]

    fewer = merged(several)

    # Two functions: their count, and of two times the sum, the least, the most and each bucket.
    slots = [(command, key, args[0], args[-1]) for command, key, args in fewer]
    assert len(slots) == len(set(slots)) < 50 < len(several)
    assert effect(fewer) == effect(several)


def test_what_replaces_stays_where_it_was() -> None:
    several = [
        hincrby(COUNTS, "a"),
        hput(COUNTS, "a", 7),
        hincrby(COUNTS, "a"),
        hincrby(COUNTS, "a"),
    ]

    assert merged(several) == [hincrby(COUNTS, "a"), hput(COUNTS, "a", 7), hincrby(COUNTS, "a", 2)]
