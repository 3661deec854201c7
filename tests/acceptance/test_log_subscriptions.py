"""Subscriptions to log lines, against two really started servers."""

import asyncio
import signal
from typing import Any

from broker.identity import Identity
from broker.settings import Limits
from tests.acceptance.asking import Api, eventually
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.processes import Server, Store, started
from tests.acceptance.sockets import Ended, Socket, socket_to
from tests.acceptance.tenants import STRANGER, Executor, Tenant, found
from tests.patience import PATIENCE_S

Servers = tuple[Server, Server]
Line = dict[str, Any]
NOT_THERE = "Failed to get logs, process does not exist"


async def running(tenant: Tenant, api: Api) -> tuple[str, Executor]:
    """A process, and who runs it."""
    worker = await tenant.executor(api)
    process = await tenant.submit(api)
    (await worker.assign(api)).ok  # noqa: B018 - an error is raised here
    return process, worker


async def say(api: Api, worker: Executor, process: str, *texts: str) -> None:
    """Say lines."""
    for text in texts:
        answer = await api.ask(worker.identity, "addlogmsg", processid=process, message=text)
        assert answer.ok == {}


async def say_of_itself(api: Api, worker: Executor, text: str) -> None:
    """Say a line about no process."""
    fields = {"colonyname": worker.colony, "executorname": worker.name, "message": text}
    assert (await api.ask(worker.identity, "addexecutorlogmsg", **fields)).ok == {}


async def hear(socket: Socket, who: Identity, tenant: Tenant, **fields: Any) -> None:  # noqa: ANN401
    """Subscribe."""
    given: dict[str, Any] = {"colonyname": tenant.name, "timeout": 600} | fields
    await socket.ask(who, "subscribelogsmsg", **given)


async def lines(socket: Socket) -> list[Line]:
    """What the next frame says."""
    answer = await socket.next()
    assert answer.kind == "subscribelogsmsg", answer
    told: list[Line] = answer.ok
    return told


async def texts(socket: Socket, count: int) -> list[str]:
    """The next lines, however many frames they need."""
    heard: list[str] = []
    while len(heard) < count:
        told = await lines(socket)
        assert told, f"ended after {heard}"
        heard += [line["message"] for line in told]
    return heard


