"""What the passing of time does to processes and executors, with the time passed in."""

import asyncio

import pytest

from api import wire, wire_process
from api.handlers import process
from broker.access import MemberState
from broker.aggregates.backoff import Backoff
from broker.aggregates.process import State
from broker.aggregates.process_retry import RAN_TOO_LONG, WAITED_TOO_LONG
from broker.errors import Denied, Invalid, NothingAvailable
from broker.reactors.stale import StaleExecutors
from broker.store import EventStore
from tests.clockwork import Timed
from tests.facts import EXECUTOR, OTHER, USER

SILENT_S = 600


@pytest.fixture
async def stage(store: EventStore) -> Timed:
    timed = Timed(store)
    await timed.found()
    return timed


async def test_process_that_waits_too_long_fails_and_says_why(stage: Timed) -> None:
    process_id = await stage.submit_timed(wait=5)
    stage.pass_time(4)
    await stage.look_at_deadlines()
    assert (await stage.look(process_id)).state == State.WAITING

    stage.pass_time(2)
    await stage.look_at_deadlines()

    shown = await stage.look(process_id)
    assert (shown.state, shown.errors) == (State.FAILED, [WAITED_TOO_LONG])
    await stage.is_sound()


async def test_process_assigned_in_time_keeps_running_after_its_wait_deadline(
    stage: Timed,
) -> None:
    process_id = await stage.submit_timed(wait=5)
    await stage.assign()
    stage.pass_time(6)

    await stage.look_at_deadlines()

    assert (await stage.look(process_id)).state == State.RUNNING


async def test_process_that_runs_too_long_waits_again_at_its_old_place(stage: Timed) -> None:
    process_id = await stage.submit_timed(wait=100, run=5, retries=1)
    before = await stage.assign()
    stage.pass_time(6)

    await stage.look_at_deadlines()

    shown = await stage.look(process_id)
    assert (shown.state, shown.retries, shown.isassigned) == (State.WAITING, 1, False)
    assert shown.prioritytime == before.prioritytime
    assert shown.starttime == before.starttime
    assert shown.waitdeadline > before.waitdeadline
    await stage.is_sound()


async def test_repeated_assign_of_a_retried_process_answers_as_the_first_time(
    stage: Timed,
) -> None:
    await stage.submit_timed(run=5, retries=1)
    await stage.assign()
    stage.pass_time(6)
    await stage.look_at_deadlines()

    first = await stage.assign(nonce="n1")

    assert first.endtime != wire.NO_TIME
    assert await stage.assign(nonce="n1") == first


async def test_late_close_after_the_execution_deadline_is_refused(stage: Timed) -> None:
    process_id = await stage.submit_timed(run=5, retries=1)
    await stage.assign()
    stage.pass_time(6)
    await stage.look_at_deadlines()

    with pytest.raises(Denied, match="process is not assigned"):
        await stage.close(process_id)

    assert (await stage.look(process_id)).state == State.WAITING


async def test_process_without_retries_left_fails_and_says_why(stage: Timed) -> None:
    process_id = await stage.submit_timed(run=5, retries=1)
    for _ in range(2):
        await stage.assign()
        stage.pass_time(6)
        await stage.look_at_deadlines()

    shown = await stage.look(process_id)
    assert (shown.state, shown.errors) == (State.FAILED, [RAN_TOO_LONG])
    assert (shown.retries, shown.isassigned) == (1, True)
    await stage.is_sound()


async def test_retry_with_backoff_is_offered_when_its_delay_is_over(stage: Timed) -> None:
    backoff = Backoff(initial=10, factor=3, maximum=20)
    process_id = await stage.submit_timed(run=5, retries=-1, backoff=backoff)
    for delay in (10, 20, 20):
        await stage.assign()
        stage.pass_time(6)
        await stage.look_at_deadlines()
        shown = await stage.look(process_id)
        assert (shown.state, shown.isassigned) == (State.WAITING, False)
        assert await stage.waiting_processes() == 1

        stage.pass_time(delay - 1)
        await stage.look_at_deadlines()
        with pytest.raises(NothingAvailable):
            await stage.assign()

        stage.pass_time(1.1)
        await stage.look_at_deadlines()
        await stage.is_sound()

    assert (await stage.assign()).processid == process_id


async def test_delayed_process_can_be_cancelled_and_stays_cancelled(stage: Timed) -> None:
    process_id = await stage.submit_timed(run=5, retries=1, backoff=Backoff())
    await stage.assign()
    stage.pass_time(6)
    await stage.look_at_deadlines()

    await stage.say(process.cancel, USER, wire_process.CancelProcessMsg(processid=process_id))
    stage.pass_time(60)
    await stage.look_at_deadlines()

    assert (await stage.look(process_id)).state == State.CANCELLED
    with pytest.raises(NothingAvailable):
        await stage.assign()
    await stage.is_sound()


