"""JSON of every wrong kind: the right status, an envelope that says why, and nothing written."""

import base64
import json
from typing import Any

import msgspec
import pytest

from api.routes import ROUTES
from tests.acceptance.asking import Api, envelope
from tests.acceptance.conftest import OWNER
from tests.acceptance.tenants import STRANGER, Tenant

DEEP = 100_000
BIG = 2**63 - 1


def outer(**fields: Any) -> bytes:  # noqa: ANN401 - JSON
    return json.dumps(fields).encode()


def signed(payload: bytes) -> dict[str, str]:
    text = base64.b64encode(payload)
    return {"payload": text.decode(), "signature": OWNER.sign(text)}


ENVELOPES = {
    "nothing": (b"", 400),
    "null": (b"null", 400),
    "number": (b"1", 400),
    "text": (b'"text"', 400),
    "list": (b"[]", 400),
    "list of envelopes": (b"[{}]", 400),
    "empty object": (b"{}", 403),
    "cut off": (b'{"payloadtype":"getcolon', 400),
    "garbage": (b"\x00\xff\xfe\x01", 400),
    "trailing garbage": (b'{"payloadtype":"versionmsg","payload":"e30="} x', 400),
    "two objects": (b"{}{}", 400),
    "byte order mark": (b"\xef\xbb\xbf{}", 400),
    "utf-16": ('{"payloadtype":"x"}'.encode("utf-16"), 400),
    "not utf-8": (b'{"payloadtype":"\xff\xfe","payload":"","signature":""}', 400),
    "lone surrogate": (b'{"payloadtype":"\\ud800","payload":"","signature":""}', 400),
    "number as type": (outer(payloadtype=1, payload="", signature=""), 400),
    "object as payload": (outer(payloadtype="getcolonymsg", payload={}, signature=""), 400),
    "list as signature": (outer(payloadtype="getcolonymsg", payload="", signature=[]), 400),
    "null fields": (outer(payloadtype=None, payload=None, signature=None), 403),
    "deep list": (b"[" * DEEP + b"]" * DEEP, 400),
    "deep object": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400),
    "deep unknown key": (b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}", 400),
    "deep and open": (b"[" * DEEP, 400),
    "no signature": (outer(payloadtype="getcolonymsg", payload="e30="), 403),
    "unknown type": (outer(payloadtype="nosuchmsg", **signed(b"{}")), 403),
    "no type": (outer(**signed(b"{}")), 403),
    "huge type": (outer(payloadtype="x" * 1_000_000, **signed(b"{}")), 403),
    "huge signature": (outer(payloadtype="x", payload="", signature="a" * 2_000_001), 403),
    "odd signature": (outer(payloadtype="x", payload="", signature="\U0001f642\n\0"), 403),
    "huge number": (b'{"payloadtype":' + b"9" * 10_000 + b"}", 400),
}


@pytest.mark.parametrize("name", ENVELOPES)
async def test_envelope_that_cannot_be_read_is_refused(
    untouched: Tenant, api: Api, name: str
) -> None:
    body, status = ENVELOPES[name]

    assert (await api.post(body)).status == status
    assert untouched


PAYLOADS = {
    "nothing": b"",
    "null": b"null",
    "number": b"1",
    "text": b'"text"',
    "list": b"[]",
    "cut off": b'{"msgtype":"submitfunc',
    "not utf-8": b'{"msgtype":"submitfuncspecmsg","x":"\xff"}',
    "not utf-8 in a known key": b'{"msgtype":"submitfuncspecmsg","spec":{"funcname":"\xff"}}',
    "lone surrogate": b'{"msgtype":"submitfuncspecmsg","spec":{"funcname":"\\ud800"}}',
    "number as spec": b'{"msgtype":"submitfuncspecmsg","spec":1}',
    "list as spec": b'{"msgtype":"submitfuncspecmsg","spec":[]}',
    "text as conditions": b'{"msgtype":"submitfuncspecmsg","spec":{"conditions":"x"}}',
    "number as text": b'{"msgtype":"submitfuncspecmsg","spec":{"funcname":1}}',
    "text as number": b'{"msgtype":"submitfuncspecmsg","spec":{"priority":"1"}}',
    "fraction": b'{"msgtype":"submitfuncspecmsg","spec":{"priority":1.5}}',
    "too large a number": b'{"msgtype":"submitfuncspecmsg","spec":{"priority":%d}}' % 2**63,
    "absurd number": b'{"msgtype":"submitfuncspecmsg","spec":{"priority":' + b"9" * 9000 + b"}}",
    "exponent": b'{"msgtype":"submitfuncspecmsg","spec":{"priority":1e400}}',
    "text as list": b'{"msgtype":"submitfuncspecmsg","spec":{"args":"x"}}',
    "list as object": b'{"msgtype":"submitfuncspecmsg","spec":{"kwargs":[]}}',
    "number in env": b'{"msgtype":"submitfuncspecmsg","spec":{"env":{"a":1}}}',
    "number in names": b'{"msgtype":"submitfuncspecmsg",'
    b'"spec":{"conditions":{"executornames":[1]}}}',
    "deep": b"[" * DEEP + b"]" * DEEP,
    "deep args": b'{"msgtype":"submitfuncspecmsg","spec":{"args":'
    + b"[" * DEEP
    + b"]" * DEEP
    + b"}}",
    "deep unknown": b'{"msgtype":"submitfuncspecmsg","y":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "other type inside": b'{"msgtype":"getcolonymsg"}',
    "no type inside": b'{"spec":{}}',
    "trailing": b'{"msgtype":"submitfuncspecmsg"} {}',
}


