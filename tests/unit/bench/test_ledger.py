"""The exactly-once check finds what it is there to find."""

import pytest

from bench.errors import WrongAnswer
from bench.ledger import Ledger


def test_all_submitted_assigned_and_closed_once_is_right() -> None:
    Ledger(["a", "b"], ["b", "a"], ["a", "b"]).check()


def test_those_meant_to_wait_are_right() -> None:
    Ledger(["a", "b", "c"], ["a"], ["a"]).check(waiting=2)


@pytest.mark.parametrize(
    ("ledger", "fault"),
    [
        (Ledger(["a"], ["a", "a"], ["a"]), "assigned more than once (a)"),
        (Ledger(["a"], ["a"], ["a", "a"]), "closed more than once (a)"),
        (Ledger(["a", "a"], ["a"], ["a"]), "submitted more than once (a)"),
        (Ledger(["a", "b"], ["a", "b"], ["a"]), "assigned but never closed (b)"),
        (Ledger(["a", "b"], ["a"], ["a"]), "1 submitted processes were not closed, 0 should"),
        (Ledger(["a"], ["a", "z"], ["a", "z"]), "assigned but never submitted (z)"),
        (Ledger(["a", "b"], ["a"], ["a", "b"]), "closed but never assigned (b)"),
    ],
)
def test_a_lost_or_doubled_process_is_found(ledger: Ledger, fault: str) -> None:
    with pytest.raises(WrongAnswer) as raised:
        ledger.check()
    assert fault in str(raised.value)


def test_a_process_lost_while_waiting_is_found() -> None:
    with pytest.raises(WrongAnswer, match="2 submitted processes were not closed, 3 should"):
        Ledger(["a", "b", "c"], ["a"], ["a"]).check(waiting=3)


def test_many_faults_are_counted_and_a_few_are_shown() -> None:
    ids = [f"{n:02}" for n in range(20)]
    (fault,) = Ledger(ids, ids + ids, ids).faults()
    assert fault == "20 processes were assigned more than once (00, 01, 02, …)"
