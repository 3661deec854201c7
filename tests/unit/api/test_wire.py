"""Messages are read as leniently as the reference reads them, and any other bytes are refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import wire, wire_executor, wire_process
from broker.errors import Malformed
from tests.strategies import TEXTS

KINDS: list[type[wire.Wire]] = [
    wire.Request,
    wire_process.AssignProcessMsg,
    wire_executor.AddExecutorMsg,
    wire_process.SubmitFuncSpecMsg,
    wire_process.CloseFailedMsg,
    wire_process.SetOutputMsg,
]
END_OF_2261_NS = 9_214_646_399_999_999_999
DEEP = b"[" * 100_000 + b"]" * 100_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def assign(text: bytes) -> wire_process.AssignProcessMsg:
    return wire.decode(text, wire_process.AssignProcessMsg)


@pytest.mark.parametrize(
    "text",
    [
        b'{"colonyname":"dev","timeout":5}',
        b'{"ColonyName":"dev","TIMEOUT":5}',
        b'{"colonyname":"dev","timeout":5,"more":{"a":[1]}}',
        b'{"colonyname":"dev","timeout":5,"availablecpu":null,"msgtype":null}',
        b' {"colonyname" : "dev" , "timeout" : 5 } \n',
    ],
    ids=["plain", "case", "unknown", "null", "spaces"],
)
def test_all_spellings_mean_the_same(text: bytes) -> None:
    assert assign(text) == wire_process.AssignProcessMsg(colonyname="dev", timeout=5)


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"null", b"[]", b'"x"', b"5", b"{", b"{}x", b"{} {}", b"\xef\xbb\xbf{}", b"nul"),
        *(b'{"timeout":"5"}', b'{"timeout":1.5}', b'{"timeout":1.0}', b'{"timeout":1e3}'),
        *(b'{"timeout":9223372036854775808}', b'{"timeout":-9223372036854775809}'),
        b'{"timeout":' + b"9" * 5_000 + b"}",
        *(b'{"colonyname":5}', b'{"colonyname":["dev"]}', b'{"colonyname":{}}'),
        *(b'{"colonyname":"\xff"}', b'{"x":1,"colonyname":"\xff"}', b'{"x":"\xff"}', b'{"\xff":1}'),
        *(b'{"colonyname":"\\ud800"}', b'{"x":1,"colonyname":"\\ud800"}', b'{"x":1e999}'),
        *(b'{"x":' + DEEP + b"}", b'{"colonyname":' + DEEP + b"}", DEEP),
    ],
    ids=lambda text: text[:24].decode("latin-1"),
)
def test_anything_else_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        assign(text)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(value=JSON)
def test_any_json_is_read_or_malformed(kind: type[wire.Wire], value: Any) -> None:  # noqa: ANN401
    try:
        found = wire.decode(json.dumps(value).encode(), kind)
    except Malformed:
        return
    assert isinstance(found, kind)
    assert wire.decode(wire.encode(found), kind) == found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(text=st.binary(max_size=30))
def test_any_bytes_are_read_or_malformed(kind: type[wire.Wire], text: bytes) -> None:
    try:
        found = wire.decode(text, kind)
    except Malformed:
        return
    assert isinstance(found, kind)


@pytest.mark.parametrize("number", ["1.0", "9007199254740993", "1e21", "-0", "1E5"])
def test_free_form_numbers_come_back_as_they_were_sent(number: str) -> None:
    text = b'{"out":[%b]}' % number.encode()

    assert bytes(wire.decode(text, wire_process.SetOutputMsg).output) == b"[%b]" % number.encode()


@pytest.mark.parametrize("text", [b'{"errors":["a",null]}', b'{"errors":["a",null],"x":1}'])
def test_null_in_a_list_of_texts_is_the_empty_text(text: bytes) -> None:
    assert wire.decode(text, wire_process.CloseFailedMsg).errors == ["a", ""]


def test_null_in_a_map_of_texts_is_the_empty_text() -> None:
    found = wire.decode(b'{"spec":{"env":{"a":null}}}', wire_process.SubmitFuncSpecMsg)

    assert found.spec is not None
    assert found.spec.env == {"a": ""}


@pytest.mark.parametrize("payload", ["", "!", "e30", "e30=\n", "ä", "e3\u0000="])
def test_broken_base64_ends_as_text_that_does_not_parse(payload: str) -> None:
    with pytest.raises(Malformed):
        assign(wire.unwrap(payload))


def test_base64_is_unwrapped_and_wrapped() -> None:
    assert wire.unwrap("e30=") == b"{}"
    assert wire.encode(wire.Success(payloadtype="m", payload=b"{}")) == (
        b'{"payloadtype":"m","payload":"e30=","error":false}'
    )


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1_000, "1970-01-01T00:00:00.000001Z"),
        (1_795_418_110_618_450_000, "2026-11-23T07:15:10.61845Z"),
        (1_795_418_110_000_000_999, "2026-11-23T07:15:10Z"),
        (1_795_418_110_100_000_000, "2026-11-23T07:15:10.1Z"),
        (-1_000, "1969-12-31T23:59:59.999999Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775Z"),
    ],
)
def test_time_is_written_in_microseconds_without_trailing_zeros(at_ns: int, text: str) -> None:
    assert wire.rfc3339(at_ns) == text


@given(st.integers(min_value=1_000, max_value=END_OF_2261_NS))
def test_time_that_was_written_is_read_back_to_the_microsecond(at_ns: int) -> None:
    assert 0 <= at_ns - wire.parse_time(wire.rfc3339(at_ns)) < 1_000


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("0001-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:01+01:00", 10**9),
        ("1970-01-01T00:00:00.000001Z", 1_000),
    ],
)
def test_time_is_read(text: str, at_ns: int) -> None:
    assert wire.parse_time(text) == at_ns


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "2026-11-23", "2026-11-23T07:15:10", "2026-02-30T00:00:00Z", "1970"),
        *("9999-12-31T23:59:59-12:00", "9999-01-01T00:00:00Z", "0002-01-01T00:00:00Z"),
    ],
)
def test_time_in_another_form_or_out_of_range_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        wire.parse_time(text)


@given(st.datetimes(timezones=st.timezones() | st.none()))
def test_any_time_is_storable_or_malformed(moment: Any) -> None:  # noqa: ANN401 - a datetime
    try:
        at_ns = wire.parse_time(msgspec.to_builtins(moment))
    except Malformed:
        return
    assert -(2**63) <= at_ns < 2**63
    assert wire.parse_time(wire.rfc3339(at_ns)) == at_ns
