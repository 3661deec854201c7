"""Generators with several servers: no argument is lost, doubled or out of order, whoever dies."""

import asyncio
import json
import signal

import httpx
import msgspec
import pytest

from broker.aggregates.generator import ArgumentPacked
from broker.aggregates.process import NodeSubmitted
from tests.acceptance.asking import Api, eventually
from tests.acceptance.conftest import OWNER, Found, settings_on
from tests.acceptance.inspection import opened_store, tag_of, verified
from tests.acceptance.processes import Store, started
from tests.acceptance.tenants import STRANGER, Tenant, found

# A connection that is reset while httpx still opens it is left to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]
TRIGGER = 7


def workflow(colony_name: str) -> str:
    """One process."""
    conditions = {"executortype": "cli"}
    node = {"nodename": "a", "funcname": "echo", "conditions": conditions}
    return json.dumps({"colonyname": colony_name, "functionspecs": [node]})


async def add(api: Api, tenant: Tenant, **fields: object) -> str:
    """A generator of the user's; its id."""
    asked = {"colonyname": tenant.name, "name": "gather", "workflowspec": workflow(tenant.name)}
    wanted = {"trigger": TRIGGER, "timeout": -1, **asked, **fields}
    return (await api.ask(tenant.user, "addgeneratormsg", generator=wanted)).ok["generatorid"]


class Packer:
    """Packs one argument after the other, until its server is gone or it is told to stop."""

    def __init__(self, api: Api, tenant: Tenant, generator_id: str, name: str) -> None:
        self._api = api
        self._tenant = tenant
        self._generator_id = generator_id
        self.name = name
        self.acknowledged: list[str] = []
        self.stop = False

    async def run(self) -> None:
        """Pack and remember every yes."""
        number = 0
        while not self.stop:
            argument, number = f"{self.name}-{number}", number + 1
            asking = {"generatorid": self._generator_id, "arg": argument}
            try:
                answer = await self._api.ask(self._tenant.user, "packgeneratormsg", **asking)
            except httpx.TransportError:
                return
            assert answer.status == 200, answer
            self.acknowledged.append(argument)


async def history(store: Store, tenant: Tenant) -> tuple[list[str], list[list[str]]]:
    """All arguments in the order of the log, and those of each workflow."""
    async with opened_store(store.url) as opened:
        tag = await tag_of(opened, tenant.name)
        events = [recorded.event async for recorded in opened.events(tag)]
    order = [event.argument for event in events if isinstance(event, ArgumentPacked)]
    specs = [msgspec.json.decode(e.spec) for e in events if isinstance(e, NodeSubmitted)]
    return order, [spec["args"] for spec in specs]


async def test_every_argument_reaches_one_workflow_though_a_server_is_killed(store: Store) -> None:
    settings = settings_on(store.url)
    with started(settings) as first, started(settings) as second:
        async with Api(first.url) as api, Api(second.url) as other:
            tenant = await found(api, OWNER)
            generator_id = await add(api, tenant)
            packers = [Packer([api, other][n % 2], tenant, generator_id, f"p{n}") for n in range(8)]
            tasks = [asyncio.create_task(packer.run()) for packer in packers]

            async def packed(each: int) -> bool:
                return all(len(p.acknowledged) >= each for p in packers if p in alive)

            alive = set(packers)
            await eventually(lambda: packed(30), "packs through both servers")
            second.tell(signal.SIGKILL)
            alive = set(packers[::2])
            await eventually(lambda: packed(80), "packs through the one that is left")
            for packer in packers:
                packer.stop = True
            await asyncio.gather(*tasks)
            shown = await api.ask(tenant.user, "getgeneratormsg", generatorid=generator_id)
            waiting = shown.ok["queuesize"]
        assert first.stop() == 0, first.log.text
    order, batches = await history(store, tenant)
    whole = len(order) // TRIGGER
    assert len(set(order)) == len(order)
    assert {argument for p in packers for argument in p.acknowledged} <= set(order)
    assert batches == [order[at * TRIGGER : (at + 1) * TRIGGER] for at in range(whole)]
    assert waiting == len(order) - whole * TRIGGER
    for packer in packers:
        numbers = [int(a.split("-")[1]) for a in order if a.startswith(packer.name + "-")]
        assert numbers == list(range(len(numbers)))
    await verified(store.url, tenant.name)


async def test_arguments_that_waited_too_long_start_a_workflow(
    api: Api, other: Api, founded: Found
) -> None:
    tenant = await founded()
    executor = await tenant.executor(api)
    generator_id = await add(api, tenant, timeout=1)
    for number in range(3):
        asking = {"generatorid": generator_id, "arg": str(number)}
        (await other.ask(tenant.user, "packgeneratormsg", **asking)).ok  # noqa: B018 - asserts

    # Where packing takes longer than they may wait, they come in several.
    come: list[str] = []
    while len(come) < 3:
        given = (await executor.assign(api, 30)).ok
        assert given["spec"]["kwargs"] == {}
        come += given["spec"]["args"]

    assert come == ["0", "1", "2"]


async def test_generators_stay_in_their_colony_and_strangers_outside(
    api: Api, other: Api, founded: Found
) -> None:
    tenant, neighbour = await founded(), await founded()
    generator_id = await add(api, tenant)

    asked = {"colonyname": tenant.name, "name": "evil", "trigger": 1}
    foreign = {**asked, "workflowspec": workflow(neighbour.name)}
    refused = await api.ask(tenant.user, "addgeneratormsg", generator=foreign)
    strange = await other.ask(STRANGER, "packgeneratormsg", generatorid=generator_id, arg="x")
    for trigger in (0, -1):
        wish = {**asked, "trigger": trigger, "workflowspec": workflow(tenant.name)}
        answer = await api.ask(tenant.user, "addgeneratormsg", generator=wish)
        assert answer.refusal == (
            400,
            "Generator trigger must be larger than 0 and at most 100000",
        )

    assert refused.refusal == (
        400,
        f"workflowspec is for colony <{neighbour.name}>, it must be for <{tenant.name}>",
    )
    assert strange.status == 403
    seen = await api.ask(tenant.user, "getgeneratormsg", generatorid=generator_id)
    assert seen.ok["queuesize"] == 0
