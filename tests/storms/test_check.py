"""The judges of storms: what is wrong, they see."""

from collections.abc import Sequence
from typing import cast

from broker.aggregates.cron import CronFired
from broker.aggregates.generator import ArgumentPacked
from broker.aggregates.process import (
    ProcessAssigned,
    ProcessClosed,
    ProcessRetried,
    ProcessSubmitted,
)
from broker.aggregates.workflow import WorkflowEnded, WorkflowSubmitted
from broker.decision import Event
from tests.storms.check import Verdict, compared
from tests.storms.load import Load
from tests.storms.witness import Ledger

A, B, P = "a" * 64, "b" * 64, "p" * 64


def made(kind: type[Event], subject: str = P, actor: str = A, **fields: object) -> Event:
    """An event of which only what matters here is said."""
    empty = dict.fromkeys(kind.__struct_fields__, "")
    return kind(**{**empty, "at_ns": 0, "subject": subject, "actor": actor, **fields})  # pyright: ignore[reportArgumentType] - nobody reads the others


GIVEN, TO_B = made(ProcessAssigned), made(ProcessAssigned, actor=B)
BORN, BACK = made(ProcessSubmitted), made(ProcessRetried)
DONE = made(ProcessClosed, out=b'["x"]')
FIRED = made(CronFired, "cron", was_next_ns=1, workflow="w")
BEGUN, ENDED = made(WorkflowSubmitted, "w"), made(WorkflowEnded, "w", outcome=2)


def wrong(events: Sequence[Event], ledger: Ledger | None = None) -> list[str]:
    """What is found wrong with a log."""
    load = cast("Load", type("", (), {"ledger": ledger or Ledger()}))
    verdict = Verdict()
    compared(events, load, verdict)
    return verdict.wrong


def test_process_that_was_taken_back_may_be_given_out_again() -> None:
    ledger = Ledger(submitted={P: "x"}, assigned=[(P, A), (P, B)], too_late=[P])

    assert wrong([BORN, GIVEN, BACK, TO_B, made(ProcessClosed, actor=B)], ledger) == []


def test_process_given_out_twice_is_seen() -> None:
    assert "somebody holds it already" in wrong([BORN, GIVEN, TO_B])[0]


def test_process_given_out_after_its_end_is_seen() -> None:
    assert "it has ended" in wrong([BORN, GIVEN, DONE, TO_B])[0]


def test_close_of_an_earlier_holder_is_seen() -> None:
    assert "it was held by" in wrong([BORN, GIVEN, BACK, TO_B, DONE])[0]


def test_second_end_is_seen() -> None:
    assert any("it had ended before" in each for each in wrong([BORN, GIVEN, DONE, DONE]))


def test_process_that_is_held_at_the_end_is_seen() -> None:
    assert wrong([BORN, GIVEN]) == ["1 processes are held still"]


def test_lost_submit_is_seen() -> None:
    assert wrong([], Ledger(submitted={P: "x"})) == [f"{P} was submitted 0 times"]


def test_lost_close_is_seen() -> None:
    ledger = Ledger(closed={P: "y"})

    assert wrong([BORN, GIVEN, DONE], ledger) == [f"the close of {P} is lost"]


def test_run_that_the_log_does_not_know_is_seen() -> None:
    ledger = Ledger(assigned=[(P, A), (P, A)])

    found = wrong([BORN, GIVEN, DONE], ledger)

    assert f"{P} ran 2 times, 1 recorded" in found


def test_refused_close_without_a_retry_is_seen() -> None:
    ledger = Ledger(too_late=[P])

    assert "was refused, and no retry" in wrong([BORN, GIVEN, DONE], ledger)[0]


def test_lost_workflow_is_seen() -> None:
    assert wrong([], Ledger(workflows={"w": []})) == ["workflow w is lost"]


def test_workflow_that_does_not_end_is_seen() -> None:
    assert wrong([BEGUN]) == ["workflow w succeeded 0 times"]


def test_cron_that_fires_once_is_fine() -> None:
    assert wrong([BEGUN, FIRED, ENDED]) == []


def test_time_of_a_cron_that_comes_twice_is_seen() -> None:
    assert "fired 2 times" in wrong([BEGUN, FIRED, FIRED, ENDED])[0]


def test_argument_that_was_packed_twice_is_seen() -> None:
    packed = made(ArgumentPacked, "g", argument="x")

    found = wrong([packed, packed], Ledger(packed=["x"]))

    assert found == ["x was packed 2 times", NOT_PASSED]


NOT_PASSED = "the workflows of the generator did not get what was packed"


def test_argument_that_reached_no_workflow_is_seen() -> None:
    assert wrong([made(ArgumentPacked, "g", argument="x")]) == [NOT_PASSED]
