"""Metrics and health of real servers, as Prometheus and an orchestrator see them."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.asking import Api, eventually
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import opened_store
from tests.acceptance.processes import Server, Store, started
from tests.acceptance.tenants import Tenant, found

TOKEN = "b" * 40


async def scraped(api: Api, **headers: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of the labels' names."""
    reply = await api.get("/metrics", **headers)
    assert reply.status_code == 200, reply.text
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


@pytest.fixture
def pair(store: Store) -> Generator[Server]:
    """A server of two workers on a store of its own."""
    with started(settings_on(store.url, workers=2)) as server:
        yield server


@pytest.fixture
async def alone(store: Store) -> AsyncGenerator[tuple[Api, Tenant]]:
    """A server and the only colony on its store: metrics tell only so many colonies apart."""
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            yield api, await found(api, OWNER)


async def test_depths_and_counts_follow_what_happens(alone: tuple[Api, Tenant]) -> None:
    api, tenant = alone
    executor = await tenant.executor(api)
    ids = [await tenant.submit(api) for _ in range(3)]

    async def waiting(count: int) -> dict[tuple[str, ...], float]:
        seen: dict[tuple[str, ...], float] = {}

        async def shown() -> bool:
            seen.update(await scraped(api))
            return seen["colonies_processes", tenant.name, "waiting"] == count

        await eventually(shown, f"{count} waiting")
        return seen

    seen = await waiting(3)
    depths = [
        value
        for labels, value in seen.items()
        if labels[0] == "colonies_queue_depth" and labels[2] == tenant.name
    ]
    assert sorted(depths) == [0, 0, 3]
    assert seen["colonies_oldest_waiting_seconds", tenant.name] > 0
    assert seen["colonies_executors", tenant.name] == 1
    events = seen["colonies_events_total", tenant.name]

    assert (await executor.assign(api)).ok["processid"] == ids[0]
    (await executor.close(api, ids[0])).ok  # noqa: B018 - asserts
    seen = await waiting(2)
    assert seen["colonies_processes", tenant.name, "success"] == 1
    assert seen["colonies_events_total", tenant.name] == events + 2
    assert seen["colonies_requests_total", "200", "closesuccessfulmsg"] >= 1


async def test_refusals_are_counted_by_status(tenant: Tenant, api: Api) -> None:
    asked = ("colonies_requests_total", "403", "getcolonymsg")
    before = (await scraped(api)).get(asked, 0)
    await api.ask(OWNER, "getcolonymsg", colonyname=tenant.name)
    assert (await scraped(api))[asked] == before + 1

    unknown = ("colonies_requests_total", "403", "unknown")
    before = (await scraped(api)).get(unknown, 0)
    await api.ask(OWNER, "nosuchmsg")
    assert (await scraped(api))[unknown] == before + 1


async def test_a_waiting_executor_is_seen(tenant: Tenant, api: Api) -> None:
    executor = await tenant.executor(api)
    waits = asyncio.create_task(executor.assign(api, timeout=20))

    async def held() -> bool:
        return (await scraped(api))["colonies_long_polls",] == 1

    await eventually(held, "one long poll")
    await tenant.submit(api)
    assert (await waits).ok["state"] == 1


# A connection that is reset while httpx still opens it is left to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("collected")
async def test_whichever_worker_is_asked_speaks_for_all(pair: Server) -> None:
    async with Api(pair.url) as api:
        await found(api, OWNER)
    asked = ("colonies_requests_total", "200", "versionmsg")
    for _ in range(40):  # a connection each, so that both workers get some
        async with Api(pair.url) as api:
            (await api.ask(None, "versionmsg")).ok  # noqa: B018 - asserts

    async def all_counted() -> bool:
        async with Api(pair.url) as api:
            return (await scraped(api)).get(asked) == 40

    await eventually(all_counted, "40 requests")
    for worker in pair.workers:
        os.kill(worker, signal.SIGKILL)

    async def answered() -> bool:
        try:
            async with Api(pair.url) as api:
                return (await scraped(api))[asked] >= 1
        except (httpx.TransportError, KeyError):
            return False

    await eventually(answered, "new workers")
    # What was shown before the kill was left on disk before it was shown.
    async with Api(pair.url) as api:
        assert (await scraped(api))[asked] == 40


async def test_a_token_opens_metrics_and_nothing_else_does(store: Store) -> None:
    settings = settings_on(store.url, metrics_token=TOKEN)
    with started(settings) as server:
        async with Api(server.url) as api:
            refused = await api.get("/metrics")
            assert refused.status_code == 403
            assert "COLONIES_METRICS_TOKEN" in refused.text
            assert ("colonies_server_colonies",) in await scraped(
                api, Authorization=f"Bearer {TOKEN}"
            )


async def test_openmetrics_is_spoken_to_who_asks_for_it(api: Api) -> None:
    reply = await api.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")


async def test_health_follows_the_store(store: Store) -> None:
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            ready = await api.get("/health/ready")
            assert ready.status_code == 200
            assert set(ready.json().values()) == {"ok"}

            store.kill()
            for path in ("/health", "/health/ready", "/metrics"):
                assert (await api.get(path)).status_code == 503
            assert (await api.get("/health/live")).status_code == 200
            assert (await api.get("/health/ready")).json()["store"] != "ok"

            store.start()

            async def again() -> bool:
                return (await api.get("/health/ready")).status_code == 200

            await eventually(again, "ready again")


async def test_a_full_store_is_not_ready(store: Store) -> None:
    with started(settings_on(store.url)) as server:
        async with Api(server.url) as api:
            async with opened_store(store.url) as admin:
                await admin.send("CONFIG", "SET", "maxmemory", 1)
            reply = await api.get("/health/ready")
            assert reply.status_code == 503
            assert "full" in reply.json()["memory"]
            assert (await api.get("/health")).status_code == 200
