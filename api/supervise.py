"""Several worker processes on one port, watched over by a parent.

The parent serves nothing itself. It hands each a listening socket, a pipe on which a worker says
that it is ready, and a pipe whose end tells a worker that its parent has died. A worker that dies
is replaced, and clients that come meanwhile wait in its socket. All workers answer requests; the
first also is the timer, and the last does what follows the log at its own pace, so that catching up
keeps no deadline waiting.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory

import structlog

from api.tally import share_of
from broker.settings import Role, Settings

_log = structlog.get_logger(__name__)
SOCKET = "COLONIES_INHERITED_SOCKET"
_READY = "COLONIES_INHERITED_READY"
_PARENT = "COLONIES_INHERITED_PARENT"
COUNTS = "COLONIES_INHERITED_COUNTS"
"""The file in which a worker leaves what it counted, beside those of the others."""
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)


async def supervise(
    settings: Settings, sockets: Sequence[socket.socket], on_ready: Callable[[], None] | None
) -> int:
    """Run all workers until told to stop; the exit code."""
    with TemporaryDirectory(prefix="colonies-counts-") as counts:
        parent = _Parent(settings=settings, sockets=sockets, counts=Path(counts))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, parent.told_to_stop)
        return await parent.run(on_ready)


@dataclass(slots=True, kw_only=True)
class _Parent:
    settings: Settings
    sockets: Sequence[socket.socket]
    counts: Path
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    workers: dict[int, asyncio.subprocess.Process] = field(
        default_factory=dict[int, asyncio.subprocess.Process]
    )

    was_told: bool = False

    def told_to_stop(self) -> None:
        """Somebody wants the server to end; that it had not begun then is no failure."""
        self.was_told = True
        self.stop()

    def stop(self) -> None:
        """End every worker."""
        self.stopping.set()
        for worker in self.workers.values():
            if worker.returncode is None:
                worker.terminate()

    async def run(self, on_ready: Callable[[], None] | None) -> int:
        """Start all, say when all are ready, replace those that die."""
        lifeline, kept = os.pipe()
        try:
            count = self.settings.workers
            started = await asyncio.gather(*(self._start(i, lifeline) for i in range(count)))
            if not all(started):
                self.stop()
            else:
                port = self.settings.port
                _log.info("ready", port=port, pid=os.getpid(), workers=count)
                if on_ready:
                    on_ready()
            await asyncio.gather(*(self._keep(i, lifeline) for i in range(count)))
            _log.info("stopped", pid=os.getpid())
            return 0 if all(started) or self.was_told else 1
        finally:
            os.close(lifeline)
            os.close(kept)

    async def _start(self, index: int, lifeline: int) -> bool:
        """Start one worker; whether it became ready."""
        told, tell = os.pipe()
        try:
            down = (self.sockets[index].fileno(), tell, lifeline)
            self.workers[index] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "api.serve",
                env=os.environ | self._environment(index, tell, lifeline),
                pass_fds=down,
                start_new_session=True,
            )
        finally:
            os.close(tell)
        if self.stopping.is_set():
            self.workers[index].terminate()
        return await _first_byte(told)

    def _environment(self, index: int, tell: int, lifeline: int) -> dict[str, str]:
        roles = roles_of(self.settings, index)
        worker = replace(self.settings, workers=1, roles=roles)
        return worker.to_env() | {
            SOCKET: str(self.sockets[index].fileno()),
            _READY: str(tell),
            _PARENT: str(lifeline),
            COUNTS: str(share_of(self.counts, index)),
        }

    async def _keep(self, index: int, lifeline: int) -> None:
        """Replace a worker as often as it dies, more slowly when it does not come up."""
        failures = 0
        while True:
            code = await self.workers[index].wait()
            if self.stopping.is_set():
                return
            pause = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
            _log.warning("worker_died", worker=index, code=code, restarting_in_s=pause)
            try:
                await asyncio.wait_for(self.stopping.wait(), pause)
            except TimeoutError:
                failures = 0 if await self._start(index, lifeline) else failures + 1
            else:
                return


def roles_of(settings: Settings, index: int) -> frozenset[Role]:
    """What one of the workers does, counted from 0."""
    has = {Role.API}
    if index == 0:
        has |= {Role.TIMER}
    if index == settings.workers - 1:
        has |= set(Role) - {Role.TIMER}
    return settings.roles & has


async def _first_byte(descriptor: int) -> bool:
    """Wait for a byte, or for the other end to close; whether there was a byte."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: readable.done() or readable.set_result(None))
    try:
        await readable
        return bool(os.read(descriptor, 1))
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def tell_parent_ready() -> str:
    """Tell a supervisor, if there is one; what to call the event in the log."""
    descriptor = os.environ.pop(_READY, "")
    if not descriptor:
        return "ready"
    os.write(int(descriptor), b"r")
    os.close(int(descriptor))
    return "worker_ready"


def follow_parent(stop: Callable[[], None]) -> Callable[[], None]:
    """Call ``stop`` when the supervisor, if there is one, has died; the result undoes that."""
    descriptor = os.environ.get(_PARENT, "")
    if not descriptor:
        return lambda: None
    loop, number = asyncio.get_running_loop(), int(descriptor)

    def parent_died() -> None:
        loop.remove_reader(number)
        stop()

    loop.add_reader(number, parent_died)
    return lambda: _forget(loop, number)


def clean_up_after_parent() -> None:
    """Remove what a supervisor that was killed has left: each worker its file, the last one all.

    Where a worker was killed as well, its file stays.
    """
    share = os.environ.get(COUNTS)
    if not share or not select([int(os.environ[_PARENT])], [], [], 0)[0]:
        return
    Path(share).unlink(missing_ok=True)
    with suppress(OSError):  # others still have a file there
        Path(share).parent.rmdir()


def _forget(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    loop.remove_reader(descriptor)
