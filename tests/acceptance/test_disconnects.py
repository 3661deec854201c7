"""Clients that go away: nothing is given to them, and nothing stays with them."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.acceptance.asking import Api, eventually, sealed
from tests.acceptance.inspection import Ear
from tests.acceptance.processes import Server
from tests.acceptance.raw import Raw, Reply, connected, posted
from tests.acceptance.tenants import Executor, Tenant

LONG_S = 30
PROCESSES = 150


@pytest.fixture
async def ear(valkey: str) -> AsyncGenerator[Ear]:
    """What the store was told to do."""
    listening = Ear(valkey)
    yield listening
    await listening.close()


def poll_of(executor: Executor, timeout_s: int = LONG_S) -> bytes:
    """A long poll, ready to send."""
    body = sealed(
        executor.identity, "assignprocessmsg", colonyname=executor.colony, timeout=timeout_s
    )
    return posted(body)


async def wait_on(raw: Raw, executor: Executor, ear: Ear, extra: bytes = b"") -> None:
    """Send a long poll, and return when it has tried twice in vain, so that it waits."""
    before = await ear.scripts()
    await raw.send(poll_of(executor), extra)

    async def tried() -> bool:
        return await ear.scripts() >= before + 2

    await eventually(tried, "a waiting executor")


@asynccontextmanager
async def visited(server: Server) -> AsyncGenerator[Raw]:
    """A connection to a server; at the end the client has gone and the server has noticed."""
    before = server.sockets
    async with connected(server.port) as raw:
        yield raw

    async def noticed() -> bool:
        return server.sockets <= before

    await eventually(noticed, "the server to notice that a client has gone")


@pytest.mark.parametrize("how", ["vanish", "close"])
async def test_client_that_went_away_is_given_nothing(
    tenant: Tenant,
    servers: tuple[Server, Server],
    api: Api,
    ear: Ear,
    how: str,
) -> None:
    absent, present = await tenant.executor(api), await tenant.executor(api)
    async with visited(servers[0]) as raw:
        await wait_on(raw, absent, ear)
        if how == "vanish":
            raw.vanish()

    submitted = await tenant.submit(api)

    process = await tenant.process(api, submitted)
    assert (process["state"], process["assignedexecutorid"]) == (0, "")
    assert (await present.assign(api)).ok["processid"] == submitted


async def test_next_in_line_gets_what_a_vanished_client_would_have(
    tenant: Tenant, api: Api, other: Api, ear: Ear
) -> None:
    absent, present = await tenant.executor(api), await tenant.executor(api)
    async with connected(api.port) as first, connected(api.port) as second:
        await wait_on(first, absent, ear)
        await wait_on(second, present, ear)
        first.vanish()

        submitted = await tenant.submit(other)

        reply = await second.reply()
        assert reply is not None
        assert reply.answer.ok["processid"] == submitted
        assert reply.answer.ok["assignedexecutorid"] == present.identity.id


@pytest.mark.parametrize("ahead", ["another path", "another call", "half a call"])
async def test_client_that_vanishes_with_the_next_request_under_way(
    tenant: Tenant, api: Api, other: Api, ear: Ear, ahead: str
) -> None:
    """A server that reads no further while it answers would not notice that the client is gone."""
    absent, present = await tenant.executor(api), await tenant.executor(api)
    call = posted(sealed(absent.identity, "getcolonymsg", colonyname=tenant.name))
    next_request = {
        "another path": b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
        "another call": call,
        "half a call": call[: len(call) // 2],
    }
    async with connected(api.port) as raw:
        await wait_on(raw, absent, ear, extra=next_request[ahead])
        raw.vanish()

    submitted = await tenant.submit(other)

    reply = await present.assign(other, LONG_S)
    assert reply.ok["processid"] == submitted


async def test_client_that_vanishes_while_paused_is_given_nothing(
    tenant: Tenant, servers: tuple[Server, Server], api: Api, other: Api, ear: Ear
) -> None:
    absent = await tenant.executor(api)
    await tenant.own(api, "pauseassignmentsmsg")
    async with visited(servers[0]) as raw:
        await wait_on(raw, absent, ear)
        raw.vanish()
    submitted = await tenant.submit(other)

    await tenant.own(other, "resumeassignmentsmsg")

    assert (await tenant.process(api, submitted))["state"] == 0


async def test_client_killed_while_it_is_given_work(tenant: Tenant, api: Api, other: Api) -> None:
    """It asks for work that is there, and is gone before the answer: the work waits again."""
    absent, present = await tenant.executor(api), await tenant.executor(api)
    for _ in range(30):
        submitted = await tenant.submit(other)
        async with connected(api.port) as raw:
            await raw.send(poll_of(absent))
            raw.vanish()

        given = await present.assign(other, LONG_S)

        assert given.status == 200, await tenant.process(api, submitted)
        (await present.close(api, submitted)).ok  # noqa: B018 - asserts


async def _readable(plain: socket.socket, timeout_s: float) -> bool:
    """Whether there is something to read within a time."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(plain, there.set)
    try:
        async with asyncio.timeout(timeout_s):
            await there.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(plain)
    return True


