"""A request with a nonce takes effect once, and its repeat is answered as it was the first time."""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

import pytest

from broker.identity import Identity
from tests.acceptance.asking import Answer, Api, sealed
from tests.acceptance.conftest import OWNER, SETTINGS
from tests.acceptance.tenants import Executor, Tenant

SECOND_NS = 1_000_000_000
WINDOW_NS = SETTINGS.replay_window_ms * 1_000_000


def fresh() -> dict[str, Any]:
    """A nonce and its time."""
    return {"nonce": secrets.token_hex(8), "issuedat": time.time_ns()}


@dataclass(frozen=True)
class Scene:
    """A colony in the middle of its work."""

    tenant: Tenant
    executor: Executor
    running: str
    waiting: str


@pytest.fixture
async def scene(tenant: Tenant, api: Api) -> Scene:
    """One process runs, one waits."""
    executor = await tenant.executor(api)
    running = await tenant.submit(api)
    (await executor.assign(api)).ok  # noqa: B018 - asserts
    return Scene(tenant, executor, running, await tenant.submit(api))


async def twice(api: Api, other: Api, who: Identity, kind: str, **fields: Any) -> Answer:  # noqa: ANN401
    """Send the same bytes to both servers; both answers must be the same bytes."""
    body = sealed(who, kind, **fields, **fresh())
    first = await api.post(body)
    second = await other.post(body)
    assert (second.status, second.payload) == (first.status, first.payload)
    assert second.raw == first.raw
    assert first.ok is not None
    return first


async def test_submit_happens_once(scene: Scene, api: Api, other: Api) -> None:
    tenant = scene.tenant
    before = await tenant.counts(api)

    await twice(api, other, tenant.user, "submitfuncspecmsg", spec=tenant.spec())

    assert await tenant.counts(api) == [before[0] + 1, *before[1:]]


async def test_concurrent_repeats_of_a_submit_happen_once(
    scene: Scene, api: Api, other: Api
) -> None:
    tenant = scene.tenant
    body = sealed(tenant.user, "submitfuncspecmsg", spec=tenant.spec(), **fresh())

    answers = await asyncio.gather(*((api, other)[i % 2].post(body) for i in range(20)))

    assert len({answer.raw for answer in answers}) == 1
    assert await tenant.counts(api) == [2, 1, 0, 0, 0]


async def test_assign_gives_the_same_process_again(scene: Scene, api: Api, other: Api) -> None:
    tenant, executor = scene.tenant, scene.executor
    await tenant.submit(api)
    asked = {"colonyname": tenant.name, "timeout": -1}

    first = await twice(api, other, executor.identity, "assignprocessmsg", **asked)

    assert first.payload["processid"] == scene.waiting
    assert await tenant.counts(api) == [1, 2, 0, 0, 0]


async def test_assign_that_waited_gives_the_same_process_again(
    scene: Scene, api: Api, other: Api
) -> None:
    executor = await scene.tenant.executor(api, kind="waiting")
    asked = {"colonyname": executor.colony, "timeout": 30, **fresh()}
    body = sealed(executor.identity, "assignprocessmsg", **asked)
    polls = [asyncio.create_task(at.post(body)) for at in (api, other, api)]
    submitted = await scene.tenant.submit(other, kind="waiting")
    await scene.tenant.submit(other, kind="waiting")

    answers = [await poll for poll in polls]

    assert {answer.ok["processid"] for answer in answers} == {submitted}
    assert await scene.tenant.counts(api) == [2, 2, 0, 0, 0]


async def test_repeated_assign_is_answered_after_the_close_too(
    scene: Scene, api: Api, other: Api
) -> None:
    executor = scene.executor
    asked = {"colonyname": executor.colony, "timeout": -1, **fresh()}
    body = sealed(executor.identity, "assignprocessmsg", **asked)
    first = await api.post(body)
    (await executor.close(api, first.ok["processid"], "out")).ok  # noqa: B018 - asserts

    assert (await other.post(body)).raw == first.raw


async def test_repeated_assign_shows_no_attribute_of_later(
    scene: Scene, api: Api, other: Api
) -> None:
    executor = scene.executor
    asked = {"colonyname": executor.colony, "timeout": -1, **fresh()}
    body = sealed(executor.identity, "assignprocessmsg", **asked)
    first = await api.post(body)
    attribute = {"targetid": scene.waiting, "key": "k", "value": "v", "attributetype": 1}
    (await api.ask(executor.identity, "addattributemsg", attribute=attribute)).ok  # noqa: B018

    assert (await other.post(body)).raw == first.raw


