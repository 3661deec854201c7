"""Lines that a process says, on their way to its log.

What is said while a request is under way goes together with the next one, where the server
announces ``addlogs``; elsewhere line after line. Either way they arrive in order, and a server that
is away for a while finds them waiting.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from api.wire_log import AddLogMsg, AddLogsMsg
from cli.client import Client
from cli.errors import CliError

LONGEST = 16_000
"""Characters of a line; a server takes 64 KiB, and a character has at most four bytes."""
_MANY = "addlogs"
_MOST_IN_REQUEST, _MOST_TEXT_IN_REQUEST = 1_000, 256 * 1024
_MOST_HELD = 1024 * 1024


class LogLines:
    """The way of the lines of one process, open within ``async with``; its end waits for them.

    It holds a megabyte of text; who says more waits until some of it has arrived. What the server
    refuses to take is lost: ``lost`` says how many lines, and ``reason`` why.
    """

    def __init__(self, client: Client, processid: str) -> None:
        self.lost = 0
        self.reason = ""
        self._client = client
        self._processid = processid
        self._held: deque[str] = deque()
        self._size = 0
        self._ending = self._ended = False
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(self._send_all())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
            return
        async with self._changed:
            self._ending = True
            self._changed.notify_all()
        await self._sending

    async def say(self, line: str) -> None:
        """Take a line of at most ``LONGEST`` characters, as soon as there is room for it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < _MOST_HELD or self._ended)
            if self._ended:
                self.lost += 1
                return
            self._held.append(line)
            self._size += len(line)
            self._changed.notify_all()

    async def _send_all(self) -> None:
        try:
            while lines := await self._next():
                await self._send(lines)
                await self._forget(len(lines))
        except CliError as error:
            self.reason = error.message
        finally:
            # Nobody may wait for room that there will never be.
            async with self._changed:
                self._ended = True
                self.lost += len(self._held)
                self._held.clear()
                self._changed.notify_all()

    async def _next(self) -> Sequence[str]:
        """The lines of the next request, when there are any; none at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._held or self._ending)
        if not self._held or not await self._client.knows(_MANY):
            return [*islice(self._held, 1)]
        lines: list[str] = []
        room = _MOST_TEXT_IN_REQUEST
        for line in islice(self._held, _MOST_IN_REQUEST):
            room -= len(line)
            if lines and room < 0:
                break
            lines.append(line)
        return lines

    async def _send(self, lines: Sequence[str]) -> None:
        if len(lines) == 1:
            await self._client.tell(AddLogMsg(processid=self._processid, message=lines[0]))
        else:
            await self._client.tell(AddLogsMsg(processid=self._processid, messages=[*lines]))

    async def _forget(self, count: int) -> None:
        async with self._changed:
            self._size -= sum(len(self._held.popleft()) for _ in range(count))
            self._changed.notify_all()
