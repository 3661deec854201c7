"""Colonies that go and come back, and keys that change, while work is going on."""

import asyncio
import contextlib
from dataclasses import dataclass, field, replace

import pytest

from broker.identity import Identity
from tests.acceptance.asking import Api, eventually
from tests.acceptance.conftest import OWNER, Found
from tests.acceptance.inspection import Ear, keys_of, opened_store, tag_of, verified
from tests.acceptance.tenants import Executor, Tenant, found
from tests.patience import PATIENCE_S


async def removed(api: Api, tenant: Tenant) -> None:
    """Remove a colony."""
    (await api.ask(OWNER, "removecolonymsg", colonyname=tenant.name)).ok  # noqa: B018 - asserts


async def test_removed_colony_refuses_everybody_everywhere(
    founded: Found, api: Api, other: Api
) -> None:
    tenant = await founded()
    executor = await tenant.executor(api)
    submitted = [await tenant.submit(at) for at in (api, other)]
    for at in (api, other):
        (await executor.assign(at)).ok  # noqa: B018 - asserts

    await removed(api, tenant)

    for at in (other, api):
        gone = f"Colony with name <{tenant.name}> does not exists"
        spec = {"spec": tenant.spec()}
        assert (await at.ask(tenant.user, "submitfuncspecmsg", **spec)).refusal == (403, gone)
        assert (await executor.assign(at)).refusal == (403, gone)
        for process_id in submitted:
            assert (await executor.close(at, process_id)).status in {403, 500}
            asked = await at.ask(tenant.user, "getprocessmsg", processid=process_id)
            assert asked.status in {403, 404}


async def test_removed_colony_leaves_no_key_behind(
    founded: Found, api: Api, other: Api, valkey: str
) -> None:
    tenant = await founded()
    executor = await tenant.executor(api)
    for _ in range(3):
        await tenant.submit(api)
    (await executor.assign(other)).ok  # noqa: B018 - asserts
    async with opened_store(valkey) as store:
        tag = await tag_of(store, tenant.name)
    await removed(api, tenant)

    async def swept() -> bool:
        assert (await executor.assign(other)).status == 403
        return not await keys_of(valkey, tag.text)

    await eventually(swept, "the keys of a removed colony to be deleted")
    assert (await executor.assign(api)).status == 403
    (await api.ask(OWNER, "getstatisticsmsg")).ok  # noqa: B018 - asserts

    # Presence is written late; when later presence is there, that of the removed colony would be.
    fresh = await founded()
    worker = await fresh.executor(api)
    await worker.assign(other)

    async def presence_written() -> bool:
        shown = await fresh.see(api, "getexecutormsg", executorname=worker.name)
        return not shown["lastheardfromtime"].startswith("0001")

    await eventually(presence_written, "presence to be written")
    assert await keys_of(valkey, tag.text) == []


async def test_colony_of_the_same_name_starts_empty(founded: Found, api: Api, other: Api) -> None:
    first = await founded()
    executor = await first.executor(api)
    old = await first.submit(api)
    await executor.assign(other)
    await removed(other, first)

    second = await founded(first.name)

    for at in (other, api):
        assert sum(await second.counts(at)) == (at is api)
        assert await second.see(at, "getexecutorsmsg") == []
        assert (await executor.assign(at)).status == 403
        assert (await executor.close(at, old)).status in {403, 500}
        refused = await at.ask(first.user, "submitfuncspecmsg", spec=second.spec())
        assert refused.refusal == (
            403,
            f"Access denied, not a member of Colony with name <{second.name}>",
        )
        fresh = await second.submit(at)
        assert (await second.process(api, fresh))["state"] == 0


async def test_same_identities_may_found_the_colony_again(api: Api, other: Api) -> None:
    tenant = await found(api, OWNER)
    for at in (api, other) * 3:
        await removed(at, tenant)
        wish = {"colonyid": tenant.owner.id, "name": tenant.name}
        (await at.ask(OWNER, "addcolonymsg", colony=wish)).ok  # noqa: B018 - asserts
        person = {"colonyname": tenant.name, "userid": tenant.user.id, "name": "user"}
        (await at.ask(tenant.owner, "addusermsg", user=person)).ok  # noqa: B018 - asserts
        for reading in (other, api):
            await tenant.submit(reading)
    await removed(api, tenant)


