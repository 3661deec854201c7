"""Generators on a store: every packed argument reaches exactly one workflow, in order."""

import asyncio
import json
from typing import Any

import pytest

from api import wire, wire_generator
from api.handlers import generator
from broker.aggregates.generator import ArgumentPacked
from broker.aggregates.process import NodeSubmitted
from broker.errors import Denied, Invalid, Malformed, Missing, Overloaded
from broker.store import EventStore
from tests.clockwork import ONE, Gatherer
from tests.facts import COLONY, EXECUTOR, OTHER, STRANGER, USER
from tests.store.ground import types


@pytest.fixture
async def stage(store: EventStore) -> Gatherer:
    gatherer = Gatherer(store)
    await gatherer.found()
    return gatherer


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


async def test_twelve_packs_with_a_trigger_of_five_give_two_workflows(stage: Gatherer) -> None:
    added = await stage.add()
    await stage.pack(added.generatorid, *numbered("b", 12))

    seen = await stage.look_into(added.generatorid)

    assert await stage.batches() == [numbered("b", 5), numbered("b", 10)[5:]]
    assert seen.queuesize == 2
    assert seen.checkerperiod == stage.context.settings.generator_checker_ms
    assert wire.NO_TIME not in {seen.firstpack, seen.lastrun}
    await stage.is_sound()


async def test_every_root_gets_the_arguments_and_nobody_else(stage: Gatherer) -> None:
    added = await stage.add(trigger=2)
    await stage.pack(added.generatorid, "one", 'two "quoted" \u00e9')
    (started,) = await stage.workflows()

    specs = [json.loads(wire.encode(await stage.look(each)))["spec"] for each in started.processids]

    by_name = {spec["nodename"]: spec for spec in specs}
    for root in ("r1", "r2"):
        assert (by_name[root]["args"], by_name[root]["kwargs"]) == (
            ["one", 'two "quoted" \u00e9'],
            {},
        )
    assert by_name["r1"]["label"] == "x"
    assert (by_name["leaf"]["args"], by_name["leaf"]["kwargs"]) == (["kept"], {"k": 2})
    assert (started.initiatorid, started.initiatorname) == (USER, "alice")


@pytest.mark.parametrize("trigger", [1, 2, 7, 100])
async def test_packs_on_several_servers_at_once_lose_and_double_nothing(
    stage: Gatherer, trigger: int
) -> None:
    added = await stage.add(trigger=trigger, workflowspec=ONE)
    servers = [stage, Gatherer(stage.store)]
    clients = [(servers[n % 2], numbered(f"c{n}-", 35)) for n in range(6)]

    await asyncio.gather(*(server.pack(added.generatorid, *args) for server, args in clients))

    events = [e.event async for e in stage.store.events(await stage.tag())]
    order = [e.argument for e in events if isinstance(e, ArgumentPacked)]
    batches = [json.loads(e.spec)["args"] for e in events if isinstance(e, NodeSubmitted)]
    whole = len(order) // trigger
    assert sorted(order) == sorted(arg for _, args in clients for arg in args)
    assert batches == [order[at * trigger : (at + 1) * trigger] for at in range(whole)]
    for _, args in clients:
        assert [arg for arg in order if arg in set(args)] == args
    assert (await stage.look_into(added.generatorid)).queuesize == len(order) - whole * trigger
    await stage.is_sound()


