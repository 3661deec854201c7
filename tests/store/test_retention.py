"""Finished processes and workflows are kept as long as was said, and removed by events."""

import asyncio

import pytest

from api import wire_colony
from api.handlers import colony
from broker.aggregates.process import State
from broker.errors import Invalid, Missing, NotFound
from broker.reactors import retention
from broker.reactors.retention import Keep, Retirement
from broker.store import EventStore
from tests.facts import COLONY, OWNER
from tests.workshop import DIAMOND, Workshop, spec

WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = State


class Keeper(Workshop):
    """A stage with a timer that removes what is too old."""

    async def purge(self, keep: Keep, *, retirement: Retirement | None = None) -> int:
        """What the timer does every now and then; how many it removed."""
        (known,) = await self.context.directory.every()
        return await (retirement or self.retirement(keep)).purge(known)

    def retirement(self, keep: Keep) -> Retirement:
        """What removes."""
        return Retirement(
            store=self.store,
            sweeper=self.context.sweeper,
            happened=self.context.happened,
            default=keep,
        )

    async def end(self, state: State) -> str:
        """A process that has ended so."""
        await self.submit()
        process_id = (await self.assign()).processid
        if state is SUCCESS:
            await self.finish(process_id, 1)
        elif state is FAILED:
            await self.fail(process_id)
        return process_id

    async def run(self, *, fail: bool = False) -> str:
        """A workflow that has ended."""
        begun = await self.begin(*DIAMOND)
        while taken := await self.take():
            for process_id in taken.values():
                if fail:
                    await self.fail(process_id)
                    break
                await self.finish(process_id)
        return begun.processgraphid

    async def left(self) -> dict[State, int]:
        """How many processes are in the store."""
        return {state: len(await self.processes(state)) for state in State}


@pytest.fixture
async def keeper(store: EventStore) -> Keeper:
    keeper = Keeper(store)
    await keeper.found()
    return keeper


async def test_nothing_is_removed_unless_said(keeper: Keeper) -> None:
    await keeper.end(SUCCESS)
    await keeper.run()
    keeper.pass_time(10**9)
    assert await keeper.purge(Keep()) == 0


async def test_age_counts_from_the_end(keeper: Keeper) -> None:
    await keeper.submit()
    keeper.pass_time(1_000)
    process_id = (await keeper.assign()).processid
    await keeper.finish(process_id)
    keeper.pass_time(99)
    assert await keeper.purge(Keep(success_s=100)) == 0
    keeper.pass_time(2)
    assert await keeper.purge(Keep(success_s=100)) == 1
    with pytest.raises(NotFound):
        await keeper.look(process_id)
    await keeper.is_sound()


async def test_each_state_has_an_age_of_its_own(keeper: Keeper) -> None:
    await keeper.end(SUCCESS)
    await keeper.end(FAILED)
    await keeper.submit()
    await keeper.assign()
    await keeper.submit()
    keeper.pass_time(100)
    assert await keeper.purge(Keep(failed_s=50, success_s=500)) == 1
    assert await keeper.left() == {WAITING: 1, RUNNING: 1, SUCCESS: 1, FAILED: 0, CANCELLED: 0}


async def test_what_waits_or_runs_is_never_removed(keeper: Keeper) -> None:
    await keeper.submit()
    await keeper.assign()
    await keeper.submit()
    await keeper.begin(*DIAMOND)
    keeper.pass_time(10**6)
    assert await keeper.purge(Keep(success_s=1, failed_s=1, cancelled_s=1)) == 0


async def test_processes_of_a_workflow_go_with_it(keeper: Keeper) -> None:
    """Also when they ended long before it did."""
    begun = await keeper.begin(*DIAMOND)
    for process_id in (await keeper.take()).values():
        await keeper.finish(process_id)
    keeper.pass_time(100)
    assert await keeper.purge(Keep(success_s=50)) == 0
    while taken := await keeper.take():
        for process_id in taken.values():
            await keeper.finish(process_id)
    keeper.pass_time(49)
    assert await keeper.purge(Keep(success_s=50)) == 0
    keeper.pass_time(2)
    assert await keeper.purge(Keep(success_s=50)) == len(DIAMOND)
    with pytest.raises(Missing):
        await keeper.graph(begun.processgraphid)
    assert sum((await keeper.left()).values()) == 0
    await keeper.is_sound()


