"""What a socket says otherwise is promised, not excused: it has to be there, and be as listed."""

from pathlib import Path

import pytest

from tests.contract.answer import Answer, Envelope, Json
from tests.contract.names import Names
from tests.contract.transcripts import SAID, Frame, Item, read_retellings, unheard


def told(payload: object, kind: str = "eventmsg") -> Item:
    frame = {"payloadtype": kind, "error": False, "payload": payload}
    return Item(transcript="t", dir=SAID, frame=frame, place="small/t#1")


def said(item: Item) -> Answer:
    return item.answer()


def promised(frame: Frame, *recorded: Item) -> Envelope:
    items = {f"small/t#{number}": item for number, item in enumerate(recorded, start=1)}
    body = frame.answer("askedmsg", items).body
    assert isinstance(body, Envelope)
    return body


def test_frame_as_recorded_passes() -> None:
    assert unheard(said(told([1])), said(told([1])), told([1]), Names(), "") == []


def test_other_frame_than_recorded_is_a_problem() -> None:
    (problem,) = unheard(said(told([1])), said(told([2])), told([1]), Names(), "")

    assert problem.startswith("small/t#1: ")


def test_listed_frame_passes() -> None:
    assert unheard(said(told([2])), said(told([2])), told([1]), Names(), "listed") == []


def test_listed_frame_that_is_the_recorded_one_again_is_a_problem() -> None:
    problems = unheard(said(told([2])), said(told([1])), told([1]), Names(), "listed")

    assert "small/t#1: no longer different, take it off the list: listed" in problems


def test_frame_is_a_payload_a_refusal_or_like_others() -> None:
    assert promised(Frame(payload="[]")) == Envelope("askedmsg", error=False, payload=[])
    refusal: Json = {"status": 403, "message": "no"}
    assert promised(Frame(status=403, message="no")) == Envelope(
        "error", error=True, payload=refusal
    )
    one, two = told([{"n": 1}]), told([{"n": 2}])
    assert promised(Frame(like=["small/t#2"]), one, two).payload == [{"n": 2}]
    both = ["small/t#1", "small/t#2"]
    assert promised(Frame(like=both), one, two).payload == [{"n": 1}, {"n": 2}]
    changed = Frame(like=["small/t#1"], set={"0.n": 3})
    assert promised(changed, one).payload == [{"n": 3}]


@pytest.mark.parametrize("frame", [Frame(), Frame(payload="[]", status=400)])
def test_frame_that_says_nothing_or_too_much_is_refused(frame: Frame) -> None:
    with pytest.raises(ValueError, match="is like others"):
        promised(frame)


def test_retelling_is_read_with_its_title_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "compatibility.md"
    block = '```toml\n[[retold]]\nitem = "small/t#1"\nframes = [{ payload = "[]" }]\n```\n'
    file.write_text(f"### One\nBecause.\n\n{block}")

    read = read_retellings(file)["small/t#1"]

    assert (read.title, read.reason, read.frames) == ("One", "Because.", [Frame(payload="[]")])
