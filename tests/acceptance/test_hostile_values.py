"""Values that can be read but make no sense, or are larger or odder than anybody needs."""

import base64
import json
from typing import Any

import pytest

from broker.identity import Identity
from tests.acceptance.asking import Api, envelope, opened
from tests.acceptance.conftest import OWNER, Found
from tests.acceptance.tenants import STRANGER, Tenant

BIG = 2**63 - 1


NUMBERS = [BIG, -BIG - 1, BIG // 10**9, -(BIG // 10**9), 2**31, -1, 10_000_000_000]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["maxexectime", "maxwaittime", "maxretries"])
async def test_absurd_limits_of_time_are_kept_and_shown(
    tenant: Tenant, api: Api, field: str, number: int
) -> None:
    executor = await tenant.executor(api)
    limits: dict[str, Any] = {field: number}

    submitted = await tenant.submit(api, **limits)
    assigned = (await executor.assign(api)).ok

    assert assigned["processid"] == submitted
    assert assigned["spec"][field] == number
    for name in ("execdeadline", "waitdeadline"):
        assert assigned[name].endswith("Z")
    (await executor.close(api, submitted)).ok  # noqa: B018 - asserts
    assert (await tenant.process(api, submitted))["state"] == 2


@pytest.mark.parametrize("number", NUMBERS)
async def test_absurd_questions_get_an_answer(tenant: Tenant, api: Api, number: int) -> None:
    executor = await tenant.executor(api)
    asked = [
        (tenant.user, "getprocessesmsg", {"count": number, "state": 0}),
        (tenant.user, "getprocessesmsg", {"count": 1, "state": number}),
        (tenant.user, "getprocesshistmsg", {"seconds": number, "state": 0}),
        (tenant.user, "getprocesshistmsg", {"seconds": 1, "state": number}),
        (tenant.owner, "removeallprocessesmsg", {"state": number}),
        (executor.identity, "assignprocessmsg", {"timeout": -abs(number)}),
        (tenant.user, "getcolonymsg", {"nonce": "n", "issuedat": number}),
    ]
    for who, kind, fields in asked:
        answer = await api.ask(who, kind, colonyname=tenant.name, **fields)
        assert answer.status in {200, 400, 403, 404}, (kind, fields, answer)


@pytest.mark.parametrize("number", [BIG, -BIG - 1, 50_001, -50_001])
async def test_priority_out_of_range_is_refused(untouched: Tenant, api: Api, number: int) -> None:
    answer = await api.ask(
        untouched.user, "submitfuncspecmsg", spec=untouched.spec(priority=number)
    )

    assert answer.refusal == (
        400,
        "Failed to submit function spec, priority outside range [-50000, 50000]",
    )


@pytest.mark.parametrize(
    "resource",
    ["9" * 5000, "-" + "9" * 5000, f"{BIG}", f"{2**63}", "1e5", "1.5", "\u0661", "0x10", "--1", ""],
)
@pytest.mark.parametrize(("field", "unit"), [("cpu", "m"), ("mem", "Gi"), ("storage", "PiB")])
async def test_absurd_resources_get_an_answer(
    tenant: Tenant, api: Api, field: str, unit: str, resource: str
) -> None:
    spec = tenant.spec()
    spec["conditions"][field] = resource + unit

    answer = await api.ask(tenant.user, "submitfuncspecmsg", spec=spec)

    assert answer.status == 400 or (field, resource) in {("cpu", f"{BIG}"), ("mem", "")}, answer


@pytest.mark.parametrize("field", ["availablecpu", "availablemem"])
@pytest.mark.parametrize("value", ["9" * 5000 + "m", "1.5m", "xGi", "9" * 5000 + "Gi", "\0"])
async def test_absurd_offers_get_an_answer(
    tenant: Tenant, api: Api, field: str, value: str
) -> None:
    executor = await tenant.executor(api)
    offer: dict[str, Any] = {field: value}

    answer = await executor.assign(api, **offer)

    assert answer.status in {400, 404}, answer


@pytest.mark.parametrize("field", ["commissiontime", "lastheardfromtime"])
@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999999-14:00",
        "0002-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01",
        "yesterday",
        "2026-01-01T00:00:00",
    ],
)
async def test_absurd_times_get_an_answer(tenant: Tenant, api: Api, field: str, text: str) -> None:
    identity = Identity.generate()
    wish = {
        "executorid": identity.id,
        "executorname": "e",
        "executortype": "t",
        "colonyname": tenant.name,
        field: text,
    }

    answer = await api.ask(tenant.owner, "addexecutormsg", executor=wish)

    assert answer.status in {200, 400}
    listed = await tenant.see(api, "getexecutorsmsg")
    assert [e["executorname"] for e in listed] == (["e"] if answer.status == 200 else [])