WRITES: dict[str, tuple[str, dict[str, Any]]] = {
    "closesuccessfulmsg": ("executor", {"processid": "RUNNING", "out": ["x"]}),
    "closefailedmsg": ("executor", {"processid": "RUNNING", "errors": ["x"]}),
    "setoutputmsg": ("executor", {"processid": "RUNNING", "out": ["x"]}),
    "cancelprocessmsg": ("user", {"processid": "WAITING"}),
    "removeprocessmsg": ("user", {"processid": "WAITING"}),
    "removeallprocessesmsg": ("owner", {"colonyname": "COLONY", "state": -1}),
    "addattributemsg": (
        "executor",
        {"attribute": {"targetid": "RUNNING", "key": "k", "value": "v", "attributetype": 1}},
    ),
    "addusermsg": ("owner", {"user": {"colonyname": "COLONY", "userid": "NEW", "name": "new"}}),
    "removeusermsg": ("owner", {"colonyname": "COLONY", "name": "user"}),
    "changeuseridmsg": ("user", {"colonyname": "COLONY", "userid": "NEW"}),
    "addexecutormsg": (
        "owner",
        {"executor": {"colonyname": "COLONY", "executorid": "NEW", "executorname": "new"}},
    ),
    "approveexecutormsg": ("owner", {"colonyname": "COLONY", "executorname": "EXECUTOR"}),
    "rejectexecutormsg": ("owner", {"colonyname": "COLONY", "executorname": "EXECUTOR"}),
    "removeexecutormsg": ("owner", {"colonyname": "COLONY", "executorname": "EXECUTOR"}),
    "changeexecutoridmsg": ("executor", {"colonyname": "COLONY", "executorid": "NEW"}),
    "reportallocationmsg": (
        "executor",
        {"colonyname": "COLONY", "executorname": "EXECUTOR", "allocations": {"projects": {}}},
    ),
    "updateexecutormsg": (
        "executor",
        {"colonyname": "COLONY", "executorname": "EXECUTOR", "capabilities": {}},
    ),
    "addfunctionmsg": (
        "executor",
        {"fun": {"colonyname": "COLONY", "executorname": "EXECUTOR", "funcname": "f"}},
    ),
    "addlocationmsg": ("owner", {"location": {"colonyname": "COLONY", "name": "here"}}),
    "pauseassignmentsmsg": ("owner", {"colonyname": "COLONY"}),
    "resumeassignmentsmsg": ("owner", {"colonyname": "COLONY"}),
    "setcolonysettingsmsg": (
        "owner",
        {"colonyname": "COLONY", "settings": {"requirenonce": True}},
    ),
    "changecolonyidmsg": ("owner", {"colonyname": "COLONY", "colonyid": "NEW"}),
    "addcolonymsg": ("server", {"colony": {"colonyid": "NEW", "name": "NEWCOLONY"}}),
    "removecolonymsg": ("server", {"colonyname": "COLONY"}),
}
READS: dict[str, tuple[str, dict[str, Any]]] = {
    "getprocessmsg": ("user", {"processid": "RUNNING"}),
    "getprocessesmsg": ("user", {"colonyname": "COLONY", "count": 10, "state": 0}),
    "getcolonystatsmsg": ("user", {"colonyname": "COLONY"}),
    "getexecutorsmsg": ("user", {"colonyname": "COLONY"}),
}


def cast(scene: Scene, role: str, fields: Any) -> tuple[Identity, dict[str, Any]]:  # noqa: ANN401
    """Who asks for what in a scene."""
    tenant = scene.tenant
    names = {
        "RUNNING": scene.running,
        "WAITING": scene.waiting,
        "COLONY": tenant.name,
        "EXECUTOR": scene.executor.name,
        "NEW": Identity.generate().id,
        "NEWCOLONY": f"{tenant.name}-new",
    }
    text = json.dumps(fields)
    for name, value in names.items():
        text = text.replace(f'"{name}"', json.dumps(value))
    people = {
        "executor": scene.executor.identity,
        "user": tenant.user,
        "owner": tenant.owner,
        "server": OWNER,
    }
    return people[role], json.loads(text)


