"""Workflows on real servers that are killed in the middle: every process runs once, all end."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import httpx
import pytest

from broker.aggregates.process import ProcessAssigned, ProcessClosed, ProcessReleased, State
from broker.decision import Event
from broker.identity import Identity
from tests.acceptance.asking import Answer, Api, eventually, sealed
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import Ear, opened_store, tag_of, verified, waiting
from tests.acceptance.processes import Store, started
from tests.acceptance.tenants import Executor, Tenant, found
from tests.patience import PATIENCE_S

# A connection that is reset while httpx still opens it is left to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]
LAYERS, WIDTH, EXECUTORS, KILLS = 6, 10, 6, 3
GROWING = "layer2"
"""Processes of this layer put one more process behind themselves."""
TOTAL = LAYERS * WIDTH + 1 + WIDTH
TOO_LATE = "is not running"
UNAVAILABLE = 503


@dataclass
class Slot:
    """A place for one server process after another."""

    store_url: str
    api: Api = field(init=False)
    _stack: ExitStack = field(default_factory=ExitStack)

    async def fill(self) -> Self:
        """Start a server."""
        settings = settings_on(self.store_url)
        server = await asyncio.to_thread(self._stack.enter_context, started(settings))
        self.api = Api(server.url)
        return self

    async def empty(self) -> None:
        """Kill -9."""
        await asyncio.to_thread(self._stack.close)
        await self.api.__aexit__()


@asynccontextmanager
async def slot(store: Store) -> AsyncGenerator[Slot]:
    """One server, to be killed and replaced."""
    place = await Slot(store.url).fill()
    try:
        yield place
    finally:
        await place.empty()


@dataclass
class Crew:
    """Executors that ask whatever server answers, and repeat what they did not hear of."""

    slots: tuple[Slot, Slot]
    tenant: Tenant
    odd: list[str] = field(default_factory=list[str])
    closed: Counter[str] = field(default_factory=Counter[str])
    _turns: "count[int]" = field(default_factory=count)

    async def surely(self, who: Identity, kind: str, **fields: Any) -> Answer:  # noqa: ANN401 - JSON
        """One request with one effect, sent until some server answers."""
        nonce = {"nonce": secrets.token_hex(8), "issuedat": time.time_ns()}
        body = sealed(who, kind, **fields, **nonce)
        while True:
            try:
                answer = await self.slots[next(self._turns) % 2].api.post(body)
            except (httpx.TransportError, RuntimeError):
                await asyncio.sleep(0.01)
                continue
            if answer.status != 503:
                return answer

    async def work(self, executor: Executor) -> None:
        """Run what there is until all has ended."""
        while sum(self.closed.values()) < TOTAL and not self.odd:
            asked = {"colonyname": self.tenant.name, "timeout": 1}
            given = await self.surely(executor.identity, "assignprocessmsg", **asked)
            if given.status == 404:
                continue
            await self._run(executor, given.ok)

    async def _run(self, executor: Executor, given: dict[str, Any]) -> None:
        process_id, name = given["processid"], given["spec"]["nodename"]
        if name.startswith(GROWING):
            child = self.tenant.spec(nodename=f"child of {name}")
            fields = {"parentprocessid": process_id, "processgraphid": given["processgraphid"]}
            grown = await self.surely(executor.identity, "addchildmsg", spec=child, **fields)
            self._expect(grown)
        done = {"processid": process_id, "out": [name]}
        self._expect(await self.surely(executor.identity, "closesuccessfulmsg", **done))
        self.closed[process_id] += 1

    def _expect(self, answer: Answer) -> None:
        if answer.status != 200:
            self.odd.append(str(answer))

    async def until(self, closed: int) -> None:
        """Wait until so many processes were closed."""

        async def reached() -> bool:
            return bool(self.odd) or sum(self.closed.values()) >= closed

        await eventually(reached, "the workflow to go on")


def layered(tenant: Tenant) -> list[dict[str, Any]]:
    """Layers of processes, each after three of the layer before, and one after the last layer."""
    specs = list[dict[str, Any]]()
    for layer in range(LAYERS):
        for at in range(WIDTH):
            before = [f"layer{layer - 1}-{(at + by) % WIDTH}" for by in range(3)] if layer else []
            specs.append(node(tenant, f"layer{layer}-{at}", before))
    last = [f"layer{LAYERS - 1}-{at}" for at in range(WIDTH)]
    return [*specs, node(tenant, "join", last)]


def node(tenant: Tenant, name: str, depends: list[str]) -> dict[str, Any]:
    spec = tenant.spec(nodename=name)
    spec["conditions"]["dependencies"] = depends
    return spec


async def log(store: Store, tenant: Tenant) -> list[Event]:
    async with opened_store(store.url) as opened:
        tag = await tag_of(opened, tenant.name)
        return [each.event async for each in opened.events(tag)]


def subjects(events: list[Event], kind: type[Event]) -> Counter[str]:
    return Counter(event.subject for event in events if isinstance(event, kind))


async def test_workflow_ends_once_although_its_servers_are_killed(store: Store) -> None:
    async with AsyncExitStack() as stack:
        slots = (
            await stack.enter_async_context(slot(store)),
            await stack.enter_async_context(slot(store)),
        )
        tenant = await found(slots[0].api, OWNER)
        executors = [await tenant.executor(slots[0].api) for _ in range(EXECUTORS)]
        crew = Crew(slots, tenant)
        spec = {"colonyname": tenant.name, "functionspecs": layered(tenant)}
        begun = (await crew.surely(tenant.user, "submitworkflowspecmsg", spec=spec)).ok
        async with asyncio.TaskGroup() as group:
            for executor in executors:
                group.create_task(crew.work(executor))
            for kill in range(KILLS):
                await crew.until((kill + 1) * TOTAL // (KILLS + 2))
                await slots[kill % 2].empty()
                await slots[kill % 2].fill()
        assert crew.odd == []

        graph = {"processgraphid": begun["processgraphid"]}
        shown = (await crew.surely(tenant.user, "getprocessgraphmsg", **graph)).ok
        join = await tenant.process(slots[0].api, begun["processids"][-1])

    assert shown["state"] == State.SUCCESS
    assert join["in"] == [f"layer{LAYERS - 1}-{at}" for at in range(WIDTH)]
    assert set(crew.closed) == set(shown["processids"])
    assert crew.closed.total() == len(crew.closed) == TOTAL
    events = await log(store, tenant)
    assert subjects(events, ProcessClosed) == crew.closed
    assert set(subjects(events, ProcessAssigned)) == set(crew.closed)
    released = subjects(events, ProcessReleased)
    assert (len(released), released.total()) == (TOTAL - WIDTH, TOTAL - WIDTH)
    await verified(store.url, tenant.name)


async def test_every_executor_that_waits_elsewhere_is_woken(
    tenant: Tenant, api: Api, other: Api, valkey: str
) -> None:
    executors = [await tenant.executor(api) for _ in range(EXECUTORS)]
    ear = Ear(valkey)
    polls = [await waiting(other, ear, executor, 20) for executor in executors]
    roots = [node(tenant, f"root{at}", []) for at in range(EXECUTORS)]
    spec = {"colonyname": tenant.name, "functionspecs": roots}

    begun = (await api.ask(tenant.user, "submitworkflowspecmsg", spec=spec)).ok

    async with asyncio.timeout(PATIENCE_S):
        given = await asyncio.gather(*polls)
    assert sorted(each.ok["processid"] for each in given) == sorted(begun["processids"])
    await ear.close()


async def running_parent(tenant: Tenant, api: Api) -> tuple[Executor, dict[str, Any]]:
    """An executor with the first process of a workflow, which another one waits for."""
    executor = await tenant.executor(api)
    specs = [node(tenant, "first", []), node(tenant, "last", ["first"])]
    spec = {"colonyname": tenant.name, "functionspecs": specs}
    await api.ask(tenant.user, "submitworkflowspecmsg", spec=spec)
    asked = {"colonyname": tenant.name, "timeout": 30}
    return executor, (await api.ask(executor.identity, "assignprocessmsg", **asked)).ok


def child_of(tenant: Tenant, given: dict[str, Any], at: int) -> dict[str, Any]:
    """A child behind the parent; every other one also in front of what waits for the parent."""
    return {
        "parentprocessid": given["processid"],
        "childprocessid": given["children"][0] if at % 2 else "",
        "spec": tenant.spec(nodename=f"child{at}"),
    }


@pytest.mark.parametrize("children", [40, 200])
async def test_children_of_one_parent_are_all_added_at_the_same_time(
    tenant: Tenant, api: Api, other: Api, children: int
) -> None:
    executor, given = await running_parent(tenant, api)

    answers = await asyncio.gather(
        *(
            (api, other)[at % 3 % 2].ask(
                executor.identity, "addchildmsg", **child_of(tenant, given, at)
            )
            for at in range(children)
        )
    )

    added = {answer.ok["processid"] for answer in answers}
    parent = await tenant.process(api, given["processid"])
    last = await tenant.process(other, given["children"][0])
    assert (len(added), set(parent["children"])) == (children, {last["processid"], *added})
    assert set(last["parents"]) == {given["processid"], *(a.ok["processid"] for a in answers[1::2])}
    done = {"processid": given["processid"], "out": [1]}
    await api.ask(executor.identity, "closesuccessfulmsg", **done)
    for process_id in added:
        assert (await tenant.process(api, process_id))["in"] == [1]


async def test_children_are_added_until_their_parent_is_closed_and_each_is_released(
    tenant: Tenant, api: Api, other: Api
) -> None:
    executor, given = await running_parent(tenant, api)
    done = {"processid": given["processid"], "out": [1]}

    async def grow(at: int) -> Answer:
        server = (api, other)[at % 2]
        return await server.ask(executor.identity, "addchildmsg", **child_of(tenant, given, at))

    growing = [asyncio.create_task(grow(at)) for at in range(0, 80, 2)]
    await asyncio.wait(growing, return_when=asyncio.FIRST_COMPLETED)
    close = "closesuccessfulmsg"
    while (answer := await other.ask(executor.identity, close, **done)).status == UNAVAILABLE:
        continue  # a child was added at every try, and there are not many

    assert answer.status == 200, answer
    answers = await asyncio.gather(*growing)
    added = [answer.ok["processid"] for answer in answers if answer.status == 200]
    assert all(TOO_LATE in a.message for a in answers if a.status != 200)
    parent = await tenant.process(api, given["processid"])
    assert set(parent["children"]) == {given["children"][0], *added}
    for process_id in parent["children"]:
        shown = await tenant.process(api, process_id)
        assert (shown["waitforparents"], shown["in"]) == (False, [1])
