"""Entries of a channel as they are said, to the last one."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from api import wire
from api.wire_channel import ChannelReadMsg, Entry
from api.wire_realtime import SubscribeChannelMsg
from cli.client import Client, read_list
from cli.errors import RpcError
from cli.subscription import frames
from cli.waiting import ENDS, look, to_process

_REPLY = "subscribechannelmsg"
_SUBSCRIBED_S = 3_600
_GONE = 404


async def entries(
    client: Client, processid: str, name: str, *, after: int
) -> AsyncGenerator[list[Entry]]:
    """All entries but the first ``after``, until the process has ended.

    Raises:
        RpcError: there is no such channel; the process was removed.
    """
    client = client.patient(client.timeouts.reply_s)

    def asking() -> list[wire.Message]:
        # The reference says nothing when the process ends, and reads nothing more from a socket
        # that has subscribed to a channel: so the end is asked for as well, and before.
        return [
            *to_process(processid, *ENDS),
            SubscribeChannelMsg(
                processid=processid, name=name, afterseq=after, timeout=_SUBSCRIBED_S
            ),
        ]

    state = (await look(client, processid)).state
    while state not in ENDS:
        async with aclosing(frames(client, asking)) as told:
            async for frame in told:
                found = read_list(frame.text, Entry) if frame.kind == _REPLY else []
                if not found:  # the process has ended, or the subscription
                    break
                after += len(found)
                yield found
        state = (await look(client, processid)).state
    if rest := await _rest(client, processid, name, after):
        yield rest


async def _rest(client: Client, processid: str, name: str, after: int) -> list[Entry]:
    """What was said last; nothing where a channel goes with its process."""
    message = ChannelReadMsg(processid=processid, name=name, afterseq=after)
    try:
        return await client.ask_list(message, Entry)
    except RpcError as error:
        if error.status != _GONE:
            raise
        return []
