"""Subscriptions over a websocket, against two really started servers."""

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from broker.identity import Identity
from broker.settings import Limits
from tests.acceptance.asking import Api, envelope, eventually
from tests.acceptance.conftest import OWNER, Found, settings_on
from tests.acceptance.processes import Server, Store, started
from tests.acceptance.sockets import Ended, Socket, socket_to
from tests.acceptance.tenants import (
    CANCELLED,
    FAILED,
    RUNNING,
    STRANGER,
    SUCCESS,
    WAITING,
    Tenant,
    found,
)

DROPPED = Ended(1006, "")
Servers = tuple[Server, Server]


async def to_process(
    socket: Socket,
    who: Identity,
    process: str,
    state: int,
    **fields: Any,  # noqa: ANN401 - JSON
) -> None:
    """Subscribe to one process."""
    given: dict[str, Any] = {
        "processid": process,
        "executortype": "",
        "state": state,
        "timeout": 600,
    } | fields
    await socket.ask(who, "subscribeprocessmsg", **given)


async def to_processes(
    socket: Socket,
    who: Identity,
    colony: str,
    state: int,
    **fields: Any,  # noqa: ANN401 - JSON
) -> None:
    """Subscribe to all processes for executors of a type, and be sure that it is so."""
    given: dict[str, Any] = {
        "colonyname": colony,
        "executortype": "cli",
        "state": state,
        "timeout": 600,
    } | fields
    await socket.ask(who, "subscribeprocessesmsg", **given)
    await settled(socket, who)


async def settled(socket: Socket, who: Identity) -> None:
    """Until everything sent before was dealt with: frames are answered in order."""
    await to_process(socket, who, "0" * 64, SUCCESS)
    assert (await socket.next()).refusal == (403, f"Invalid process with Id {'0' * 64}")


