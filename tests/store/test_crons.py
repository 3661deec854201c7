"""Crons on a store, with the time passed in."""

import asyncio

import pytest

from api import wire, wire_cron, wire_executor, wire_user, wire_workflow
from api.handlers import cron, executor, user, workflow
from broker import keys
from broker.aggregates.cron import CronFired, CronHeld, CronSkipped
from broker.errors import Denied, Invalid, Malformed, Missing
from broker.store import EventStore
from tests.clockwork import Clockwork, spec
from tests.facts import COLONY, EXECUTOR, OTHER, OWNER, STRANGER, USER
from tests.store.ground import types

TICKS = 20


@pytest.fixture
async def stage(store: EventStore) -> Clockwork:
    clockwork = Clockwork(store)
    await clockwork.found()
    return clockwork


async def test_each_time_comes_once_with_three_servers(stage: Clockwork) -> None:
    await stage.add_cron()
    await stage.add_cron(name="expression", interval=-1, cronexpression="* * * * * *")
    others = [Clockwork(stage.store), Clockwork(stage.store)]
    for _ in range(TICKS):
        stage.pass_time(1)
        await asyncio.gather(*(server.look_at_deadlines() for server in (stage, *others)))

    fired = [e.event async for e in stage.store.events(await stage.tag())]
    times = [(e.subject, e.was_next_ns) for e in fired if isinstance(e, CronFired)]
    assert len(set(times)) == len(times) >= 2 * TICKS
    assert len(await stage.workflows()) == len(times)
    await stage.is_sound()


async def test_reply_shows_no_times_and_the_next_read_does(stage: Clockwork) -> None:
    added = await stage.add_cron(interval=30)

    seen = await stage.see(added.cronid)

    assert (added.nextrun, added.lastrun, added.checkerperiod) == (wire.NO_TIME, wire.NO_TIME, 0)
    assert (added.initiatorid, added.initiatorname) == (USER, "alice")
    assert seen.nextrun != wire.NO_TIME
    assert (seen.lastrun, seen.prevprocessgraphid) == (wire.NO_TIME, "")
    assert seen.checkerperiod == stage.context.settings.cron_checker_ms
    assert seen.workflowspec == spec("first", "last")


async def test_what_a_client_says_of_past_and_future_is_ignored(stage: Clockwork) -> None:
    claimed = "2020-01-01T00:00:00Z"
    added = await stage.add_cron(
        interval=50,
        cronid="zzz",
        initiatorid=OTHER,
        initiatorname="zzz",
        nextrun=claimed,
        lastrun=claimed,
        prevprocessgraphid="abc",
        checkerperiod=5,
    )
    await stage.look_at_deadlines()

    seen = await stage.see(added.cronid)

    assert len(added.cronid) == keys.ID_DIGITS
    assert (seen.initiatorid, seen.initiatorname) == (USER, "alice")
    assert seen.nextrun > claimed
    assert (seen.lastrun, seen.prevprocessgraphid) == (wire.NO_TIME, "")
    assert await stage.workflows() == []


async def test_workflow_is_that_of_the_creator_and_the_cron_names_it(stage: Clockwork) -> None:
    added = await stage.add_cron(EXECUTOR)
    stage.pass_time(1)
    await stage.look_at_deadlines()

    (started,) = await stage.workflows()
    seen = await stage.see(added.cronid)

    assert (started.initiatorid, started.initiatorname) == (EXECUTOR, "worker")
    assert seen.prevprocessgraphid == started.processgraphid
    assert seen.lastrun != wire.NO_TIME


async def test_roots_get_what_the_leaves_of_the_previous_workflow_put_out(
    stage: Clockwork,
) -> None:
    await stage.add_cron()
    stage.pass_time(1)
    await stage.look_at_deadlines()
    await stage.close_with((await stage.assign()).processid, b'["between"]')
    await stage.close_with((await stage.assign()).processid, b'["leaf",7]')
    stage.pass_time(1)
    await stage.look_at_deadlines()

    root = await stage.assign()

    assert bytes(root.input) == b'["leaf",7]'
    await stage.is_sound()


