"""The event feed of a colony over HTTP, against two really started servers."""

import asyncio
import base64
import signal
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from broker.settings import Limits, Role
from tests.acceptance.asking import Api, sealed
from tests.acceptance.conftest import OWNER, Found, settings_on
from tests.acceptance.processes import Server, Store, started
from tests.acceptance.sockets import Event, Events, asked_for_events, events_of
from tests.acceptance.tenants import STRANGER, Tenant, found
from tests.patience import PATIENCE_S
from tests.relay import relay_to

Servers = tuple[Server, Server]
START = "0-0"


async def types(feed: Events, count: int) -> list[str]:
    """The types of the next events."""
    return [(await feed.next()).type for _ in range(count)]


@pytest.fixture
async def another(founded: Found) -> Tenant:
    """Another colony."""
    return await founded()


async def test_what_happens_is_told_with_its_body(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    async with events_of(servers[0], tenant.user, tenant.name) as feed:
        process = await tenant.submit(other)
        await worker.assign(other)
        await worker.close(other, process, {"a": [1]})
        told = [await feed.next() for _ in range(4)]

    assert [event.type for event in told] == [
        "RequirementClassAdded",
        "ProcessSubmitted",
        "ProcessAssigned",
        "ProcessClosed",
    ]
    closed = told[-1].data
    assert (closed["type"], closed["version"], closed["cause"]) == ("ProcessClosed", 1, "")
    assert (closed["subject"], closed["actor"]) == (process, worker.identity.id)
    assert (closed["outcome"], closed["out"], closed["errors"]) == (2, [{"a": [1]}], [])
    assert closed["at"].endswith("Z")
    assert base64.b64decode(told[1].data["requires"])


async def test_other_colonies_are_not_told(
    tenant: Tenant, another: Tenant, api: Api, servers: Servers
) -> None:
    async with events_of(servers[0], tenant.user, tenant.name) as feed:
        await another.submit(api)
        process = await tenant.submit(api)

        assert (await feed.next()).type == "RequirementClassAdded"
        assert (await feed.next()).data["subject"] == process


async def test_request_may_be_posted(tenant: Tenant, api: Api, servers: Servers) -> None:
    async with events_of(servers[0], tenant.user, tenant.name, post=True) as feed:
        await tenant.submit(api)

        assert (await feed.next()).type == "RequirementClassAdded"


async def test_feed_resumes_on_another_server_behind_the_last_event(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    async with events_of(servers[0], tenant.user, tenant.name) as feed:
        processes = [await tenant.submit(api) for _ in range(3)]
        await feed.next()
        first = await feed.next()
    async with events_of(servers[1], tenant.user, tenant.name, last=first.id) as feed:
        rest = [await feed.next() for _ in range(2)]
    async with events_of(servers[1], tenant.user, tenant.name, after=first.id) as feed:
        again = [await feed.next() for _ in range(2)]

    assert [first.data["subject"], *(e.data["subject"] for e in rest)] == processes
    assert again == rest


async def test_feed_that_is_cut_off_before_its_first_event_goes_on_from_its_beginning(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    async with events_of(servers[0], tenant.user, tenant.name) as feed:
        begun = await feed.block()
    process = await tenant.submit(api)
    wanted: dict[str, Any] = {"types": ["ProcessSubmitted"]}
    async with events_of(servers[1], tenant.user, tenant.name, last=begun["id"], **wanted) as feed:
        assert (await feed.next()).data["subject"] == process


async def test_interrupted_feed_misses_and_repeats_nothing_while_two_servers_write(
    tenant: Tenant, api: Api, other: Api, servers: Servers
) -> None:
    count = 600
    got: list[Event] = []

    async def write(server: Api) -> None:
        for _ in range(count // 2):
            await tenant.submit(server)

    async def read() -> None:
        """A client that is cut off again and again, and goes on with the other server."""
        wanted: dict[str, Any] = {"types": ["ProcessSubmitted"], "after": START}
        turn = 0
        while len(got) < count:
            last = got[-1].id if got else ""
            turn += 1
            server = servers[turn % 2]
            async with events_of(server, tenant.user, tenant.name, last=last, **wanted) as feed:
                got.extend([await feed.next() for _ in range(min(37, count - len(got)))])

    async with asyncio.timeout(2 * PATIENCE_S):
        await asyncio.gather(write(api), write(other), read())

    subjects = [event.data["subject"] for event in got]
    assert len(set(subjects)) == len(subjects) == count
    positions = [tuple(map(int, event.id.split("-"))) for event in got]
    assert positions == sorted(positions)
    listed = await tenant.see(api, "getcolonystatsmsg")
    assert listed["waitingprocesses"] == count


async def test_filters_leave_out_the_rest(tenant: Tenant, api: Api, servers: Servers) -> None:
    worker = await tenant.executor(api)
    first = await tenant.submit(api)
    await tenant.submit(api)
    spec = {
        "colonyname": tenant.name,
        "functionspecs": [tenant.spec(kind="none") | {"nodename": "n"}],
    }
    graph = (await api.ask(tenant.user, "submitworkflowspecmsg", spec=spec)).ok
    (await worker.assign(api)).ok  # noqa: B018 - asserts
    fields = {"targetid": first, "attributetype": 1, "key": "k", "value": "v"}
    attribute = {"targetcolonyname": tenant.name, **fields}
    (await api.ask(worker.identity, "addattributemsg", attribute=attribute)).ok  # noqa: B018
    await worker.close(api, first)

    async def told(count: int, **wanted: object) -> list[str]:
        given: dict[str, Any] = {"after": START, **wanted}
        async with events_of(servers[0], tenant.user, tenant.name, **given) as feed:
            found = await types(feed, count)
            await tenant.own(api, "pauseassignmentsmsg")
            await tenant.own(api, "resumeassignmentsmsg")
            return found

    life = ["ProcessSubmitted", "ProcessAssigned", "AttributeSet", "ProcessClosed"]
    assert await told(4, processid=first) == life
    assert await told(2, workflowid=graph["processgraphid"]) == [
        "NodeSubmitted",
        "WorkflowSubmitted",
    ]
    by_worker = ["ExecutorAdded", "ExecutorApproved", "ProcessAssigned", "AttributeSet"]
    assert await told(5, executorid=worker.identity.id) == [*by_worker, "ProcessClosed"]
    assert await told(2, types=["ProcessClosed", "ProcessAssigned"]) == [life[1], life[3]]
    assert await told(1, types=["ProcessClosed"], processid=first) == ["ProcessClosed"]


async def test_silent_feed_says_that_it_is_there(store: Store) -> None:
    with started(settings_on(store.url, limits=Limits(heartbeat_ms=50))) as server:
        async with Api(server.url) as api:
            tenant = await found(api, OWNER)
            async with events_of(server, tenant.user, tenant.name) as feed:
                assert (await feed.block())[""] == "from here"
                assert await feed.block() == {"": "still here"}
                assert await feed.block() == {"": "still here"}


async def test_feed_of_a_removed_member_ends(tenant: Tenant, api: Api, servers: Servers) -> None:
    worker = await tenant.executor(api)
    async with events_of(servers[1], worker.identity, tenant.name) as feed:
        await tenant.own(api, "removeexecutormsg", executorname=worker.name)
        ended = await feed.next()

        assert ended.type == "end"
        assert "not a member" in ended.data["reason"]
        with pytest.raises(EOFError):
            await feed.block()


async def test_history_in_which_a_member_once_left_is_told_to_the_end(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    worker = await tenant.executor(api)
    await tenant.own(api, "rejectexecutormsg", executorname=worker.name)
    await tenant.own(api, "approveexecutormsg", executorname=worker.name)
    wanted: dict[str, Any] = {"types": ["ExecutorRejected", "ExecutorApproved"], "after": START}
    async with events_of(servers[1], worker.identity, tenant.name, **wanted) as feed:
        told = await types(feed, 3)

    assert told == ["ExecutorApproved", "ExecutorRejected", "ExecutorApproved"]


async def test_feed_of_a_removed_colony_ends(api: Api, servers: Servers) -> None:
    going = await found(api, OWNER)
    async with events_of(servers[0], going.user, going.name) as feed:
        (await api.ask(OWNER, "removecolonymsg", colonyname=going.name)).ok  # noqa: B018

        assert await until_end(feed) == {"reason": "the colony was removed"}


async def test_who_may_not_read_is_refused(tenant: Tenant, api: Api, servers: Servers) -> None:
    pending = await tenant.executor(api, approve=False)
    for who in (STRANGER, pending.identity):
        async with asked_for_events(servers[0], who, tenant.name) as response:
            assert response.status_code == 403
            await response.aread()
            assert response.json()["error"] is True


async def test_feed_goes_on_when_its_way_to_the_store_died_without_a_word(
    store: Store,
) -> None:
    limits = Limits(store_timeout_ms=2_000)
    with ExitStack() as stack:
        writer = await asyncio.to_thread(stack.enter_context, started(settings_on(store.url)))
        async with relay_to(store.url) as relay, Api(writer.url) as api:
            environ = settings_on(relay.url, limits=limits, roles=frozenset({Role.API}))
            server = await asyncio.to_thread(stack.enter_context, started(environ))
            tenant = await found(api, OWNER)
            async with events_of(server, tenant.user, tenant.name) as feed:
                await tenant.submit(api)
                await types(feed, 2)

                relay.fall_silent()
                process = await tenant.submit(api)

                assert (await feed.next()).data["subject"] == process


@pytest.mark.parametrize("after", ["9" * 5_000 + "-0", "99999999999999999999-0", "later"])
async def test_position_that_is_none_is_refused(
    common: Tenant, servers: Servers, after: str
) -> None:
    async with asked_for_events(servers[0], common.user, common.name, last=after) as refused:
        assert refused.status_code == 400


async def test_nothing_follows_the_last_position_there_can_be(
    common: Tenant, servers: Servers
) -> None:
    last = f"{2**64 - 1}-{2**64 - 1}"
    async with asked_for_events(servers[0], common.user, common.name, last=last) as answer:
        assert answer.status_code == 200


async def test_what_is_not_a_signed_request_is_refused(tenant: Tenant, servers: Servers) -> None:
    wrong = sealed(tenant.user, "getcolonymsg", colonyname=tenant.name)
    async with httpx.AsyncClient(
        base_url=servers[0].url, timeout=PATIENCE_S, trust_env=False
    ) as client:
        for rpc in ("", "!", base64.urlsafe_b64encode(wrong).decode()):
            assert (await client.get("/events", params={"rpc": rpc})).status_code == 400
        assert (await client.post("/events", content=b"x" * 100_000)).status_code == 400
    async with asked_for_events(servers[0], tenant.user, tenant.name, last="nonsense") as response:
        assert response.status_code == 400


async def test_request_with_a_nonce_is_accepted_once(tenant: Tenant, servers: Servers) -> None:
    once: dict[str, Any] = {"nonce": "events", "issuedat": time.time_ns()}
    async with asked_for_events(servers[0], tenant.user, tenant.name, **once) as response:
        assert response.status_code == 200
    async with asked_for_events(servers[1], tenant.user, tenant.name, **once) as response:
        assert response.status_code == 403


async def test_colony_that_requires_nonces_requires_them_here(
    tenant: Tenant, api: Api, servers: Servers
) -> None:
    await tenant.own(api, "setcolonysettingsmsg", settings={"requirenonce": True})
    async with asked_for_events(servers[0], tenant.user, tenant.name) as response:
        assert response.status_code == 403
    once: dict[str, Any] = {"nonce": "events", "issuedat": time.time_ns()}
    async with asked_for_events(servers[0], tenant.user, tenant.name, **once) as response:
        assert response.status_code == 200


async def test_browser_of_another_origin_may_read(tenant: Tenant, servers: Servers) -> None:
    body = sealed(tenant.user, "subscribeeventsmsg", colonyname=tenant.name)
    rpc = base64.urlsafe_b64encode(body).decode()
    async with (
        httpx.AsyncClient(base_url=servers[0].url, timeout=PATIENCE_S, trust_env=False) as client,
        client.stream(
            "GET", "/events", params={"rpc": rpc}, headers={"origin": "http://elsewhere"}
        ) as response,
    ):
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["content-type"].startswith("text/event-stream")


async def test_server_that_stops_ends_its_feeds(store: Store) -> None:
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            tenant = await found(api, OWNER)
            async with events_of(server, tenant.user, tenant.name) as feed:
                server.tell(signal.SIGTERM)

                assert (await feed.next()).data == {"reason": "the server stops"}
        assert server.ended() == 0


async def test_client_that_reads_nothing_is_ended_and_holds_nobody_up(store: Store) -> None:
    limits = Limits(max_subscription_backlog=10, idle_timeout_ms=3_000)
    with (
        started(settings_on(store.url, limits=limits)) as server,
        started(settings_on(store.url)) as other,
    ):
        # Whoever submits has no connection to the server whose connections are counted.
        async with Api(other.url) as api:
            tenant = await found(api, OWNER)
            wanted: dict[str, Any] = {"types": ["ProcessSubmitted"]}
            async with (
                events_of(server, tenant.user, tenant.name, **wanted) as slow,
                events_of(server, tenant.user, tenant.name, **wanted) as quick,
            ):
                ended = asyncio.create_task(until_cut_off(server, server.sockets - 1))
                while not ended.done():
                    process = await tenant.submit(api, args=["x" * 1_000_000])
                    assert (await quick.next()).data["subject"] == process
                await ended
                with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                    await until_end(slow)


async def test_slow_client_is_told_why_it_is_ended(store: Store) -> None:
    with started(settings_on(store.url, limits=Limits(max_subscription_backlog=10))) as server:
        async with Api(server.url) as api:
            tenant = await found(api, OWNER)
            async with events_of(server, tenant.user, tenant.name) as slow:
                for _ in range(40):
                    await tenant.submit(api, args=["x" * 1_000_000])

                assert (await until_end(slow))["reason"].startswith("too slow: ")
            async with events_of(server, tenant.user, tenant.name, after=START) as resumed:
                assert len(await types(resumed, 40)) == 40


async def until_end(feed: Events) -> dict[str, Any]:
    """What is said last."""
    while (event := await feed.next()).type != "end":
        pass
    return event.data


async def until_cut_off(server: Server, sockets: int) -> None:
    """Until the server has so few sockets."""
    async with asyncio.timeout(PATIENCE_S):
        while server.sockets > sockets:  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.05)
