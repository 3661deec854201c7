"""Files and snapshots on two server processes, over HTTP, and what a kill leaves of them."""

import asyncio
import contextlib
from typing import Any

import httpx
import pytest

from tests.acceptance.asking import Answer, Api, eventually
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import verified
from tests.acceptance.processes import Store, started
from tests.acceptance.tenants import STRANGER, Tenant, found

# A connection that is reset while httpx still opens it is left to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]


async def add(api: Api, tenant: Tenant, label: str, name: str, **fields: Any) -> Answer:  # noqa: ANN401
    """Say that a file is there."""
    given = {"colonyname": tenant.name, "label": label, "name": name, **fields}
    return await api.ask(tenant.user, "addfilemsg", file=given)


async def test_simultaneous_revisions_on_two_servers_have_one_order(
    api: Api, other: Api, tenant: Tenant
) -> None:
    answers = await asyncio.gather(
        *(add((api, other)[at % 2], tenant, "/a", "x", size=at) for at in range(40))
    )

    numbers = sorted(each.ok["sequencenr"] for each in answers)
    assert len(set(numbers)) == 40
    for server in (api, other):
        seen = await tenant.see(server, "getfilemsg", label="/a", name="x")
        assert [each["sequencenr"] for each in seen] == numbers[::-1]


async def test_what_only_a_removed_snapshot_named_is_forgotten_by_itself(
    api: Api, other: Api, tenant: Tenant
) -> None:
    added = (await add(api, tenant, "/a/b", "x")).ok
    made = await tenant.see(other, "createsnapshotmsg", label="/a", name="s:1")
    await tenant.see(api, "removefilemsg", label="/a/b", name="x")
    named = {"colonyname": tenant.name, "fileid": added["fileid"]}
    assert made["fileids"] == [added["fileid"]]
    assert (await other.ask(tenant.user, "getfilemsg", **named)).ok == [added]

    await tenant.see(other, "removesnapshotmsg", snapshotid=made["snapshotid"])

    async def is_gone() -> bool:
        answer = await api.ask(tenant.user, "getfilemsg", **named)
        return answer.status == 400 and answer.message == "Failed to get file"

    await eventually(is_gone, "the file is forgotten")


async def test_outsiders_learn_nothing_of_files(api: Api, untouched: Tenant) -> None:
    name = untouched.name
    asked: dict[str, dict[str, Any]] = {
        "addfilemsg": {"file": {"colonyname": name, "label": "/a", "name": "x"}},
        "addfilesmsg": {"colonyname": name, "files": [{"label": "/a", "name": "x"}]},
        "getfilemsg": {"colonyname": name, "fileid": "0" * 64},
        "getfilesmsg": {"colonyname": name, "label": "/a"},
        "getfilelabelsmsg": {"colonyname": name},
        "removefilemsg": {"colonyname": name, "fileid": "0" * 64},
        "createsnapshotmsg": {"colonyname": name, "label": "/a", "name": "s"},
        "getsnapshotmsg": {"colonyname": name, "snapshotid": "0" * 64},
        "getsnapshotsmsg": {"colonyname": name},
        "removesnapshotmsg": {"colonyname": name, "name": "s"},
        "removeallsnapshotmsg": {"colonyname": name},
    }
    for kind, fields in asked.items():
        for who in (STRANGER, untouched.owner):
            refusal = (await api.ask(who, kind, **fields)).refusal
            assert refusal == (403, f"Access denied, not a member of Colony with name <{name}>")


async def test_every_acknowledged_file_survives_the_kill_of_its_server(store: Store) -> None:
    settings, told = settings_on(store.url), set[str]()
    with started(settings) as first, started(settings) as second:
        async with Api(first.url) as doomed, Api(second.url) as api:
            tenant = await found(api, OWNER)

            async def add_many(part: int) -> None:
                with contextlib.suppress(httpx.HTTPError):
                    for at in range(10_000):
                        label = f"/a/{part}"
                        told.add((await add(doomed, tenant, label, f"{at % 7}")).ok["fileid"])

            adding = [asyncio.create_task(add_many(part)) for part in range(4)]

            async def enough() -> bool:
                return len(told) >= 60

            await eventually(enough, "60 files")
            first.kill()
            await asyncio.gather(*adding)

            every: list[str] = []
            labels = await tenant.see(api, "getfilelabelsmsg", name="/a")
            for label in labels:
                for newest in await tenant.see(api, "getfilesmsg", label=label["name"]):
                    asked = {"label": label["name"], "name": newest["name"]}
                    seen = await tenant.see(api, "getfilemsg", **asked)
                    numbers = [file["sequencenr"] for file in seen]
                    assert numbers == sorted(set(numbers), reverse=True)
                    every += [file["fileid"] for file in seen]
            assert told <= set(every)
            assert sum(label["files"] for label in labels) == len(every)
    await verified(store.url, tenant.name)
