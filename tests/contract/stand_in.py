"""A stand-in server that gives prepared replies, right ones and wrong ones, to a small recording.

Only the replayer itself is tested with it.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.identity import Identity, recover
from tests.contract.differences import Difference
from tests.contract.recording import Line, Recording
from tests.contract.replay import Problem, Replay

SIGNER = Identity.from_hex("11" * 32)
RECORDED_ID = "ab" * 32
OUR_ID = "cd" * 32
FEW = 4

# What a stand-in does with one message: its status, and the payload of its reply.
Answering = Callable[[dict[str, Any]], tuple[int, object]]


def exchange(message: str, payload: object, *, status: int = 200, **fields: object) -> Line:
    """A recorded line with an empty request of type ``message``."""
    kind = "error" if status >= 400 else message
    content = {"status": status, "message": payload} if status >= 400 else payload
    line = {
        "name": message,
        "request": {"payloadtype": message, "payload": {"msgtype": message}, "signer": "member"},
        "status": status,
        "reply": {"payloadtype": kind, "error": status >= 400, "payload": content},
    }
    return msgspec.json.decode(msgspec.json.encode(line | fields), type=Line)


def sending(line: Line, **payload: object) -> Line:
    """The same line with more in its request."""
    content = json.loads(line.request.text()) | payload
    line.request.payload = msgspec.Raw(json.dumps(content).encode())
    return line


def stand_in(answers: Mapping[str, Answering]) -> httpx.AsyncClient:
    """A client of a server that knows a few messages and one signer."""

    async def api(request: Request) -> Response:
        envelope = await request.json()
        payload = envelope["payload"]
        assert recover(payload.encode(), envelope["signature"]) == SIGNER.id
        status, content = answers[envelope["payloadtype"]](json.loads(base64.b64decode(payload)))
        if status >= 400:
            content = {"status": status, "message": content}
        reply = {
            "payloadtype": "error" if status >= 400 else envelope["payloadtype"],
            "payload": base64.b64encode(json.dumps(content).encode()).decode(),
            "error": status >= 400,
        }
        return Response(json.dumps(reply), status, media_type="application/json")

    app = Starlette(routes=[Route("/api", api, methods=["POST"])])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stand-in")


class Restless:
    """A place where something happens a few times."""

    so_far = 0

    async def more_than(self, happened: int, within_s: float) -> bool:
        """Whether it is not over."""
        del happened, within_s
        self.so_far += 1
        return self.so_far < FEW


async def replay(
    *lines: Line, answers: Mapping[str, Answering], differences: tuple[Difference, ...] = ()
) -> list[Problem]:
    """Replay a recording named ``small`` where something happens all the time, but not for long."""
    async with stand_in(answers) as client:
        return await Replay(
            client=client,
            identities={"member": SIGNER},
            recording=Recording("small", lines),
            differences=differences,
            happening=Restless(),
        ).run()


def always(status: int, payload: object) -> Answering:
    """Answer every message the same."""
    return lambda _message: (status, payload)
