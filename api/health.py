"""Is this process alive, does the store answer it, and may it be sent requests?"""

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.context import Context
from broker import archived
from broker.errors import BrokerError, Unavailable
from broker.store import EventStore

_TEXT = "text/plain; charset=utf-8"
_PATIENCE_S = 2.0
"""Who asks wants to know soon; requests wait longer for a store that hangs."""
_FINE = "ok"


async def live(_request: Request) -> Response:
    """GET /health/live: 200 as long as this process answers; restart it when it does not."""
    return Response(b"", 200, headers={"content-type": _TEXT})


async def answering(store: EventStore) -> Response:
    """GET /health: 200 with an empty body, as the reference; 503 with a reason without a store."""
    try:
        await _asked(store, "PING")
    except BrokerError as error:
        return Response(str(error), 503, media_type=_TEXT)
    return Response(b"", 200, headers={"content-type": _TEXT})


async def ready(context: Context, *, stopping: bool) -> Response:
    """GET /health/ready: 200 when requests that change something would be served, else 503.

    The body says of each part that it is ``ok``, or what is wrong with it. An archive that is away
    keeps nobody from being served.
    """
    aside: dict[str, str] = {}
    parts = {"server": "stopping" if stopping else _FINE}
    try:
        said = await _asked(context.store, "INFO")
        if context.settings.archive_url:
            aside["archive"] = await _archive(context.store)
    except BrokerError as error:
        parts["store"] = str(error)
    else:
        lines = said.decode().splitlines()
        about = dict(line.split(":", 1) for line in lines if ":" in line)
        parts |= {"store": _FINE, "disk": _disk(about), "memory": _memory(about)}
        parts["role"] = _role(about)
    fine = all(part == _FINE for part in parts.values())
    return JSONResponse(parts | aside, 200 if fine else 503)


async def _asked(store: EventStore, command: str) -> bytes:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await store.send(command)
    except TimeoutError as error:
        raise Unavailable(f"the store has not answered for {_PATIENCE_S:g} s") from error


async def _archive(store: EventStore) -> str:
    return archived.trouble(await archived.state(store), store.clock.now_ns()) or _FINE


def _disk(about: Mapping[str, str]) -> str:
    """Whether the store can write its log; it refuses every change while it cannot."""
    fine = about.get("aof_last_write_status", _FINE) == _FINE
    return _FINE if fine else "the store could not write its append-only file"


def _memory(about: Mapping[str, str]) -> str:
    """Whether the store takes anything more."""
    used, limit = int(about.get("used_memory", 0)), int(about.get("maxmemory", 0))
    return _FINE if not limit or used < limit else f"the store is full: {used} of {limit} bytes"


def _role(about: Mapping[str, str]) -> str:
    """Whether the store is one that may be written to."""
    return _FINE if about.get("role", "master") == "master" else "the store is a replica"
