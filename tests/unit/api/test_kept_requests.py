"""A log that keeps requests: what was asked is in the file, and whatever was not is found."""

import base64
import json
from typing import Any

import pytest
from msgspec.structs import replace

from broker.envelope import RawEntry
from broker.identity import Identity, digest
from tests import sealing
from tests.facts import closed
from tests.sealing import at, checked, exported

WORKER = Identity.from_hex("11" * 32)
SAY = "event 1 at 1-0 (ProcessClosed)"
MEGABYTES = 8 * 1024**2


def payload(text: bytes) -> bytes:
    """What is signed of a message."""
    return base64.b64encode(text)


def message(number: int) -> str:
    """An ordinary message."""
    return f'{{"msgtype":"closesuccessfulmsg","processid":"{number:064d}"}}'


def wish(number: int = 1) -> bytes:
    """What is signed of it."""
    return payload(message(number).encode())


def asked(
    request: bytes, *, first: int = 1, events: int = 1, kept: bytes | None = None
) -> list[RawEntry]:
    """The events of a request that is kept; with ``kept``, that stands in its place."""
    proof = digest(request) + bytes.fromhex(WORKER.sign(request))
    event = replace(closed(), actor=WORKER.id)
    carried = [proof + (request if kept is None else kept), *[proof] * (events - 1)]
    return [sealing.raw(first + n, event, signed) for n, signed in enumerate(carried)]


def test_request_is_in_the_file_as_it_was_signed() -> None:
    _, first, second, *_ = exported(asked(wish(), events=2))

    assert first["request"].encode() == wish()
    assert digest(first["request"].encode()).hex() == first["digest"] == second["digest"]
    assert "request" not in second


def test_events_are_counted_whose_request_is_in_the_file() -> None:
    unsigned = sealing.raw(6, replace(closed(), actor=""), b"")
    entries = [*asked(wish(1), events=3), *asked(wish(2), first=4, events=2, kept=b""), unsigned]

    report = checked(exported(entries))

    assert (report.events, report.requests, report.unsigned) == (6, 3, 1)
    assert (report.messages, report.findings) == ({"closesuccessfulmsg": 1}, [])


def test_who_asked_for_what_is_shown_when_that_is_wanted() -> None:
    lines = exported([*asked(wish(1), events=2), *asked(wish(2), first=3)])

    shown = checked(lines, show=True).shown

    assert shown == [
        f"{SAY}: {WORKER.id} asked for {message(1)}",
        f"event 3 at 3-0 (ProcessClosed): {WORKER.id} asked for {message(2)}",
    ]
    assert checked(lines).shown == []


def test_request_that_is_looked_for_is_found_beside_those_that_are_kept() -> None:
    lines = exported([*asked(wish(1), events=2), *asked(wish(2), first=3)])

    found = checked(lines, wish(1)).found

    assert found == [SAY, "event 2 at 2-0 (ProcessClosed)"]


# ---------------------------------------------------------------- what was done to the file


@pytest.mark.parametrize("change", [wish(2).decode(), "", "x"])
def test_request_that_was_changed_in_the_file_is_named(change: str) -> None:
    lines = exported(asked(wish()))
    lines[at(lines, 1)]["request"] = change

    report = checked(lines)

    assert f"{SAY} was changed" in report.findings
    assert report.requests == 0


def test_request_that_was_taken_out_is_named() -> None:
    lines = exported(asked(wish()))
    del lines[at(lines, 1)]["request"]

    assert checked(lines).findings == [f"{SAY} was changed"]


def test_other_request_beside_a_signature_is_named_though_the_seals_fit() -> None:
    report = checked(exported(asked(wish(1), events=2, kept=wish(2))))

    assert report.findings == [f"{SAY} has a request that was changed: its digest is another"]
    assert (report.requests, report.messages) == (0, {})


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (b"!", "it is no base64"),
        (b"e30", "it is no base64"),
        (b"\xff\xfe", "it is no base64"),
        ("é".encode(), "it is no base64"),
        (payload(b"close it"), "it is no message in JSON"),
        (payload(b"\xff{"), "it is no message in JSON"),
        (payload(b"[" * 100_000), "it is no message in JSON"),
        (payload(b'{"msgtype":"x","a":' + b"[" * 100_000), "it is no message in JSON"),
        (payload(b"[]"), "it is no message in JSON"),
        (payload(b'{"msgtype":5}'), "it is no message in JSON"),
        (payload(b'{"msgtype":"x","MSGTYPE":5}'), "it is no message in JSON"),
        (payload(b'{"msgtype":"x","a":1'), "it is no message in JSON"),
        (payload(b'{"a":1e999}'), "it names no message"),
        (payload(b"{}"), "it names no message"),
        (payload(b" " * MEGABYTES), "it is no message in JSON"),
    ],
    ids=lambda part: repr(part)[:32],
)
def test_request_that_no_server_accepts_is_named(request_: bytes, fault: str) -> None:
    report = checked(exported(asked(request_)))

    assert any(said.startswith(f"{SAY} ") for said in report.findings), report.findings
    if request_.isascii():
        assert report.findings == [f"{SAY} has a request that no server accepts: {fault}"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"msgtype":"x","n":1e999}',
        b'{"msgtype":"x","n":%s}' % (b"9" * 5_000),
        b'{"MsgType":"x"}',
        b'{"msgtype":"x","text":"%s"}' % (b"a" * MEGABYTES),
        b' {"a":{"msgtype":"y"},\n"msgtype":"x"} ',
        b'{"msgtype":"y","MSGTYPE":"x"}',
        b'{"MSGTYPE":"y","msgtype":"x","MsgType":null}',
        b'{"msgtype":null,"MsgType":"x"}',
        b'{"msgtype":5,"msgtype":"x"}',
    ],
    ids=lambda text: repr(text)[:32],
)
def test_unusual_request_is_read_as_the_server_does(text: bytes) -> None:
    report = checked(exported(asked(payload(text))))

    assert (report.findings, report.messages) == ([], {"x": 1})


@pytest.mark.parametrize("value", [5, None, [], {}, True, "\ud800"])
def test_request_that_is_no_text_is_named(value: Any) -> None:  # noqa: ANN401 - JSON
    lines = exported(asked(wish()))
    lines[at(lines, 1)]["request"] = value

    assert "line 2 is no event" in checked(lines).findings


@pytest.mark.parametrize("digest_", ["", "00", "zz", "00" * 31, "00" * 33])
def test_request_without_the_digest_of_one_is_named(digest_: str) -> None:
    lines = json.loads(json.dumps(exported(asked(wish()))))
    lines[at(lines, 1)]["digest"] = digest_

    report = checked(lines)

    assert report.wrong
    assert report.requests == 0