async def test_waiting_executor_is_told_that_its_colony_is_gone(
    founded: Found, api: Api, other: Api, valkey: str
) -> None:
    tenant = await founded()
    executor = await tenant.executor(api)
    ear = Ear(valkey)
    before = await ear.scripts()
    poll = asyncio.create_task(executor.assign(api, 30))

    async def waits() -> bool:
        return await ear.scripts() >= before + 2

    await eventually(waits, "a waiting executor")
    await ear.close()

    await removed(other, tenant)

    async with asyncio.timeout(PATIENCE_S):
        assert (await poll).status == 403


@dataclass
class Phoenix:
    """A colony that is removed and added again while everybody goes on with the one before."""

    name: str
    tenant: Tenant
    worker: Executor
    odd: list[str] = field(default_factory=list[str])
    over: bool = False

    async def submit(self, at: Api) -> None:
        """Submit to whatever colony there is."""
        while not self.over:
            tenant = self.tenant
            answer = await at.ask(tenant.user, "submitfuncspecmsg", spec=tenant.spec())
            if answer.status not in {200, 403}:
                self.odd.append(str(answer))

    async def work(self, at: Api) -> None:
        """Take and close whatever there is."""
        while not self.over:
            worker = self.worker
            answer = await worker.assign(at, 1)
            if answer.status == 200:
                answer = await worker.close(at, answer.payload["processid"])
            # 500 is how the protocol says that a process is not there (any more).
            if answer.status not in {200, 403, 404, 500}:
                self.odd.append(str(answer))

    async def rise(self, at: Api, there: Api) -> None:
        """Remove it at one server and add it at another; it must work there and here."""
        await removed(at, self.tenant)
        self.tenant = await found(there, OWNER, self.name)
        self.worker = await self.tenant.executor(at)

        async def something_done() -> bool:
            return (await self.tenant.counts(at))[2] > 0

        await eventually(something_done, "the new colony to work")


async def test_colony_comes_and_goes_under_load(api: Api, other: Api, valkey: str) -> None:
    """Nobody gets anything but a yes or a proper refusal, and nothing of old colonies stays."""
    tenant = await found(api, OWNER, "phoenix")
    phoenix = Phoenix(tenant.name, tenant, await tenant.executor(api))
    load = [
        asyncio.create_task(doing(at))
        for doing in (phoenix.submit, phoenix.work)
        for at in (api, other)
    ]
    try:
        for _ in range(3):
            await phoenix.rise(api, other)
            await phoenix.rise(other, api)
    finally:
        phoenix.over = True
        await asyncio.gather(*load)
    assert phoenix.odd == []
    await verified(valkey, phoenix.name)
    await removed(api, phoenix.tenant)

    async def swept() -> bool:
        return not await keys_of(valkey, f"{{{phoenix.name}.")

    await eventually(swept, "the keys of removed colonies to be deleted")


async def test_executor_takes_its_work_along_to_another_key(
    tenant: Tenant, api: Api, other: Api
) -> None:
    executor = await tenant.executor(api)
    submitted = [await tenant.submit(api) for _ in range(3)]
    for at in (api, other, api):
        (await executor.assign(at)).ok  # noqa: B018 - asserts
    moved = replace(executor, identity=Identity.generate())

    changed = await other.ask(
        executor.identity,
        "changeexecutoridmsg",
        colonyname=tenant.name,
        executorid=moved.identity.id,
    )

    assert changed.ok["executorid"] == moved.identity.id
    for at in (api, other):
        assert (await executor.close(at, submitted[0])).status == 403
        assert (await executor.assign(at)).status == 403
    shown = await tenant.process(api, submitted[0])
    assert shown["assignedexecutorid"] == moved.identity.id
    for at, process_id in zip((api, other, api), submitted, strict=True):
        (await moved.close(at, process_id, "out")).ok  # noqa: B018 - asserts
    assert await tenant.counts(other) == [0, 0, 3, 0, 0]