async def test_unfinished_workflow_passes_on_what_there_is(stage: Clockwork) -> None:
    await stage.add_cron()
    for _ in range(2):
        stage.pass_time(1)
        await stage.look_at_deadlines()

    first, second = await stage.assign(), await stage.assign()

    assert (bytes(first.input), bytes(second.input)) == (b"[]", b"[]")


async def test_cron_that_waits_writes_one_event_and_fires_when_the_workflow_ends(
    stage: Clockwork,
) -> None:
    await stage.add_cron(waitforprevprocessgraph=True)
    stage.pass_time(1)
    await stage.look_at_deadlines()
    (first,) = await stage.workflows()
    for _ in range(TICKS):
        stage.pass_time(1)
        await stage.look_at_deadlines()
        await stage.look_at_held()
    assert await stage.happenings(CronFired.TYPE, CronHeld.TYPE) == ["CronFired", "CronHeld"]
    await stage.is_sound()

    await stage.cancel(first.processgraphid)
    await asyncio.gather(stage.look_at_held(), Clockwork(stage.store).look_at_held())

    (second,) = await stage.workflows()
    assert second.processgraphid != first.processgraphid
    assert len(await stage.happenings(CronFired.TYPE)) == 2
    await stage.is_sound()


async def test_run_by_hand_ends_the_waiting(stage: Clockwork) -> None:
    added = await stage.add_cron(waitforprevprocessgraph=True)
    for _ in range(2):
        stage.pass_time(1)
        await stage.look_at_deadlines()
    (first,) = await stage.workflows()
    await stage.run_cron(added.cronid)
    assert len(await stage.workflows()) == 1

    await stage.cancel(first.processgraphid)
    await stage.run_cron(added.cronid)
    await stage.look_at_held()

    assert len(await stage.workflows()) == 1
    assert len(await stage.happenings(CronFired.TYPE)) == 2
    await stage.is_sound()


async def test_run_shows_the_cron_as_it_was_and_moves_its_time(stage: Clockwork) -> None:
    added = await stage.add_cron(interval=3_600)
    before = await stage.see(added.cronid)
    stage.pass_time(60)

    shown = await stage.run_cron(added.cronid)

    after = await stage.see(added.cronid)
    assert (shown.nextrun, shown.lastrun) == (before.nextrun, wire.NO_TIME)
    assert (shown.prevprocessgraphid, shown.checkerperiod) == ("", 0)
    assert after.nextrun > before.nextrun
    assert after.lastrun != wire.NO_TIME
    assert [g.processgraphid for g in await stage.workflows()] == [after.prevprocessgraphid]


async def test_run_that_is_repeated_takes_effect_once_and_answers_the_same(
    stage: Clockwork,
) -> None:
    added = await stage.add_cron(interval=3_600)

    first = await stage.run_cron(added.cronid, nonce="n")
    again = await stage.run_cron(added.cronid, nonce="n")

    assert first == again
    assert len(await stage.workflows()) == 1


async def test_run_by_a_stranger_leaves_no_trace(stage: Clockwork) -> None:
    added = await stage.add_cron(interval=3_600)
    before = await types(stage.store, await stage.tag())

    with pytest.raises(Denied):
        await stage.run_cron(added.cronid, STRANGER)

    assert await types(stage.store, await stage.tag()) == before
    assert await stage.workflows() == []


async def test_time_missed_while_no_server_was_there_is_skipped(stage: Clockwork) -> None:
    skips = await stage.add_cron(interval=60)
    runs = await stage.add_cron(name="runs", interval=60, missed="run")
    stage.pass_time(3_600)
    await stage.look_at_deadlines()

    kinds = (CronFired.TYPE, CronSkipped.TYPE)
    assert sorted(await stage.happenings(*kinds)) == ["CronFired", "CronSkipped"]
    assert (await stage.see(skips.cronid)).prevprocessgraphid == ""
    assert (await stage.see(runs.cronid)).prevprocessgraphid != ""
    assert (await stage.see(runs.cronid)).missed == "run"
    await stage.is_sound()


async def test_cron_goes_on_under_the_new_key_of_its_creator(stage: Clockwork) -> None:
    await stage.add_cron()
    changed = wire_user.ChangeUserIdMsg(colonyname=COLONY, userid=OTHER)
    await stage.say(user.change_id, USER, changed)
    stage.pass_time(1)
    await stage.look_at_deadlines()

    found = await stage.say(
        workflow.get_many,
        OTHER,
        wire_workflow.GetProcessGraphsMsg(colonyname=COLONY, count=10, state=0),
    )

    assert [(g.initiatorid, g.initiatorname) for g in found] == [(OTHER, "alice")]


