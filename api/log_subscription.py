"""Subscriptions to log lines. Ours, not the reference's; announced as ``subscribelogs``."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api.context import Call
from api.handlers.log import index_of, shown
from api.lines import Lines, Listener
from api.subscriber import Subscriber, Telling
from api.wire_realtime import SubscribeLogsMsg
from broker import access, logs
from broker.errors import Corrupt
from broker.keys import EXECUTOR_LOGS, Key
from broker.logs import Line

_PAGE = 200
_FRAME_BYTES = 256 * 1024


async def log_lines(
    subscriber: Subscriber,
    call: Call,
    msg: SubscribeLogsMsg,
    binary: bool,  # noqa: FBT001 - Handler's own shape
) -> None:
    """Tell the lines of a process or an executor after a time, and all that follow."""
    colony, gate = await subscriber.context.gate(call, msg.colonyname)
    access.member(gate)
    if colony is None:
        raise Corrupt("a member of no colony")
    index = await index_of(subscriber.context, colony, msg)
    _Following(
        subscriber=subscriber,
        colony=colony,
        call=call,
        kind="subscribelogsmsg",
        binary=binary,
        seconds=msg.timeout,
        lines=subscriber.lines,
        index=index,
        process_id="" if index.startswith(EXECUTOR_LOGS) else msg.processid,
        after_ns=max(0, msg.since),
    ).start()


@dataclass(eq=False, kw_only=True)
class _Following(Telling):
    """One subscription to log lines, of which those up to ``after_ns`` have been told."""

    lines: Lines
    index: Key
    process_id: str
    after_ns: int

    async def tell(self) -> None:
        """Until the process has ended, and its last line has been told.

        What the listener did not take in time is read: nothing waits for a slow client but one
        page, and nothing is skipped for it.
        """
        async with self._followed() as (listener, ended):
            over = bool(self.process_id) and await self.is_over(self.process_id)
            await self._catch_up()
            while not over:
                arrived = await listener.next()
                if listener.ended:
                    self.subscriber.end(listener.ended)
                # No line comes after the end, but the last ones may still be on their way here.
                over = ended.is_set() or bool(listener.ended)
                if over or not arrived:
                    await self._catch_up()
                else:
                    await self._pass_on([line for line in arrived if line.at_ns > self.after_ns])

    @asynccontextmanager
    async def _followed(self) -> AsyncGenerator[tuple[Listener, asyncio.Event]]:
        ended = asyncio.Event()
        name = "" if self.process_id else self.index.removeprefix(EXECUTOR_LOGS)
        followed = self.lines.followed(self.colony.tag, process_id=self.process_id, executor=name)
        async with followed as listener:

            def end() -> None:
                ended.set()
                listener.wake()

            async with self.while_member(self.process_id, end):
                yield listener, ended

    async def _catch_up(self) -> None:
        """Tell what there is by now."""
        store, tag = self.subscriber.context.store, self.colony.tag
        while True:
            page = await logs.indexed(store, tag, self.index, after_ns=self.after_ns, count=_PAGE)
            await self._pass_on(page)
            if len(page) < _PAGE:
                return

    async def _pass_on(self, lines: Sequence[Line]) -> None:
        for frame in _frames(lines):
            self.say([shown(line, self.colony.name) for line in frame])
            self.after_ns = frame[-1].at_ns
            await self.subscriber.taken()


def _frames(lines: Sequence[Line]) -> Iterator[Sequence[Line]]:
    """The same lines in parts of which none is much too long."""
    first, size = 0, 0
    for number, line in enumerate(lines, 1):
        size += len(line.text)
        if size > _FRAME_BYTES or number == len(lines):
            yield lines[first:number]
            first, size = number, 0