NAMES = [
    "a}b{c",
    "{server}",
    "server",
    "}",
    "{}",
    "100%",
    "%7Bserver%7D",
    "%s%d%n",
    "<id><actor><at>",
    "*",
    "?[a-z]*",
    "\\",
    "a/b",
    "../../etc",
    "executor/x",
    "with space",
    " ",
    "'; DROP TABLE",
    '"quoted"',
    "\U0001f642\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\u202eright to left",
    "\x7f",
    "\u2028",
    "e\u0301 \u00e9",
    "I\u0307 \u0131",
    "x" * 256,
    "\U0001f642" * 256,
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_odd_names_name_what_they_name(
    founded: Found, api: Api, other: Api, name: str
) -> None:
    tenant = await founded(f"{name}")
    executor = await tenant.executor(api, name, kind=name, locationname=name)
    person = {"colonyname": tenant.name, "userid": STRANGER.id, "name": name}
    (await api.ask(tenant.owner, "addusermsg", user=person)).ok  # noqa: B018 - asserts
    await tenant.own(api, "removeusermsg", name=name)
    (await api.ask(tenant.owner, "addusermsg", user=person)).ok  # noqa: B018 - asserts
    place = {"colonyname": tenant.name, "name": name, "long": 1.5, "lat": -1.5}
    (await api.ask(tenant.owner, "addlocationmsg", location=place)).ok  # noqa: B018
    function = {"colonyname": tenant.name, "executorname": name, "funcname": name}
    (await api.ask(executor.identity, "addfunctionmsg", fun=function)).ok  # noqa: B018

    submitted = await tenant.submit(
        other,
        kind=name,
        funcname=name,
        label=name,
        locationname=name,
        executornames=[name, "another"],
        env={name: name},
        args=[name],
        kwargs={name: name},
    )
    assigned = (await executor.assign(api)).ok
    (await executor.close(other, submitted, name)).ok  # noqa: B018 - asserts

    assert assigned["processid"] == submitted
    assert assigned["spec"]["env"] == assigned["spec"]["kwargs"] == {name: name}
    read = await tenant.process(api, submitted)
    assert read["out"] == read["spec"]["args"] == [name]
    assert (read["spec"]["funcname"], read["spec"]["label"]) == (name, name)
    assert (await tenant.see(other, "getexecutormsg", executorname=name))["executortype"] == name
    assert (await tenant.see(other, "getusermsg", name=name))["userid"] == STRANGER.id
    assert (await tenant.see(other, "getlocationmsg", name=name))["long"] == 1.5
    (listed,) = await tenant.see(other, "getfunctionsmsg", executorname=name)
    assert listed["funcname"] == name
    by_label = await tenant.see(other, "getprocessesmsg", count=9, state=2, label=name)
    assert [p["processid"] for p in by_label] == [submitted]
    (await api.ask(OWNER, "removecolonymsg", colonyname=tenant.name)).ok  # noqa: B018
    assert (await api.ask(tenant.user, "getcolonymsg", colonyname=tenant.name)).status == 403


@pytest.mark.parametrize("name", ["", ":", "a:b", "a\nb", "\0", "\t", "a\rb", "\x1f", "x" * 257])
async def test_names_that_cannot_be_kept_apart_are_refused(
    untouched: Tenant, api: Api, name: str
) -> None:
    other = "cd" * 32
    colony = untouched.name
    asked = [
        (OWNER, "addcolonymsg", "colony", {"colonyid": other, "name": name}),
        (
            untouched.owner,
            "addusermsg",
            "user",
            {"colonyname": colony, "userid": other, "name": name},
        ),
        (
            untouched.owner,
            "addexecutormsg",
            "executor",
            {"colonyname": colony, "executorid": other, "executorname": name},
        ),
        (untouched.owner, "addlocationmsg", "location", {"colonyname": colony, "name": name}),
    ]
    for who, kind, field, value in asked:
        answer = await api.ask(who, kind, **{field: value})
        assert answer.status == 400, (kind, answer)


async def test_huge_values_come_back_whole(tenant: Tenant, api: Api, other: Api) -> None:
    executor = await tenant.executor(api)
    huge = '\u00e9\\"\n' * 250_000
    submitted = await tenant.submit(api, args=[huge], env={"key": huge})

    assigned = (await executor.assign(other)).ok
    (await executor.close(other, submitted, huge)).ok  # noqa: B018 - asserts

    assert assigned["spec"]["args"] == [huge]
    assert assigned["spec"]["env"] == {"key": huge}
    assert (await tenant.process(api, submitted))["out"] == [huge]


async def test_many_values_are_stored_at_once(tenant: Tenant, api: Api) -> None:
    env = {f"key{i}": "v" for i in range(20_000)}
    names = [f"name{i}" for i in range(20_000)]

    submitted = await tenant.submit(api, env=env, executornames=names, args=list(range(20_000)))

    read = await tenant.process(api, submitted)
    assert read["spec"]["env"] == env
    assert len(read["attributes"]) == len(env)
    await tenant.own(api, "removeallprocessesmsg", state=-1)
    assert await tenant.counts(api) == [0, 0, 0, 0, 0]


async def test_numbers_in_free_form_values_stay_as_they_are(tenant: Tenant, api: Api) -> None:
    executor = await tenant.executor(api)
    text = "[9007199254740993,-0,1e300,1.0,123456789012345678901234567890,0.1]"
    conditions = json.dumps(tenant.spec()["conditions"])
    payload = (
        f'{{"msgtype":"submitfuncspecmsg","spec":{{"conditions":{conditions},"args":{text}}}}}'
    )

    body = envelope("submitfuncspecmsg", payload.encode(), tenant.user)
    assert opened(200, (await api.post(body)).raw)

    raw = json.loads((await executor.assign(api)).raw)["payload"]
    assert text.encode() in base64.b64decode(raw).replace(b" ", b"")


async def test_slowly_spelled_requests_mean_the_same(tenant: Tenant, api: Api) -> None:
    """Other letter case, unknown keys and nulls take another road in the server."""
    conditions: dict[str, Any] = {
        "ColonyName": tenant.name,
        "EXECUTORTYPE": "cli",
        "unknown": [{}],
        "cpu": None,
    }
    spec: dict[str, Any] = {
        "FuncName": "echo",
        "Conditions": conditions,
        "args": None,
        "maxwaittime": None,
    }
    submitted = (await api.ask(tenant.user, "submitfuncspecmsg", SPEC=spec, extra={"a": 1})).ok
    executor = await tenant.executor(api)

    assigned = (await executor.assign(api)).ok

    assert assigned["processid"] == submitted["processid"]
    assert assigned["spec"]["funcname"] == "echo"
    assert assigned["spec"]["args"] == []