@dataclass
class Crowd:
    """Executors of which some go away at any moment; whoever reads an answer closes the process."""

    tenant: Tenant
    dice: random.Random
    submitted: list[str] = field(default_factory=list[str])
    closed: list[str] = field(default_factory=list[str])
    over: bool = False

    async def feed(self, *servers: Api) -> None:
        """Submit work."""
        for i in range(PROCESSES):
            self.submitted.append(await self.tenant.submit(servers[i % 2]))

    async def flit(self, executor: Executor, at: Api) -> None:
        """Ask and vanish, again and again."""
        for _ in range(40):
            reply = await self._glance(at.port, poll_of(executor, self.dice.choice((-1, 1, 5))))
            if reply is not None and reply.status == 200:
                await self._close(executor, at, reply.answer.ok["processid"])

    async def _glance(self, port: int, request: bytes) -> Reply | None:
        """What is answered within a moment; else go away without having read a byte.

        A stream would read in the background, and what it has read counts as delivered.
        """
        patience_s = self.dice.choice((0.0001, 0.001, 0.003, 0.01, 0.03))
        loop = asyncio.get_running_loop()
        with socket.socket() as plain:
            plain.settimeout(0)
            await loop.sock_connect(plain, ("127.0.0.1", port))
            await loop.sock_sendall(plain, request)
            if await _readable(plain, patience_s):
                raw = Raw(*await asyncio.open_connection(sock=plain))
                reply = await raw.reply()
                await raw.close()
                return reply
            if self.dice.random() < 0.5:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None

    async def stay(self, executor: Executor, at: Api) -> None:
        """Work until all is done."""
        while not self.over:
            given = await executor.assign(at, 1)
            if given.status == 200:
                await self._close(executor, at, given.payload["processid"])

    async def _close(self, executor: Executor, at: Api, process_id: str) -> None:
        (await executor.close(at, process_id)).ok  # noqa: B018 - asserts
        self.closed.append(process_id)

    async def all_closed(self) -> bool:
        """Whether nothing is left."""
        return len(self.closed) == len(self.submitted)


async def test_clients_that_vanish_at_random_keep_nothing(
    tenant: Tenant, api: Api, other: Api
) -> None:
    crowd = Crowd(tenant, random.Random(20261123))  # noqa: S311 - a repeatable test
    flighty = [(await tenant.executor(api), (api, other)[i % 2]) for i in range(6)]
    steady = [(await tenant.executor(api), (api, other)[i % 2]) for i in range(2)]
    staying = [asyncio.create_task(crowd.stay(*pair)) for pair in steady]
    try:
        await asyncio.gather(crowd.feed(api, other), *(crowd.flit(*pair) for pair in flighty))
        with contextlib.suppress(AssertionError):
            await eventually(crowd.all_closed, "every process to be closed")
    finally:
        crowd.over = True
        await asyncio.gather(*staying)

    assert await tenant.counts(api) == [0, 0, PROCESSES, 0, 0]
    assert sorted(crowd.closed) == sorted(crowd.submitted)
