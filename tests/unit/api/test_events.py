"""Events as the feed shows them."""

import base64
import json

import pytest

from api.events import shown
from broker.aggregates.executor import ExecutorIdChanged
from broker.aggregates.process import OutputSet, ProcessClosed
from broker.decision import Event
from broker.envelope import FIELDS, entry
from broker.feed import Entry
from broker.registry import body_fields, event_classes
from tests.facts import T0

ENVELOPE = {"type", "version", "subject", "actor", "at", "cause"}


def arrived(event: Event) -> Entry:
    """An event as it is read from the stream."""
    values = (
        value if isinstance(value, bytes) else str(value).encode() for value in entry(event, b"")
    )
    flat = [
        part for pair in zip((f.encode() for f in FIELDS), values, strict=True) for part in pair
    ]
    return Entry([b"7-1", flat])


def block(event: Event) -> list[str]:
    return shown(arrived(event)).decode().split("\n")


def test_event_is_one_block_of_lines_whatever_white_space_it_holds() -> None:
    event = OutputSet(subject="p", actor="e", at_ns=T0, out=b'["a\\nb",\r\n 1\n]')

    position, kind, data, *rest = block(event)

    assert (position, kind, rest) == ("id: 7-1", "event: OutputSet", ["", ""])
    assert json.loads(data.removeprefix("data: "))["out"] == ["a\nb", 1]


def test_bytes_that_are_no_json_are_base64() -> None:
    row = {"a": b"\x81\xff", "b": b"1", "c": b""}
    event = ExecutorIdChanged(subject="n", actor="e", at_ns=T0, old_id="o", name="x", row=row)

    told = json.loads(block(event)[2].removeprefix("data: "))

    assert base64.b64decode(told["row"]["a"]) == b"\x81\xff"
    assert (told["row"]["b"], told["row"]["c"], told["old_id"]) == (1, "", "o")


def test_event_is_encoded_once() -> None:
    closed = ProcessClosed(
        subject="p",
        actor="e",
        at_ns=T0,
        outcome=2,
        out=None,
        errors=[],
        function="f",
        executor_name="x",
        waited_ns=1,
        ran_ns=2,
    )
    one = arrived(closed)

    assert shown(one) is shown(one)
    assert json.loads(shown(one).split(b"data: ")[1])["out"] is None


@pytest.mark.parametrize("kind", event_classes(), ids=lambda kind: kind.TYPE)
def test_no_field_of_a_body_hides_one_of_the_envelope(kind: type[Event]) -> None:
    assert not ENVELOPE & set(body_fields(kind))