async def test_full_colony_lets_the_time_pass(stage: Clockwork) -> None:
    await stage.add_cron()

    async def full(_colony: object) -> bool:
        return True

    crons = stage.context.crons
    object.__setattr__(crons, "full", full)
    stage.pass_time(1)
    await stage.look_at_deadlines()

    assert await stage.happenings(CronFired.TYPE, CronSkipped.TYPE) == ["CronSkipped"]
    await stage.is_sound()


async def test_removed_cron_fires_no_more_and_its_workflows_stay(stage: Clockwork) -> None:
    added = await stage.add_cron()
    stage.pass_time(1)
    await stage.look_at_deadlines()
    await stage.say(cron.remove, USER, wire_cron.RemoveCronMsg(cronid=added.cronid))
    stage.pass_time(10)
    await stage.look_at_deadlines()

    assert len(await stage.workflows()) == 1
    with pytest.raises(Missing, match="Failed to get cron, cron is nil"):
        await stage.see(added.cronid)
    await stage.is_sound()


async def test_crons_are_listed_oldest_first(stage: Clockwork) -> None:
    for name in ("c", "a", "b"):
        await stage.add_cron(name=name)

    async def listed(count: int) -> list[str]:
        message = wire_cron.GetCronsMsg(colonyname=COLONY, count=count)
        return [each.name for each in await stage.say(cron.get_many, USER, message)]

    assert await listed(100) == ["c", "a", "b"]
    assert await listed(2) == ["c", "a"]
    assert await listed(0) == []
    with pytest.raises(Invalid, match="count must not be negative"):
        await listed(-1)


async def test_workflow_for_another_colony_is_refused(stage: Clockwork) -> None:
    await stage.add_colony("other", OTHER)

    with pytest.raises(Invalid, match="workflowspec is for colony <other>, it must be for <dev>"):
        await stage.add_cron(workflowspec=spec("a", colony_name="other"))


@pytest.mark.parametrize("colony_name", ["", None])
async def test_workflow_without_a_colony_is_for_that_of_the_cron(
    stage: Clockwork, colony_name: str | None
) -> None:
    await stage.add_cron(workflowspec=spec("a", colony_name=colony_name))
    stage.pass_time(1)
    await stage.look_at_deadlines()

    assert [g.colonyname for g in await stage.workflows()] == [COLONY]
    assert (await stage.assign()).spec is not None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "workflowspec: invalid JSON"),
        ("x", "workflowspec: invalid JSON"),
        ("[]", "workflowspec: invalid JSON"),
        ("null", "workflowspec: invalid JSON"),
        ("{}", "it has no function specs"),
        (spec("a", "a"), "Duplicate nodename: a"),
        (spec(""), "Nodename is missing"),
        (spec("a", priority=10**9), "priority outside range"),
        (spec("a", args=7), "invalid JSON"),
    ],
)
async def test_workflow_that_could_not_be_started_is_refused(
    stage: Clockwork, text: str, problem: str
) -> None:
    with pytest.raises((Invalid, Malformed), match=problem):
        await stage.add_cron(workflowspec=text)


async def test_stranger_learns_of_no_mistakes(stage: Clockwork) -> None:
    with pytest.raises(Denied):
        await stage.add_cron(STRANGER, workflowspec="x")


async def test_random_interval_stays_within_it(stage: Clockwork) -> None:
    await stage.add_cron(interval=5, random=True)
    for _ in range(TICKS):
        stage.pass_time(5)
        await stage.look_at_deadlines()

    assert len(await stage.workflows()) == TICKS


async def test_executor_that_another_server_approved_may_add_a_cron_here(stage: Clockwork) -> None:
    await stage.add_executor(OTHER, "late", approve=False)
    with pytest.raises(Denied):
        await stage.add_cron(OTHER)
    message = wire_executor.ApproveExecutorMsg(colonyname=COLONY, executorname="late")
    await Clockwork(stage.store).say(executor.approve, OWNER, message)

    assert (await stage.add_cron(OTHER)).initiatorname == "late"