async def test_delayed_process_wakes_an_executor_that_waits(stage: Timed) -> None:
    process_id = await stage.submit_timed(run=5, retries=1, backoff=Backoff())
    await stage.assign()
    stage.pass_time(6)
    await stage.look_at_deadlines()
    waiting = asyncio.create_task(stage.assign(timeout_s=30))
    await stage.waiting(1)

    stage.pass_time(2)
    await stage.look_at_deadlines()

    assert (await waiting).processid == process_id


@pytest.mark.parametrize(
    ("backoff", "text"),
    [
        (Backoff(initial=0), "0 < initial"),
        (Backoff(initial=5, maximum=4), "initial <= maximum"),
        (Backoff(maximum=1e10), "maximum <= 1000000000"),
        (Backoff(factor=0.5), "factor is 0.5"),
        (Backoff(jitter=1.5), "jitter is 1.5"),
    ],
)
async def test_backoff_that_makes_no_sense_is_refused(
    stage: Timed, backoff: Backoff, text: str
) -> None:
    with pytest.raises(Invalid, match=text):
        await stage.submit_timed(backoff=backoff)

    assert await stage.waiting_processes() == 0


async def test_negative_number_of_retries_is_without_end(stage: Timed) -> None:
    process_id = await stage.submit_timed(run=1, retries=-1)
    for _ in range(5):
        await stage.assign()
        stage.pass_time(2)
        await stage.look_at_deadlines()

    shown = await stage.look(process_id)
    assert (shown.state, shown.retries) == (State.WAITING, 5)


@pytest.mark.parametrize("unlimited", [0, -1, -7])
async def test_process_without_limits_never_runs_out_of_time(stage: Timed, unlimited: int) -> None:
    process_id = await stage.submit_timed(wait=unlimited, run=unlimited)
    stage.pass_time(10**6)
    await stage.look_at_deadlines()
    await stage.assign()
    stage.pass_time(10**6)
    await stage.look_at_deadlines()

    assert (await stage.look(process_id)).state == State.RUNNING


async def test_retried_process_wakes_an_executor_that_waits(stage: Timed) -> None:
    await stage.add_executor(OTHER, "other")
    process_id = await stage.submit_timed(run=5, retries=1)
    await stage.assign()
    poll = asyncio.create_task(stage.assign(OTHER, 60))
    await stage.waiting(1)
    stage.pass_time(6)

    await stage.look_at_deadlines()

    assert (await poll).processid == process_id


async def test_deadline_takes_effect_once_whoever_looks(stage: Timed) -> None:
    process_id = await stage.submit_timed(run=5, retries=9)
    await stage.assign()
    stage.pass_time(6)

    await asyncio.gather(*(stage.look_at_deadlines() for _ in range(5)))

    assert (await stage.look(process_id)).retries == 1
    await stage.is_sound()


async def test_many_deadlines_at_once_are_all_met(stage: Timed) -> None:
    ids = [await stage.submit_timed(wait=1) for _ in range(230)]
    stage.pass_time(2)

    await stage.look_at_deadlines()

    states = [(await stage.look(process_id)).state for process_id in ids]
    assert set(states) == {State.FAILED}


# ---------------------------------------------------------------- silence


def _stale(stage: Timed) -> StaleExecutors:
    return StaleExecutors(
        store=stage.store,
        presence=stage.context.presence,
        happened=stage.context.happened,
        silent_s=SILENT_S,
        listening_since_ns=stage.store.clock.now_ns(),
    )


async def _look_for_silence(stage: Timed, stale: StaleExecutors) -> None:
    for each in await stage.context.directory.every():
        await stale.unregister(each)


async def test_executor_that_is_silent_for_too_long_is_unregistered(stage: Timed) -> None:
    await stage.submit_timed()
    await stage.close((await stage.assign()).processid)
    stale = _stale(stage)
    stage.pass_time(SILENT_S + 1)

    await _look_for_silence(stage, stale)

    assert await stage.state_of_executor() is MemberState.UNREGISTERED
    await stage.is_sound()


async def test_executor_that_runs_something_is_not_stale(stage: Timed) -> None:
    await stage.submit_timed()
    await stage.assign()
    stale = _stale(stage)
    stage.pass_time(SILENT_S + 1)

    await _look_for_silence(stage, stale)

    assert await stage.state_of_executor() is MemberState.APPROVED


async def test_executor_that_was_never_heard_from_is_kept(stage: Timed) -> None:
    stale = _stale(stage)
    stage.pass_time(SILENT_S + 1)

    await _look_for_silence(stage, stale)

    assert await stage.state_of_executor() is MemberState.APPROVED


async def test_nobody_is_stale_before_a_server_could_have_heard_it(stage: Timed) -> None:
    await stage.submit_timed()
    await stage.close((await stage.assign(EXECUTOR)).processid)
    stage.pass_time(SILENT_S + 1)
    restarted = _stale(stage)
    stage.pass_time(SILENT_S - 60)

    await _look_for_silence(stage, restarted)

    assert await stage.state_of_executor() is MemberState.APPROVED