@pytest.mark.parametrize("name", PAYLOADS)
async def test_payload_that_cannot_be_read_is_refused(
    untouched: Tenant, api: Api, name: str
) -> None:
    body = envelope("submitfuncspecmsg", PAYLOADS[name], untouched.user)

    status, text = (await api.post(body)).refusal

    assert status == 400
    assert text.startswith("Failed to submit process")


@pytest.mark.parametrize("value", ["!!!!", "e30", "e30=e30=", "e3 0=", "\u00e9", "e30=\n"])
async def test_payload_that_is_not_base64_is_refused(
    untouched: Tenant, api: Api, value: str
) -> None:
    signature = untouched.user.sign(value.encode())
    body = outer(payloadtype="getcolonymsg", payload=value, signature=signature)

    assert (await api.post(body)).refusal == (400, "Failed to get colony, invalid JSON")


# What may stand in the free-form values of a spec has to be JSON, or no client can read the reply.
NOT_JSON = [
    b'["\x01"]',
    b'["a\nb"]',
    b'["\\q"]',
    b'["\\u12"]',
    b"[01]",
    b"[1.]",
    b"[.5]",
    b"[+1]",
    b"[1e]",
    b"[--1]",
    b"[1-1]",
    b"[NaN]",
    b"[Infinity]",
    b"[nul]",
    b"[True]",
    b"[1,]",
    b"[,]",
    b"[1 2]",
    b"['a']",
    b'["\xff"]',
    b'["\\ud800"]',
    b"[{1:2}]",
    b'[{"a"}]',
    b'[{"a":1,}]',
    b"[/**/]",
]


@pytest.mark.parametrize("place", ["args", "kwargs", "out"])
async def test_free_form_value_that_is_not_json_is_refused(
    tenant: Tenant, api: Api, place: str
) -> None:
    executor = await tenant.executor(api)
    running = await tenant.submit(api)
    (await executor.assign(api)).ok  # noqa: B018 - asserts
    conditions = json.dumps(tenant.spec()["conditions"]).encode()
    for value in NOT_JSON:
        if place == "out":
            kind, who = b"closesuccessfulmsg", executor.identity
            fields = b'"processid":"%b","out":%b' % (running.encode(), value)
        else:
            kind, who = b"submitfuncspecmsg", tenant.user
            given = b'{"a":%b}' % value if place == "kwargs" else value
            fields = b'"spec":{"conditions":%b,"%b":%b}' % (conditions, place.encode(), given)

        answer = await api.post(
            envelope(kind.decode(), b'{"msgtype":"%b",%b}' % (kind, fields), who)
        )

        assert answer.status == 400, value
    assert await tenant.counts(api) == [0, 1, 0, 0, 0]


async def test_unknown_names_are_refused(untouched: Tenant, api: Api) -> None:
    """Every message with names and ids that nobody has, by strangers and by people of a colony."""
    nobody = "ef" * 32
    fields = {
        "colonyname": "nosuchcolony",
        "executorname": "nobody",
        "executorid": nobody,
        "name": "nobody",
        "userid": nobody,
        "processid": nobody,
        "attributeid": nobody,
        "functionid": nobody,
        "colonyid": nobody,
        "state": 0,
        "count": 1,
        "seconds": 1,
        "timeout": -1,
        "attribute": {"targetid": nobody, "key": "k", "value": "v"},
        "spec": {"conditions": {"colonyname": "nosuchcolony"}},
        "user": {"colonyname": "nosuchcolony", "userid": nobody, "name": "n"},
        "executor": {"colonyname": "nosuchcolony", "executorid": nobody, "executorname": "n"},
        "location": {"colonyname": "nosuchcolony", "name": "n"},
        "fun": {"colonyname": "nosuchcolony", "executorname": "nobody", "funcname": "f"},
        "allocations": {},
        "capabilities": {},
        "settings": {"requirenonce": True},
    }
    for who in (STRANGER, untouched.owner, untouched.user):
        for kind in ROUTES:
            answer = await api.ask(who, kind, **fields)
            assert answer.status in {400, 403, 404, 500}, (kind, answer)


WRONG: list[Any] = [1, 1.5, True, "text", [], {}, [1], {"a": 1}, [[]], -BIG, BIG, "\0", None]


@pytest.mark.parametrize("kind", ROUTES)
async def test_fields_of_wrong_types_are_refused(untouched: Tenant, api: Api, kind: str) -> None:
    """Every field of every message with every JSON type; nothing of it by anybody entitled."""
    known = msgspec.structs.fields(ROUTES[kind].kind)
    names = {field.encode_name for field in known} - {"msgtype", "nonce", "issuedat"}
    for name in names:
        for value in WRONG:
            answer = await api.ask(STRANGER, kind, **{name: value})
            assert answer.status in {400, 403, 404, 500}, (name, value, answer)
    assert untouched
