"""What was just submitted is shown as any process is, put together in a shorter way."""

from hypothesis import given
from hypothesis import strategies as st

from api import wire
from api.present import process_of_event, shown_submission
from broker.aggregates.process import NodeSubmitted, ProcessSubmitted
from tests import strategies

SPECS = st.dictionaries(strategies.TEXTS, strategies.TEXTS | st.just("%b %d %%")).map(wire.encode)


def events(kind: type[ProcessSubmitted]) -> st.SearchStrategy[ProcessSubmitted]:
    return st.builds(
        kind,
        subject=strategies.IDS,
        actor=strategies.IDS,
        at_ns=st.integers(0, 2**62),
        spec=SPECS,
        initiator_name=strategies.TEXTS,
        priority_time=strategies.INT64,
        wait_deadline_ns=st.just(0) | st.integers(1, 2**62),
        env=st.dictionaries(strategies.TEXTS, strategies.TEXTS, max_size=2),
    )


@given(events(ProcessSubmitted) | events(NodeSubmitted))
def test_a_submission_is_shown_as_its_event_is(event: ProcessSubmitted) -> None:
    assert shown_submission(event, "colony") == wire.encode(process_of_event(event, "colony"))