async def test_life_of_a_process_on_three_subscriptions(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    process = await tenant.submit(api)
    async with socket_to(servers[0]) as socket:
        await to_process(socket, tenant.user, process, WAITING)
        waiting = await socket.process()
        await to_process(socket, tenant.user, process, RUNNING)
        await to_process(socket, tenant.user, process, SUCCESS)
        await settled(socket, tenant.user)
        (await worker.assign(other)).ok  # noqa: B018 - asserts
        running = await socket.process()
        (await worker.close(other, process, "out")).ok  # noqa: B018 - asserts
        success = await socket.process()

        assert (waiting["processid"], waiting["state"]) == (process, WAITING)
        assert (running["state"], running["assignedexecutorid"]) == (RUNNING, worker.identity.id)
        assert success == await tenant.process(api, process)
        assert success["out"] == ["out"]
        assert await socket.silent()


async def test_state_that_is_there_is_told_once(tenant: Tenant, api: Api, servers: Servers) -> None:
    worker = await tenant.executor(api)
    process = await tenant.submit(api)
    await worker.assign(api)
    await worker.close(api, process)
    async with socket_to(servers[1]) as socket:
        await to_process(socket, tenant.user, process, SUCCESS)

        assert (await socket.process())["state"] == SUCCESS
        assert await socket.silent()


async def test_every_state_is_told_as_it_was_though_all_is_over(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    states = (WAITING, RUNNING, SUCCESS)
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(socket_to(servers[0])) for _ in states]
        for socket, state in zip(sockets, states, strict=True):
            await to_processes(socket, worker.identity, tenant.name, state)
        process = await tenant.submit(api)
        await worker.assign(api)
        await worker.close(api, process, 1)
        told = [await socket.process() for socket in sockets]

    assert [(p["processid"], p["state"]) for p in told] == [(process, state) for state in states]
    assert [p["isassigned"] for p in told] == [False, True, True]
    assert [p["out"] for p in told] == [[], [], [1]]


async def test_cancellation_and_failure_are_told(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    failing, cancelled = await tenant.submit(api), await tenant.submit(api, kind="none")
    async with socket_to(servers[0]) as socket:
        await to_process(socket, tenant.user, failing, FAILED)
        await to_process(socket, tenant.user, cancelled, CANCELLED)
        await settled(socket, tenant.user)
        await worker.assign(api)
        fields = {"processid": failing, "errors": ["why"]}
        (await api.ask(worker.identity, "closefailedmsg", **fields)).ok  # noqa: B018 - asserts
        failed = await socket.process()
        (await api.ask(tenant.user, "cancelprocessmsg", processid=cancelled)).ok  # noqa: B018
        gone = await socket.process()

    assert (failed["processid"], failed["state"], failed["errors"]) == (failing, FAILED, ["why"])
    assert (gone["processid"], gone["state"]) == (cancelled, CANCELLED)


async def test_cascade_of_a_failed_workflow_is_told(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    graph = await workflow(tenant, api)
    first, second = graph
    async with socket_to(servers[1]) as socket:
        await to_process(socket, tenant.user, second, FAILED)
        await settled(socket, tenant.user)
        await worker.assign(api)
        fields = {"processid": first, "errors": ["why"]}
        (await api.ask(worker.identity, "closefailedmsg", **fields)).ok  # noqa: B018 - asserts

        assert (await socket.process())["processid"] == second


async def test_child_is_told_to_wait_when_it_can_be_assigned(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    async with socket_to(servers[0]) as socket:
        await to_processes(socket, worker.identity, tenant.name, WAITING)
        first, second = await workflow(tenant, api)
        assert (await socket.process())["processid"] == first
        assert await socket.silent()
        await worker.assign(api)
        await worker.close(api, first)

        assert (await socket.process())["processid"] == second


async def test_retry_is_told(tenant: Tenant, api: Api, servers: Servers) -> None:
    worker = await tenant.executor(api)
    async with socket_to(servers[0]) as socket:
        await to_processes(socket, worker.identity, tenant.name, WAITING)
        process = await tenant.submit(api, maxexectime=1, maxretries=1)
        assert (await socket.process())["retries"] == 0
        await worker.assign(api)

        again = await socket.process()
        assert (again["processid"], again["state"], again["retries"]) == (process, WAITING, 1)


async def test_filters_are_exact_and_within_the_colony(
    founded: Found, api: Api, servers: Servers
) -> None:
    here, there = await founded(), await founded()
    worker, stranger = await here.executor(api), await there.executor(api)
    other_type = await here.executor(api, kind="cli1")
    async with AsyncExitStack() as stack:
        mine, yours, theirs = [
            await stack.enter_async_context(socket_to(servers[0])) for _ in range(3)
        ]
        await to_processes(mine, worker.identity, here.name, WAITING)
        await to_processes(yours, other_type.identity, here.name, WAITING, executortype="cli1")
        await to_processes(theirs, stranger.identity, there.name, WAITING)
        process = await here.submit(api)

        assert (await mine.process())["processid"] == process
        assert await yours.silent()
        assert await theirs.silent()


async def test_all_subscribers_hear_it(tenant: Tenant, api: Api, servers: Servers) -> None:
    worker = await tenant.executor(api)
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(socket_to(server))
            for server in (servers[0], servers[0], servers[1])
        ]
        for socket in sockets:
            await to_processes(socket, worker.identity, tenant.name, WAITING)
        process = await tenant.submit(api)

        assert [(await s.process())["processid"] for s in sockets] == [process] * 3


async def test_type_of_executor_other_than_that_of_the_process_never_matches(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process = await tenant.submit(api)
    async with socket_to(servers[0]) as socket:
        await to_process(socket, tenant.user, process, WAITING, executortype="other")

        assert await socket.silent()


async def test_binary_frames_are_answered_with_binary_frames(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process = await tenant.submit(api)
    async with socket_to(servers[0]) as socket:
        await to_process(socket, tenant.user, process, WAITING, binary=True)
        answer, binary = await socket.frame()

    assert (answer.ok["processid"], binary) == (process, True)


async def test_socket_is_dropped_after_its_timeout(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process = await tenant.submit(api)
    for timeout in (0, 1):
        async with socket_to(servers[0]) as socket:
            await to_process(socket, tenant.user, process, SUCCESS, timeout=timeout)

            assert await socket.ended() == DROPPED


async def test_what_nobody_signed_drops_the_socket(servers: Servers) -> None:
    bad = {"payloadtype": "subscribeprocessmsg", "payload": "e30=", "signature": "00"}
    for text in ("hello", json.dumps(bad)):
        async with socket_to(servers[0]) as socket:
            await socket.connection.send(text)

            assert await socket.ended() == DROPPED


async def test_other_messages_are_ignored(tenant: Tenant, api: Api, servers: Servers) -> None:
    process = await tenant.submit(api)
    async with socket_to(servers[0]) as socket:
        await socket.ask(tenant.user, "getprocessmsg", processid=process)

        await settled(socket, tenant.user)
        assert await socket.silent()


async def test_refusals_leave_the_socket_open(tenant: Tenant, api: Api, servers: Servers) -> None:
    worker = await tenant.executor(api)
    pending = await tenant.executor(api, approve=False)
    process = await tenant.submit(api)
    no_member = f"Access denied, not a member of Colony with name <{tenant.name}>"
    async with socket_to(servers[0]) as socket:
        await to_process(socket, STRANGER, process, WAITING)
        assert (await socket.next()).refusal == (403, no_member)
        of_all: dict[str, Any] = {
            "colonyname": tenant.name,
            "executortype": "cli",
            "state": 0,
            "timeout": 9,
        }
        await socket.ask(pending.identity, "subscribeprocessesmsg", **of_all)
        assert (await socket.next()).refusal == (403, no_member)
        for who in (tenant.user, STRANGER):
            await socket.ask(who, "subscribeprocessesmsg", **of_all)
            assert (await socket.next()).refusal == (403, "executor not found")
        for name in ("process", "processes"):
            kind = f"subscribe{name}msg"
            await socket.connection.send(sealed_as(worker.identity, kind, b'{"msgtype":"x"}'))
            text = f"Failed to subscribe to {name}, msg.msgType does not match rpcMsg.PayloadType"
            assert (await socket.next()).refusal == (403, text)
            await socket.connection.send(sealed_as(worker.identity, kind, b"{x"))
            text = f"Failed to subscribe to {name}, invalid JSON"
            assert (await socket.next()).refusal == (400, text)
        await settled(socket, tenant.user)


def sealed_as(who: Identity, kind: str, payload: bytes) -> str:
    """A signed frame with a payload that may be anything."""
    return envelope(kind, payload, who).decode()


async def test_request_with_a_nonce_subscribes_once(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process = await tenant.submit(api)
    once: dict[str, Any] = {"nonce": "n", "issuedat": time.time_ns()}
    async with socket_to(servers[0]) as socket, socket_to(servers[1]) as again:
        await to_process(socket, tenant.user, process, WAITING, **once)
        assert (await socket.process())["processid"] == process
        await to_process(again, tenant.user, process, WAITING, **once)

        assert (await again.next()).status == 403


async def test_removed_member_hears_nothing_more(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker, stays = await tenant.executor(api), await tenant.executor(api)
    async with socket_to(servers[1]) as socket, socket_to(servers[1]) as staying:
        await to_processes(socket, worker.identity, tenant.name, WAITING)
        await to_processes(staying, stays.identity, tenant.name, WAITING)
        await tenant.own(api, "removeexecutormsg", executorname=worker.name)

        assert await socket.ended() == Ended(1008, "not a member of the colony any more")
        await tenant.submit(api)
        await staying.process()


async def test_colony_that_is_removed_ends_its_subscriptions(api: Api, servers: Servers) -> None:
    going = await found(api, OWNER)
    process = await going.submit(api)
    async with socket_to(servers[0]) as socket:
        await to_process(socket, going.user, process, SUCCESS)
        await settled(socket, going.user)
        (await api.ask(OWNER, "removecolonymsg", colonyname=going.name)).ok  # noqa: B018

        assert await socket.ended() == Ended(1013, "the colony was removed")


async def test_a_socket_has_so_many_subscriptions(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process = await tenant.submit(api)
    async with socket_to(servers[0]) as socket:
        for _ in range(100):
            await to_process(socket, tenant.user, process, SUCCESS)
        await to_process(socket, tenant.user, process, SUCCESS)

        assert (await socket.next()).status == 503


async def test_frame_beyond_the_limit_ends_the_socket(servers: Servers) -> None:
    async with socket_to(servers[0]) as socket:
        await socket.connection.send("x" * (64 * 1024 + 1))

        assert (await socket.ended()).code == 1009


async def test_other_paths_do_not_upgrade(servers: Servers) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{servers[0].url.replace('http', 'ws', 1)}/other", proxy=None)

    assert refused.value.response.status_code == 403


async def workflow(tenant: Tenant, api: Api) -> tuple[str, str]:
    """Two processes, one after the other."""
    specs: list[dict[str, Any]] = [
        tenant.spec() | {"nodename": "first"},
        tenant.spec() | {"nodename": "second"},
    ]
    specs[1]["conditions"] = specs[1]["conditions"] | {"dependencies": ["first"]}
    spec = {"colonyname": tenant.name, "functionspecs": specs}
    graph = (await api.ask(tenant.user, "submitworkflowspecmsg", spec=spec)).ok
    first, second = graph["processids"]
    return first, second


async def test_slow_consumer_is_closed_with_a_reason_and_nobody_else(store: Store) -> None:
    settings = settings_on(store.url, limits=Limits(max_subscription_backlog=10))
    with started(settings) as server:
        async with Api(server.url) as api, AsyncExitStack() as stack:
            tenant = await found(api, OWNER)
            worker = await tenant.executor(api)
            slow, dead, quick = [
                await stack.enter_async_context(socket_to(server, max_queue=number))
                for number in (1, 1, 1_000)
            ]
            for socket in (slow, dead, quick):
                await to_processes(socket, worker.identity, tenant.name, WAITING)
            before = server.sockets
            for _ in range(80):
                process = await tenant.submit(api, args=["x" * 200_000])
                assert (await quick.process())["processid"] == process

            # Who does not read the reason either, for five seconds, is cut off.
            too_slow = Ended(1013, "too slow: 10 events were waiting to be read")
            assert await slow.ended() in {too_slow, DROPPED}

            async def cut_off() -> bool:
                return server.sockets <= before - 2

            await eventually(cut_off, "who reads nothing is cut off")


async def test_server_that_stops_says_so(store: Store) -> None:
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            tenant = await found(api, OWNER)
            process = await tenant.submit(api)
            async with socket_to(server) as socket:
                await to_process(socket, tenant.user, process, SUCCESS)
                await settled(socket, tenant.user)
                server.tell(signal.SIGTERM)

                assert (await socket.ended()).code in {1012, 1013}
        assert server.ended() == 0


async def test_store_that_was_away_costs_no_event(store: Store) -> None:
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api, socket_to(server) as socket:
            tenant = await found(api, OWNER)
            worker = await tenant.executor(api)
            await to_processes(socket, worker.identity, tenant.name, WAITING)
            store.kill()
            store.start()

            async def submitted() -> str:
                answer = await api.ask(tenant.user, "submitfuncspecmsg", spec=tenant.spec())
                return answer.payload["processid"] if answer.status == 200 else ""

            process = await eventually(submitted, "the store is back")

            assert (await socket.process())["processid"] == process


async def test_idle_sockets_count_among_the_connections(store: Store) -> None:
    with started(settings_on(store.url, limits=Limits(max_connections=2))) as server:
        async with socket_to(server), socket_to(server):
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{server.url.replace('http', 'ws', 1)}/pubsub", proxy=None)
            assert refused.value.response.status_code == 503
        async with socket_to(server):
            pass


async def test_socket_that_is_gone_consumes_nothing(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    before = servers[0].sockets
    async with socket_to(servers[0]) as gone:
        await to_processes(gone, worker.identity, tenant.name, WAITING)
        gone.connection.transport.abort()

        async def closed() -> bool:
            return servers[0].sockets <= before

        await eventually(closed, "the socket is gone")
    async with socket_to(servers[0]) as socket:
        await to_processes(socket, worker.identity, tenant.name, WAITING)
        process = await tenant.submit(api)

        assert (await socket.process())["processid"] == process


async def test_a_thousand_subscribers_hear_an_event(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(socket_to(servers[0], compression=None))
            for _ in range(1_000)
        ]
        for socket in sockets:
            await to_processes(socket, worker.identity, tenant.name, WAITING)
        process = await tenant.submit(api)
        told = await asyncio.gather(*(socket.process() for socket in sockets))

    assert {each["processid"] for each in told} == {process}
