"""What the reference server said over websockets, frame by frame, is said by ours.

A transcript is what went over one socket; the HTTP calls made meanwhile are in a recording of their
own, which does not say when. Here they are made when the next frame cannot come without them.
Transcripts that show a deliberate difference (docs/compatibility.md, "Subscriptions") are left out,
as are those of channels.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from broker.identity import Identity
from broker.settings import Settings
from tests.contract.answer import Answer, Envelope, read_body
from tests.contract.compare import compare
from tests.contract.names import Names
from tests.contract.recording import (
    SETUP,
    Line,
    read_identities,
    read_recording,
    server_identity,
)
from tests.contract.replay import Replay
from tests.contract.server import running_server

RECORDINGS = Path(__file__).parent / "recordings"
SOCKETS = RECORDINGS / "websockets"
PATIENCE_S = 10
SILENCE_S = 0.3
LIFE = "process: waiting, running, success on separate subscriptions"
AFTERWARDS = "process: already in wanted state -> immediate event"
MADE = {
    LIFE: ("submit",),
    "process: subscription timeout closes the socket": ("submit waiting for timeout test",),
}
"""Calls made before a transcript begins."""
MEANWHILE = {
    LIFE: ("assign", "close"),
    "process: wrong executortype never matches": ("cancel",),
    "processes: executor hears every new waiting process of its type": (
        "submit 1",
        "submit 2",
        "submit other type",
    ),
}
"""Calls made when a transcript has subscribed to everything."""
REPLAYED = (
    LIFE,
    AFTERWARDS,
    "process: unknown process",
    "process: subscription timeout closes the socket",
    "process: timeout 0",
    "process: wrong executortype never matches",
    "process: cancelled state",
    "msgtype mismatch",
    "unknown payloadtype is ignored",
    "frame is not json",
    "bad signature",
    "processes: executor hears every new waiting process of its type",
    "processes: users cannot subscribe",
    "processes: outsider",
)


class Item(msgspec.Struct):
    """One thing that happened on a socket; ``frame`` is a text when it is no frame."""

    transcript: str
    dir: str
    frame: dict[str, Any] | str
    opcode: str = "text"

    @property
    def kind(self) -> str:
        """What was sent or answered, "" for an event."""
        return "" if isinstance(self.frame, str) else self.frame.get("payloadtype", "")


def transcripts() -> Mapping[str, list[Item]]:
    """What is replayed, by name, without what is about channels."""
    found: dict[str, list[Item]] = {name: [] for name in REPLAYED}
    after_channel = False
    for text in (SOCKETS / "70_websocket.jsonl").read_bytes().splitlines():
        if not text.startswith(b'{"transcript"'):
            continue
        item = msgspec.json.decode(text, type=Item)
        # The answer to a message about channels is the next frame.
        if item.kind == "subscribechannelmsg" or after_channel:
            after_channel = item.dir == "client->server"
        elif item.transcript in found:
            found[item.transcript].append(item)
    return found


@dataclass(kw_only=True)
class Ground:
    """A server with everything that the recording had set up."""

    url: str
    replay: Replay
    identities: Mapping[str, Identity]
    calls: Mapping[str, Line]
    problems: list[str] = field(default_factory=list[str])

    @property
    def names(self) -> Names:
        """Which of our ids stand for which recorded ones."""
        return self.replay._names  # pyright: ignore[reportPrivateUsage] - one set of names for both

    async def call(self, *names: str) -> None:
        """Make recorded calls."""
        for name in names:
            answered = await self.replay._replay(self.calls[name])  # pyright: ignore[reportPrivateUsage] - line by line, as nobody else needs it
            self.problems += [f"{name}: {detail}" for detail in answered]

    def sealed(self, frame: dict[str, Any]) -> str:
        """A recorded request, with our ids and signed."""
        if "_raw" in frame:
            return frame["_raw"]
        text = self.names.translate(json.dumps(frame["payload"]))
        self.names.note_sent(text)
        payload = base64.b64encode(text.encode())
        signature = self.identities[frame["signer"]].sign(payload)
        outer = {"payload": payload.decode(), "signature": signature}
        return json.dumps({"payloadtype": frame["payloadtype"], **outer})

    async def hear(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        """The next frame has to be the recorded one."""
        async with asyncio.timeout(PATIENCE_S):
            said = await socket.recv(decode=False)
        expected = Envelope(frame["payloadtype"], frame["error"], frame["payload"])
        answered = Answer(status=200, body=read_body(said))
        self.problems += compare(Answer(status=200, body=expected), answered, self.names)

    async def settle(self, socket: ClientConnection) -> None:
        """Until everything sent was dealt with: a refusal comes after what was asked before it."""
        request: dict[str, Any] = {"payloadtype": "subscribeprocessmsg", "signer": "user1"}
        await socket.send(self.sealed(request | {"payload": {"msgtype": "none"}}))
        async with asyncio.timeout(PATIENCE_S):
            assert b'"payloadtype":"error"' in await socket.recv(decode=False)

    async def play(self, name: str, items: list[Item]) -> None:
        """One socket, from beginning to end."""
        await self.call(*MADE.get(name, ()))
        asking = [n for n, item in enumerate(items) if item.dir == "client->server"]
        telling = [n for n, item in enumerate(items) if item.dir == "server->client"]
        meanwhile = MEANWHILE.get(name, ())
        async with connect(f"{self.url.replace('http', 'ws')}/pubsub", proxy=None) as socket:
            for number, item in enumerate(items):
                nothing_told_later = not telling or number > telling[-1]
                if number > asking[-1] and (item.dir == "server->client" or nothing_told_later):
                    if meanwhile:
                        await self.settle(socket)
                    await self.call(*meanwhile)
                    meanwhile = ()
                await self._item(socket, item)

    async def _item(self, socket: ClientConnection, item: Item) -> None:
        if isinstance(item.frame, dict):
            if item.dir == "client->server":
                await socket.send(self.sealed(item.frame))
            else:
                await self.hear(socket, item.frame)
        elif item.frame.startswith("nothing received"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SILENCE_S):
                    self.problems.append(f"answered {await socket.recv()!r}")
        elif item.frame.startswith("connection closed by server without"):
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is None


@pytest.fixture
async def ground(redis_url: str) -> AsyncGenerator[Ground]:
    async with _ground(redis_url) as ground:
        yield ground


@asynccontextmanager
async def _ground(redis_url: str) -> AsyncGenerator[Ground]:
    identities = read_identities(RECORDINGS / "extended")
    setup = read_recording(RECORDINGS / "extended" / SETUP)
    calls = read_recording(SOCKETS / "71_websocket_http_side.jsonl")
    own = {
        "COLONIES_REDIS_URL": redis_url,
        "COLONIES_SERVER_ID": server_identity(identities).id,
        "COLONIES_SERVER_PORT": "0",
    }
    environment = Settings.from_env(own | setup.environment).to_env()
    async with (
        running_server(environment) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as client,
    ):
        replay = Replay(client=client, identities=identities, recording=setup)
        assert not await replay.run()
        yield Ground(
            url=url,
            replay=replay,
            identities=identities,
            calls={line.name: line for line in calls.lines},
        )


def _repaired(items: Mapping[str, list[Item]]) -> Iterator[tuple[str, list[Item]]]:
    """With the success, which was stale, as it was told a moment later: a listed difference."""
    fresh = items[AFTERWARDS][2].frame
    for name, recorded in items.items():
        if name == LIFE:
            stale = next(n for n, each in enumerate(recorded) if _state(each) == 2)
            recorded[stale] = msgspec.structs.replace(recorded[stale], frame=fresh)
        yield name, recorded


def _state(item: Item) -> int | None:
    told = isinstance(item.frame, dict) and item.dir == "server->client"
    return item.frame["payload"].get("state") if told and isinstance(item.frame, dict) else None


@pytest.mark.real
async def test_frames_are_as_recorded(ground: Ground) -> None:
    for name, items in _repaired(transcripts()):
        assert items, name
        await ground.play(name, items)
        assert not ground.problems, (name, ground.problems)