async def test_what_there_is_and_then_what_is_said_on_either_server(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    await say(api, worker, process, "one", "two")
    async with socket_to(servers[1]) as socket:
        await hear(socket, tenant.user, tenant, processid=process)
        told = await lines(socket)
        assert [(line["message"], line["processid"]) for line in told] == [
            ("one", process),
            ("two", process),
        ]
        assert {line["executorname"] for line in told} == {worker.name}

        await say(api, worker, process, "three")
        assert await texts(socket, 1) == ["three"]
        await say(other, worker, process, "four")
        assert await texts(socket, 1) == ["four"]

        await hear(socket, tenant.user, tenant, processid=process, since=told[-1]["timestamp"])
        assert await texts(socket, 2) == ["three", "four"]


async def test_the_end_of_the_process_is_an_empty_frame_after_its_last_line(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    async with socket_to(servers[0]) as socket:
        await hear(socket, tenant.user, tenant, processid=process)
        await say(other, worker, process, *map(str, range(50)))
        assert (await worker.close(other, process)).ok == {}

        assert await texts(socket, 50) == [*map(str, range(50))]
        assert await lines(socket) == []

        await hear(socket, tenant.user, tenant, processid=process)
        assert await texts(socket, 50) == [*map(str, range(50))]
        assert await lines(socket) == []
        assert await socket.silent()


async def test_the_end_of_the_time_is_an_empty_frame(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process, _ = await running(tenant, api)
    async with socket_to(servers[0]) as socket:
        await hear(socket, tenant.user, tenant, processid=process, timeout=1)
        assert await lines(socket) == []
        assert await socket.silent()


async def test_a_process_that_is_removed_ends_what_follows_it(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process = await tenant.submit(api)
    async with socket_to(servers[0]) as socket:
        await hear(socket, tenant.user, tenant, processid=process)
        await socket.ask(
            tenant.user, "subscribeprocessmsg", processid=process, state=2, timeout=600
        )
        # The answer to what was sent behind them shows that both are heard.
        await hear(socket, tenant.user, tenant, processid="0" * 64)
        assert (await socket.next()).refusal == (500, NOT_THERE)
        removed = await other.ask(tenant.user, "removeprocessmsg", processid=process)
        assert removed.ok == {}

        told = [await socket.next(), await socket.next()]
        refused = next(answer for answer in told if answer.status != 200)
        assert refused.refusal == (403, f"Invalid process with Id {process}")
        assert [answer.payload for answer in told if answer.status == 200] == [[]]
        await hear(socket, tenant.user, tenant, processid=process)
        assert (await socket.next()).refusal == (500, NOT_THERE)


async def test_an_executor_is_followed_whatever_it_speaks_of(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    _, another = await running(tenant, api)
    async with socket_to(servers[0]) as socket:
        await hear(socket, tenant.user, tenant, executorname=worker.name)
        await say_of_itself(other, another, "not this")
        await say_of_itself(other, worker, "of itself")
        await say(other, worker, process, "of the process")
        assert (await worker.close(other, process)).ok == {}
        await say_of_itself(api, worker, "of itself again")

        assert await texts(socket, 3) == ["of itself", "of the process", "of itself again"]


async def test_nothing_is_skipped_or_repeated_by_one_who_is_cut_off_again_and_again(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    count, per_request = 1_500, 10
    heard: list[Line] = []

    async def speak(server: Api, first: int) -> None:
        for number in range(first, count, 2 * per_request):
            said = [str(n) for n in range(number, number + per_request)]
            answer = await server.ask(
                worker.identity, "addlogsmsg", processid=process, messages=said
            )
            assert answer.ok == {}

    async def listen() -> None:
        turn = 0
        while len(heard) < count:
            turn += 1
            async with socket_to(servers[turn % 2]) as socket:
                since = heard[-1]["timestamp"] if heard else 0
                await hear(socket, tenant.user, tenant, processid=process, since=since)
                for _ in range(4):
                    heard.extend(await lines(socket))
                    if len(heard) >= count:
                        return

    async with asyncio.timeout(2 * PATIENCE_S):
        await asyncio.gather(speak(api, 0), speak(other, per_request), listen())

    times = [line["timestamp"] for line in heard]
    assert times == sorted(set(times))
    assert sorted(int(line["message"]) for line in heard) == list(range(count))
    for part in (0, 1):
        mine = [int(line["message"]) for line in heard]
        mine = [number for number in mine if number // per_request % 2 == part]
        assert mine == sorted(mine), "lines of one server are in its order"


async def test_others_hear_nothing_and_nobody_hears_of_nothing(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    text = f"Access denied, not a member of Colony with name <{tenant.name}>"
    async with socket_to(servers[0]) as socket:
        await hear(socket, STRANGER, tenant, processid=process)
        assert (await socket.next()).refusal == (403, text)
        await hear(socket, STRANGER, tenant, executorname=worker.name)
        assert (await socket.next()).refusal == (403, text)
        await hear(socket, tenant.user, tenant, processid="0" * 64)
        assert (await socket.next()).refusal == (500, NOT_THERE)
        await hear(socket, tenant.user, tenant, executorname="nobody")
        assert (await socket.next()).refusal == (
            500,
            "Failed to get logs, executor does not exist",
        )
        await socket.ask(tenant.user, "subscribelogsmsg", msgtype="other")
        assert (await socket.next()).refusal == (
            400,
            "Failed to subscribe to logs, msg.MsgType does not match rpcMsg.PayloadType",
        )


async def test_who_is_removed_hears_no_more(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    spy = await tenant.executor(api)
    async with socket_to(servers[0]) as of_process, socket_to(servers[0]) as of_executor:
        await hear(of_process, spy.identity, tenant, processid=process)
        await hear(of_executor, spy.identity, tenant, executorname=worker.name)
        await say(api, worker, process, "heard")
        assert await texts(of_process, 1) == await texts(of_executor, 1) == ["heard"]
        await tenant.own(other, "removeexecutormsg", executorname=spy.name)
        await say(api, worker, process, "secret")

        gone = Ended(1008, "not a member of the colony any more")
        assert await of_process.ended() == gone
        assert await of_executor.ended() == gone


async def test_nothing_is_read_for_those_who_have_gone(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    process, worker = await running(tenant, api)
    before = servers[0].sockets
    for _ in range(3):
        async with socket_to(servers[0]) as socket:
            await hear(socket, tenant.user, tenant, processid=process)
            await say(api, worker, process, "hello")
            assert (await texts(socket, 1))[0] == "hello"

    async def closed() -> bool:
        return servers[0].sockets <= before

    await eventually(closed, "the sockets to be closed")
    await say(api, worker, process, "to nobody")


async def test_who_reads_nothing_is_closed_and_misses_nothing_by_it(store: Store) -> None:
    limits = Limits(idle_timeout_ms=3_000, max_subscription_backlog=10)
    with (
        started(settings_on(store.url, limits=limits)) as server,
        started(settings_on(store.url)) as other,
    ):
        async with Api(other.url) as api:
            tenant = await found(api, OWNER)
            process, worker = await running(tenant, api)
            text = "x" * 60_000
            async with socket_to(server, max_queue=1) as slow, socket_to(server) as quick:
                for socket in (slow, quick):
                    await hear(socket, tenant.user, tenant, processid=process)
                await say(api, worker, process, "first")
                first = (await lines(slow))[0]
                assert await texts(quick, 1) == ["first"]
                both = server.sockets

                async def closed() -> bool:
                    return server.sockets < both

                for _ in range(20):
                    answer = await api.ask(
                        worker.identity, "addlogsmsg", processid=process, messages=[text] * 20
                    )
                    assert answer.ok == {}
                    assert await texts(quick, 20) == [text] * 20

                await eventually(closed, "the slow one to be closed")
                # The second is for one that does not read the reason either, for five seconds.
                ends = {Ended(1013, "too slow: nothing was read for 3 s"), Ended(1006, "")}
                assert await slow.ended() in ends
            async with socket_to(server) as socket:
                since = first["timestamp"]
                await hear(socket, tenant.user, tenant, processid=process, since=since)
                assert await texts(socket, 400) == [text] * 400


async def test_a_server_that_is_killed_is_replaced_by_another(store: Store) -> None:
    settings = settings_on(store.url)
    with started(settings) as first, started(settings) as second:
        async with Api(second.url) as api:
            tenant = await found(api, OWNER)
            process, worker = await running(tenant, api)
            async with socket_to(first) as socket:
                await hear(socket, tenant.user, tenant, processid=process)
                await say(api, worker, process, "one")
                told = await lines(socket)
                first.tell(signal.SIGKILL)
                assert await socket.ended() == Ended(1006, "")
            await say(api, worker, process, "two")
            assert (await worker.close(api, process)).ok == {}
            async with socket_to(second) as socket:
                since = told[-1]["timestamp"]
                await hear(socket, tenant.user, tenant, processid=process, since=since)
                assert await texts(socket, 1) == ["two"]
                assert await lines(socket) == []
