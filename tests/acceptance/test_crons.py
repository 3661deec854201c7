"""Crons with several servers: each time comes once, whoever dies."""

import json
import signal
from typing import Any

import pytest

from broker.aggregates.cron import CronFired
from tests.acceptance.asking import Answer, Api, eventually
from tests.acceptance.conftest import OWNER, Found, settings_on
from tests.acceptance.inspection import opened_store, tag_of, verified
from tests.acceptance.processes import Store, started
from tests.acceptance.tenants import STRANGER, Tenant, found

# A connection that is reset while httpx still opens it is left to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]
SECOND_NS = 1_000_000_000


def workflow(colony_name: str) -> str:
    """One process."""
    conditions = {"executortype": "cli"}
    node = {"nodename": "a", "funcname": "echo", "conditions": conditions}
    return json.dumps({"colonyname": colony_name, "functionspecs": [node]})


async def add(api: Api, tenant: Tenant, name: str, **fields: Any) -> Answer:  # noqa: ANN401
    """A cron of the user's."""
    asked = {"colonyname": tenant.name, "name": name, "workflowspec": workflow(tenant.name)}
    return await api.ask(tenant.user, "addcronmsg", cron={"interval": -1, **asked, **fields})


async def fired(store: Store, tenant: Tenant) -> list[CronFired]:
    """Everything that crons have started."""
    async with opened_store(store.url) as opened:
        tag = await tag_of(opened, tenant.name)
        every = [recorded.event async for recorded in opened.events(tag)]
    return [event for event in every if isinstance(event, CronFired)]


async def test_each_second_comes_once_with_three_servers_one_of_which_is_killed(
    store: Store,
) -> None:
    settings = settings_on(store.url)
    with started(settings) as first, started(settings) as second, started(settings) as third:
        async with Api(first.url) as api:
            tenant = await found(api, OWNER)
            for number in range(5):
                added = await add(api, tenant, f"cron{number}", cronexpression="* * * * * *")
                assert added.status == 200

            async def ran(times: int) -> bool:
                return len(await fired(store, tenant)) >= times

            await eventually(lambda: ran(10), "the first times")
            second.tell(signal.SIGKILL)
            await eventually(lambda: ran(30), "the times after one died")
            third.tell(signal.SIGKILL)
            await eventually(lambda: ran(45), "the times after two died")
        assert first.stop() == 0, first.log.text
    events = await fired(store, tenant)
    for cron_id in {event.subject for event in events}:
        seconds = [e.was_next_ns // SECOND_NS for e in events if e.subject == cron_id]
        assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))
    async with opened_store(store.url) as opened:
        tag = await tag_of(opened, tenant.name)
        assert await opened.send("ZCARD", tag.key("w0")) == len(events)
    await verified(store.url, tenant.name)


async def test_cron_waits_for_its_workflow_and_passes_on_what_came_out(
    api: Api, other: Api, founded: Found
) -> None:
    tenant = await founded()
    executor = await tenant.executor(api)
    answer = await add(api, tenant, "chain", interval=1, waitforprevprocessgraph=True)
    cron_id = answer.ok["cronid"]

    first = (await executor.assign(other, 30)).ok
    await executor.close(other, first["processid"], "out", 7)
    second = (await executor.assign(api, 30)).ok

    assert second["in"] == ["out", 7]
    assert (await executor.assign(api, 2)).status == 404
    (await api.ask(tenant.user, "removecronmsg", cronid=cron_id)).ok  # noqa: B018 - asserts


async def test_run_by_a_stranger_starts_nothing(api: Api, other: Api, founded: Found) -> None:
    tenant = await founded()
    answer = await add(api, tenant, "yearly", cronexpression="0 0 0 1 1 *")
    cron_id = answer.ok["cronid"]

    refused = await other.ask(STRANGER, "runcronmsg", cronid=cron_id)

    assert refused.status == 403
    assert await tenant.see(api, "getprocessgraphsmsg", count=10, state=0) == []
    ran = await other.ask(tenant.user, "runcronmsg", cronid=cron_id)
    assert ran.ok["prevprocessgraphid"] == ""
    assert len(await tenant.see(api, "getprocessgraphsmsg", count=10, state=0)) == 1


async def test_crons_stay_in_their_colony(api: Api, founded: Found) -> None:
    tenant, neighbour = await founded(), await founded()

    refused = await add(api, tenant, "evil", interval=1, workflowspec=workflow(neighbour.name))

    assert refused.refusal == (
        400,
        f"workflowspec is for colony <{neighbour.name}>, it must be for <{tenant.name}>",
    )
    assert (await api.ask(neighbour.user, "getcronsmsg", colonyname=tenant.name)).status == 403
