"""The events of a colony as its server tells them: Server-Sent Events, read as they come."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import NamedTuple

from msgspec import structs

from api.wire_realtime import SubscribeEventsMsg
from cli.client import Client, opened
from cli.errors import CutOff
from cli.streaming import streamed
from cli.subscription import followed

EXTENSION = "events"
_PATH = "/events"
_DONE = 200
_END = "end"
# The server says something every quarter of a minute, unless it is set otherwise.
_SILENCE_S = 120.0


class Happening(NamedTuple):
    """One event: its position, its type, and all of it as JSON.

    The first of a feed without a position to begin at has no type: it says where the feed begins.
    """

    position: str
    type: str
    data: bytes


async def happenings(client: Client, message: SubscribeEventsMsg) -> AsyncGenerator[Happening]:
    """The events that are asked for, over one connection after the other, none left out or twice.

    Raises:
        RpcError: the server refuses, or has no such feed.
        Unreachable: none was there within the patience.
    """
    after = message.after

    def connect() -> AsyncGenerator[Happening]:
        return _connected(client, structs.replace(message, after=after))

    async with aclosing(followed(connect, client.timeouts.reply_s)) as told:
        async for happening in told:
            after = happening.position or after
            yield happening


async def _connected(client: Client, message: SubscribeEventsMsg) -> AsyncGenerator[Happening]:
    body = client.sealed(message)
    async with streamed(client.transport, _PATH, body, silence_s=_SILENCE_S) as response:
        text = b""
        async with aclosing(response.parts()) as parts:
            async for part in parts:
                text += part
                if response.status != _DONE:
                    continue
                *blocks, text = text.split(b"\n\n")
                for happening in _read(blocks):
                    yield happening
        if response.status != _DONE:
            opened(text, client.transport.address, response.status)
        raise CutOff("the server ended the feed")


def _read(blocks: list[bytes]) -> Iterator[Happening]:
    """The events in blocks of lines; comments say only that the server is there."""
    for block in blocks:
        pairs = (line.partition(b": ") for line in block.split(b"\n"))
        fields = {name: value for name, _, value in pairs if name}
        kind = fields.get(b"event", b"").decode()
        if kind == _END:
            raise CutOff(f"the feed ended: {fields.get(b'data', b'').decode()}")
        if fields:
            position = fields.get(b"id", b"").decode()
            yield Happening(position, kind, fields.get(b"data", b""))
