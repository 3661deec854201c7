"""Log lines as they are said: told to whoever follows their process or their executor.

One follower of a colony's log lines serves every subscription of this process to that colony. A
line that nobody follows costs two look-ups.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import structlog

from broker.feed import Feed, Follower
from broker.keys import Tag
from broker.logs import HeardLine, Line

_log = structlog.get_logger(__name__)
_MOST_BYTES = 4 * 1024 * 1024
"""What may wait for one listener when more comes."""


class Listener:
    """Somebody who follows one process or one executor.

    What it does not take in time is forgotten: it can be read, because lines are kept.
    """

    def __init__(self, most: int) -> None:
        self.ended = ""
        """Why nothing more will come, "" while something may."""
        self._most = most
        self._lines: deque[Line] = deque()
        self._bytes = 0
        self._behind = False
        self._woken = asyncio.Event()

    def put(self, heard: HeardLine) -> None:
        """Give it a line, or forget what waits when that is too much."""
        if len(self._lines) >= self._most or self._bytes > _MOST_BYTES:
            self._behind = True
        if self._behind:
            self._lines.clear()
            self._bytes = 0
        else:
            self._lines.append(heard.line)
            self._bytes += heard.size
        self.wake()

    def end(self, reason: str) -> None:
        """Nothing more will come after what has."""
        self.ended = self.ended or reason
        self.wake()

    def wake(self) -> None:
        """Let it look, whether there is something or not."""
        self._woken.set()

    async def next(self) -> list[Line]:
        """All that has arrived; nothing when it was woken, has ended, or has to read by itself."""
        await self._woken.wait()
        self._woken.clear()
        taken = list(self._lines)
        self._lines.clear()
        self._bytes = 0
        self._behind = False
        return taken


class Lines:
    """Every listener of this process."""

    def __init__(self, feed: Feed, most: int) -> None:
        """``most`` lines may wait for one listener."""
        self._feed = feed
        self._most = most
        self._boards: dict[Tag, _Board] = {}

    @asynccontextmanager
    async def followed(
        self, tag: Tag, *, process_id: str = "", executor: str = ""
    ) -> AsyncGenerator[Listener]:
        """Hear every line of a process, or of an executor by name, that is said from now on.

        Raises:
            Unavailable: the store is away, or the server stops.
        """
        about = bytes.fromhex(process_id) if process_id else executor
        follower = await self._feed.follow_lines(tag)
        board = self._boards.get(tag)
        if board is None:
            board = self._boards[tag] = _Board(follower)
            board.task = asyncio.get_running_loop().create_task(self._run(tag, board))
        else:
            self._feed.leave(follower)
        listener = Listener(self._most)
        board.listeners.setdefault(about, set()).add(listener)
        try:
            yield listener
        finally:
            listeners = board.listeners[about]
            listeners.discard(listener)
            if not listeners:
                del board.listeners[about]
            if not board.listeners:
                self._drop(tag, board)

    def _drop(self, tag: Tag, board: "_Board") -> None:
        if self._boards.get(tag) is board:
            del self._boards[tag]
        self._feed.leave(board.follower)

    async def _run(self, tag: Tag, board: "_Board") -> None:
        """Pass on what arrives, until nothing will."""
        why = "internal error; the server's log says more"
        try:
            while arrived := await board.follower.next():
                board.pass_on(arrived)
            why = board.follower.ended
        except Exception:  # noqa: BLE001 - listeners hear of a bug, too
            _log.exception("bug")
        finally:
            self._drop(tag, board)
            for listeners in board.listeners.values():
                for listener in listeners:
                    listener.end(why)


class _Board:
    """Who follows what in one colony: by the bytes of a process' id, or an executor's name."""

    task: asyncio.Task[None]

    def __init__(self, follower: Follower[HeardLine]) -> None:
        self.follower = follower
        self.listeners: dict[bytes | str, set[Listener]] = {}

    def pass_on(self, arrived: Sequence[HeardLine]) -> None:
        for heard in arrived:
            for listener in self.listeners.get(heard.process, ()):
                listener.put(heard)
            for listener in self.listeners.get(heard.executor.decode(), ()):
                listener.put(heard)
