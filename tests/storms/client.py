"""Clients of a storm: one repeats a request until it knows, the other asks once and remembers."""

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from broker.identity import Identity
from tests.acceptance.asking import Answer, Api, sealed
from tests.storms.witness import Witness

PAUSE_S = 0.05


@dataclass
class Client:
    """Asks one server after the other."""

    servers: Callable[[], Sequence[Api]]
    """Those that are up now, as far as is known."""
    witness: Witness
    troubles: int = 0
    """How often it got no answer, or 503."""
    _turns: "itertools.count[int]" = field(default_factory=itertools.count)

    async def surely(self, who: Identity, kind: str, /, **fields: Any) -> Answer:  # noqa: ANN401 - JSON
        """One request with one effect: the same bytes with a nonce, until some server answers."""
        nonce = {"nonce": secrets.token_hex(12), "issuedat": time.time_ns()}
        body = sealed(who, kind, **fields, **nonce)
        while (answer := await self._post(body)) is None:
            self.witness.repeated += 1
            # As a real client does; what it waits for says nothing.
            await asyncio.sleep(PAUSE_S)
        return self._heard(kind, answer)

    async def once(self, who: Identity, kind: str, /, **fields: Any) -> Answer | None:  # noqa: ANN401
        """One request without a nonce; None when nobody knows whether it took effect."""
        answer = await self._post(sealed(who, kind, **fields))
        if answer is None:
            await asyncio.sleep(PAUSE_S)
            return None
        return self._heard(kind, answer)

    async def _post(self, body: bytes) -> Answer | None:
        servers = self.servers()
        if not servers:
            return None
        try:
            answer = await servers[next(self._turns) % len(servers)].post(body)
        except (httpx.TransportError, RuntimeError):  # RuntimeError: httpx' own, when it was closed
            self.troubles += 1
            self.witness.heard_nothing()
            return None
        if answer.status == 503:
            self.troubles += 1
            self.witness.heard_no(answer.message, retry_after=answer.headers.get("retry-after", ""))
            return None
        return answer

    def _heard(self, kind: str, answer: Answer) -> Answer:
        if answer.status == 200 and not kind.startswith("get"):
            self.witness.heard_yes(kind, answer=answer.payload)
        return answer
