"""Starts and stops what is measured, and reads what it costs: resident memory, memory of Redis."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from redis.asyncio import Redis

from bench import usage
from bench.connection import Connection, Endpoint, connect, connections
from bench.errors import BenchError, NotStarted
from bench.wire import Member
from broker.identity import Identity
from broker.settings import Settings
from cli import embedded

_START_S = 30.0
_STOP_S = 15.0
_LOOK_AGAIN_S = 0.02
_TAIL = 2_000
_TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One server under load."""

    name: str
    endpoint: Endpoint
    server_owner: Member | None = None
    redis_url: str | None = None
    pid: int | None = None
    redis_pid: int | None = None
    workers: int = 1

    def owner(self) -> Member:
        """The identity that may add colonies.

        Raises:
            BenchError: this target has none, so nothing can be set up on it.
        """
        if self.server_owner is None:
            raise BenchError(f"{self.name} has no server owner")
        return self.server_owner

    async def redis_bytes(self) -> int | None:
        """What Redis says it uses; None where there is no Redis to ask."""
        return None if self.redis_url is None else await _info(self.redis_url, "used_memory")

    async def conflicts(self) -> int | None:
        """How often an append was refused because a row had changed, so far.

        append.lua asks for the type of a key then, and nothing else does.
        """
        if self.redis_url is None:
            return None
        async with Redis.from_url(self.redis_url) as redis:  # pyright: ignore[reportUnknownMemberType] - as in _info
            used = await redis.info("commandstats")  # pyright: ignore[reportUnknownMemberType] - likewise
        return int(used.get("cmdstat_type", {}).get("calls", 0))

    def resident_bytes(self) -> int | None:
        """Resident memory of the server's processes together; None for a server elsewhere."""
        return None if self.pid is None else usage.resident_bytes(self.pid)

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time used so far, by who used it; only what runs here and is ours."""
        known = {"server": self.pid, "redis": self.redis_pid}
        used = {name: usage.cpu_seconds(pid) for name, pid in known.items() if pid is not None}
        return used | {"generator": time.process_time()}


@asynccontextmanager
async def even_connections(target: Target, count: int) -> AsyncGenerator[list[Connection]]:
    """``count`` connections, as many to each worker as chance allows when asked often enough.

    The kernel spreads few connections unevenly, and then the busier worker is all that is measured.
    A server elsewhere gets them as they come.
    """
    if target.pid is None or target.workers == 1:
        async with connections(target.endpoint, count) as opened:
            yield opened
        return
    async with AsyncExitStack() as stack:
        yield await _evenly(target, count, stack)


async def _evenly(target: Target, count: int, stack: AsyncExitStack) -> list[Connection]:
    held = defaultdict[int, list[Connection]](list)
    share = -(-count // target.workers)
    for _ in range(count * _TRIES):
        worker, connection = await _connection_and_worker(target, stack)
        held[worker].append(connection)
        if sum(min(len(one), share) for one in held.values()) >= count:
            break
    rounds = zip_longest(*held.values())
    opened = [connection for one in rounds for connection in one if connection is not None]
    for connection in opened[count:]:
        connection.close()
    return opened[:count]


async def _connection_and_worker(target: Target, stack: AsyncExitStack) -> tuple[int, Connection]:
    """A new connection, and the pid of the process whose sockets have become more."""
    pids = list(usage.family(target.pid or 0))
    before = {pid: usage.sockets(pid) for pid in pids}
    (connection,) = await stack.enter_async_context(connections(target.endpoint, 1))
    await connection.request(target.endpoint.get("/health"))
    return max(pids, key=lambda pid: usage.sockets(pid) - before[pid]), connection


async def _info(url: str, name: str) -> int:
    async with Redis.from_url(url) as redis:  # pyright: ignore[reportUnknownMemberType] - redis-py leaves **kwargs unannotated
        info = await redis.info()  # pyright: ignore[reportUnknownMemberType] - likewise
        return int(info[name])


@asynccontextmanager
async def ours(settings: Settings, more: Mapping[str, str] | None = None) -> AsyncGenerator[Target]:
    """This repository's server on the embedded store, new and empty, durable as always.

    ``more`` are variables of its environment that are no settings.
    """
    owner = Identity.generate()
    with _new_folder() as folder, embedded.running(folder) as store:
        own = replace(settings, redis_url=store.url, server_id=owner.id, host="127.0.0.1", port=0)
        environ = {**os.environ, **own.to_env(), **(more or {})}
        command = [sys.executable, "-m", "api.serve"]
        async with _serving(command, environ) as (pid, endpoint):
            yield Target(
                name="ours",
                endpoint=endpoint,
                server_owner=Member(endpoint, "server", owner),
                redis_url=store.url,
                pid=pid,
                workers=settings.workers,
                redis_pid=await _info(store.url, "process_id"),
            )


@asynccontextmanager
async def floor(workers: int) -> AsyncGenerator[Target]:
    """The constant-reply app."""
    command = [sys.executable, "-m", "bench.floor", "--workers", str(workers)]
    async with _serving(command, dict(os.environ)) as (pid, endpoint):
        yield Target(name="floor", endpoint=endpoint, pid=pid, workers=workers)


@contextmanager
def _new_folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@asynccontextmanager
async def _serving(
    command: list[str], environ: Mapping[str, str]
) -> AsyncGenerator[tuple[int, Endpoint]]:
    """A server that says on stderr that it is ready and on which port; yields pid and endpoint."""
    with _new_folder() as folder:
        log = folder / "stderr"
        async with _running(command, environ, log) as process:
            port = await _ready_port(process, log)
            endpoint = Endpoint(host="127.0.0.1", port=port)
            await _until_healthy(endpoint, process, log)
            yield process.pid, endpoint


async def _ready_port(process: asyncio.subprocess.Process, log: Path) -> int:
    try:
        async with asyncio.timeout(_START_S):
            while process.returncode is None:
                port = port_said(_text(log))
                if port is not None:
                    return port
                await asyncio.sleep(_LOOK_AGAIN_S)
    except TimeoutError as error:
        raise NotStarted(f"not ready after {_START_S:.0f} s: {_tail(log)}") from error
    raise NotStarted(f"ended with {process.returncode}: {_tail(log)}")


def port_said(text: str) -> int | None:
    """The port in the first complete ``ready`` line of a log; None when there is none yet."""
    for line in text.splitlines(keepends=True):
        if '"ready"' in line and line.endswith("\n"):
            return int(json.loads(line)["port"])
    return None


async def _until_healthy(
    endpoint: Endpoint, process: asyncio.subprocess.Process, log: Path
) -> None:
    """Wait for the first answer: a socket may be bound before anybody accepts on it."""
    try:
        async with asyncio.timeout(_START_S):
            while process.returncode is None:
                try:
                    connection = await connect(endpoint)
                except ConnectionRefusedError:
                    await asyncio.sleep(_LOOK_AGAIN_S)
                    continue
                await connection.request(endpoint.get("/health"))
                connection.close()
                await connection.wait_closed()
                return
    except TimeoutError as error:
        raise NotStarted(f"not healthy after {_START_S:.0f} s: {_tail(log)}") from error
    raise NotStarted(f"ended with {process.returncode}: {_tail(log)}")


@asynccontextmanager
async def _running(
    command: list[str], environ: Mapping[str, str], log: Path
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process in a session of its own, ended with everything it started."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody was left behind


def _tail(log: Path) -> str:
    return _text(log)[-_TAIL:]


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")