async def pack_evenly(stage: Gatherer, clients: int, each: int, trigger: int) -> None:
    """Many pack at once, through two servers; then every workflow must have what it should."""
    added = await stage.add(trigger=trigger, workflowspec=ONE)
    servers = [stage, Gatherer(stage.store)]
    await asyncio.gather(
        *(servers[n % 2].pack(added.generatorid, *numbered(f"{n}-", each)) for n in range(clients))
    )
    batches = await stage.batches()
    assert [len(batch) for batch in batches] == [trigger] * (clients * each // trigger)
    assert len({argument for batch in batches for argument in batch}) == clients * each
    assert (await stage.look_into(added.generatorid)).queuesize == 0


async def test_many_packs_give_exactly_as_many_workflows_as_they_fill(stage: Gatherer) -> None:
    await pack_evenly(stage, clients=30, each=20, trigger=200)


@pytest.mark.full
@pytest.mark.parametrize("link", ["real"], indirect=True)
async def test_hundred_thousand_packs_give_exactly_a_hundred_workflows(stage: Gatherer) -> None:
    await pack_evenly(stage, clients=100, each=1_000, trigger=1_000)
    await stage.is_sound()


async def test_pack_that_starts_no_workflow_costs_one_append(stage: Gatherer) -> None:
    added = await stage.add(trigger=10_000)
    await stage.pack(added.generatorid, "first", "second")
    said: list[object] = []
    link = stage.store._link  # pyright: ignore[reportPrivateUsage] - to count
    call = link.call

    def counted(*args: object) -> Any:  # noqa: ANN401
        said.append(args[0])
        return call(*args)

    link.call = counted  # pyright: ignore[reportAttributeAccessIssue] - to count
    await stage.pack(added.generatorid, "third", "fourth")

    assert said == ["EVALSHA", "EVALSHA"]


async def test_pack_that_is_repeated_takes_effect_once(stage: Gatherer) -> None:
    added = await stage.add(trigger=2, workflowspec=ONE)
    await stage.pack(added.generatorid, "a")
    await stage.pack(added.generatorid, "b", nonce="n")
    await stage.pack(added.generatorid, "b", nonce="n")

    assert await stage.batches() == [["a", "b"]]
    assert (await stage.look_into(added.generatorid)).queuesize == 0


async def test_what_waits_too_long_is_started_once(stage: Gatherer) -> None:
    added = await stage.add(trigger=10, timeout=2)
    await stage.pack(added.generatorid, "t1", "t2")
    await stage.look_at_deadlines()
    assert await stage.batches() == []
    stage.pass_time(2.01)
    servers = [stage, Gatherer(stage.store), Gatherer(stage.store)]

    await asyncio.gather(*(server.look_at_deadlines() for server in servers))

    assert await stage.batches() == [["t1", "t2"]]
    assert (await stage.look_into(added.generatorid)).queuesize == 0
    await stage.is_sound()


async def test_argument_long_after_the_last_run_is_started_at_the_next_look(
    stage: Gatherer,
) -> None:
    added = await stage.add(trigger=10, timeout=2)
    await stage.pack(added.generatorid, "t1")
    stage.pass_time(3)
    await stage.look_at_deadlines()
    stage.pass_time(10)
    await stage.pack(added.generatorid, "t2")
    stage.pass_time(0.01)
    await stage.look_at_deadlines()

    assert await stage.batches() == [["t1"], ["t2"]]


async def test_full_generator_leaves_nothing_to_be_due(stage: Gatherer) -> None:
    added = await stage.add(trigger=2, timeout=5)
    await stage.pack(added.generatorid, "a", "b")
    stage.pass_time(60)
    await stage.look_at_deadlines()

    assert len(await stage.workflows()) == 1
    assert await stage.store.send("ZCARD", (await stage.tag()).key("due")) == 0


async def test_argument_is_refused_while_the_colony_is_full_and_taken_later(
    stage: Gatherer,
) -> None:
    added = await stage.add(trigger=2, workflowspec=ONE)
    await stage.pack(added.generatorid, "a")
    answers = iter([True, True, True, False])

    async def full(_colony: object) -> bool:
        return next(answers, False)

    object.__setattr__(stage.context.generators, "full", full)
    with pytest.raises(Overloaded):
        await stage.pack(added.generatorid, "b")
    object.__setattr__(stage.context.generators, "full", stage.context.is_full)
    await stage.pack(added.generatorid, "b")

    assert await stage.batches() == [["a", "b"]]


async def test_removed_generator_takes_its_arguments_along(stage: Gatherer) -> None:
    added = await stage.add(timeout=5)
    await stage.pack(added.generatorid, "a")
    message = wire_generator.RemoveGeneratorMsg(generatorid=added.generatorid)
    await stage.say(generator.remove, USER, message)

    with pytest.raises(Missing, match="Failed to increment generator, generator is nil"):
        await stage.pack(added.generatorid, "b")
    with pytest.raises(Missing, match="Failed to get generator, generator is nil"):
        await stage.look_into(added.generatorid)
    again = await stage.add()
    assert (await stage.look_into(again.generatorid)).queuesize == 0
    await stage.is_sound()


async def test_pack_into_a_generator_that_another_server_removed_is_refused(
    stage: Gatherer,
) -> None:
    added, other = await stage.add(), Gatherer(stage.store)
    await stage.pack(added.generatorid, "a")
    message = wire_generator.RemoveGeneratorMsg(generatorid=added.generatorid)
    await other.say(generator.remove, USER, message)

    with pytest.raises(Missing):
        await stage.pack(added.generatorid, "b")
    await stage.is_sound()


async def test_stranger_leaves_no_trace(stage: Gatherer) -> None:
    added = await stage.add(trigger=1)
    before = await types(stage.store, await stage.tag())

    with pytest.raises(Denied):
        await stage.pack(added.generatorid, "a", caller=STRANGER)
    with pytest.raises(Denied):
        await stage.add(STRANGER, name="mine", workflowspec="x")

    assert await types(stage.store, await stage.tag()) == before


async def test_workflow_for_another_colony_is_refused(stage: Gatherer) -> None:
    await stage.add_colony("other", OTHER)

    with pytest.raises(Invalid, match="workflowspec is for colony <other>, it must be for <dev>"):
        await stage.add(workflowspec=json.dumps({"colonyname": "other", "functionspecs": []}))


@pytest.mark.parametrize("trigger", [0, -1, -(2**63), 100_001, 2**63 - 1])
async def test_trigger_out_of_range_is_refused(stage: Gatherer, trigger: int) -> None:
    with pytest.raises(Invalid, match="Generator trigger must be larger than 0"):
        await stage.add(trigger=trigger)


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), 0])
async def test_any_timeout_is_taken(stage: Gatherer, seconds: int) -> None:
    added = await stage.add(timeout=seconds)
    await stage.pack(added.generatorid, "a")
    await stage.look_at_deadlines()

    assert (await stage.look_into(added.generatorid)).queuesize == 1


