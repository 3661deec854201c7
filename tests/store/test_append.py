"""One guarded step: all expectations hold and everything is written, or nothing is."""

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.colony import AssignmentsPaused
from broker.decision import Decision, Expect, absent, counts, equals, has, lacks, matches
from broker.errors import Corrupt, Replayed
from broker.keys import SERVER
from broker.position import Position
from broker.reading import Link
from broker.store import BY_SERVER, Conflict, Done, EventStore, Repeat, Signed
from tests.facts import (
    COLONY,
    EXECUTOR,
    LATER,
    OWNER,
    PROCESS,
    STRANGER,
    TAG,
    assigned,
    class_added,
    founded,
    inhabited,
    submitted,
)
from tests.store.ground import append, everything, types

PAUSED = AssignmentsPaused(subject=COLONY, actor=OWNER, at_ns=LATER)
MEMBER = keys.member(EXECUTOR)


def signed(nonce: str = "", *, digest: bytes = b"d" * 32) -> Signed:
    return Signed(caller=OWNER, proof=digest + bytes(65), nonce=nonce, nonce_ms=60_000)


HOLDING = [
    equals(keys.COLONY, "guard", 1),
    equals(MEMBER, "name", "worker"),
    matches(MEMBER, name="worker", kind="executor"),
    has(keys.COLONY, "owner"),
    lacks(keys.COLONY, "paused"),
    lacks(keys.member(STRANGER), "state"),
    absent(keys.member(STRANGER)),
    counts(keys.held(EXECUTOR), 1),
    counts(keys.held(STRANGER), 0),
]
FAILING = [
    equals(keys.COLONY, "guard", 2),
    equals(MEMBER, "state", "01"),
    equals(keys.member(STRANGER), "state", 1),
    equals(keys.COLONY, "none", ""),
    matches(MEMBER, name="worker", kind="user"),
    matches(MEMBER, name="idler", kind="executor"),
    matches(MEMBER, name="worker", none=""),
    matches(keys.member(STRANGER), name="worker"),
    has(keys.COLONY, "paused"),
    has(keys.member(STRANGER), "state"),
    lacks(keys.COLONY, "guard"),
    absent(keys.COLONY),
    absent(keys.held(EXECUTOR)),
    counts(keys.held(EXECUTOR), 0),
    counts(keys.held(EXECUTOR), 2),
    counts(keys.held(STRANGER), 1),
]


def spelled(expect: Expect) -> str:
    test, key, values = expect
    return "-".join(str(part)[:12] for part in (*test, key, *values))


@pytest.fixture
async def inhabited_store(store: EventStore) -> EventStore:
    await append(store, *inhabited(), class_added(), submitted(), assigned())
    return store


@pytest.mark.parametrize("expect", HOLDING, ids=spelled)
async def test_expectation_that_holds_lets_the_event_in(
    inhabited_store: EventStore, expect: Expect
) -> None:
    decision = Decision(expects=(expect,), events=(PAUSED,))

    outcome = await inhabited_store.append(TAG, decision, BY_SERVER)

    assert isinstance(outcome, Done)
    assert (await types(inhabited_store))[-1] == "AssignmentsPaused"


@pytest.mark.parametrize("expect", FAILING, ids=spelled)
async def test_expectation_that_fails_leaves_nothing(
    inhabited_store: EventStore, link: Link, expect: Expect
) -> None:
    before = await everything(link)
    decision = Decision(expects=(HOLDING[0], expect), events=(PAUSED,), wakes=("x",))

    outcome = await inhabited_store.append(TAG, decision, signed("nonce"))

    assert isinstance(outcome, Conflict)
    assert outcome.index == 1
    assert await everything(link) == before


async def test_conflict_answers_with_the_row_it_is_about(inhabited_store: EventStore) -> None:
    decision = Decision(expects=(equals(keys.COLONY, "guard", 9),), events=(PAUSED,))

    outcome = await inhabited_store.append(TAG, decision, BY_SERVER)

    assert isinstance(outcome, Conflict)
    assert outcome.row == (await inhabited_store.hashes(TAG, keys.COLONY))[0]


async def test_unknown_expectation_is_refused_before_anything_is_written(
    inhabited_store: EventStore, link: Link
) -> None:
    before = await everything(link)
    odd: Expect = (("resembles", "guard"), keys.COLONY, (1,))

    with pytest.raises(Corrupt, match="resembles"):
        await inhabited_store.append(TAG, Decision(expects=(odd,), events=(PAUSED,)), BY_SERVER)

    assert await everything(link) == before


async def test_accepted_events_are_there_once_in_order_with_their_rows(store: EventStore) -> None:
    events = (*inhabited(), class_added(), submitted(env={"A": "1"}), assigned())

    done = await append(store, *events)

    recorded = [each async for each in store.events(TAG)]
    assert tuple(each.event for each in recorded) == events
    assert str(recorded[-1].position) == done.last
    row, attributes = await store.hashes(TAG, keys.process(PROCESS), keys.ATTRIBUTES)
    assert (row[b"state"], row[b"holder"]) == (b"1", EXECUTOR.encode())
    assert list(attributes.values()) == [PROCESS.encode()]


