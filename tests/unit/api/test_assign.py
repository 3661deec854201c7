"""Assignment through the handlers: who is woken, by what, and what becomes of work nobody took."""

import asyncio
from typing import Any

import pytest

from api import wire_colony, wire_executor, wire_process, wire_user
from api.handlers import assign, colony, executor, process, user
from broker.clock import StoreClock
from broker.errors import Denied, Invalid, NothingAvailable, Paused
from broker.keys import Tag
from broker.reading import Link
from broker.store import Claim, Claimed, EventStore, NotClaimed, Repeat, Signed
from projections.core import fold
from tests.facts import COLONY, EXECUTOR, OTHER, OWNER, SERVER_OWNER, USER
from tests.patience import PATIENCE_S
from tests.stage import PhoneLine, Stage


@pytest.fixture
async def stage(store: EventStore) -> Stage:
    stage = Stage(store)
    await stage.found()
    return stage


def asking(
    stage: Stage, caller: str = EXECUTOR, *, cpu: str = "", mem: str = ""
) -> asyncio.Task[wire_process.Process]:
    return asyncio.create_task(stage.assign(caller, 600, cpu=cpu, mem=mem))


async def answer(asked: asyncio.Task[wire_process.Process]) -> wire_process.Process:
    async with asyncio.timeout(PATIENCE_S):
        return await asked


