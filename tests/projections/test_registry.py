"""Every event can be read back, and means something."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.decision import Event
from broker.envelope import entry, read_entry
from broker.errors import BrokerError, Corrupt
from broker.packing import packed
from broker.registry import event_classes, pack, unpack
from projections.core import fold, folded_types
from projections.rows import Rows, encoded
from tests.facts import user_added
from tests.strategies import events

PROOF = b"p" * 97
EACH_TYPE = pytest.mark.parametrize("kind", event_classes(), ids=lambda kind: kind.TYPE)


def stored(event: Event) -> list[bytes | list[bytes]]:
    names = (b"type", b"v", b"subject", b"actor", b"at", b"cause", b"signed", b"body")
    values = map(encoded, entry(event, PROOF))
    return [b"7-0", [part for pair in zip(names, values, strict=True) for part in pair]]


@EACH_TYPE
@settings(max_examples=20)
@given(data=st.data())
def test_event_comes_back_from_the_stream_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events(kind))

    recorded = read_entry(stored(event))

    assert recorded.event == event
    assert (str(recorded.position), recorded.signed) == ("7-0", PROOF)


@EACH_TYPE
@settings(max_examples=20)
@given(data=st.data())
def test_fold_is_pure_and_understood_by_replay(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events(kind))
    rows = Rows()

    first, second = list(fold(event)), list(fold(event))

    assert first == second
    for write in first:
        rows.apply(write)


def test_every_event_type_has_a_fold() -> None:
    assert folded_types() == set(event_classes())


def test_type_names_are_written_out_and_unique() -> None:
    names = [(kind.TYPE, kind.VERSION) for kind in event_classes()]

    assert len(set(names)) == len(names)
    assert all(kind.__dict__.get("TYPE") for kind in event_classes())


@pytest.mark.parametrize(
    ("name", "version", "body"),
    [
        ("Nonsense", 1, packed({})),
        ("ExecutorApproved", 2, packed({})),
        ("ExecutorApproved", 1, packed({"extra": 1})),
        ("ExecutorRemoved", 1, packed({})),
        ("ExecutorApproved", 1, packed([])),
        ("ExecutorApproved", 1, packed({"subject": "x"})),
        ("ExecutorApproved", 1, packed({1: 2})),
        ("ExecutorApproved", 1, b""),
        ("ExecutorApproved", 1, b"\x81"),
        ("ExecutorApproved", 1, b"\xc1"),
        ("ExecutorApproved", 1, packed({}) + b"x"),
    ],
    ids=[
        *("type", "version", "extra", "lacking", "list", "envelope", "number"),
        *("empty", "cut", "reserved", "trailing"),
    ],
)
def test_event_that_cannot_be_read_is_corrupt(name: str, version: int, body: bytes) -> None:
    with pytest.raises(Corrupt):
        unpack(name, version, "s", "a", 1, "", body)


@pytest.mark.parametrize(
    "raw",
    [
        [b"7-0", []],
        [b"7-0", [b"type", b"X"]],
        [b"seven", []],
    ],
    ids=["empty", "lacking", "position"],
)
def test_entry_that_is_not_ours_is_refused(raw: list[bytes | list[bytes]]) -> None:
    with pytest.raises(BrokerError):
        read_entry(raw)


def test_equal_looking_events_are_each_packed_for_themselves() -> None:
    one, two = user_added(name="one"), user_added(name="two")

    packs = [pack(one), pack(two), pack(one), pack(user_added(name="two"))]

    assert packs == [packs[0], packs[1], packs[0], packs[1]]
    assert packs[0] != packs[1]
