"""Requests are what the protocol says, and replies are believed only when they say success."""

import json
from base64 import b64decode, b64encode

import pytest

from bench.connection import Endpoint, Reply
from bench.errors import WrongAnswer
from bench.wire import Colony, Member, payload_of, process_of, statistics_of
from broker.identity import recover

_ENDPOINT = Endpoint(host="broker.example", port=50080)


def _opened(request: bytes) -> tuple[str, dict[str, object], str]:
    """Head, message and signer of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    envelope = json.loads(body)
    assert f"Content-Length: {len(body)}" in head.decode()
    signer = recover(envelope["payload"].encode(), envelope["signature"])
    message = json.loads(b64decode(envelope["payload"]))
    assert message["msgtype"] == envelope["payloadtype"]
    return head.decode(), message, signer


def _reply(message: object, *, status: int = 200, error: bool = False) -> Reply:
    payload = b64encode(json.dumps(message).encode()).decode()
    body = json.dumps({"payloadtype": "x", "payload": payload, "error": error})
    return Reply(status, body.encode())


def test_a_request_is_signed_by_its_sender() -> None:
    member = Member(_ENDPOINT, "somebody")
    head, message, signer = _opened(member.request("getcolonymsg", colonyname="c"))
    assert head.startswith("POST /api HTTP/1.1\r\nHost: broker.example:50080\r\n")
    assert message == {"colonyname": "c", "msgtype": "getcolonymsg"}
    assert signer == member.identity.id


def test_a_close_names_its_process() -> None:
    member = Member(_ENDPOINT, "somebody")
    _, message, signer = _opened(member.close("5f" * 32))
    assert message == {
        "processid": "5f" * 32,
        "out": ["done"],
        "msgtype": "closesuccessfulmsg",
    }
    assert signer == member.identity.id


def test_a_submit_is_the_users_and_carries_its_conditions() -> None:
    colony = Colony.imagine(_ENDPOINT, "c", 1)
    _, message, signer = _opened(colony.submit("label", {"mem": "1Mi"}, priority=1))
    assert signer == colony.user.identity.id
    assert message["spec"] == colony.spec("label", {"mem": "1Mi"}, priority=1)
    assert colony.spec("label", {"mem": "1Mi"})["conditions"] == {
        "colonyname": "c",
        "executortype": "bench",
        "mem": "1Mi",
    }


def test_a_process_is_read_from_its_reply() -> None:
    reply = _reply({"processid": "p", "state": 1, "spec": {"label": "l"}, "more": [1]})
    process = process_of(reply)
    assert (process.processid, process.state, process.spec.label) == ("p", 1, "l")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (_reply({"status": 404, "message": "nothing"}, status=404, error=True), "nothing"),
        (_reply({"status": 404, "message": "nothing"}, error=True), "nothing"),
        (_reply({"processid": "p"}, status=500), "HTTP 500"),
        (Reply(200, b""), "no envelope"),
        (Reply(502, b"<html>"), "no envelope"),
        (_reply({}), "no process"),
        (_reply({"processid": "p", "state": "1", "spec": {}}), "no process"),
    ],
)
def test_anything_but_a_process_is_a_wrong_answer(reply: Reply, said: str) -> None:
    with pytest.raises(WrongAnswer, match=said):
        process_of(reply)


def test_an_empty_success_is_a_success() -> None:
    assert payload_of(_reply({})) == b"{}"


def test_statistics_must_count_every_state() -> None:
    with pytest.raises(WrongAnswer, match="no statistics"):
        statistics_of(_reply({"waitingprocesses": 1}))
