"""The floor: the same requests answered with constants by a bare uvicorn app.

What HTTP, the loop and the load generator cost on this machine, and nothing else: no signature is
checked, no message read, nothing stored. A broker in Python cannot be faster than this.

Run as ``python -m bench.floor --workers 2``; it writes one JSON line with its port to stderr.
"""

import argparse
import json
import multiprocessing
import signal
import socket
import sys
from base64 import b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from types import FrameType

import uvicorn

_Message = MutableMapping[str, object]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_KEEP_S = 600
_ID = "5f" * 32
_NO_TIME = "0001-01-01T00:00:00Z"
_TIME = "2026-11-23T07:15:21.281318Z"


def _process(*, running: bool) -> dict[str, object]:
    """A process as a server answers it, with the spec that the load generator submits."""
    return {
        "processid": _ID,
        "initiatorid": _ID,
        "initiatorname": "user",
        "assignedexecutorid": _ID if running else "",
        "isassigned": running,
        "state": int(running),
        "prioritytime": 1795418121281317979,
        "submissiontime": _TIME,
        "starttime": _TIME if running else _NO_TIME,
        "endtime": _NO_TIME,
        "waitdeadline": _NO_TIME,
        "execdeadline": _NO_TIME,
        "retries": 0,
        "attributes": [],
        "spec": _spec(),
        "waitforparents": False,
        "parents": [],
        "children": [],
        "processgraphid": "",
        "in": [],
        "out": [],
        "errors": [],
    }


def _spec() -> dict[str, object]:
    return {
        "nodename": "0000001",
        "funcname": "echo",
        "args": ["hello, world"],
        "kwargs": {},
        "priority": 0,
        "maxwaittime": -1,
        "maxexectime": -1,
        "maxretries": -1,
        "conditions": {
            "colonyname": "lifecycle-01",
            "executornames": None,
            "executortype": "bench",
            "dependencies": [],
            "nodes": 0,
            "cpu": "0m",
            "processes": 0,
            "processespernode": 0,
            "mem": "0Mi",
            "storage": "0Mi",
            "gpu": {"name": "", "mem": "0Mi", "count": 0, "nodecount": 0},
            "walltime": 0,
        },
        "label": "0000001",
        "fs": {"mount": "", "snapshots": None, "dirs": None},
        "env": {},
    }


def _answer(msgtype: str, message: object) -> tuple[_Message, _Message]:
    """The two ASGI messages of a constant reply."""
    payload = b64encode(json.dumps(message, separators=(",", ":")).encode()).decode()
    envelope = {"payloadtype": msgtype, "payload": payload, "error": False}
    body = json.dumps(envelope, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


_SUBMITTED = _answer("submitfuncspecmsg", _process(running=False))
_ASSIGNED = _answer("assignprocessmsg", _process(running=True))
_CLOSED = _answer("closesuccessfulmsg", {})
_HEALTHY = _answer("", {})


async def app(scope: _Message, receive: _Receive, send: _Send) -> None:
    """Read a request to its end and answer with a constant."""
    body = b""
    more = True
    while more:
        message = await receive()
        part = message.get("body", b"")
        body += part if isinstance(part, bytes) else b""
        more = bool(message.get("more_body"))
    if scope["path"] == "/health":
        answer = _HEALTHY
    elif body.startswith(b'{"payloadtype":"submit'):
        answer = _SUBMITTED
    elif body.startswith(b'{"payloadtype":"assign'):
        answer = _ASSIGNED
    else:
        answer = _CLOSED
    await send(answer[0])
    await send(answer[1])


def main() -> None:
    """Serve until told to stop."""
    arguments = argparse.ArgumentParser(prog="bench.floor", description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        backlog=4096,
        # Requests are signed between two of them; uvicorn's five seconds may be too short for that.
        timeout_keep_alive=_KEEP_S,
    )
    sockets = _sockets(given.port, given.workers)
    forking = multiprocessing.get_context("fork")
    for one in sockets:
        forking.Process(target=uvicorn.Server(config).run, args=([one],), daemon=True).start()
    signal.signal(signal.SIGTERM, _exit)
    ready = {"event": "ready", "port": sockets[0].getsockname()[1]}
    sys.stderr.write(json.dumps(ready) + "\n")
    sys.stderr.flush()
    while True:
        signal.pause()


def _sockets(port: int, count: int) -> list[socket.socket]:
    """A socket for each worker on one port: sharing one lets whoever is awake take everything."""
    sockets = list[socket.socket]()
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", sockets[0].getsockname()[1] if sockets else port))
        sockets.append(one)
    return sockets


def _exit(_signal: int, _frame: FrameType | None) -> None:
    """Leave in the ordinary way, which ends the workers as well."""
    sys.exit(0)


if __name__ == "__main__":
    main()