@pytest.mark.parametrize("kind", [*WRITES, *READS])
async def test_repeat_is_answered_as_the_first_time(
    scene: Scene, api: Api, other: Api, kind: str
) -> None:
    who, fields = cast(scene, *(WRITES | READS)[kind])

    await twice(api, other, who, kind, **fields)


@pytest.mark.parametrize("kind", READS)
async def test_repeated_read_does_not_see_what_happened_since(
    scene: Scene, api: Api, other: Api, kind: str
) -> None:
    who, fields = cast(scene, *READS[kind])
    body = sealed(who, kind, **fields, **fresh())
    first = await api.post(body)
    (await scene.executor.close(api, scene.running)).ok  # noqa: B018 - asserts
    await scene.tenant.executor(api)
    await scene.tenant.submit(api)

    assert (await other.post(body)).raw == first.raw


HARMLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "executor": ("reportallocationmsg", {"executorname": "EXECUTOR", "allocations": {}}),
    "user": ("submitfuncspecmsg", {"spec": {"conditions": {"colonyname": "COLONY"}}}),
    "owner": ("resumeassignmentsmsg", {}),
    "server": ("changeserveridmsg", {"serverid": OWNER.id}),
}


@pytest.mark.parametrize("kind", WRITES)
async def test_nonce_of_a_write_is_refused_for_another(
    scene: Scene, api: Api, other: Api, kind: str
) -> None:
    role, fields = WRITES[kind]
    harmless, about = HARMLESS[role]
    once = fresh()
    who, first = cast(scene, role, {"colonyname": "COLONY", **about})
    (await api.ask(who, harmless, **first, **once)).ok  # noqa: B018 - asserts
    _, fields = cast(scene, role, {**fields, "unknown": "makes it another request"})

    refused = await other.ask(who, kind, **fields, **once)

    assert refused.refusal == (403, "the nonce was used by another request")


@pytest.mark.parametrize("kind", READS)
async def test_nonce_of_a_read_is_refused_for_another(
    scene: Scene, api: Api, other: Api, kind: str
) -> None:
    who, fields = cast(scene, *READS[kind])
    once = fresh()
    (await api.ask(who, "getusersmsg", colonyname=scene.tenant.name, **once)).ok  # noqa: B018

    refused = await other.ask(who, kind, **fields, **once)

    assert refused.refusal == (403, "the nonce was used by another request")


async def test_same_nonce_of_somebody_else_is_another(scene: Scene, api: Api) -> None:
    once = fresh()
    tenant = scene.tenant
    for who in (tenant.user, scene.executor.identity):
        (await api.ask(who, "submitfuncspecmsg", spec=tenant.spec(), **once)).ok  # noqa: B018


@pytest.mark.parametrize("kind", ["getcolonymsg", "pauseassignmentsmsg"])
@pytest.mark.parametrize("off_ns", [-WINDOW_NS - SECOND_NS, WINDOW_NS + 5 * SECOND_NS])
async def test_request_from_outside_the_window_is_refused(
    scene: Scene, api: Api, kind: str, off_ns: int
) -> None:
    when = time.time_ns() + off_ns

    answer = await api.ask(
        scene.tenant.owner, kind, colonyname=scene.tenant.name, nonce="n", issuedat=when
    )

    assert answer.status == 403
    assert "Is the clock right?" in answer.message
    seen = await scene.tenant.see(api, "getpausestatusmsg")
    assert seen["ispaused"] is False


@pytest.mark.parametrize("off_ns", [-WINDOW_NS + 20 * SECOND_NS, WINDOW_NS - 20 * SECOND_NS])
async def test_request_from_the_edge_of_the_window_is_accepted_once(
    scene: Scene, api: Api, other: Api, off_ns: int
) -> None:
    tenant = scene.tenant
    when = time.time_ns() + off_ns
    fields = {"spec": tenant.spec(), "nonce": "edge", "issuedat": when}
    body = sealed(tenant.user, "submitfuncspecmsg", **fields)

    assert (await api.post(body)).raw == (await other.post(body)).raw


