"""Prepared appends: what is appended all the time has a script of its own, with the same effect."""

from itertools import count, product

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.process import ProcessClosed, ProcessSubmitted, State
from broker.aggregates.process_close import CloseProcess, close
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.process_submit import SubmitProcess, submit
from broker.decision import Decision, Event, Expect, absent, equals, has, matches
from broker.prepared import Prepared
from broker.reading import Link
from broker.store import BY_SERVER, Conflict, Done, EventStore, Repeat, Signed
from projections.core import fold
from projections.replay import verify
from tests.facts import (
    CLI,
    EXECUTOR,
    LATER,
    PROCESS,
    SECOND,
    STRANGER,
    T0,
    TAG,
    USER,
    assigned,
    class_added,
    closed,
    inhabited,
    submitted,
    user_added,
)
from tests.scenario import World
from tests.store.ground import append, everything

GUARDS = (equals(keys.COLONY, "guard", 1), equals(keys.member(EXECUTOR), "guard", T0 + 1))
KNOWN = has(keys.CLASSES, CLI.class_key)
HELD = matches(keys.process(PROCESS), state=1, holder=EXECUTOR, started=T0 + 5)

SUBMITTED = [
    submitted(max_exec_s=max_exec_s, wait_deadline_ns=wait_ns, priority_time=priority_time)
    for max_exec_s, wait_ns, priority_time in product(
        (-1, 0, 1, 9_999_999_999), (0, T0 + 10**9, 2**63 - 1), (T0, -(2**62), 0)
    )
]
CLOSED = [
    replace(closed(outcome=outcome), out=out, errors=errors, timed=timed)
    for outcome, out, errors, timed in product(
        (State.SUCCESS, State.FAILED),
        (None, b"[]", b'["\\u0000", "\xc3\xa9", 1]'),
        ([], ["it broke"], ["\udcff".encode("utf-8", "replace").decode(), "call('DEL')"]),
        (True, False),
    )
]


def is_prepared(event: Event, *expects: Expect, wakes: tuple[str, ...] = ()) -> bool:
    decision = Decision(expects=expects, events=(event,), wakes=wakes)
    return Prepared(fold).of(decision) is not None


@pytest.mark.parametrize("event", SUBMITTED, ids=count())
async def test_prepared_submit_is_the_event_and_what_the_fold_makes_of_it(
    store: EventStore, event: ProcessSubmitted
) -> None:
    await append(store, *inhabited(), class_added())
    expects = (*GUARDS, KNOWN)
    assert is_prepared(event, *expects, wakes=(CLI.class_key,))

    done = await store.append(
        TAG, Decision(expects=expects, events=(event,), wakes=(CLI.class_key,)), BY_SERVER
    )

    assert isinstance(done, Done)
    await in_the_log_and_the_rows(store, event, done)


@pytest.mark.parametrize("event", CLOSED, ids=count())
async def test_prepared_close_is_the_event_and_what_the_fold_makes_of_it(
    store: EventStore, event: ProcessClosed
) -> None:
    await append(store, *inhabited(), class_added(), submitted(max_exec_s=60), assigned())
    expects = (*GUARDS, HELD)
    assert is_prepared(event, *expects)

    done = await store.append(TAG, Decision(expects=expects, events=(event,)), BY_SERVER)

    assert isinstance(done, Done)
    await in_the_log_and_the_rows(store, event, done)


async def in_the_log_and_the_rows(store: EventStore, event: Event, done: Done) -> None:
    last = [recorded async for recorded in store.events(TAG)][-1]
    assert (last.event, str(last.position)) == (event, done.last)
    assert (await verify(store, TAG, fold)).differences == ()
    row = ProcessRow.read(PROCESS, (await store.hashes(TAG, keys.process(PROCESS)))[0])
    assert row is not None


async def test_entry_is_what_the_other_script_makes_of_it(store: EventStore, link: Link) -> None:
    """Field by field in the same order: Redis stores the names of fields once for a stretch."""
    first, second = submitted(PROCESS), submitted(SECOND)
    by = Signed(caller=USER, proof=bytes(range(97)), request=b"cmVxdWVzdA==")
    assert is_prepared(first)
    await store.append(TAG, Decision(events=(first,)), by)
    await store.append(TAG, Decision(events=(second, class_added())), by)

    one, other, _ = await link.call("XRANGE", TAG.key(keys.EVENTS), "-", "+")

    assert one[1][::2] == other[1][::2]
    assert one[1][13] == bytes(range(97)) + b"cmVxdWVzdA=="


