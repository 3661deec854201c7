"""What the reference server said over websockets, frame by frame, is said by ours.

A transcript is what went over one socket; the HTTP calls made meanwhile are in a recording of their
own, which does not say when: ``CALLS`` does. Deliberate differences are listed in
docs/compatibility.md, as for every other recording.
"""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from broker.identity import Identity
from broker.settings import Settings
from tests.contract.answer import Answer, read_body
from tests.contract.differences import read_differences
from tests.contract.names import Names
from tests.contract.recording import (
    SETUP,
    Line,
    Recording,
    read_identities,
    read_recording,
    server_identity,
)
from tests.contract.replay import Replay
from tests.contract.server import running_server
from tests.contract.transcripts import (
    CLOSED,
    CONNECTED,
    SENT,
    SILENCE,
    Item,
    Retelling,
    read_retellings,
    read_transcripts,
    unheard,
)
from tests.patience import PATIENCE_S

RECORDINGS = Path(__file__).parent / "recordings"
SOCKETS = RECORDINGS / "websockets"
SILENCE_S = 0.3
AT_THE_END = ""
CALLS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "70_websocket": {
        "process: waiting, running, success on separate subscriptions#1": ("submit",),
        "process: waiting, running, success on separate subscriptions#7": ("assign", "close"),
        "process: subscription timeout closes the socket#1": ("submit waiting for timeout test",),
        "process: wrong executortype never matches#3": ("cancel",),
        "processes: executor hears every new waiting process of its type#3": (
            "submit 1",
            "submit 2",
            "submit other type",
        ),
        "processes: two subscribers, only one is woken per event#3": ("submit 3",),
        "processes: two subscribers, only one is woken per event#4": ("submit 4",),
        "processes: event swallowed by a not yet expired subscription of a closed socket#3": (
            "submit 5",
        ),
        "channel: submitter gets backlog then pushes#1": (
            "remove all processes",
            "submit chat",
            "append before",
            "assign chat",
        ),
        "channel: submitter gets backlog then pushes#4": (
            "executor appends",
            "own append is pushed too",
            "end marker",
        ),
        "channel: process closes while subscribed: silence, socket stays open#3": ("close chat",),
        "processes: child becoming ready is signalled with state waiting#1": ("submit wf",),
        "processes: child becoming ready is signalled with state waiting#3": (
            "assign a",
            "close a",
        ),
        "process: cancelprocessgraph sends no events#1": ("submit wf2", "get wf2"),
        "process: cancelprocessgraph sends no events#3": ("cancel wf2",),
        AT_THE_END: ("cleanup graphs", "cleanup"),
    },
    "74_websocket_opcode": {
        "binary request frame gets binary replies#1": ("submit",),
        "process: payload is not json#1": ("submit#2",),
        AT_THE_END: ("cleanup",),
    },
}
"""Which calls of the HTTP side are made before which line."""
HTTP_SIDES = {
    "70_websocket": "71_websocket_http_side",
    "74_websocket_opcode": "75_websocket_opcode_http_side",
}
UNSIGNED_ROLE = "user1"
"""Who signs where the recording does not say."""


