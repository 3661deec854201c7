"""Read, decide, append, and again when somebody else was faster."""

import pytest

from broker import access, keys
from broker.access import ColonyRow, Gate, MemberRow
from broker.aggregates import colony, process_close, process_end
from broker.aggregates.colony import AssignmentsPaused, ColonyOwnerChanged
from broker.aggregates.executor import ExecutorRejected, ExecutorRemoved
from broker.aggregates.process import State
from broker.aggregates.process_close import CloseProcess
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.user import UserRemoved
from broker.clock import StoreClock
from broker.decision import Decision, Event, equals
from broker.errors import Denied, Invalid, Unavailable
from broker.keys import Tag
from broker.reading import Link
from broker.store import BY_SERVER, Done, EventStore, Repeat, Signed
from projections.core import fold
from tests.facts import (
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    PROCESS,
    TAG,
    USER,
    assigned,
    class_added,
    inhabited,
    submitted,
)
from tests.store.ground import append, everything, types

REMOVED = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
REJECTED = ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER)
GONE = UserRemoved(subject=USER, actor=OWNER, at_ns=LATER, name="alice")
SOLD = ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner="0" * 64)
CLOSE = CloseProcess(process_id=PROCESS, outcome=State.SUCCESS, out=None, errors=[])


async def gate(store: EventStore, caller: str) -> Gate:
    row, member = await store.hashes(TAG, keys.COLONY, keys.member(caller))
    return Gate(
        caller=caller,
        colony_name=COLONY,
        colony=ColonyRow.read(row),
        member=MemberRow.read(caller, member),
    )


class Reader:
    """Reads rows; the first time they are as they were when it was made, as from a cache."""

    def __init__(self, store: EventStore, caller: str) -> None:
        self.store = store
        self.caller = caller
        self.cached: tuple[Gate, ProcessRow | None] | None = None
        self.asked: list[bool] = []

    async def look(self) -> tuple[Gate, ProcessRow | None]:
        """Rows as they are now."""
        row = (await self.store.hashes(TAG, keys.process(PROCESS)))[0]
        return await gate(self.store, self.caller), ProcessRow.read(PROCESS, row)

    async def __call__(self, fresh: bool) -> tuple[Tag, tuple[Gate, ProcessRow | None]]:  # noqa: FBT001 - run's own shape
        """Cached rows, or fresh ones where those are wanted."""
        self.asked.append(fresh)
        return TAG, await self.look() if fresh or self.cached is None else self.cached


@pytest.fixture
async def running(store: EventStore) -> EventStore:
    """A process runs."""
    await append(store, *inhabited(), class_added(), submitted(), assigned())
    return store


async def stale(store: EventStore, caller: str, *meanwhile: Event) -> Reader:
    """A reader that remembers the rows from before some events."""
    reader = Reader(store, caller)
    reader.cached = await reader.look()
    await append(store, *meanwhile)
    return reader


def close(rows: tuple[Gate, ProcessRow | None], now_ns: int) -> Decision:
    return process_close.close(rows[0], CLOSE, rows[1], now_ns)


def cancel(rows: tuple[Gate, ProcessRow | None], now_ns: int) -> Decision:
    return process_end.cancel(*rows, now_ns)


def pause(rows: tuple[Gate, ProcessRow | None], now_ns: int) -> Decision:
    return colony.pause(rows[0], now_ns)


@pytest.mark.parametrize("meanwhile", [REMOVED, REJECTED], ids=["removed", "rejected"])
async def test_executor_that_left_between_check_and_write_is_refused(
    running: EventStore, link: Link, meanwhile: Event
) -> None:
    reader = await stale(running, EXECUTOR, meanwhile)
    before = await everything(link)

    with pytest.raises(Denied):
        await running.run(reader, close, Signed(caller=EXECUTOR, nonce="n", nonce_ms=60_000))

    assert await everything(link) == before
    assert reader.asked == [False, True]


async def test_user_that_left_between_check_and_write_is_refused(
    running: EventStore, link: Link
) -> None:
    reader = await stale(running, USER, GONE)
    before = await everything(link)

    with pytest.raises(Denied):
        await running.run(reader, cancel, BY_SERVER)

    assert await everything(link) == before


async def test_owner_that_sold_the_colony_between_check_and_write_is_refused(
    running: EventStore, link: Link
) -> None:
    reader = await stale(running, OWNER, SOLD)
    before = await everything(link)

    with pytest.raises(Denied):
        await running.run(reader, pause, BY_SERVER)

    assert await everything(link) == before


async def test_colony_that_changed_harmlessly_costs_one_more_try(running: EventStore) -> None:
    reader = await stale(running, EXECUTOR, SOLD)

    outcome = await running.run(reader, close, BY_SERVER)

    assert isinstance(outcome, Done)
    assert reader.asked == [False, True]
    assert running.conflicts == 1


async def test_refusal_on_cached_rows_is_checked_on_fresh_ones(store: EventStore) -> None:
    await append(store, *inhabited(), class_added(), submitted())
    reader = await stale(store, EXECUTOR, assigned())

    assert isinstance(await store.run(reader, close, BY_SERVER), Done)
    assert reader.asked == [False, True]


async def test_process_that_was_closed_meanwhile_is_not_closed_again(
    running: EventStore,
) -> None:
    reader = await stale(running, EXECUTOR)
    assert isinstance(await running.run(reader, close, BY_SERVER), Done)

    with pytest.raises(Invalid, match="Tried to set successful process as successful"):
        await running.run(reader, close, BY_SERVER)

    assert (await types(running)).count("ProcessClosed") == 1


async def test_repeated_command_with_a_nonce_is_answered_as_the_first_time(
    running: EventStore, link: Link
) -> None:
    signed = Signed(caller=EXECUTOR, proof=b"d" * 97, nonce="n", nonce_ms=60_000)
    first = await running.run(Reader(running, EXECUTOR), close, signed)
    before = await everything(link)

    again = await running.run(Reader(running, EXECUTOR), close, signed)

    assert isinstance(first, Done)
    assert again == Repeat(first.last)
    assert await everything(link) == before


async def test_endless_conflicts_are_given_up_as_unavailable(link: Link) -> None:
    store = EventStore(link, fold, StoreClock(), attempts=3)
    await append(store, *inhabited())
    tries: list[int] = []

    async def read(_fresh: bool) -> tuple[Tag, None]:  # noqa: FBT001 - run's own shape
        return TAG, None

    def decide(_rows: None, now_ns: int) -> Decision:
        tries.append(now_ns)
        event = AssignmentsPaused(subject=COLONY, actor=OWNER, at_ns=now_ns)
        return Decision(expects=(equals(keys.COLONY, "guard", 99),), events=(event,))

    with pytest.raises(Unavailable):
        await store.run(read, decide, BY_SERVER)

    assert len(tries) == 3
    assert "AssignmentsPaused" not in await types(store)


async def test_rule_of_the_gate_is_an_expectation_of_the_append(running: EventStore) -> None:
    expects = access.member(await gate(running, EXECUTOR))

    assert {key for _, key, *_ in expects} == {keys.COLONY, keys.member(EXECUTOR)}