@pytest.mark.parametrize(
    "odd",
    [
        {"nonce": "n"},
        {"nonce": "n", "issuedat": 0},
        {"nonce": "n", "issuedat": -1},
        {"nonce": "n", "issuedat": "now"},
        {"nonce": 5, "issuedat": 5},
        {"nonce": "n" * 1000, "issuedat": "NOW"},
    ],
)
async def test_odd_nonces_are_refused(scene: Scene, api: Api, odd: dict[str, Any]) -> None:
    if odd.get("issuedat") == "NOW":
        odd = odd | {"issuedat": time.time_ns()}

    answer = await api.ask(scene.tenant.owner, "pauseassignmentsmsg", **odd)

    assert answer.status in {400, 403}


@pytest.mark.parametrize("nonce", ["a:b", "}{", "\0", "\U0001f642", "*", " "])
async def test_any_text_is_a_nonce(scene: Scene, api: Api, other: Api, nonce: str) -> None:
    fields = {"spec": scene.tenant.spec(), "nonce": nonce, "issuedat": time.time_ns()}
    body = sealed(scene.tenant.user, "submitfuncspecmsg", **fields)

    assert (await api.post(body)).ok == (await other.post(body)).ok


async def test_refused_request_did_not_use_its_nonce_up(scene: Scene, api: Api) -> None:
    tenant, late = scene.tenant, Identity.generate()
    body = sealed(late, "submitfuncspecmsg", spec=tenant.spec(), **fresh())
    assert (await api.post(body)).status == 403
    person = {"colonyname": tenant.name, "userid": late.id, "name": "late"}
    (await api.ask(tenant.owner, "addusermsg", user=person)).ok  # noqa: B018 - asserts

    assert (await api.post(body)).ok["initiatorname"] == "late"


async def test_colony_that_requires_nonces_refuses_requests_without(
    scene: Scene, api: Api, other: Api
) -> None:
    tenant, executor = scene.tenant, scene.executor
    await tenant.see(other, "getcolonymsg")
    await executor.assign(other)
    wish = {"colonyname": tenant.name, "settings": {"requirenonce": True}}
    (await api.ask(tenant.owner, "setcolonysettingsmsg", **wish)).ok  # noqa: B018 - asserts

    asked: list[tuple[Identity, str, dict[str, Any]]] = [
        (tenant.user, "submitfuncspecmsg", {"spec": tenant.spec()}),
        (executor.identity, "assignprocessmsg", {"colonyname": tenant.name, "timeout": -1}),
        (executor.identity, "closesuccessfulmsg", {"processid": scene.running}),
        (tenant.user, "getprocessmsg", {"processid": scene.running}),
        (tenant.user, "getcolonymsg", {"colonyname": tenant.name}),
        (tenant.owner, "pauseassignmentsmsg", {"colonyname": tenant.name}),
        (tenant.owner, "setcolonysettingsmsg", wish),
    ]
    for who, kind, fields in asked:
        for at in (other, api):
            refused = await at.ask(who, kind, **fields)
            assert refused.status == 403, (kind, refused)
            assert "requires a nonce" in refused.message
    for who, kind, fields in asked:
        accepted = await other.ask(who, kind, **fields, **fresh())
        assert accepted.status in {200, 404}, (kind, accepted)

    off = {"colonyname": tenant.name, "settings": {"requirenonce": False}}
    (await api.ask(tenant.owner, "setcolonysettingsmsg", **off, **fresh())).ok  # noqa: B018
    await tenant.own(other, "resumeassignmentsmsg")


@pytest.mark.parametrize("name", ["requirenonse", "requireNonces"])
async def test_a_setting_that_there_is_not_is_refused_and_the_others_with_it(
    tenant: Tenant, api: Api, name: str
) -> None:
    wish = {"colonyname": tenant.name, "settings": {name: True, "filerevisions": 9}}
    refused = await api.ask(tenant.owner, "setcolonysettingsmsg", **wish)
    assert refused.status == 400
    assert f"there is no field `{name}`, only requirenonce, " in refused.message
    kept = await tenant.own(api, "getcolonysettingsmsg")
    assert (kept["requirenonce"], kept["filerevisions"]) == (False, -1)


async def test_a_setting_may_be_spelled_as_every_other_field(tenant: Tenant, api: Api) -> None:
    kept = await tenant.own(api, "setcolonysettingsmsg", settings={"FileRevisions": 9})
    assert kept["filerevisions"] == 9