@dataclass(kw_only=True)
class Stage:
    """A server with everything that was set up, and the sockets that are open on it."""

    url: str
    replay: Replay
    identities: Mapping[str, Identity]
    calls: Mapping[str, Line]
    items: Sequence[Item]
    retellings: Mapping[str, Retelling]
    problems: list[str] = field(default_factory=list[str])
    made: list[str] = field(default_factory=list[str])
    _sockets: dict[str, ClientConnection] = field(default_factory=dict[str, ClientConnection])
    _asked: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def names(self) -> Names:
        """Which of our ids stand for which recorded ones."""
        return self.replay._names  # pyright: ignore[reportPrivateUsage] - one set of names for both

    async def play(self, file: str) -> None:
        """Everything that is recorded in a file, in its order."""
        last = {item.transcript: item.place for item in self.items}
        calls = CALLS[file]
        async with AsyncExitStack() as sockets:
            for item in self.items:
                await self._call(*calls.get(item.place.removeprefix(f"{file}/"), ()))
                await self._item(item, sockets)
                if item.place == last[item.transcript]:
                    await self._sockets.pop(item.transcript).close()
        await self._call(*calls[AT_THE_END])

    async def _call(self, *names: str) -> None:
        """Make calls, when everything that was asked for over a socket has begun."""
        if names:
            for socket in self._sockets.values():
                await self._settle(socket)
        for name in names:
            answered = await self.replay._replay(self.calls[name])  # pyright: ignore[reportPrivateUsage] - line by line, as nobody else needs it
            self.problems += [f"{name}: {detail}" for detail in answered]
            self.made.append(name)

    async def _settle(self, socket: ClientConnection) -> None:
        """A refusal comes after what was asked before it."""
        request = {"payloadtype": "subscribeprocessmsg", "signer": UNSIGNED_ROLE}
        await socket.send(self._sealed(request | {"payload": {"msgtype": "none"}}))
        async with asyncio.timeout(PATIENCE_S):
            assert b'"payloadtype":"error"' in await socket.recv(decode=False)

    async def _item(self, item: Item, sockets: AsyncExitStack) -> None:
        if item.noted(CONNECTED):
            address = f"{self.url.replace('http', 'ws')}/pubsub"
            opened = await sockets.enter_async_context(connect(address, proxy=None))
            self._sockets[item.transcript] = opened
            return
        socket = self._sockets[item.transcript]
        if item.dir == SENT and isinstance(item.frame, dict):
            self._asked[item.transcript] = item.frame.get("payloadtype", "")
            sealed = self._sealed(item.frame)
            await socket.send(sealed.encode() if item.is_binary else sealed)
        elif item.noted(CLOSED):
            await self._dropped(socket, item)
        elif told := self.retellings.get(item.place):
            await self._retold(socket, item, told)
        elif item.noted(SILENCE):
            await self._silent(socket, item)
        else:
            await self._hear(socket, item, item.answer())

    def _sealed(self, frame: dict[str, Any]) -> str:
        """A recorded request, with our ids and signed."""
        if "_raw" in frame:
            return frame["_raw"]
        content = frame["payload"]
        text = content["_raw"] if "_raw" in content else json.dumps(content)
        text = self.names.translate(text)
        self.names.note_sent(text)
        payload = base64.b64encode(text.encode())
        signature = self.identities[frame.get("signer", UNSIGNED_ROLE)].sign(payload)
        outer = {"payload": payload.decode(), "signature": signature}
        return json.dumps({"payloadtype": frame["payloadtype"], **outer})

    async def _retold(self, socket: ClientConnection, item: Item, told: Retelling) -> None:
        recorded = {each.place: each for each in self.items}
        for frame in told.frames:
            promised = frame.answer(self._asked[item.transcript], recorded)
            await self._hear(socket, item, promised, told.title)
        if not told.frames:
            await self._silent(socket, item)

    async def _hear(
        self, socket: ClientConnection, item: Item, promised: Answer, told: str = ""
    ) -> None:
        """The next frame has to be the promised one, and of the same kind as the request."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                said = await socket.recv()
        except (TimeoutError, ConnectionClosed) as error:
            self.problems.append(f"{item.place}: nothing was said, {error!r}")
            return
        if isinstance(said, bytes) != item.is_binary:
            self.problems.append(f"{item.place}: the frame is of another kind than the request")
        body = read_body(said if isinstance(said, bytes) else said.encode())
        answered = Answer(status=200, body=body)
        self.problems += unheard(promised, answered, item, self.names, told)

    async def _silent(self, socket: ClientConnection, item: Item) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                self.problems.append(f"{item.place}: answered {await socket.recv()!r}")

    async def _dropped(self, socket: ClientConnection, item: Item) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                self.problems.append(f"{item.place}: answered {await socket.recv()!r}")
        except TimeoutError:
            self.problems.append(f"{item.place}: the socket stays open")
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                self.problems.append(f"{item.place}: closed with {closed.rcvd}")


@asynccontextmanager
async def staged(redis_url: str, file: str) -> AsyncGenerator[Stage]:
    """A server with everything that the recordings had set up."""
    identities = read_identities(RECORDINGS / "extended")
    setup = read_recording(RECORDINGS / "extended" / SETUP)
    calls = read_recording(SOCKETS / f"{HTTP_SIDES[file]}.jsonl")
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
        replay.recording = Recording(HTTP_SIDES[file], calls.lines)
        replay.differences = read_differences()
        yield Stage(
            url=url,
            replay=replay,
            identities=identities,
            calls={line.name: line for line in calls.lines},
            items=read_transcripts(SOCKETS / f"{file}.jsonl"),
            retellings=read_retellings(),
        )


@pytest.mark.real
@pytest.mark.parametrize("file", HTTP_SIDES)
async def test_frames_are_as_recorded(redis_url: str, file: str) -> None:
    async with staged(redis_url, file) as stage:
        await stage.play(file)

    assert stage.items
    assert stage.problems == []
    assert stage.made == list(stage.calls), "every call of the HTTP side is made, in its order"


def test_everything_listed_is_recorded() -> None:
    places = {item.place for file in HTTP_SIDES for item in read_transcripts(_file(file))}
    listed = set(read_retellings())
    called = {f"{file}/{place}" for file, calls in CALLS.items() for place in calls if place}

    assert (listed - places, called - places) == (set(), set())


def _file(name: str) -> Path:
    return SOCKETS / f"{name}.jsonl"
