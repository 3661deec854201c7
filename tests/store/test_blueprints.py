"""Blueprints on a store: what handlers answer, and what is left in the store."""

import asyncio
import json
from typing import Any

import pytest

from api import listing, wire_blueprint, wire_cron, wire_location, wire_process, wire_user
from api.handlers import blueprint, cron, definition, location, process, user
from api.wire import decode, encode
from broker import keys
from broker.aggregates.blueprint import BlueprintAdded, BlueprintUpdated
from broker.errors import Clash, Denied, Invalid, Malformed, NotFound, Overloaded
from broker.reading import Link
from broker.store import EventStore
from projections.core import blueprint as projection
from projections.core import fold
from projections.core.blueprint import MOST_REMEMBERED
from projections.replay import verify
from tests.facts import COLONY, EXECUTOR, OWNER, SERVER_OWNER, STRANGER, USER
from tests.stage import Stage
from tests.store.ground import everything, types

SCHEMA = {"properties": {"power": {"type": "boolean"}}, "required": ["power"]}
HANDLER = {"executorType": "cli", "functionName": "reconcile"}
OTHER_COLONY, OTHER_OWNER = "other", "a1" * 32
ON = {"power": True}


class Workshop(Stage):
    """A stage with blueprints."""

    async def define(
        self,
        name: str = "devices",
        caller: str = OWNER,
        colony_name: str = COLONY,
        handler: Any = None,  # noqa: ANN401 - any JSON
        **fields: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """A kind of devices."""
        spec = {"names": {"kind": "Device"}, "schema": SCHEMA, "handler": handler or HANDLER}
        given = {
            "metadata": {"name": name, "colonyname": colony_name},
            "spec": spec,
        }
        text = encode({"blueprintdefinition": given | fields})
        message = decode(text, wire_blueprint.AddBlueprintDefinitionMsg)
        return json.loads(await self.say(definition.add, caller, message))

    async def put(
        self,
        name: str = "lamp",
        caller: str = USER,
        *,
        nonce: str = "",
        colony_name: str = COLONY,
        **fields: Any,  # noqa: ANN401 - any JSON
    ) -> Any:  # noqa: ANN401
        """Add a device."""
        text = self.device(name, colony_name, fields)
        message = decode(text, wire_blueprint.AddBlueprintMsg)
        return json.loads(encode(await self.say(blueprint.add, caller, message, nonce=nonce)))

    async def replace(
        self,
        name: str = "lamp",
        caller: str = USER,
        *,
        nonce: str = "",
        **fields: Any,  # noqa: ANN401 - any JSON
    ) -> Any:  # noqa: ANN401
        """Replace a device."""
        message = decode(self.device(name, COLONY, fields), wire_blueprint.UpdateBlueprintMsg)
        return json.loads(encode(await self.say(blueprint.update, caller, message, nonce=nonce)))

    @staticmethod
    def device(name: str, colony_name: str, fields: dict[str, Any]) -> bytes:
        """A message with a device; metadata is merged."""
        metadata = {"name": name, "colonyname": colony_name} | fields.pop("metadata", {})
        given = {"kind": "Device", "metadata": metadata, "spec": ON} | fields
        return encode({"blueprint": given})

    async def see(self, name: str = "lamp", caller: str = USER) -> Any:  # noqa: ANN401
        """Read a device."""
        message = wire_blueprint.GetBlueprintMsg(namespace=COLONY, name=name)
        return json.loads(encode(await self.say(blueprint.get, caller, message)))

    async def names(self, kind: str = "", locationname: str = "") -> list[str]:
        """The names of devices."""
        message = wire_blueprint.GetBlueprintsMsg(
            namespace=COLONY, kind=kind, locationname=locationname
        )
        found = json.loads(await self.say(blueprint.get_all, USER, message))
        return [each["metadata"]["name"] for each in found]

    async def history(self, blueprint_id: str, limit: int = 0, caller: str = USER) -> Any:  # noqa: ANN401
        """Changes of a device."""
        message = wire_blueprint.GetBlueprintHistoryMsg(blueprintid=blueprint_id, limit=limit)
        return json.loads(await self.say(blueprint.history, caller, message))

    async def reconcile(
        self, name: str = "lamp", *, force: bool = False, nonce: str = ""
    ) -> wire_process.Process:
        """Have a device reconciled."""
        message = wire_blueprint.ReconcileBlueprintMsg(namespace=COLONY, name=name, force=force)
        answer: wire_process.Process = await self.say(
            blueprint.reconcile, USER, message, nonce=nonce
        )
        return answer

    async def remove(self, name: str = "lamp", *, nonce: str = "") -> None:
        """Remove a device."""
        message = wire_blueprint.RemoveBlueprintMsg(namespace=COLONY, name=name)
        await self.say(blueprint.remove, USER, message, nonce=nonce)

    async def undefine(self, name: str = "devices") -> None:
        """Remove a kind."""
        message = wire_blueprint.RemoveBlueprintDefinitionMsg(namespace=COLONY, name=name)
        await self.say(definition.remove, OWNER, message)

    async def work(self) -> list[tuple[str, Any]]:
        """Node names and arguments of what waits, oldest first."""
        message = wire_process.GetProcessesMsg(colonyname=COLONY, count=100, state=0)
        found = json.loads(encode(await self.say(process.get_many, USER, message)))
        return [(each["spec"]["nodename"], each["spec"]["kwargs"]) for each in found]

    async def crons(self) -> dict[str, int]:
        """Names and intervals of crons."""
        message = wire_cron.GetCronsMsg(colonyname=COLONY, count=100)
        return {each.name: each.interval for each in await self.say(cron.get_many, USER, message)}

    async def is_sound(self) -> None:
        """The rows are what the log says."""
        assert (await verify(self.store, await self.tag(), fold)).differences == ()


@pytest.fixture
async def shop(store: EventStore) -> Workshop:
    """A colony with a kind of devices."""
    workshop = Workshop(store)
    await workshop.found()
    await workshop.define()
    return workshop


RECONCILE = ("cli-reconcile", {"kind": "Device", "blueprintName": "lamp"})


async def test_life_of_a_blueprint(shop: Workshop) -> None:
    added = await shop.put(status={"s": 0})
    await shop.replace(spec={"power": False})
    await shop.replace(spec={"power": False})
    forced = await shop.reconcile(force=True)
    changes = await shop.history(added["blueprintid"])
    seen = await shop.see()
    await shop.is_sound()
    await shop.remove()

    assert [(c["generation"], c["changetype"], c.get("status")) for c in changes] == [
        (1, "update", None),
        (0, "create", {"s": 0}),
    ]
    assert (seen["metadata"]["generation"], seen["spec"]) == (2, {"power": False})
    arguments = {"kind": "Device", "blueprintName": "lamp"}
    assert json.loads(bytes(forced.spec))["kwargs"] == arguments | {"force": True}
    assert await shop.work() == [
        RECONCILE,
        RECONCILE,
        ("cli-reconcile", arguments | {"force": True}),
        ("cli-cleanup", arguments),
    ]
    with pytest.raises(NotFound):
        await shop.history(added["blueprintid"])
    await shop.undefine()
    await shop.is_sound()


async def test_nothing_of_a_removed_blueprint_is_left(shop: Workshop, link: Link) -> None:
    tag = await shop.tag()

    async def rows() -> set[bytes]:
        found = await everything(link)
        mine = {name.removeprefix(tag.key("").encode()) for name in found}
        return {name for name in mine if name.startswith((b"b", b"definition"))}

    before = await rows()
    await shop.put(metadata={"locationname": "home"})
    await shop.replace(kind="Device", metadata={"locationname": "shed"}, spec={"power": False})
    assert await rows() > before
    await shop.remove()

    assert await rows() == before
    await shop.is_sound()


@pytest.mark.parametrize("force", [False, True])
async def test_what_is_repeated_takes_effect_once_and_answers_the_same(
    shop: Workshop,
    force: bool,  # noqa: FBT001
) -> None:
    once = await shop.put(nonce="1")
    assert await shop.put(nonce="1") == once
    changed = await shop.replace(spec={"power": False}, nonce="2")
    assert await shop.replace(spec={"power": False}, nonce="2") == changed
    first = await shop.reconcile(nonce="3", force=force)
    assert (await shop.reconcile(nonce="3", force=force)).processid == first.processid
    await shop.remove(nonce="4")
    await shop.remove(nonce="4")

    assert len(await shop.work()) == 4


async def test_many_at_once_each_make_one_generation_and_one_process(shop: Workshop) -> None:
    added = await shop.put()

    await asyncio.gather(*(shop.replace(spec={"power": True, "n": n}) for n in range(5)))

    changes = await shop.history(added["blueprintid"])
    assert [each["generation"] for each in changes] == [5, 4, 3, 2, 1, 0]
    assert await shop.work() == [RECONCILE] * 6
    await shop.is_sound()


async def test_of_many_of_one_name_one_is_added(shop: Workshop) -> None:
    answers = await asyncio.gather(*(shop.put() for _ in range(5)), return_exceptions=True)

    assert sorted(isinstance(each, Clash) for each in answers) == [False] + [True] * 4
    assert await shop.work() == [RECONCILE]
    assert (await types(shop.store, await shop.tag())).count(BlueprintAdded.TYPE) == 1


async def test_definition_and_its_first_blueprint_do_not_miss_each_other(shop: Workshop) -> None:
    answers = await asyncio.gather(shop.put(), shop.undefine(), return_exceptions=True)

    is_added, is_undefined = (not isinstance(each, Exception) for each in answers)
    assert is_added != is_undefined
    await shop.is_sound()


@pytest.mark.parametrize(
    "fields",
    [
        {"spec": []},
        {"spec": "x"},
        {"spec": 1},
        {"status": []},
        {"status": "x"},
        {"spec": {"power": True, "x": json.loads("[" * 70 + "]" * 70)}},
        {"metadata": {"createdAt": "yesterday"}},
        {"metadata": {"updatedAt": ""}},
        {"metadata": {"labels": []}},
        {"metadata": {"labels": {"a": 1}}},
        {"metadata": {"generation": 1.5}},
        {"metadata": []},
        {"blueprintid": 1},
    ],
)
async def test_blueprint_that_cannot_be_read_leaves_nothing(
    shop: Workshop, fields: dict[str, Any]
) -> None:
    await shop.put("other")
    before = await types(shop.store, await shop.tag())

    metadata = fields.get("metadata", {})
    given = {"kind": "Device", "spec": ON} | fields
    if isinstance(metadata, dict):
        given["metadata"] = {"name": "other", "colonyname": COLONY} | metadata
    text = encode({"blueprint": given})
    with pytest.raises(Malformed):
        await shop.say(blueprint.add, USER, decode(text, wire_blueprint.AddBlueprintMsg))
    with pytest.raises(Malformed):
        await shop.say(blueprint.update, USER, decode(text, wire_blueprint.UpdateBlueprintMsg))

    assert await types(shop.store, await shop.tag()) == before
    assert len(await shop.work()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"name": "n", "colonyname": COLONY, "createdAt": "x"}},
        {"spec": {"schema": {"properties": {"a": {"enum": 1}}}}},
        {"spec": {"schema": {"required": [1]}}},
        {"spec": {"schema": {"properties": {"a": {"type": ["string"]}}}}},
        {"spec": {"handler": {"reconcileInterval": "1"}}},
        {"spec": []},
    ],
)
async def test_definition_that_cannot_be_read_leaves_nothing(
    shop: Workshop, fields: dict[str, Any]
) -> None:
    before = await types(shop.store, await shop.tag())

    with pytest.raises(Malformed):
        await shop.define("n", **fields)

    assert await types(shop.store, await shop.tag()) == before


