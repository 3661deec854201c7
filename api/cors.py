"""Cross-origin requests, as the reference answers them (core.md, section 1)."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.answer import Header

ALLOWED = (b"access-control-allow-origin", b"*")
_PREFLIGHT = [
    ALLOWED,
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
    (b"access-control-allow-headers", b"Origin,Content-Length,Content-Type"),
    (b"access-control-max-age", b"43200"),
]


def origin_in(headers: Iterable[Header]) -> str | None:
    """The foreign origin of a request; None when there is none, or it is our own."""
    origin = host = ""
    for name, value in headers:
        if name == b"origin":
            origin = value.decode("latin-1")
        elif name == b"host":
            host = value.decode("latin-1")
    return origin if origin and origin.partition("://")[2] != host else None


class Cors:
    """Adds the headers to whatever another application answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or let the other application answer."""
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return

        async def allow(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), ALLOWED]
            await send(message)

        await self._app(scope, receive, allow)
