"""Assignment from two server processes at once: exactly once, in order, and nobody sleeps on."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.acceptance.asking import PATIENCE_S, Answer, Api, eventually
from tests.acceptance.conftest import Found
from tests.acceptance.inspection import Ear
from tests.acceptance.tenants import RUNNING, WAITING, Executor, Tenant

NOTHING = (404, "No process available for assignment")
LONG_S = 30


@pytest.fixture
async def ear(valkey: str) -> AsyncGenerator[Ear]:
    """Who listens at the store."""
    listening = Ear(valkey)
    yield listening
    await listening.close()


class Waiting:
    """Long polls that are known to wait."""

    def __init__(self, ear: Ear) -> None:
        self._ear = ear

    async def __call__(
        self, api: Api, executor: Executor, timeout_s: int = LONG_S, **fields: str
    ) -> "asyncio.Task[Answer]":
        """Start a long poll; returns when it has tried twice in vain, so that it waits."""
        before = await self._ear.scripts()
        task = asyncio.create_task(executor.assign(api, timeout_s, **fields))

        async def tried() -> bool:
            return task.done() or await self._ear.scripts() >= before + 2

        await eventually(tried, "a waiting executor")
        assert not task.done(), task.result()
        return task


@pytest.fixture
def waiting(ear: Ear) -> Waiting:
    """Starts long polls."""
    return Waiting(ear)


async def test_every_process_is_assigned_once(tenant: Tenant, api: Api, other: Api) -> None:
    executors = [await tenant.executor(api) for _ in range(20)]
    submitted = [await tenant.submit(api, priority=i % 5) for i in range(100)]

    asked = [(executors[i % 20], (api, other)[i % 2]) for i in range(200)]
    answers = await asyncio.gather(*(executor.assign(at) for executor, at in asked))

    given = [a.payload["processid"] for a in answers if a.status == 200]
    refused = Counter(a.refusal for a in answers if a.status != 200)
    assert sorted(given) == sorted(submitted)
    assert refused == {NOTHING: 100}
    for answer, (executor, _) in zip(answers, asked, strict=True):
        if answer.status == 200:
            assert answer.payload["assignedexecutorid"] == executor.identity.id
    assert await tenant.counts(api) == [0, 100, 0, 0, 0]


async def test_order_is_priority_time_over_all_classes(
    tenant: Tenant, api: Api, other: Api
) -> None:
    executor = await tenant.executor(api, "me", locationname="Home")
    wishes: list[dict[str, Any]] = [
        {"priority": 0},
        {"priority": 3, "cpu": "100m"},
        {"priority": -50000, "mem": "1Gi"},
        {"priority": 3, "executornames": ["me"]},
        {"priority": 50000, "locationname": "home"},
        {"priority": 0, "cpu": "200m"},
        {"priority": 3},
    ]
    submitted = [await tenant.submit((api, other)[i % 2], **wish) for i, wish in enumerate(wishes)]
    shown = [await tenant.process(other, i) for i in submitted]
    expected = [p["processid"] for p in sorted(shown, key=lambda p: p["prioritytime"])]

    given = [(await executor.assign((api, other)[i % 2])).ok for i in range(len(wishes))]

    assert [process["processid"] for process in given] == expected
    assert [submitted.index(i) for i in expected] == [4, 1, 3, 6, 0, 5, 2]


async def test_concurrent_submits_and_assigns_meet(tenant: Tenant, api: Api, other: Api) -> None:
    executors = [await tenant.executor(api) for _ in range(10)]
    polls = [
        asyncio.create_task(executors[i % 10].assign((api, other)[i % 2], LONG_S))
        for i in range(60)
    ]
    submitted = await asyncio.gather(
        *(tenant.submit((other, api)[i % 2], cpu=f"{i % 4}m") for i in range(60))
    )

    given = [(await poll).ok["processid"] for poll in polls]

    assert sorted(given) == sorted(submitted)


async def test_submit_on_one_server_wakes_an_executor_on_another(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    poll = await waiting(api, await tenant.executor(api))

    submitted = await tenant.submit(other)

    assert (await poll).ok["processid"] == submitted


async def test_other_colony_does_not_swallow_a_wake_up(
    founded: Found, api: Api, other: Api, waiting: Waiting
) -> None:
    mine, foreign = await founded(), await founded()
    first = await waiting(api, await foreign.executor(api), 2)
    second = await waiting(api, await mine.executor(api))

    submitted = await mine.submit(other)

    assert (await second).ok["processid"] == submitted
    assert (await first).refusal == NOTHING


SMALL = {
    "cpu": ({"availablecpu": "100m"}, {"cpu": "1000m"}),
    "mem": ({"availablemem": "1Gi"}, {"mem": "16Gi"}),
}


@pytest.mark.parametrize("resource", SMALL)
async def test_too_small_an_executor_does_not_swallow_a_wake_up(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting, resource: str
) -> None:
    small, asked = SMALL[resource]
    first = await waiting(api, await tenant.executor(api), 2, **small)
    second = await waiting(api, await tenant.executor(api))

    submitted = await tenant.submit(other, **asked)

    assert (await second).ok["processid"] == submitted
    assert (await first).refusal == NOTHING


async def test_other_name_does_not_swallow_a_wake_up(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    first = await waiting(api, await tenant.executor(api, "other"), 2)
    second = await waiting(api, await tenant.executor(api, "meant"))

    submitted = await tenant.submit(other, executornames=["meant"])

    assert (await second).ok["processid"] == submitted
    assert (await first).refusal == NOTHING


async def test_new_requirement_class_wakes_the_right_executor(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    first = await waiting(api, await tenant.executor(api, locationname="here"), 2)
    second = await waiting(other, await tenant.executor(api, locationname="there"), 2)
    third = await waiting(api, await tenant.executor(api, locationname="Elsewhere"))

    submitted = await tenant.submit(other, locationname="elsewhere", cpu="7m", mem="3Mi")

    assert (await third).ok["processid"] == submitted
    assert (await first).refusal == (await second).refusal == NOTHING


async def test_each_of_many_submits_wakes_one_executor(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    polls = [
        await waiting((api, other)[i % 2], await tenant.executor(api), LONG_S) for i in range(8)
    ]

    submitted = await asyncio.gather(*(tenant.submit(other) for _ in range(8)))

    assert sorted([(await poll).ok["processid"] for poll in polls]) == sorted(submitted)


async def test_more_wake_ups_than_executors_cost_no_more_than_themselves(
    tenant: Tenant, api: Api, other: Api
) -> None:
    """Everybody is at work on a claim already whenever the next notice arrives."""
    executors = [await tenant.executor(api) for _ in range(50)]
    submitted: list[str] = []

    async def feed() -> None:
        submitted.extend(await asyncio.gather(*(tenant.submit(other) for _ in range(100))))

    async def work(executor: Executor) -> list[str]:
        given = [await executor.assign(api, LONG_S) for _ in range(2)]
        return [answer.ok["processid"] for answer in given]

    async with asyncio.timeout(PATIENCE_S):
        done, _ = await asyncio.gather(asyncio.gather(*map(work, executors)), feed())

    assert sorted(itertools.chain(*done)) == sorted(submitted)


async def test_wake_up_of_a_removed_executor_goes_to_the_next(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    leaving = await tenant.executor(api)
    first = await waiting(api, leaving)
    second = await waiting(api, await tenant.executor(api))
    await tenant.own(other, "removeexecutormsg", executorname=leaving.name)

    submitted = await tenant.submit(other)

    assert (await second).ok["processid"] == submitted
    assert (await first).status in {403, 404}


async def test_resume_wakes_on_every_server(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    executors = [await tenant.executor(api) for _ in range(2)]
    await tenant.own(api, "pauseassignmentsmsg")
    polls = [await waiting(at, e) for at, e in zip((api, other), executors, strict=True)]
    submitted = [await tenant.submit(api) for _ in range(2)]
    assert await tenant.counts(other) == [2, 0, 0, 0, 0]

    await tenant.own(other, "resumeassignmentsmsg")

    assert sorted([(await poll).ok["processid"] for poll in polls]) == sorted(submitted)


async def test_pause_holds_back_whoever_waits_already(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting
) -> None:
    poll = await waiting(api, await tenant.executor(api), 5)
    await tenant.own(other, "pauseassignmentsmsg")
    submitted = await tenant.submit(other)

    assert (await poll).refusal == (408, "Assignment timeout: colony assignments are paused")
    assert (await tenant.process(api, submitted))["state"] == WAITING
    idle = await tenant.executor(api)
    assert (await idle.assign(other)).refusal == (
        503,
        "No processes available: colony assignments are paused",
    )


@pytest.mark.parametrize("message", ["removeexecutormsg", "rejectexecutormsg"])
async def test_work_of_an_executor_that_left_goes_to_one_that_waits(
    tenant: Tenant, api: Api, other: Api, waiting: Waiting, message: str
) -> None:
    leaving = await tenant.executor(api)
    submitted = await tenant.submit(api)
    before = (await leaving.assign(api)).ok
    poll = await waiting(other, await tenant.executor(api))

    await tenant.own(api, message, executorname=leaving.name)

    given = (await poll).ok
    assert given["processid"] == submitted == before["processid"]
    assert given["retries"] == 0
    assert (await leaving.close(api, submitted)).status == 403
    assert (await tenant.process(api, submitted))["state"] == RUNNING


async def test_late_close_of_an_earlier_holder_is_refused(
    tenant: Tenant, api: Api, other: Api
) -> None:
    first, second = await tenant.executor(api), await tenant.executor(api)
    submitted = await tenant.submit(api)
    (await first.assign(api)).ok  # noqa: B018 - asserts
    await tenant.own(other, "rejectexecutormsg", executorname=first.name)
    (await second.assign(other)).ok  # noqa: B018 - asserts
    await tenant.own(other, "approveexecutormsg", executorname=first.name)

    late = await first.close(api, submitted, "late")

    assert late.refusal == (
        403,
        "Failed to close process as successful, not allowed to close process as successful",
    )
    (await second.close(api, submitted, "right")).ok  # noqa: B018 - asserts
    assert (await tenant.process(other, submitted))["out"] == ["right"]


async def test_close_through_another_server_than_the_assign(
    tenant: Tenant, api: Api, other: Api
) -> None:
    executor = await tenant.executor(api)
    submitted = await tenant.submit(api)
    (await executor.assign(api)).ok  # noqa: B018 - asserts

    (await executor.close(other, submitted, 1)).ok  # noqa: B018 - asserts

    again = await executor.close(api, submitted, 2)
    assert again.refusal == (400, "Tried to set successful process as successful")
    assert (await tenant.process(api, submitted))["out"] == [1]
