"""Signed requests and what is answered, without any of our client's conveniences.

Nothing is retried, repeated or given a nonce that a test did not ask for, and a reply that is not a
proper envelope fails the test: whatever happens, that is what a client must get.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from broker.identity import Identity
from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Answer:
    """A reply, opened."""

    status: int
    kind: str
    payload: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    raw: bytes = b""

    @property
    def message(self) -> str:
        """Why it was refused, "" if it was not."""
        return str(self.payload["message"]) if self.kind == "error" else ""

    @property
    def ok(self) -> Any:  # noqa: ANN401 - whatever the reply carries
        """What was answered to a request that must succeed."""
        assert self.status == 200, self
        return self.payload

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and text of a request that must be refused."""
        assert self.kind == "error", self
        return self.status, self.message


def opened(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """A reply that must be an envelope, with a payload that fits it."""
    assert body, f"status {status} with an empty body"
    envelope: dict[str, Any] = json.loads(body)
    assert set(envelope) == {"payloadtype", "payload", "error"}, envelope
    payload = json.loads(base64.b64decode(envelope["payload"], validate=True))
    answer = Answer(status, envelope["payloadtype"], payload, headers or {}, body)
    assert envelope["error"] is (status != 200), answer
    assert (answer.kind == "error") is (status != 200), answer
    if status != 200:
        assert payload["status"] == status, answer
        assert payload["message"], answer
        assert "Traceback" not in payload["message"], answer
        assert "internal error" not in payload["message"], answer
    return answer


def envelope(
    kind: str,
    payload: bytes,
    who: Identity | None,
    *,
    signature: str | None = None,
) -> bytes:
    """A request around a payload that may be anything."""
    text = base64.b64encode(payload)
    if signature is None:
        signature = who.sign(text) if who else ""
    outer = {"payloadtype": kind, "payload": text.decode(), "signature": signature}
    return json.dumps(outer).encode()


def sealed(who: Identity | None, kind: str, /, **fields: Any) -> bytes:  # noqa: ANN401 - JSON
    """A signed request."""
    return envelope(kind, json.dumps({"msgtype": kind, **fields}).encode(), who)


class Api:
    """One server, asked over connections that are kept alive."""

    def __init__(self, url: str, *, verify: Any = True) -> None:  # noqa: ANN401 - httpx' own
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self.url = url
        self._client = httpx.AsyncClient(
            base_url=url, timeout=PATIENCE_S, limits=limits, verify=verify, trust_env=False
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    @property
    def port(self) -> int:
        """Where raw connections go."""
        return httpx.URL(self.url).port or 0

    async def post(self, body: bytes) -> Answer:
        """Send bytes; the answer must be an envelope."""
        reply = await self._client.post("/api", content=body)
        return opened(reply.status_code, reply.content, dict(reply.headers))

    async def ask(self, who: Identity | None, kind: str, /, **fields: Any) -> Answer:  # noqa: ANN401
        """Send a signed message."""
        return await self.post(sealed(who, kind, **fields))

    async def ask_from(
        self,
        origin: str,
        who: Identity | None,
        kind: str,
        **fields: Any,  # noqa: ANN401
    ) -> Answer:
        """Send a signed message as a browser does that shows a page from elsewhere."""
        body = sealed(who, kind, **fields)
        reply = await self._client.post("/api", content=body, headers={"Origin": origin})
        return opened(reply.status_code, reply.content, dict(reply.headers))

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """A plain GET."""
        return await self._client.get(path, headers=headers)

    async def options(self, path: str, **headers: str) -> httpx.Response:
        """What a browser asks before it posts."""
        return await self._client.options(path, headers=headers)


async def eventually(condition: Any, what: str, timeout_s: float = PATIENCE_S) -> Any:  # noqa: ANN401
    """Wait until ``condition()`` (a coroutine function) gives something true; that.

    Raises:
        AssertionError: it did not in time.
    """
    seen: object = None
    try:
        async with asyncio.timeout(timeout_s):
            while not (seen := await condition()):  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise AssertionError(f"{what}: not within {timeout_s} s, at last {seen!r}") from error
    return seen
