"""Subscriptions to channels, against two really started servers."""

import asyncio
import base64
from typing import Any

from broker.identity import Identity
from tests.acceptance.asking import Api
from tests.acceptance.processes import Server
from tests.acceptance.sockets import Socket, socket_to
from tests.acceptance.tenants import STRANGER, Executor, Tenant

Servers = tuple[Server, Server]


async def talking(tenant: Tenant, api: Api) -> tuple[str, Executor]:
    """A process with a channel, and who runs it."""
    worker = await tenant.executor(api)
    process = await tenant.submit(api, channels=["chat"])
    (await worker.assign(api)).ok  # noqa: B018 - an error is raised here
    return process, worker


async def tell(api: Api, who: Identity, process: str, *texts: str) -> None:
    """Say something."""
    for number, text in enumerate(texts, 1):
        payload = base64.b64encode(text.encode()).decode()
        answer = await api.ask(
            who,
            "channelappendmsg",
            processid=process,
            name="chat",
            sequence=number,
            payload=payload,
        )
        assert answer.ok == {}


async def hear(socket: Socket, who: Identity, process: str, **fields: Any) -> None:  # noqa: ANN401
    """Subscribe."""
    given: dict[str, Any] = {"name": "chat", "afterseq": 0, "timeout": 600} | fields
    await socket.ask(who, "subscribechannelmsg", processid=process, **given)


async def texts(socket: Socket) -> list[str]:
    """What the next frame says."""
    answer = await socket.next()
    assert answer.kind == "subscribechannelmsg", answer
    entries: list[dict[str, Any]] = answer.ok
    return [base64.b64decode(entry["payload"]).decode() for entry in entries]


async def test_what_there_is_and_then_what_is_said_on_either_server(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await talking(tenant, api)
    await tell(api, tenant.user, process, "one", "two")
    async with socket_to(servers[1]) as socket:
        await hear(socket, tenant.user, process)
        assert await texts(socket) == ["one", "two"]

        await tell(api, worker.identity, process, "three")
        assert await texts(socket) == ["three"]
        await tell(other, tenant.user, process, "four")
        assert await texts(socket) == ["four"]

        await hear(socket, tenant.user, process, afterseq=3, timeout=1)
        assert await texts(socket) == ["four"]
        assert await texts(socket) == []
        assert await socket.silent()


async def test_nothing_is_missed_or_repeated_while_much_is_said(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await talking(tenant, api)
    said = [str(n) for n in range(100)]
    async with socket_to(servers[0]) as first, socket_to(servers[1]) as second:
        speaking = asyncio.create_task(tell(other, worker.identity, process, *said))
        for socket in (first, second):
            await hear(socket, tenant.user, process)
        heard: list[list[str]] = []
        for socket in (first, second):
            mine: list[str] = []
            while len(mine) < len(said):
                mine += await texts(socket)
            heard.append(mine)
        await speaking

    assert heard == [said, said]


async def test_end_of_the_process_is_an_empty_frame(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await talking(tenant, api)
    async with socket_to(servers[0]) as socket:
        await hear(socket, tenant.user, process)
        await tell(other, worker.identity, process, "last words")
        assert (await worker.close(other, process)).ok == {}

        assert await texts(socket) == ["last words"]
        assert await texts(socket) == []

        await hear(socket, worker.identity, process)
        assert await texts(socket) == ["last words"]
        assert await texts(socket) == []


async def test_others_hear_nothing(tenant: Tenant, api: Api, servers: Servers) -> None:
    process, _ = await talking(tenant, api)
    member = await tenant.executor(api)
    member_text = f"Access denied, not a member of Colony with name <{tenant.name}>"
    async with socket_to(servers[0]) as socket:
        await hear(socket, member.identity, process)
        refused = (await socket.next()).refusal
        assert refused == (403, "Not authorized to subscribe to channel")
        await hear(socket, STRANGER, process)
        assert (await socket.next()).refusal == (403, member_text)
        await hear(socket, tenant.user, process, name="nope")
        assert (await socket.next()).refusal == (404, "Channel not found")
        await hear(socket, tenant.user, "0" * 64)
        assert (await socket.next()).refusal == (404, "Process not found")
