"""Liveness: the process answers, and the store answers it."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from broker.errors import BrokerError
from broker.store import EventStore

_TEXT = "text/plain; charset=utf-8"


def health(store: Callable[[], EventStore]) -> Callable[[Request], Awaitable[Response]]:
    """GET /health: 200 with an empty body, as the reference; else 503 with a reason."""

    async def endpoint(_request: Request) -> Response:
        try:
            await store().send("PING")
        except BrokerError as error:
            return Response(str(error), 503, media_type=_TEXT)
        return Response(b"", 200, headers={"content-type": _TEXT})

    return endpoint