async def test_workflow_that_is_none_is_refused(stage: Gatherer) -> None:
    with pytest.raises(Malformed, match="workflowspec: invalid JSON"):
        await stage.add(workflowspec="x")


async def test_what_a_client_says_of_the_past_is_ignored(stage: Gatherer) -> None:
    claimed = "2020-01-01T00:00:00Z"
    added = await stage.add(
        EXECUTOR,
        generatorid="x",
        initiatorid="x",
        initiatorname="x",
        firstpack=claimed,
        lastrun=claimed,
        queuesize=9,
        checkerperiod=9,
    )

    assert (added.initiatorid, added.initiatorname) == (EXECUTOR, "worker")
    assert (added.firstpack, added.lastrun) == (wire.NO_TIME, wire.NO_TIME)
    assert (added.queuesize, added.checkerperiod) == (0, 0)


async def test_generators_are_found_by_name_and_listed_oldest_first(stage: Gatherer) -> None:
    for name in ("c", "a", "b"):
        await stage.add(name=name)

    async def listed(count: int) -> list[str]:
        message = wire_generator.GetGeneratorsMsg(colonyname=COLONY, count=count)
        return [each.name for each in await stage.say(generator.get_many, USER, message)]

    async def resolved(name: str, colony_name: str = COLONY) -> str:
        message = wire_generator.ResolveGeneratorMsg(colonyname=colony_name, generatorname=name)
        found: wire_generator.Generator = await stage.say(generator.resolve, USER, message)
        return found.name

    assert await listed(100) == ["c", "a", "b"]
    assert await listed(1) == ["c"]
    assert await listed(0) == []
    with pytest.raises(Invalid, match="count must not be negative"):
        await listed(-1)
    assert await resolved("a") == "a"
    for name, colony_name in (("x", COLONY), ("a", "")):
        with pytest.raises(Missing, match="Failed to resolve generator, generator is nil"):
            await resolved(name, colony_name)
