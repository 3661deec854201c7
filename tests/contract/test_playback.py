"""The reference server itself passes, and nothing it did not say does.

A stand-in plays a recording back word for word. It has to pass without any listed difference; with
every reply spoiled, every line has to be a problem.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.contract.answer import Answer, Envelope, Json
from tests.contract.conftest import DIRECTORIES
from tests.contract.recording import Recording, read_identities, read_recording, recordings_in
from tests.contract.replay import Problem, Replay

FILES = [file for each in DIRECTORIES for file in recordings_in(each)]
Spoil = Callable[[Answer], Answer]


def untimed(file: Path) -> Recording:
    """A recording without the durations, which a playback does not take."""
    recorded = read_recording(file)
    for line in recorded.lines:
        line.elapsed_s = None
    return recorded


async def play_back(file: Path, spoil: Spoil = lambda answer: answer) -> list[Problem]:
    """Replay a recording on a server that gives its replies, spoiled or not."""
    recorded = untimed(file)
    lines = iter(recorded.lines)

    def respond(_request: httpx.Request) -> httpx.Response:
        return response_of(spoil(next(lines).answer()))

    transport = httpx.MockTransport(respond)
    async with httpx.AsyncClient(transport=transport, base_url="http://playback") as client:
        return await Replay(
            client=client,
            identities=read_identities(file.parent),
            recording=recorded,
        ).run()


def response_of(answer: Answer) -> httpx.Response:
    """An answer as bytes on the wire."""
    body = answer.body
    if isinstance(body, Envelope):
        payload = base64.b64encode(json.dumps(body.payload).encode()).decode()
        body = json.dumps(
            {"payloadtype": body.payloadtype, "payload": payload, "error": body.error}
        )
    return httpx.Response(answer.status, headers=dict(answer.headers), text=body)


def other_status(answer: Answer) -> Answer:
    return replace(answer, status=answer.status + 1)


def other_body(answer: Answer) -> Answer:
    if isinstance(answer.body, str):
        return replace(answer, body=answer.body + "x")
    return replace(answer, body=replace(answer.body, payload=_spoiled(answer.body.payload)))


def _spoiled(payload: Json) -> Json:
    if isinstance(payload, dict):
        return payload | {"more": 1}
    if isinstance(payload, list):
        return [*payload, *payload, {}]
    return {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_recorded_server_passes(file: Path) -> None:
    assert list(map(str, await play_back(file))) == []


@pytest.mark.parametrize("spoil", [other_status, other_body])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_every_spoiled_reply_is_a_problem(file: Path, spoil: Spoil) -> None:
    problems = await play_back(file, spoil)

    assert [each.line.name for each in problems] == [line.name for line in untimed(file).lines]