async def test_status_is_an_object_or_nothing(shop: Workshop) -> None:
    await shop.put()

    async def say(status: str) -> None:
        text = f'{{"colonyname":"{COLONY}","blueprintname":"lamp","status":{status}}}'
        message = decode(text.encode(), wire_blueprint.UpdateBlueprintStatusMsg)
        await shop.say(blueprint.set_status, EXECUTOR, message)

    await say('{"phase":"Ready","n":12345678901234567890.123}')
    kept = await shop.say(
        blueprint.get, USER, wire_blueprint.GetBlueprintMsg(namespace=COLONY, name="lamp")
    )
    assert bytes(kept.status) == b'{"phase":"Ready","n":12345678901234567890.123}'
    for text in ("[]", '"x"', "1"):
        with pytest.raises(Malformed, match="Failed to update blueprint status, invalid JSON"):
            await say(text)
    for text in ("null", "{}", "{ }"):
        await say(text)
        assert "status" not in await shop.see()
    await shop.is_sound()


async def test_what_was_sent_comes_back(shop: Workshop) -> None:
    metadata = {
        "labels": {"a": "b"},
        "annotations": {"x": "y"},
        "createdAt": "2026-01-02T03:04:05+01:00",
        "lastReconciliationProcess": "p",
    }
    added = await shop.put(
        blueprintid="mine", metadata=metadata | {"locationname": "home"}, spec=ON | {"z": 1, "a": 2}
    )

    assert added == await shop.see()
    assert list(added["spec"]) == ["power", "z", "a"]
    assert added["blueprintid"] == "mine"
    assert metadata.items() <= added["metadata"].items()
    assert "generation" not in added["metadata"]
    places = await shop.say(
        location.get_all, USER, wire_location.GetLocationsMsg(colonyname=COLONY)
    )
    assert [(p.name, p.description) for p in places] == [
        ("home", "Auto-created from blueprint lamp")
    ]