@pytest.mark.parametrize("at", range(3))
async def test_expectation_of_a_prepared_submit_that_fails_leaves_nothing(
    store: EventStore, link: Link, at: int
) -> None:
    failing = (
        equals(keys.COLONY, "guard", 2),
        equals(keys.member(STRANGER), "guard", T0 + 1),
        has(keys.CLASSES, "0" * 16),
    )
    await append(store, *inhabited(), class_added())
    expects = [*GUARDS, KNOWN]
    expects[at] = failing[at]
    assert is_prepared(submitted(), *expects)
    before = await everything(link)

    outcome = await store.append(
        TAG, Decision(expects=tuple(expects), events=(submitted(),)), nonced("n")
    )

    assert isinstance(outcome, Conflict)
    assert outcome.index == at
    assert outcome.row == (await store.hashes(TAG, failing[at][1]))[0]
    assert await everything(link) == before


@pytest.mark.parametrize(
    "meanwhile",
    [
        matches(keys.process(PROCESS), state=2, holder=EXECUTOR, started=T0 + 5),
        matches(keys.process(PROCESS), state=1, holder=STRANGER, started=T0 + 5),
        matches(keys.process(PROCESS), state=1, holder=EXECUTOR, started=T0 + 6),
    ],
)
async def test_close_of_another_hold_leaves_nothing(
    store: EventStore, link: Link, meanwhile: Expect
) -> None:
    await append(store, *inhabited(), class_added(), submitted(), assigned())
    before = await everything(link)

    outcome = await store.append(
        TAG, Decision(expects=(*GUARDS, meanwhile), events=(closed(),)), BY_SERVER
    )

    assert isinstance(outcome, Conflict)
    assert outcome.index == 2
    assert outcome.row[b"holder"] == EXECUTOR.encode()
    assert await everything(link) == before


@pytest.mark.parametrize("name", ["é", "漢字", "'..call('FLUSHALL')..'", "]]\n--[[writes]]\0"])
async def test_expectation_may_name_whatever_there_is(store: EventStore, name: str) -> None:
    await append(store, *inhabited(), class_added(), user_added(STRANGER, name))
    there = equals(keys.NAMES, f"user/{name}", STRANGER)
    assert is_prepared(submitted(), there)

    done = await store.append(TAG, Decision(expects=(there,), events=(submitted(),)), BY_SERVER)

    assert isinstance(done, Done)
    await in_the_log_and_the_rows(store, submitted(), done)


async def test_prepared_append_with_a_nonce_takes_effect_once(store: EventStore) -> None:
    await append(store, *inhabited(), class_added())
    decision = Decision(expects=(*GUARDS, KNOWN), events=(submitted(),), wakes=(CLI.class_key,))

    done = await store.append(TAG, decision, nonced("once"))
    again = await store.append(TAG, decision, nonced("once"))

    assert isinstance(done, Done)
    assert again == Repeat(done.last)


def nonced(nonce: str) -> Signed:
    return Signed(caller=USER, proof=bytes(97), nonce=nonce, nonce_ms=60_000)


def test_what_is_decided_all_the_time_is_prepared() -> None:
    """Or nothing here would be of use."""
    world = World((*inhabited(), class_added(), submitted(), assigned()))
    gate = world.gate(EXECUTOR)
    command = SubmitProcess(
        process_id=SECOND,
        spec=b"{}",
        requires=CLI.pack(),
        function="echo",
        label="",
        priority=0,
        max_wait_s=60,
        max_exec_s=60,
        max_retries=3,
        env={},
    )
    ending = CloseProcess(process_id=PROCESS, outcome=State.SUCCESS, out=b"[1]", errors=[])

    submitting = submit(gate, command, LATER, class_known=True)
    closing = close(gate, ending, world.process(PROCESS), LATER)

    assert Prepared(fold).of(submitting) is not None
    assert Prepared(fold).of(closing) is not None


@pytest.mark.parametrize(
    ("events", "expects", "wakes"),
    [
        ((submitted(env={"A": "1"}),), (), ()),
        ((replace(submitted(), cause="cron"),), (), ()),
        ((replace(closed(), cause="sweep"),), (), ()),
        ((class_added(), submitted()), (), ()),
        ((assigned(),), (), ()),
        ((submitted(),), (absent(keys.process(PROCESS)),), ()),
        ((submitted(),), (), ("a", "b")),
        ((), (), ()),
    ],
    ids=[
        "environment",
        "cause of a submit",
        "cause of a close",
        "two events",
        "another event",
        "another test",
        "two notices",
        "no event",
    ],
)
def test_what_comes_now_and_then_is_not(
    events: tuple[Event, ...], expects: tuple[Expect, ...], wakes: tuple[str, ...]
) -> None:
    assert Prepared(fold).of(Decision(expects=expects, events=events, wakes=wakes)) is None


def test_there_are_never_too_many_scripts() -> None:
    """Tests that name data, should a decision have such, do not fill memory here and in Redis."""
    prepared = Prepared(fold)

    found = [
        prepared.of(
            Decision(expects=(equals(keys.NAMES, f"user/{n}", USER),), events=(submitted(),))
        )
        for n in range(1_000)
    ]

    assert found[0] is not None
    assert found[-1] is None
