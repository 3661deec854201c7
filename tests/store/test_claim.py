"""claim.lua: the first of all classes, exactly once, or a reason why not."""

import asyncio

import pytest
from msgspec.structs import asdict, replace

from broker import keys
from broker.aggregates.colony import AssignmentsPaused, AssignmentsResumed, ColonyOwnerChanged
from broker.aggregates.executor import ExecutorRejected, ExecutorRemoved
from broker.aggregates.process import NodeSubmitted, ProcessAssigned
from broker.aggregates.workflow import WorkflowSubmitted
from broker.decision import Event
from broker.errors import Replayed
from broker.matching import Requirement
from broker.reading import Link
from broker.store import BY_SERVER, Claimed, EventStore, NotClaimed, Repeat, Signed
from projections.core import fold
from projections.replay import verify
from tests.facts import (
    CLI,
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    PROCESS,
    SECOND,
    SUFFIX,
    T0,
    TAG,
    USER,
    class_added,
    inhabited,
    submitted,
)
from tests.store.ground import append, claim, everything, types

GPU = Requirement(executor_type="gpu")
LARGE = Requirement(executor_type="cli", cpu=8_000)
NAMED = Requirement(executor_type="cli", names=("worker",))
ALL = (CLI, GPU, LARGE, NAMED)
LAST = 2**63 - 1


@pytest.fixture
async def waiting(store: EventStore) -> EventStore:
    """One process waits."""
    await append(store, *inhabited(), class_added(), submitted())
    return store


async def claimed(store: EventStore, *classes: Requirement, epoch: int) -> str:
    outcome = await store.claim(TAG, claim(*classes, epoch=epoch), BY_SERVER)
    assert isinstance(outcome, Claimed)
    return outcome.process_id


async def test_claim_gives_the_process_and_its_row_afterwards(waiting: EventStore) -> None:
    outcome = await waiting.claim(TAG, claim(epoch=1), BY_SERVER)

    assert isinstance(outcome, Claimed)
    assert outcome.process_id == PROCESS
    assert outcome.row == (await waiting.hashes(TAG, keys.process(PROCESS)))[0]
    assert (outcome.row[b"state"], outcome.row[b"holder"]) == (b"1", EXECUTOR.encode())
    assert outcome.row[b"started"] == b"%d" % (T0 + 7)


async def test_claim_appends_the_event_the_fold_knows(waiting: EventStore) -> None:
    proof = Signed(caller=EXECUTOR, proof=b"p" * 97)
    await waiting.claim(TAG, claim(epoch=1), proof)

    last = [each async for each in waiting.events(TAG)][-1]
    assert last.signed == b"p" * 97
    assert last.event == ProcessAssigned(
        subject=PROCESS,
        actor=EXECUTOR,
        at_ns=T0 + 7,
        class_key=CLI.class_key,
        queued_as=keys.queue_member(T0, PROCESS),
        max_exec_s="0" * 10,
    )


async def test_request_of_a_claim_is_kept_once(store: EventStore) -> None:
    node = NodeSubmitted(
        **asdict(submitted()),
        graph=SECOND,
        node="a",
        order=0,
        parents=[],
        children=[],
        input=b"",
    )
    workflow = WorkflowSubmitted(
        subject=SECOND,
        actor=USER,
        at_ns=T0,
        initiator_name="alice",
        roots=[PROCESS],
        processes=[PROCESS],
    )
    await append(store, *inhabited(), class_added(), node, workflow)
    asked = Signed(caller=EXECUTOR, proof=b"p" * 97, request=b"e30=")

    await store.claim(TAG, claim(epoch=1), asked)

    carried = {each.event.TYPE: each.signed async for each in store.events(TAG)}
    assert carried["ProcessAssigned"] == b"p" * 97 + b"e30="
    assert carried["WorkflowStarted"] == b"p" * 97


@pytest.mark.parametrize("max_exec_s", [-1, 0, 1, 60, 9_999_999_999])
@pytest.mark.parametrize("wait_deadline_ns", [0, T0 + 10**9, LAST])
async def test_replaying_a_claim_gives_the_live_rows(
    store: EventStore, max_exec_s: int, wait_deadline_ns: int
) -> None:
    process = submitted(max_exec_s=max_exec_s, wait_deadline_ns=wait_deadline_ns, env={"A": "1"})
    await append(store, *inhabited(), class_added(), process)

    await store.claim(TAG, claim(epoch=1), BY_SERVER)

    assert (await verify(store, TAG, fold)).differences == ()