async def test_successful_processes_of_a_failed_workflow_stay_with_it(keeper: Keeper) -> None:
    await keeper.begin(spec("a"), spec("b", "a"))
    await keeper.finish((await keeper.assign()).processid)
    await keeper.fail((await keeper.assign()).processid)
    keeper.pass_time(100)
    retirement = keeper.retirement(Keep(success_s=50))
    for _ in range(2):
        assert await keeper.purge(Keep(), retirement=retirement) == 0
    # What ends later is found behind those that stay.
    await keeper.end(SUCCESS)
    keeper.pass_time(100)
    assert await keeper.purge(Keep(), retirement=retirement) == 1
    assert (await keeper.left())[SUCCESS] == 1


async def test_more_than_a_step_goes_past_what_stays(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_STEP", 2)
    await keeper.begin(*(spec(f"n{i}") for i in range(5)), spec("bad"))
    while taken := await keeper.take():
        for name, process_id in taken.items():
            await (keeper.fail if name == "bad" else keeper.finish)(process_id)
            if name != "bad":
                await keeper.end(SUCCESS)
    stay = len(await keeper.processes(SUCCESS)) - 5
    keeper.pass_time(100)
    assert await keeper.purge(Keep(success_s=50)) == 5
    assert (await keeper.left())[SUCCESS] == stay
    await keeper.is_sound()


async def test_two_timers_remove_each_process_once(keeper: Keeper) -> None:
    for _ in range(60):
        await keeper.end(SUCCESS)
    await keeper.run()
    keeper.pass_time(100)
    removed = await asyncio.gather(*(keeper.purge(Keep(success_s=50)) for _ in range(2)))
    assert sum(removed) >= 64
    assert (await keeper.left())[SUCCESS] == 0
    await keeper.is_sound()


async def test_owner_decides_for_a_colony(keeper: Keeper) -> None:
    await keeper.end(SUCCESS)
    await keeper.end(FAILED)
    keeper.pass_time(100)
    settings = wire_colony.WishedSettings(successretentionseconds=0, failedretentionseconds=50)
    message = wire_colony.SetColonySettingsMsg(colonyname=COLONY, settings=settings)
    answer: wire_colony.ColonySettings = await keeper.say(colony.set_settings, OWNER, message)
    assert (answer.successretentionseconds, answer.failedretentionseconds) == (0, 50)
    assert answer.cancelledretentionseconds == -1
    assert await keeper.purge(Keep(success_s=1)) == 1
    assert (await keeper.left())[SUCCESS] == 1


@pytest.mark.parametrize("field", ["success", "failed", "cancelled"])
async def test_an_age_that_is_none_is_refused(keeper: Keeper, field: str) -> None:
    settings = wire_colony.WishedSettings()
    setattr(settings, f"{field}retentionseconds", -2)
    message = wire_colony.SetColonySettingsMsg(colonyname=COLONY, settings=settings)
    with pytest.raises(Invalid, match=r"is -1 \(as the server has it\)"):
        await keeper.say(colony.set_settings, OWNER, message)


async def test_a_workflow_is_removed_in_whichever_state_it_ended(keeper: Keeper) -> None:
    done, failed = await keeper.run(), await keeper.run(fail=True)
    called_off = (await keeper.begin(*DIAMOND)).processgraphid
    await keeper.cancel(called_off)
    keeper.pass_time(100)
    for keep, workflow_id, state in (
        (Keep(success_s=50), done, SUCCESS),
        (Keep(failed_s=50), failed, FAILED),
        (Keep(cancelled_s=50), called_off, CANCELLED),
    ):
        assert await keeper.listed(state) == [workflow_id]
        assert await keeper.purge(keep) == len(DIAMOND)
        assert await keeper.listed(state) == []
    assert sum((await keeper.left()).values()) == 0
    await keeper.is_sound()
