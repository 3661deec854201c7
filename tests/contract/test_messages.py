"""No message type that the protocol names, or an SDK sends, is without a handler."""

import ast
import asyncio
import base64
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect

from api.pubsub import SUBSCRIPTIONS
from api.routes import ROUTES, UNSIGNED
from broker.identity import Identity
from broker.settings import Settings
from tests.contract.answer import Envelope, read_body
from tests.contract.conftest import DIRECTORIES, RECORDINGS
from tests.contract.messages import CORE, EXTENDED, UNANSWERED
from tests.contract.recording import (
    SETUP,
    Line,
    read_identities,
    read_recording,
    recordings_in,
    server_identity,
)
from tests.contract.replay import Replay
from tests.contract.server import running_server

# The documents lie beside the checkout where there are any.
PROTOCOL = Path(__file__).parents[3] / "shared" / "protocol"
MESSAGE = re.compile(r"\b[a-z]+msg\b")
NAMED = CORE | EXTENDED
ANSWERED = NAMED - UNANSWERED.keys()
SDK = ("pycolonies", "cfs")
UNKNOWN = "invalid rpcMsg.PayloadType"
UNREAD = re.compile(r"invalid JSON|does not match")
TIMEOUT_S = 60
STRANGER = Identity.from_hex("13" * 32)
NEVER_RECORDED = {
    "addlocationmsg": {"location": {"name": "here", "colonyname": "dev", "long": 1, "lat": 2}},
    "getfunctionsbyexecutormsg": {"colonyname": "dev", "executorname": "exec1"},
    "getlocationmsg": {"colonyname": "dev", "name": "here"},
    "removeallsnapshotmsg": {"colonyname": "dev"},
    "removelocationmsg": {"colonyname": "dev", "name": "here"},
}
"""Messages of which there is no recording; what they say is well-formed."""
SUBSCRIBING = {
    "subscribeprocessmsg": {"processid": "0" * 64, "state": 2, "timeout": 1},
    "subscribeprocessesmsg": {"colonyname": "dev", "executortype": "w", "state": 0, "timeout": 1},
    "subscribechannelmsg": {"processid": "0" * 64, "name": "chat", "afterseq": 0, "timeout": 1},
}


@pytest.mark.parametrize(("document", "listed"), [("core.md", CORE), ("extended.md", EXTENDED)])
def test_the_list_is_what_the_documents_name(document: str, listed: frozenset[str]) -> None:
    file = PROTOCOL / document
    if not file.exists():
        pytest.skip("the protocol's documents are not beside this checkout")
    assert set(MESSAGE.findall(file.read_text("utf-8"))) == listed


def handled() -> set[str]:
    return {*ROUTES, *UNSIGNED, *SUBSCRIPTIONS}


def test_every_message_of_the_protocol_has_a_handler() -> None:
    assert ANSWERED - handled() == set()


def test_no_message_with_a_handler_is_listed_as_unanswered() -> None:
    assert handled() & UNANSWERED.keys() == set()


def sent_by_sdk() -> set[str]:
    """The message types in the source of the ecosystem's Python SDK."""
    found: set[str] = set()
    for name in SDK:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text("utf-8"))
        texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
        found.update(text for text in texts if isinstance(text, str) and MESSAGE.fullmatch(text))
    return found


def test_every_message_that_the_sdk_sends_has_a_handler() -> None:
    sent = sent_by_sdk()
    assert len(sent) > 60, "its source is read"
    assert sent - handled() == set()


def recorded() -> dict[str, tuple[Line, Identity | None]]:
    """The first message of each type that the reference accepted, and who signed it."""
    found: dict[str, tuple[Line, Identity | None]] = {}
    for directory in DIRECTORIES:
        identities = read_identities(directory)
        for file in recordings_in(directory):
            for line in read_recording(file).lines:
                if not line.refused and line.messagetype:
                    signer = identities.get(line.request.signer)
                    found.setdefault(line.messagetype, (line, signer))
    return found


def envelope(kind: str, text: str, signer: Identity | None) -> str:
    payload = base64.b64encode(text.encode())
    signature = signer.sign(payload) if signer else ""
    return json.dumps({"payloadtype": kind, "payload": payload.decode(), "signature": signature})


def spelled(kind: str, fields: Mapping[str, object]) -> str:
    return json.dumps({"msgtype": kind, **fields})


def well_formed() -> Iterator[tuple[str, str]]:
    """A message of each type that is answered over HTTP, and its envelope."""
    known = recorded()
    for kind in sorted(ANSWERED - SUBSCRIBING.keys()):
        if kind in known:
            line, signer = known[kind]
            payload = line.request.payload_b64
            text = base64.b64decode(payload).decode() if payload else line.request.text()
            yield kind, envelope(kind, text, signer)
        else:
            yield kind, envelope(kind, spelled(kind, NEVER_RECORDED[kind]), STRANGER)


class _Refusal(msgspec.Struct):
    message: str


def complaint(kind: str, body: bytes) -> str:
    """What is wrong with a reply to a well-formed message; it may be refused, but for a reason."""
    reply = read_body(body)
    if not isinstance(reply, Envelope):
        return f"{kind}: no envelope, {reply}"
    if not reply.error:
        expected = ROUTES[kind].reply_type if kind in ROUTES else None
        right = reply.payloadtype == (expected or kind)
        return "" if right else f"{kind}: answered as {reply.payloadtype}"
    refusal = msgspec.convert(reply.payload, _Refusal).message
    unread = UNKNOWN in refusal or UNREAD.search(refusal)
    return f"{kind}: {refusal}" if unread else ""


async def first_frame(url: str, request: str) -> bytes:
    """What is said first on a socket after a request."""
    async with connect(f"{url.replace('http', 'ws')}/pubsub", proxy=None) as socket:
        await socket.send(request)
        async with asyncio.timeout(TIMEOUT_S):
            return await socket.recv(decode=False)


@pytest.mark.real
async def test_every_message_is_read_and_answered(redis_url: str) -> None:
    identities = read_identities(RECORDINGS / "extended")
    setup = read_recording(RECORDINGS / "extended" / SETUP)
    own = {
        "COLONIES_REDIS_URL": redis_url,
        "COLONIES_SERVER_ID": server_identity(identities).id,
        "COLONIES_SERVER_PORT": "0",
    }
    environment = Settings.from_env(own | setup.environment).to_env()
    async with (
        running_server(environment) as url,
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client,
    ):
        replay = Replay(client=client, identities=identities, recording=setup)
        assert not await replay.run()
        answers = {
            kind: (await client.post("/api", content=body)).content for kind, body in well_formed()
        }
        for kind, fields in SUBSCRIBING.items():
            answers[kind] = await first_frame(url, envelope(kind, spelled(kind, fields), STRANGER))
        unknown = {
            kind: complaint(kind, (await client.post("/api", content=body)).content)
            for kind in UNANSWERED
            for body in [envelope(kind, spelled(kind, {}), STRANGER)]
        }

    assert unknown == {kind: f"{kind}: {UNKNOWN}: {kind}" for kind in unknown}
    assert answers.keys() == ANSWERED
    complaints = [complaint(kind, body) for kind, body in answers.items()]
    assert list(filter(None, complaints)) == []