async def end(*tasks: asyncio.Task[wire_process.Process]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_waiting_executor_is_woken_by_work(stage: Stage) -> None:
    asked = asking(stage)
    await stage.waiting(1)

    given = await stage.submit()

    assert (await answer(asked)).processid == given.processid


async def test_work_for_another_name_wakes_nobody_else(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    first, second = asking(stage), asking(stage, OTHER)
    await stage.waiting(2)

    given = await stage.submit(executornames=["other"])

    assert (await answer(second)).processid == given.processid
    assert not first.done()
    await end(first)


@pytest.mark.parametrize(
    ("first", "asked"),
    [({"cpu": "500m"}, {"cpu": "1000m"}), ({"mem": "1Gi"}, {"mem": "2Gi"})],
    ids=["cpu", "mem"],
)
async def test_too_small_an_executor_does_not_swallow_a_wake_up(
    stage: Stage, first: dict[str, str], asked: dict[str, Any]
) -> None:
    await stage.add_executor(OTHER, "other")
    small, large = asking(stage, **first), asking(stage, OTHER)
    await stage.waiting(2)

    given = await stage.submit(**asked)

    assert (await answer(large)).processid == given.processid
    await end(small)


async def test_first_to_wait_is_first_to_get_work(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    first = asking(stage, OTHER)
    await stage.waiting(1)
    second = asking(stage)
    await stage.waiting(2)

    given = await stage.submit()

    assert (await answer(first)).processid == given.processid
    await end(second)


async def test_a_burst_of_work_wakes_as_many_as_it_needs(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    both = asking(stage), asking(stage, OTHER)
    await stage.waiting(2)

    given = await asyncio.gather(stage.submit(), stage.submit())

    taken = {(await answer(asked)).processid for asked in both}
    assert taken == {each.processid for each in given}


async def test_wake_up_of_a_removed_executor_goes_to_the_next(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    removed = asking(stage)
    await stage.waiting(1)
    next_one = asking(stage, OTHER)
    await stage.waiting(2)
    await stage.remove_executor("worker")

    given = await stage.submit()

    with pytest.raises(Denied):
        await answer(removed)
    assert (await answer(next_one)).processid == given.processid


class Turnstile(EventStore):
    """Lets claims through only while it is open."""

    def __init__(self, link: Link) -> None:
        super().__init__(link, fold, StoreClock())
        self.open = asyncio.Event()
        self.open.set()

    async def claim(self, tag: Tag, claim: Claim, signed: Signed) -> Claimed | NotClaimed | Repeat:
        """Claim when it is open."""
        await self.open.wait()
        return await super().claim(tag, claim, signed)


async def test_wake_up_spent_on_other_work_goes_to_the_next(link: Link) -> None:
    store = Turnstile(link)
    stage = Stage(store)
    await stage.found()
    await stage.add_executor(OTHER, "other")
    versatile = asking(stage)
    await stage.waiting(1)
    narrow = asking(stage, OTHER)
    await stage.waiting(2)

    store.open.clear()
    anybody = await stage.submit()
    urgent = await stage.submit(priority=5, executornames=["worker"])
    await stage.settle()
    store.open.set()

    assert (await answer(versatile)).processid == urgent.processid
    assert (await answer(narrow)).processid == anybody.processid


async def test_wake_up_of_a_client_that_hung_up_goes_to_the_next(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    line = PhoneLine()
    gone = asyncio.create_task(stage.assign(EXECUTOR, 600, line=line))
    await stage.waiting(1)
    next_one = asking(stage, OTHER)
    await stage.waiting(2)

    line.hang_up()
    given = await stage.submit()

    assert (await answer(next_one)).processid == given.processid
    with pytest.raises(NothingAvailable):
        await answer(gone)


async def test_client_that_hung_up_before_it_waited_does_not_wait(stage: Stage) -> None:
    line = PhoneLine(gone=True)

    with pytest.raises(NothingAvailable):
        await answer(asyncio.create_task(stage.assign(EXECUTOR, 600, line=line)))


async def test_work_given_to_a_client_that_hung_up_is_queued_again(stage: Stage) -> None:
    given = await stage.submit()

    with pytest.raises(NothingAvailable):
        await stage.assign(line=PhoneLine(gone=True))
    await stage.settle()

    shown = await stage.look(given.processid)
    assert (shown.state, shown.isassigned, shown.prioritytime) == (0, False, given.prioritytime)


async def test_work_whose_reply_did_not_arrive_is_queued_again(stage: Stage) -> None:
    given, line = await stage.submit(), PhoneLine()
    await stage.assign(line=line)
    assert line.undelivered is not None

    line.undelivered()
    await stage.settle()

    assert (await stage.look(given.processid)).state == 0


async def test_work_that_was_closed_by_then_is_not_queued_again(stage: Stage) -> None:
    given, line = await stage.submit(), PhoneLine()
    await stage.assign(line=line)
    await stage.close(given.processid)
    assert line.undelivered is not None

    line.undelivered()
    await stage.settle()

    assert (await stage.look(given.processid)).state == 2


async def test_requeued_work_wakes_who_waits(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    given = await stage.submit()
    await stage.assign()
    asked = asking(stage, OTHER)
    await stage.waiting(1)

    await stage.remove_executor("worker")

    assert (await answer(asked)).processid == given.processid


async def test_repeated_assign_is_answered_with_the_same_process(stage: Stage) -> None:
    await stage.submit()
    await stage.submit()

    first = await stage.assign(nonce="n")
    again = await stage.assign(nonce="n")

    assert again.processid == first.processid


async def test_repeat_of_an_assign_that_was_given_back_is_not_shown_as_held(stage: Stage) -> None:
    await stage.add_executor(OTHER, "other")
    given = await stage.submit()
    with pytest.raises(NothingAvailable):
        await stage.assign(nonce="n", line=PhoneLine(gone=True))
    await stage.settle()
    held_by_other = await stage.assign(OTHER)
    assert held_by_other.processid == given.processid

    with pytest.raises(NothingAvailable):
        await stage.assign(nonce="n")


async def test_executor_of_another_type_takes_no_work_of_its_old_type(store: EventStore) -> None:
    stage = Stage(store, allow_reregister=True)
    await stage.found()
    with pytest.raises(NothingAvailable):
        await stage.assign()
    await stage.add_executor(EXECUTOR, "worker", "gpu")
    await stage.submit(executortype="cli")

    with pytest.raises(NothingAvailable):
        await stage.assign()


async def test_user_that_became_an_executor_is_let_in_elsewhere_too(store: EventStore) -> None:
    here, there = Stage(store), Stage(store)
    await here.found()
    await there.submit(caller=USER)
    await here.say(user.remove, OWNER, wire_user.RemoveUserMsg(colonyname=COLONY, name="alice"))
    await here.add_executor(USER, "alice")

    assert (await there.assign(USER)).assignedexecutorid == USER


async def test_colony_added_anew_elsewhere_is_found_at_the_second_try(store: EventStore) -> None:
    here, there = Stage(store), Stage(store)
    await here.found()
    await there.submit()
    await there.assign()
    await here.say(colony.remove, SERVER_OWNER, wire_colony.RemoveColonyMsg(colonyname=COLONY))
    await here.found()
    given = await here.submit()

    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(NothingAvailable):
            await there.assign()
        assert (await there.assign()).processid == given.processid


async def test_work_of_a_rejected_executor_is_queued_again(stage: Stage) -> None:
    await stage.submit()
    held = await stage.assign()
    rejection = wire_executor.RejectExecutorMsg(colonyname=COLONY, executorname="worker")
    await stage.say(executor.reject, OWNER, rejection)

    assert (await stage.look(held.processid)).state == 0


async def test_cancelled_work_is_not_given_out(stage: Stage) -> None:
    given = await stage.submit()
    await stage.say(process.cancel, USER, wire_process.CancelProcessMsg(processid=given.processid))

    with pytest.raises(NothingAvailable):
        await stage.assign()


async def test_executor_at_another_place_takes_no_work_of_its_old_place(store: EventStore) -> None:
    stage = Stage(store, allow_reregister=True)
    await stage.found()
    await stage.add_executor(OTHER, "other", location="north")
    asked = asking(stage, OTHER)
    await stage.waiting(1)
    await stage.add_executor(OTHER, "other", location="south")

    await stage.submit(locationname="north")

    with pytest.raises(NothingAvailable):
        await answer(asked)


async def test_two_servers_give_every_process_to_one_of_many(store: EventStore, link: Link) -> None:
    here, there = Stage(store), Stage(EventStore(link, fold, StoreClock()))
    await here.found()
    given = [await here.submit(priority=n % 3, cpu=f"{n % 4}m") for n in range(100)]

    outcomes = await asyncio.gather(
        *(stage.assign() for stage in (here, there) for _ in range(100)), return_exceptions=True
    )

    taken = [each for each in outcomes if isinstance(each, wire_process.Process)]
    assert sorted(each.processid for each in taken) == sorted(each.processid for each in given)
    assert sum(isinstance(each, NothingAvailable) for each in outcomes) == 100


async def test_what_an_executor_said_last_survives_its_change_of_key(stage: Stage) -> None:
    given = wire_executor.Capabilities(software=[wire_executor.Software(name="new")])
    update = wire_executor.UpdateExecutorMsg(
        colonyname=COLONY, executorname="worker", capabilities=given
    )
    with pytest.raises(NothingAvailable):
        await stage.assign()
    await stage.say(executor.update, EXECUTOR, update)

    change = wire_executor.ChangeExecutorIdMsg(colonyname=COLONY, executorid=OTHER)
    await stage.say(executor.change_id, EXECUTOR, change)

    look = wire_executor.GetExecutorMsg(colonyname=COLONY, executorname="worker")
    shown: wire_executor.Executor = await stage.say(executor.get, OTHER, look)
    assert shown.capabilities.software == [wire_executor.Software(name="new")]


async def test_owner_who_is_also_a_member_pauses_and_resumes(stage: Stage) -> None:
    member = wire_user.User(colonyname=COLONY, userid=OWNER, name="owner")
    await stage.say(user.add, OWNER, wire_user.AddUserMsg(user=member))
    given = await stage.submit(caller=OWNER)
    await stage.say(assign.pause, OWNER, wire_colony.PauseAssignmentsMsg(colonyname=COLONY))

    await stage.say(assign.resume, OWNER, wire_colony.ResumeAssignmentsMsg(colonyname=COLONY))

    assert (await stage.assign()).processid == given.processid


async def test_paused_executor_is_woken_by_the_resume(stage: Stage) -> None:
    given = await stage.submit()
    await stage.say(assign.pause, OWNER, wire_colony.PauseAssignmentsMsg(colonyname=COLONY))
    asked = asking(stage)
    await stage.waiting(1)

    await stage.say(assign.resume, OWNER, wire_colony.ResumeAssignmentsMsg(colonyname=COLONY))

    assert (await answer(asked)).processid == given.processid


@pytest.mark.parametrize("timeout_s", [-1, 0])
async def test_paused_colony_says_so_or_what_is_wrong(stage: Stage, timeout_s: int) -> None:
    await stage.say(assign.pause, OWNER, wire_colony.PauseAssignmentsMsg(colonyname=COLONY))

    with pytest.raises(Paused if timeout_s else Invalid):
        await stage.assign(timeout_s=timeout_s)


@pytest.fixture
def two_heads(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A claim compares two heads at most; how many each one did."""
    monkeypatch.setattr(assign, "_MOST_QUEUES", 2)
    seen, real = list[int](), stage.store.claim

    async def counted(tag: Tag, wish: Claim, signed: Signed) -> Claimed | NotClaimed | Repeat:
        seen.append(len(wish.queues))
        return await real(tag, wish, signed)

    monkeypatch.setattr(stage.store, "claim", counted)
    return seen


async def test_first_of_very_many_classes_comes_first(stage: Stage, two_heads: list[int]) -> None:
    given = {n: await stage.submit(priority=n, cpu=f"{n}m") for n in (3, 1, 4, 2, 5)}

    taken = [await stage.assign() for _ in given]
    with pytest.raises(NothingAvailable):
        await stage.assign()

    assert [one.processid for one in taken] == [given[n].processid for n in (5, 4, 3, 2, 1)]
    assert max(two_heads) == 2


async def test_what_others_left_of_very_many_classes_is_given_out(
    stage: Stage, two_heads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads that came first are taken between the look and the claim."""
    await stage.add_executor(OTHER, "other")
    given = {n: await stage.submit(priority=n, cpu=f"{n}m") for n in (3, 2, 1)}
    real, rivals = stage.store.read, Stage(stage.store)
    looked = asyncio.Event()

    async def slow(*commands: tuple[Any, ...]) -> list[Any]:
        found = await real(*commands)
        if commands[0][0] == "ZRANGE" and not looked.is_set():
            looked.set()
            for _ in range(2):
                await rivals.assign(OTHER)
        return found

    monkeypatch.setattr(stage.store, "read", slow)

    assert (await stage.assign()).processid == given[1].processid
    assert max(two_heads) == 2