async def test_waiting_executor_that_changed_its_key_elsewhere_gets_nothing(
    tenant: Tenant, api: Api, other: Api
) -> None:
    executor = await tenant.executor(api)
    poll = asyncio.create_task(executor.assign(api, 5))
    moved = replace(executor, identity=Identity.generate())
    wish = {"colonyname": tenant.name, "executorid": moved.identity.id}
    (await other.ask(executor.identity, "changeexecutoridmsg", **wish)).ok  # noqa: B018 - asserts

    submitted = await tenant.submit(other)

    assert (await moved.assign(other, 30)).ok["processid"] == submitted
    assert (await poll).status in {403, 404}


async def test_old_key_of_a_user_is_dead_at_once(tenant: Tenant, api: Api, other: Api) -> None:
    submitted = await tenant.submit(other)
    fresh = Identity.generate()
    wish = {"colonyname": tenant.name, "userid": fresh.id}

    (await api.ask(tenant.user, "changeuseridmsg", **wish)).ok  # noqa: B018 - asserts

    for at in (other, api):
        denied = await at.ask(tenant.user, "submitfuncspecmsg", spec=tenant.spec())
        assert denied.status == 403
        assert (await at.ask(tenant.user, "getprocessmsg", processid=submitted)).status == 403
        (await at.ask(fresh, "getprocessmsg", processid=submitted)).ok  # noqa: B018 - asserts
    listed = await at.ask(
        fresh, "getprocessesmsg", colonyname=tenant.name, count=10, state=0, initiator="user"
    )
    assert listed.status == 200


async def test_processes_of_a_user_are_found_by_name_after_it_changed_its_key(
    tenant: Tenant, api: Api
) -> None:
    submitted = await tenant.submit(api)
    fresh = Identity.generate()
    wish = {"colonyname": tenant.name, "userid": fresh.id}
    (await api.ask(tenant.user, "changeuseridmsg", **wish)).ok  # noqa: B018 - asserts

    listed = await api.ask(
        fresh, "getprocessesmsg", colonyname=tenant.name, count=10, state=0, initiator="user"
    )

    assert [p["processid"] for p in listed.ok] == [submitted]


async def test_old_owner_of_a_colony_is_refused_everywhere(
    tenant: Tenant, api: Api, other: Api
) -> None:
    executor = await tenant.executor(other)
    submitted = await tenant.submit(other)
    (await executor.assign(other)).ok  # noqa: B018 - asserts
    fresh = Identity.generate()
    wish = {"colonyname": tenant.name, "colonyid": fresh.id}

    (await api.ask(tenant.owner, "changecolonyidmsg", **wish)).ok  # noqa: B018 - asserts

    for at in (other, api):
        for kind in ("pauseassignmentsmsg", "removeallprocessesmsg"):
            denied = await at.ask(tenant.owner, kind, colonyname=tenant.name, state=0)
            assert denied.refusal == (403, "Access denied, not colony owner")
        (await at.ask(fresh, "pauseassignmentsmsg", colonyname=tenant.name)).ok  # noqa: B018
        (await at.ask(fresh, "resumeassignmentsmsg", colonyname=tenant.name)).ok  # noqa: B018
    (await executor.close(api, submitted, "still")).ok  # noqa: B018 - asserts
    assert (await tenant.process(other, submitted))["out"] == ["still"]


async def test_released_owner_key_may_found_another_colony(
    tenant: Tenant, api: Api, other: Api
) -> None:
    fresh = Identity.generate()
    wish = {"colonyname": tenant.name, "colonyid": fresh.id}
    taken = {"colonyid": fresh.id, "name": f"{tenant.name}-second"}
    (await api.ask(tenant.owner, "changecolonyidmsg", **wish)).ok  # noqa: B018 - asserts

    assert (await other.ask(OWNER, "addcolonymsg", colony=taken)).status == 400
    free = {**taken, "colonyid": tenant.owner.id}
    (await other.ask(OWNER, "addcolonymsg", colony=free)).ok  # noqa: B018 - asserts
    (await other.ask(OWNER, "removecolonymsg", colonyname=free["name"])).ok  # noqa: B018


