"""The waiting room: first come, first woken, and no wake-up lost."""

import asyncio

import pytest

from broker.aggregates.colony import RESUMED
from broker.matching import Offer, Requirement
from broker.waiting import Waiter, WaitingRoom

HERE, ELSEWHERE = "{dev}:wake", "{other}:wake"
CLI = Requirement(executor_type="cli")
LARGE = Requirement(executor_type="cli", cpu=2_000)
GPU = Requirement(executor_type="gpu")
SMALL = Offer(executor_id="s", executor_type="cli", name="small", cpu=1_000)
BIG = Offer(executor_id="b", executor_type="cli", name="big")


class Guest:
    """A waiter that has sat down."""

    def __init__(self, room: WaitingRoom, offer: Offer = BIG, channel: str = HERE) -> None:
        self.room, self.channel = room, channel
        self.waiter: Waiter = room.enter(channel, offer)
        self.sitting: asyncio.Task[bool] | None = None

    async def sit(self, seconds: float = 60) -> "Guest":
        """Wait; returns when it does."""
        until = asyncio.get_running_loop().time() + seconds
        self.sitting = asyncio.create_task(self.room.wait(self.waiter, until))
        await asyncio.sleep(0)
        return self

    async def awake(self) -> bool:
        """Whether it was woken, after everybody had a turn."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.sitting is not None and self.sitting.done()

    def leave(self) -> None:
        """Go."""
        if self.sitting is not None:
            self.sitting.cancel()
        self.room.leave(self.channel, self.waiter)


@pytest.fixture
def room() -> WaitingRoom:
    return WaitingRoom()


async def woken(*guests: Guest) -> list[bool]:
    return [await guest.awake() for guest in guests]


async def test_first_to_come_is_first_to_be_woken(room: WaitingRoom) -> None:
    guests = [await Guest(room).sit() for _ in range(3)]

    room.notice(HERE, CLI.class_key, CLI)
    assert await woken(*guests) == [True, False, False]

    room.notice(HERE, CLI.class_key, CLI)
    assert await woken(*guests) == [True, True, False]


async def test_only_who_can_take_it_is_woken(room: WaitingRoom) -> None:
    guests = [await Guest(room, SMALL).sit(), await Guest(room).sit()]

    room.notice(HERE, LARGE.class_key, LARGE)

    assert await woken(*guests) == [False, True]


async def test_other_types_and_colonies_are_not_woken(room: WaitingRoom) -> None:
    guests = [await Guest(room).sit(), await Guest(room, channel=ELSEWHERE).sit()]

    room.notice(HERE, GPU.class_key, GPU)
    room.notice(ELSEWHERE, CLI.class_key, CLI)

    assert await woken(*guests) == [False, True]


@pytest.mark.parametrize(("text", "asked"), [(RESUMED, None), ("unknown", None)])
async def test_everybody_tries_when_anything_may_have_come(
    room: WaitingRoom, text: str, asked: Requirement | None
) -> None:
    guests = [await Guest(room, SMALL).sit(), await Guest(room).sit()]

    room.notice(HERE, text, asked)

    assert await woken(*guests) == [True, True]


async def test_missed_notices_make_everybody_try(room: WaitingRoom) -> None:
    guests = [await Guest(room).sit(), await Guest(room, channel=ELSEWHERE).sit()]

    room.wake_all()

    assert await woken(*guests) == [True, True]


async def test_notice_during_the_first_try_is_not_lost(room: WaitingRoom) -> None:
    guest = Guest(room)

    room.notice(HERE, CLI.class_key, CLI)
    await guest.sit()

    assert await guest.awake()


async def test_notice_before_a_try_in_vain_is_done_with(room: WaitingRoom) -> None:
    guest = Guest(room)
    room.notice(HERE, CLI.class_key, CLI)

    guest.waiter.begin_try()
    guest.waiter.end_try(None)
    await guest.sit()

    assert not await guest.awake()
    guest.leave()


async def test_notice_during_a_try_in_vain_makes_it_try_again(room: WaitingRoom) -> None:
    guest = Guest(room)
    guest.waiter.begin_try()
    room.notice(HERE, CLI.class_key, CLI)

    guest.waiter.end_try(None)
    await guest.sit()

    assert await guest.awake()


async def test_second_notice_goes_to_the_next_while_the_first_is_tried(room: WaitingRoom) -> None:
    guests = [await Guest(room).sit(), await Guest(room).sit()]

    room.notice(HERE, CLI.class_key, CLI)
    room.notice(HERE, CLI.class_key, CLI)

    assert await woken(*guests) == [True, True]


async def test_wake_up_that_was_not_used_goes_to_the_next(room: WaitingRoom) -> None:
    first, second = await Guest(room).sit(), await Guest(room).sit()
    room.notice(HERE, CLI.class_key, CLI)
    assert await woken(first, second) == [True, False]

    first.leave()

    assert await second.awake()


async def test_wake_up_spent_on_other_work_goes_to_the_next(room: WaitingRoom) -> None:
    first, second = await Guest(room).sit(), await Guest(room, SMALL).sit()
    room.notice(HERE, CLI.class_key, CLI)

    first.waiter.begin_try()
    first.waiter.end_try(LARGE.class_key)
    first.leave()

    assert await second.awake()


async def test_wake_up_that_was_used_goes_to_nobody(room: WaitingRoom) -> None:
    first, second = await Guest(room).sit(), await Guest(room).sit()
    room.notice(HERE, CLI.class_key, CLI)

    first.waiter.begin_try()
    first.waiter.end_try(CLI.class_key)
    first.leave()

    assert not await second.awake()
    second.leave()


async def test_busy_waiter_that_owes_least_is_told_when_nobody_is_idle(
    room: WaitingRoom,
) -> None:
    guests = [Guest(room) for _ in range(2)]
    for guest in guests:
        guest.waiter.begin_try()

    for _ in guests:
        room.notice(HERE, CLI.class_key, CLI)

    assert [guest.waiter.debts for guest in guests] == [1, 1]


async def test_time_runs_out(room: WaitingRoom) -> None:
    guest = await Guest(room).sit(0)

    assert guest.sitting is not None
    assert await guest.sitting is False


async def test_notice_in_the_moment_time_runs_out_is_not_lost(room: WaitingRoom) -> None:
    guest = await Guest(room).sit(60)
    assert guest.waiter.woken is not None
    guest.waiter.woken.set_exception(TimeoutError())

    room.notice(HERE, CLI.class_key, CLI)

    assert guest.sitting is not None
    assert await guest.sitting is True


async def test_client_that_goes_away_ends_the_wait(room: WaitingRoom) -> None:
    guest = await Guest(room).sit()

    guest.waiter.abandon()

    assert await guest.awake()
    assert guest.waiter.gone


async def test_closed_room_sends_everybody_home_now_and_later(room: WaitingRoom) -> None:
    early = await Guest(room).sit()

    room.close()
    late = await Guest(room).sit()

    assert await woken(early, late) == [True, True]
    assert early.waiter.gone
    assert late.waiter.gone


async def test_room_tells_which_channels_matter() -> None:
    told: list[str] = []
    room = WaitingRoom(lambda c: told.append(f"+{c}"), lambda c: told.append(f"-{c}"))
    first, second = Guest(room), Guest(room)

    assert HERE in room
    assert len(room) == 2
    first.leave()
    second.leave()

    assert told == [f"+{HERE}", f"-{HERE}"]
    assert HERE not in room
    assert len(room) == 0


async def test_notice_where_nobody_waits_is_nothing(room: WaitingRoom) -> None:
    room.notice(HERE, CLI.class_key, CLI)

    assert not await (await Guest(room).sit()).awake()


async def test_notices_are_never_multiplied_by_those_who_pass_them_on(room: WaitingRoom) -> None:
    guests = [Guest(room) for _ in range(40)]
    for guest in guests:
        guest.waiter.begin_try()
    for _ in guests:
        room.notice(HERE, CLI.class_key, CLI)

    for left, guest in enumerate(reversed(guests)):
        assert sum(g.waiter.debts for g in guests[: len(guests) - left]) == len(guests) - left
        guest.waiter.end_try(CLI.class_key)
        guest.leave()


async def test_many_notices_at_once_wake_as_many_as_they_announce(room: WaitingRoom) -> None:
    guests = [await Guest(room).sit() for _ in range(5)]

    room.notice(HERE, CLI.class_key, CLI, 3)

    assert await woken(*guests) == [True, True, True, False, False]