async def test_listing_is_by_name_and_by_place_within_a_kind(shop: Workshop) -> None:
    await shop.define("tools", spec={"names": {"kind": "Tool"}})
    await shop.put("c", metadata={"locationname": "Home"})
    await shop.put("a", metadata={"locationname": "shed"})
    await shop.put("b", kind="Tool", metadata={"locationname": "home"})

    assert await shop.names() == ["a", "b", "c"]
    assert await shop.names("Device") == ["a", "c"]
    assert await shop.names("Device", "HOME") == ["c"]
    assert await shop.names(locationname="home") == ["a", "b", "c"]
    assert await shop.names("Nope") == []


async def test_more_than_a_page_is_listed(shop: Workshop) -> None:
    names = [f"n{at:03}" for at in range(definition.PAGE + 1)]
    for name in names:
        await shop.put(name)

    assert await shop.names() == names


async def test_list_that_is_too_long_is_refused(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.put()
    await shop.put("two")
    monkeypatch.setattr(listing, "MOST_ANSWERED", 300)

    with pytest.raises(Invalid, match="ask for less"):
        await shop.names()


async def test_history_is_limited_and_forgets_the_oldest(shop: Workshop) -> None:
    added = await shop.put()
    tag, blueprint_id = await shop.tag(), added["blueprintid"]
    for n in range(definition.PAGE + 3):
        await shop.replace(spec=ON | {"n": n})
    key = tag.key(keys.blueprint_history(blueprint_id))

    changes = await shop.history(blueprint_id)
    assert [each["generation"] for each in changes] == list(range(definition.PAGE + 3, -1, -1))
    assert [each["generation"] for each in await shop.history(blueprint_id, 2)] == [103, 102]
    assert len(await shop.history(blueprint_id, definition.PAGE + 1)) == definition.PAGE + 1
    assert await shop.store.send("ZCARD", key) == definition.PAGE + 4 < MOST_REMEMBERED


async def test_history_keeps_the_newest_changes(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "MOST_REMEMBERED", 3)
    added = await shop.put()
    for n in range(4):
        await shop.replace(spec=ON | {"n": n})

    changes = await shop.history(added["blueprintid"])

    assert [each["generation"] for each in changes] == [4, 3, 2]
    await shop.is_sound()


async def test_of_several_definitions_of_a_kind_the_oldest_counts(shop: Workshop) -> None:
    await shop.define("another", handler={"executorType": "gpu", "functionName": "f"})

    await shop.put()

    assert await shop.work() == [RECONCILE]


async def test_other_colonies_have_no_say(shop: Workshop) -> None:
    await shop.add_colony(OTHER_COLONY, OTHER_OWNER)
    await shop.say(
        user.add,
        OTHER_OWNER,
        wire_user.AddUserMsg(
            user=wire_user.User(colonyname=OTHER_COLONY, userid=STRANGER, name="eve")
        ),
    )
    await shop.undefine()
    await shop.define(caller=OTHER_OWNER, colony_name=OTHER_COLONY)

    with pytest.raises(Invalid, match="BlueprintDefinition for kind 'Device' not found"):
        await shop.put()
    with pytest.raises(Denied):
        await shop.put(caller=STRANGER)


async def test_id_that_two_colonies_use_is_told_apart_by_the_caller(shop: Workshop) -> None:
    await shop.add_colony("a first one", OTHER_OWNER)
    await shop.define(caller=OTHER_OWNER, colony_name="a first one")
    await shop.put("theirs", OTHER_OWNER, colony_name="a first one", blueprintid="same")
    await shop.put("ours", blueprintid="same")

    assert [each["name"] for each in await shop.history("same")] == ["ours"]
    assert [each["name"] for each in await shop.history("same", caller=OTHER_OWNER)] == ["theirs"]
    with pytest.raises(Denied, match="not colony owner"):
        await shop.history("same", caller=STRANGER)


async def test_crons_come_and_go_with_blueprints(shop: Workshop) -> None:
    await shop.put("a")
    await shop.put("b", metadata={"locationname": "home"})
    await shop.put("c", metadata={"locationname": "home"})
    assert await shop.crons() == {"reconcile-Device": 60, "reconcile-Device-home": 60}

    await shop.replace("a", metadata={"locationname": "shed"})
    assert set(await shop.crons()) == {"reconcile-Device-home", "reconcile-Device-shed"}

    await asyncio.gather(shop.remove("b"), shop.remove("c"), shop.remove("a"))
    assert await shop.crons() == {}
    await shop.is_sound()


async def test_cron_has_its_kind_reconciled_at_its_place(shop: Workshop) -> None:
    await shop.put("a", metadata={"locationname": "home"})
    at_home = ("cli-reconcile", {"kind": "Device", "blueprintName": "a"})
    (cron_id,) = await shop.store.send("ZRANGE", (await shop.tag()).key(keys.CRONS), 0, -1)

    await shop.say(cron.run, USER, wire_cron.RunCronMsg(cronid=cron_id.decode()))

    assert await shop.work() == [at_home, ("cli-reconcile", {"kind": "Device"})]
    message = wire_process.GetProcessesMsg(colonyname=COLONY, count=100, state=0)
    found = json.loads(encode(await shop.say(process.get_many, USER, message)))
    assert {each["spec"]["conditions"]["locationname"] for each in found} == {"home"}


async def test_kind_whose_cron_could_have_no_name_is_refused(shop: Workshop) -> None:
    kind = "k" * 250
    await shop.define("long", spec={"names": {"kind": kind}, "handler": HANDLER})
    before = await types(shop.store, await shop.tag())

    with pytest.raises(Invalid, match="Cron name is longer than 256 characters"):
        await shop.put(kind=kind)

    assert await types(shop.store, await shop.tag()) == before


async def test_full_queue_refuses_what_would_queue_more(shop: Workshop) -> None:
    await shop.put()
    found = await shop.context.directory.named(COLONY)
    assert found is not None
    found.waiting = shop.context.settings.limits.max_waiting
    before = await types(shop.store, await shop.tag())

    for refused in (shop.put("two"), shop.replace(spec={"power": False}), shop.reconcile()):
        with pytest.raises(Overloaded):
            await refused
    assert await types(shop.store, await shop.tag()) == before

    await shop.replace(metadata={"labels": {"a": "b"}})
    assert (await types(shop.store, await shop.tag()))[-1] == BlueprintUpdated.TYPE


async def test_definitions_are_read_by_members_and_the_owner(shop: Workshop) -> None:
    message = wire_blueprint.GetBlueprintDefinitionMsg(colonyname=COLONY, name="devices")
    every = wire_blueprint.GetBlueprintDefinitionsMsg(colonyname=COLONY)

    for caller in (OWNER, USER, EXECUTOR):
        found = json.loads(await shop.say(definition.get, caller, message))
        assert json.loads(await shop.say(definition.get_all, caller, every)) == [found]
    for caller in (STRANGER, SERVER_OWNER):
        with pytest.raises(Denied, match="not colony owner"):
            await shop.say(definition.get, caller, message)
        with pytest.raises(Denied, match="not colony owner"):
            await shop.say(definition.get_all, caller, every)
    message.name = "nope"
    with pytest.raises(NotFound, match="Blueprint definition not found"):
        await shop.say(definition.get, USER, message)
