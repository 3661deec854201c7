"""Subscriptions to channels: what there is in one frame, then each entry in its own."""

import asyncio
from dataclasses import dataclass

from api.context import Call
from api.handlers.channel import shown
from api.subscriber import Subscriber, Telling
from api.wire_realtime import SubscribeChannelMsg
from broker import channels
from broker.errors import Corrupt
from projections.core import listings


async def channel(
    subscriber: Subscriber,
    call: Call,
    msg: SubscribeChannelMsg,
    binary: bool,  # noqa: FBT001 - Handler's own shape
) -> None:
    """Tell what is said in a channel."""
    context = subscriber.context
    colony, gate = await context.gate_of(call, msg.processid)
    row = await listings.process(context.store, colony.tag, msg.processid) if colony else None
    channels.listening(gate, msg.name, row)
    if colony is None:
        raise Corrupt("a process in no colony")
    _Listening(
        subscriber=subscriber,
        colony=colony,
        call=call,
        kind="subscribechannelmsg",
        binary=binary,
        seconds=msg.timeout,
        asked=msg,
    ).start()


@dataclass(eq=False, kw_only=True)
class _Listening(Telling):
    """One subscription to a channel."""

    asked: SubscribeChannelMsg

    async def tell(self) -> None:
        """Until the process has ended."""
        context, asked = self.subscriber.context, self.asked
        ended = asyncio.Event()
        async with context.said.heard(self.colony.tag, asked.processid, asked.name) as more:

            def end() -> None:
                ended.set()
                more.set()

            async with self.while_member(asked.processid, end):
                after, first = max(asked.afterseq, 0), True
                while True:
                    more.clear()
                    over = ended.is_set() or await self.is_over(asked.processid)
                    found = await channels.read(
                        context.store,
                        self.colony.tag,
                        asked.processid,
                        asked.name,
                        after=after,
                        limit=0,
                    )
                    after += len(found)
                    entries = [shown(entry) for entry in found]
                    for frame in [entries] if first and found else ([entry] for entry in entries):
                        self.say([*frame])
                    first = False
                    if over:
                        return
                    await more.wait()