async def test_event_carries_the_proof_of_who_asked(store: EventStore) -> None:
    await store.append(TAG, Decision(events=(founded(),)), signed())

    assert [each.signed async for each in store.events(TAG)] == [b"d" * 32 + bytes(65)]


async def test_decision_without_events_appends_nothing(store: EventStore) -> None:
    outcome = await store.append(TAG, Decision(expects=(absent(keys.COLONY),)), BY_SERVER)

    assert outcome == Done((), "")
    assert await types(store) == []


async def test_streams_of_two_tags_are_apart(store: EventStore) -> None:
    await append(store, founded())

    assert await types(store, SERVER) == []


@pytest.mark.parametrize("count", [499, 500, 501, 1_001])
async def test_every_page_of_a_long_stream_is_read(store: EventStore, count: int) -> None:
    await append(store, founded(), *[PAUSED] * (count - 1))

    assert len(await types(store)) == count


async def test_stream_is_read_up_to_a_position(store: EventStore) -> None:
    first = await append(store, founded())
    await append(store, PAUSED)

    assert [each.event async for each in store.events(TAG, until=Position.parse(first.last))] == [
        founded()
    ]


# ---------------------------------------------------------------- who asked, and for what


async def test_request_is_kept_with_the_first_of_its_events(store: EventStore) -> None:
    asked = Signed(caller=OWNER, proof=b"p" * 97, request=b"eyJhIjoxfQ==")

    await store.append(TAG, Decision(events=(founded(), PAUSED, PAUSED)), asked)

    carried = [recorded.signed async for recorded in store.events(TAG)]
    assert carried == [b"p" * 97 + b"eyJhIjoxfQ==", b"p" * 97, b"p" * 97]


# ---------------------------------------------------------------- nonces


async def test_repeat_with_a_nonce_answers_the_first_position(
    store: EventStore, link: Link
) -> None:
    decision = Decision(events=(founded(), PAUSED))
    first = await store.append(TAG, decision, signed("n"))
    before = await everything(link)

    again = await store.append(TAG, decision, signed("n"))

    assert isinstance(first, Done)
    assert again == Repeat(first.last)
    assert await everything(link) == before


async def test_repeat_is_answered_though_its_expectations_fail_by_now(store: EventStore) -> None:
    decision = Decision(expects=(absent(keys.COLONY),), events=(founded(),))
    await store.append(TAG, decision, signed("n"))

    assert isinstance(await store.append(TAG, decision, signed("n")), Repeat)


async def test_nonce_of_another_request_is_refused(store: EventStore, link: Link) -> None:
    await store.append(TAG, Decision(events=(founded(),)), signed("n"))
    before = await everything(link)

    with pytest.raises(Replayed):
        await store.append(TAG, Decision(events=(PAUSED,)), signed("n", digest=b"e" * 32))

    assert await everything(link) == before


async def test_nonce_of_a_kept_request_is_known_by_its_digest(store: EventStore) -> None:
    decision = Decision(events=(founded(), PAUSED))
    first = await store.append(TAG, decision, replace(signed("n"), request=b"e30="))

    assert isinstance(first, Done)
    assert await store.append(TAG, decision, signed("n")) == Repeat(first.last)


async def test_nonces_of_two_callers_do_not_meet(store: EventStore) -> None:
    decision = Decision(events=(founded(),))
    await store.append(TAG, decision, signed("n"))
    other = Signed(caller=EXECUTOR, proof=b"e" * 97, nonce="n", nonce_ms=60_000)

    assert isinstance(await store.append(TAG, decision, other), Done)


async def test_request_without_events_is_remembered_too(store: EventStore) -> None:
    await store.append(TAG, Decision(), signed("n"))

    assert await store.append(TAG, Decision(), signed("n")) == Repeat("")


async def test_nonce_expires(store: EventStore, link: Link) -> None:
    await store.append(TAG, Decision(events=(founded(),)), signed("n"))

    left = await link.call("PTTL", TAG.key(keys.nonce(OWNER, "n")))

    assert 0 < left <= 60_000


# ---------------------------------------------------------------- scripts


async def test_scripts_that_the_server_has_forgotten_are_sent_again(
    store: EventStore, link: Link
) -> None:
    await append(store, founded())
    await link.call("SCRIPT", "FLUSH")

    await append(store, PAUSED)

    assert await types(store) == ["ColonyFounded", "AssignmentsPaused"]


async def test_command_the_store_does_not_know_is_a_bug_and_not_retried(
    store: EventStore,
) -> None:
    with pytest.raises(Corrupt):
        await store.send("NOSUCHCOMMAND")
