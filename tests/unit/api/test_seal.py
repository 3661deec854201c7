"""A sealed log: what is changed, removed or moved in the file is found and named."""

import json
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from api.history.check import Checker
from api.history.seal import BLOCK, FIRST
from broker.aggregates.server import ServerFounded
from broker.decision import Event
from broker.envelope import RawEntry
from broker.errors import Malformed
from broker.identity import Identity, digest
from tests import sealing
from tests.facts import T0, closed, founded
from tests.sealing import Lines, at, checked, exported

WORKER, STRANGER = Identity.from_hex("11" * 32), Identity.from_hex("22" * 32)
EVENTS = BLOCK + 10
SEAL = "c03ed6a51dc65d7bb91a6df084b31dcb6f439e587d7bec717426c908d6a11393"
"""Noted when nothing but digest and signature stood in a log. It must never change."""


def raw(number: int, *, signer: Identity | None = WORKER) -> RawEntry:
    """The entry of a closed process."""
    event = replace(closed(), subject=f"{number:064d}", actor=WORKER.id)
    payload = b"request %d" % number
    proof = digest(payload) + bytes.fromhex(signer.sign(payload)) if signer else b""
    return sealing.raw(number, event, proof)


@pytest.fixture(scope="module")
def whole() -> str:
    """A log of a full block and a bit, as text."""
    return json.dumps(exported([raw(n) for n in range(1, EVENTS + 1)]))


@pytest.fixture
def lines(whole: str) -> Lines:
    return json.loads(whole)


def test_whole_log_is_whole(lines: Lines) -> None:
    report = checked(lines)

    assert (report.events, report.blocks, report.wrong, report.findings) == (EVENTS, 2, 0, [])
    assert report.signers == {WORKER.id: EVENTS}
    assert lines[-1] == {"end": EVENTS, "seal": report.seal}


def test_seals_of_full_blocks_are_the_same_in_every_export(lines: Lines) -> None:
    earlier = exported([raw(n) for n in range(1, BLOCK + 1)])

    assert earlier[-2] == next(line for line in lines if line.get("block") == 1 and "seal" in line)
    assert earlier[-2]["previous"] == FIRST


def test_seals_are_those_of_earlier_versions(lines: Lines) -> None:
    assert lines[-1]["seal"] == SEAL


def changed(lines: Lines, field: str, value: str) -> None:
    lines[at(lines, 7)][field] = value


def swapped(lines: Lines) -> None:
    first, second = at(lines, 7), at(lines, 8)
    lines[first], lines[second] = lines[second], lines[first]


def renumbered(lines: Lines) -> None:
    """Removed so that the numbers do not show it."""
    del lines[at(lines, 7)]
    for line in lines:
        if line.get("n", 0) > 7:
            line["n"] -= 1
    lines[-1]["end"] -= 1


def exchanged(lines: Lines) -> None:
    """Another event in its place, with the hash that the other one had."""
    place = at(lines, 7)
    other = exported([raw(9)])[1]
    lines[place] = {**other, "n": 7, "position": "7-0"}


SAY = "event 7 at 7-0 (ProcessClosed)"
TAMPERED: dict[str, tuple[Callable[[Lines], object], str]] = {
    **{
        f"changed {field}": (lambda lines, f=field: changed(lines, f, "00"), f"{SAY} was changed")
        for field in ("subject", "actor", "at", "cause", "v")
    },
    "changed type": (lambda x: changed(x, "type", "Other"), "event 7 at 7-0 (Other) was changed"),
    "changed body": (lambda x: changed(x, "body", "gA=="), f"{SAY} was changed"),
    "changed time": (lambda x: changed(x, "position", "6-5"), "event 7 at 6-5 (ProcessClosed) was"),
    "unreadable": (lambda x: changed(x, "body", "!"), f"line {7 + 1} is no event"),
    "removed": (lambda x: x.pop(at(x, 7)), "event 7 is missing, before event 8 at 8-0"),
    "renumbered": (renumbered, "block 1 (1-0 to 1000-0) was sealed with 1000 events and has 999"),
    "moved": (swapped, "event 7 is missing, before event 8 at 8-0"),
    "repeated": (lambda x: x.insert(at(x, 8), x[at(x, 7)]), f"{SAY} stands behind event 7"),
    "exchanged": (exchanged, "event 7 at 7-0 (ProcessClosed) was changed"),
    "cut off": (lambda x: x.pop(), f"the end is missing: nothing follows event {EVENTS}"),
    "seal removed": (
        lambda x: x.pop(BLOCK + 1),
        "block 2 (1001-0 to 1010-0) does not follow block 0",
    ),
    "seal changed": (
        lambda x: x[BLOCK + 1].update(seal="00" * 32),
        "block 1 (1-0 to 1000-0) is not what was sealed",
    ),
    "added behind": (lambda x: x.append(x[3]), f"line {EVENTS + 5} stands after the end"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_done_to_the_file_is_named(lines: Lines, name: str) -> None:
    tamper, finding = TAMPERED[name]
    tamper(lines)

    report = checked(lines)

    assert any(said.startswith(finding) for said in report.findings), report.findings


def test_event_signed_by_somebody_else_is_named() -> None:
    report = checked(exported([raw(1), raw(2, signer=STRANGER), raw(3)]))

    said = f"event 2 at 2-0 (ProcessClosed) names {WORKER.id}, but was signed by {STRANGER.id}"
    assert report.findings == [said]


def test_what_the_server_did_by_itself_needs_no_signature() -> None:
    report = checked(exported([raw(1, signer=None), raw(2)]))

    assert (report.unsigned, report.findings) == (1, [])


def test_request_is_known_by_its_bytes() -> None:
    log = exported([raw(1), raw(2), raw(3)])

    assert checked(log, b"request 2").found == ["event 2 at 2-0 (ProcessClosed)"]
    assert checked(log, b"request 4").found == []


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"x", b'{"format":"colonies-history/9"}', b"[" * 100_000]
)
def test_other_file_is_no_log(text: bytes) -> None:
    with pytest.raises(Malformed):
        Checker().run([text])


def test_line_that_is_no_json_is_named(lines: Lines) -> None:
    texts = [json.dumps(line).encode() for line in lines]
    texts[3] = b"\xff{"

    assert "line 4 cannot be read" in Checker().run(texts).findings


@pytest.mark.parametrize(
    ("begins", "given", "whose", "named"),
    [
        (founded(), "other", "dev", "other"),
        (founded(), "", "dev", "the server"),
        (ServerFounded(subject=WORKER.id, actor="", at_ns=T0), "other", "the server", "other"),
    ],
)
def test_log_that_is_given_another_name_is_named(
    begins: Event, given: str, whose: str, named: str
) -> None:
    lines = exported([sealing.raw(1, begins, b"")])
    lines[0]["colony"] = given

    assert checked(lines).findings == [
        f"event 1 at 1-0 ({begins.TYPE}) begins the log of {whose}, the file is named after {named}"
    ]


def test_log_that_has_its_own_name_is_whole() -> None:
    assert checked(exported([sealing.raw(1, founded(), b"")])).findings == []


@pytest.mark.parametrize("text", [b'{"n":1e999}', b'{"block":1e999}', b"[" * 100_000])
def test_line_that_is_too_much_for_python_is_named(lines: Lines, text: bytes) -> None:
    texts = [json.dumps(line).encode() for line in lines]
    texts[3] = text

    assert any(said.startswith("line 4 ") for said in Checker().run(texts).findings)


def test_empty_file_is_no_log() -> None:
    with pytest.raises(Malformed):
        Checker().run([])