@pytest.mark.parametrize(("max_exec_s", "due"), [(-1, []), (60, [T0 // 10**6 + 60_000])])
async def test_only_a_limited_process_gets_an_execution_deadline(
    store: EventStore, link: Link, max_exec_s: int, due: list[int]
) -> None:
    await append(store, *inhabited(), class_added(), submitted(max_exec_s=max_exec_s))

    await store.claim(TAG, claim(epoch=1), BY_SERVER)

    found = await link.call("ZRANGE", TAG.key(keys.DUE), 0, -1, "WITHSCORES")
    assert [int(float(score)) for score in found[1::2]] == due


async def test_order_is_exact_to_the_nanosecond_over_all_classes(store: EventStore) -> None:
    times = [-(2**63), -5, 0, 1, T0 - 23, T0, T0 + 1, T0 + 23, T0 + 24, LAST]
    ids = [f"{n:056d}{SUFFIX}" for n in range(len(times))]
    # Handed in backwards, spread over the classes, so that no order of arrival helps.
    spread = reversed(list(enumerate(zip(times, ids, strict=True))))
    waiting = [
        submitted(process_id, requirement=ALL[n % 4], priority_time=at)
        for n, (at, process_id) in spread
    ]
    await append(store, *inhabited(), *map(class_added, ALL), *waiting)

    taken = [await claimed(store, *ALL, epoch=4) for _ in times]

    assert taken == ids


async def test_equal_times_go_by_process_id(store: EventStore) -> None:
    waiting = (submitted(SECOND, requirement=CLI), submitted(PROCESS, requirement=NAMED))
    await append(store, *inhabited(), *map(class_added, ALL), *waiting)

    assert [await claimed(store, *ALL, epoch=4) for _ in waiting] == [PROCESS, SECOND]


async def test_classes_that_were_not_asked_for_are_left_alone(store: EventStore) -> None:
    await append(store, *inhabited(), *map(class_added, ALL), submitted(requirement=GPU))

    assert await store.claim(TAG, claim(CLI, NAMED, epoch=4), BY_SERVER) == NotClaimed("empty")


async def test_nobody_gets_a_process_twice(store: EventStore) -> None:
    ids = [f"{n:056d}{SUFFIX}" for n in range(20)]
    await append(store, *inhabited(), class_added(), *map(submitted, ids))

    outcomes = await asyncio.gather(
        *(store.claim(TAG, claim(epoch=1, now_ns=T0 + n), BY_SERVER) for n in range(40))
    )

    taken = [each.process_id for each in outcomes if isinstance(each, Claimed)]
    assert sorted(taken) == ids
    assert sum(each == NotClaimed("empty") for each in outcomes) == 20


REMOVED = ExecutorRemoved(subject=EXECUTOR, actor=OWNER, at_ns=LATER, name="worker")
REFUSALS: list[tuple[str, tuple[Event, ...]]] = [
    ("member", (REMOVED,)),
    ("member", (ExecutorRejected(subject=EXECUTOR, actor=OWNER, at_ns=LATER),)),
    ("colony", (ColonyOwnerChanged(subject=COLONY, actor=OWNER, at_ns=LATER, owner="0" * 64),)),
    ("classes", (class_added(GPU),)),
    ("colony", (AssignmentsPaused(subject=COLONY, actor=OWNER, at_ns=LATER),)),
]


@pytest.mark.parametrize(("why", "meanwhile"), REFUSALS, ids=lambda part: str(part)[:20])
async def test_what_changed_meanwhile_is_told_and_nothing_is_written(
    waiting: EventStore, link: Link, why: str, meanwhile: tuple[Event, ...]
) -> None:
    await append(waiting, *meanwhile)
    before = await everything(link)

    outcome = await waiting.claim(TAG, claim(epoch=1), Signed(caller=EXECUTOR, nonce="n"))

    assert outcome == NotClaimed(why)
    assert await everything(link) == before


async def test_unknown_colony_gives_out_nothing(store: EventStore, link: Link) -> None:
    assert await store.claim(TAG, claim(epoch=0), BY_SERVER) == NotClaimed("colony")
    assert await everything(link) == {}


async def test_paused_colony_gives_out_nothing(waiting: EventStore, link: Link) -> None:
    await append(waiting, AssignmentsPaused(subject=COLONY, actor=OWNER, at_ns=LATER))
    before = await everything(link)

    outcome = await waiting.claim(TAG, claim(epoch=1, guard=2), Signed(caller=EXECUTOR, nonce="n"))

    assert outcome == NotClaimed("paused")
    assert await everything(link) == before


async def test_resumed_colony_gives_out_again(waiting: EventStore) -> None:
    await append(waiting, AssignmentsPaused(subject=COLONY, actor=OWNER, at_ns=LATER))
    await append(waiting, AssignmentsResumed(subject=COLONY, actor=OWNER, at_ns=LATER))

    assert isinstance(await waiting.claim(TAG, claim(epoch=1, guard=3), BY_SERVER), Claimed)


async def test_repeat_with_a_nonce_claims_nothing_more(waiting: EventStore, link: Link) -> None:
    await append(waiting, submitted(SECOND))
    signed = Signed(caller=EXECUTOR, proof=b"d" * 97, nonce="n", nonce_ms=60_000)
    first = await waiting.claim(TAG, claim(epoch=1), signed)
    before = await everything(link)

    again = await waiting.claim(TAG, claim(epoch=1), signed)

    assert isinstance(first, Claimed)
    assert again == Repeat(first.position)
    assert await everything(link) == before


async def test_nonce_of_another_request_claims_nothing(waiting: EventStore) -> None:
    await append(waiting, submitted(SECOND))
    first = Signed(caller=EXECUTOR, proof=b"d" * 97, nonce="n", nonce_ms=60_000)
    await waiting.claim(TAG, claim(epoch=1), first)

    with pytest.raises(Replayed):
        await waiting.claim(TAG, claim(epoch=1), replace(first, proof=b"e" * 97))

    assert (await types(waiting)).count("ProcessAssigned") == 1


async def test_try_in_vain_does_not_use_up_the_nonce(waiting: EventStore) -> None:
    signed = Signed(caller=EXECUTOR, proof=b"d" * 97, nonce="n", nonce_ms=60_000)
    assert await waiting.claim(TAG, claim(GPU, epoch=1), signed) == NotClaimed("empty")

    assert isinstance(await waiting.claim(TAG, claim(epoch=1), signed), Claimed)