async def test_owner_changes_race_and_one_wins(tenant: Tenant, api: Api, other: Api) -> None:
    heirs = [Identity.generate() for _ in range(8)]
    # With its connection open already, every request arrives while the first is being answered.
    await asyncio.gather(*((api, other)[i % 2].get("/health") for i in range(8)))

    answers = await asyncio.gather(
        *(
            (api, other)[i % 2].ask(
                tenant.owner, "changecolonyidmsg", colonyname=tenant.name, colonyid=heir.id
            )
            for i, heir in enumerate(heirs)
        )
    )

    won = [heir for heir, answer in zip(heirs, answers, strict=True) if answer.status == 200]
    assert len(won) == 1, [answer.message for answer in answers]
    assert {a.status for a in answers} <= {200, 403}
    (await api.ask(won[0], "pauseassignmentsmsg", colonyname=tenant.name)).ok  # noqa: B018
    # What the losers had wished for is free again.
    for number, heir in enumerate(h for h in heirs if h is not won[0]):
        wish = {"colonyid": heir.id, "name": f"{tenant.name}-{number}"}
        (await other.ask(OWNER, "addcolonymsg", colony=wish)).ok  # noqa: B018 - asserts
        (await other.ask(OWNER, "removecolonymsg", colonyname=wish["name"])).ok  # noqa: B018


async def test_server_changes_hands_and_back(tenant: Tenant, api: Api, other: Api) -> None:
    fresh = Identity.generate()
    (await api.ask(OWNER, "changeserveridmsg", serverid=fresh.id)).ok  # noqa: B018 - asserts
    try:
        for at in (other, api):
            denied = await at.ask(OWNER, "getcoloniesmsg")
            assert denied.refusal == (403, "Access denied, not server owner")
            (await at.ask(fresh, "getcoloniesmsg")).ok  # noqa: B018 - asserts
        await tenant.submit(other)
    finally:
        (await other.ask(fresh, "changeserveridmsg", serverid=OWNER.id)).ok  # noqa: B018
    (await api.ask(OWNER, "getcoloniesmsg")).ok  # noqa: B018 - asserts


@pytest.mark.parametrize("again", ["same name", "same id"])
async def test_concurrent_additions_are_accepted_once(
    api: Api, other: Api, tenant: Tenant, again: str
) -> None:
    names = [f"{tenant.name}-race" + ("" if again == "same name" else str(i)) for i in range(10)]
    one = Identity.generate().id
    ids = [Identity.generate().id if again == "same name" else one for _ in names]

    answers = await asyncio.gather(
        *(
            (api, other)[i % 2].ask(OWNER, "addcolonymsg", colony={"colonyid": c, "name": n})
            for i, (n, c) in enumerate(zip(names, ids, strict=True))
        )
    )

    assert sorted(a.status for a in answers) == [200] + [400] * 9
    with contextlib.suppress(StopIteration):
        won = next(a for a in answers if a.status == 200)
        (await api.ask(OWNER, "removecolonymsg", colonyname=won.payload["name"])).ok  # noqa: B018


@pytest.mark.parametrize("again", ["same name", "same id"])
async def test_concurrent_members_are_accepted_once(
    api: Api, other: Api, tenant: Tenant, again: str
) -> None:
    one = Identity.generate().id
    wishes = [
        {
            "colonyname": tenant.name,
            "executorname": "same" if again == "same name" else f"e{i}",
            "executorid": Identity.generate().id if again == "same name" else one,
            "executortype": "cli",
        }
        for i in range(10)
    ]

    answers = await asyncio.gather(
        *(
            (api, other)[i % 2].ask(tenant.owner, "addexecutormsg", executor=wish)
            for i, wish in enumerate(wishes)
        )
    )

    assert sorted(a.status for a in answers) == [200] + [400] * 9
    assert len(await tenant.see(api, "getexecutorsmsg")) == 1
