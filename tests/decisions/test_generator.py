"""Generators: what a decision says, given what has happened."""

from collections.abc import Callable, Sequence
from typing import cast

import msgspec
import pytest

from broker import keys
from broker.aggregates import generator
from broker.aggregates.generator import (
    MOST_TRIGGER,
    TIMEOUT,
    AddGenerator,
    Batch,
    GeneratorPostponed,
    GeneratorRemoved,
    GeneratorRow,
)
from broker.aggregates.process import NodeSubmitted
from broker.aggregates.succession import MOST_PASSED_ON
from broker.aggregates.user import UserRemoved
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid, Missing, Overloaded
from tests.facts import CLI, OWNER, STRANGER, T0, USER, class_added, inhabited
from tests.plans import (
    CAPACITY,
    GENERATOR,
    GRAPH,
    SECOND_NS,
    TEMPLATE,
    drawn,
    generator_added,
    packed,
    triggered,
)
from tests.scenario import World, given

NOW = T0 + 100 * SECOND_NS
LIVED = (*inhabited(), class_added())
GONE = UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice")
NO_CREATOR = "its creator is no longer a member of the colony"


def row_in(world: World) -> GeneratorRow | None:
    return GeneratorRow.read(GENERATOR, world.hash(keys.generator(GENERATOR)))


def batch_in(world: World, *, full: bool = False) -> Batch:
    waiting = cast("list[bytes]", world.values.get(keys.packed_arguments(GENERATOR), []))
    return Batch(
        workflow_id=GRAPH,
        nodes=drawn(),
        arguments=[argument.decode() for argument in waiting],
        creator=world.member(USER),
        known={CLI.class_key},
        full=full,
    )


def pack(argument: str, caller: str = USER, *, full: bool = False) -> Callable[[World], Decision]:
    def decide(world: World) -> Decision:
        row = row_in(world)
        batch = batch_in(world, full=full) if row and row.room == 1 else None
        return generator.pack(world.gate(caller), row, argument, batch, NOW)

    return decide


def flush(now_ns: int = NOW, *, full: bool = False) -> Callable[[World], Decision]:
    return lambda world: generator.flush(row_in(world), batch_in(world, full=full), now_ns)


def given_arguments(decision: Decision) -> list[tuple[object, object]]:
    """``args`` and ``kwargs`` of each process, roots first."""
    specs = [msgspec.json.decode(e.spec) for e in decision.events if isinstance(e, NodeSubmitted)]
    return [(spec["args"], spec["kwargs"]) for spec in specs]


def kinds(decision: Decision) -> Sequence[str]:
    return [event.TYPE for event in decision.events]


# -------------------------------------------------------------------- adding


def command(**fields: object) -> AddGenerator:
    asked: dict[str, object] = {
        "generator_id": GENERATOR,
        "name": "gather",
        "trigger": 3,
        "timeout": -1,
        "workflow": "{}",
        "template": TEMPLATE,
        "roots": 1,
    }
    return AddGenerator(**asked | fields)  # pyright: ignore[reportArgumentType] - its fields


def add(caller: str = USER, namesake: str | None = None) -> Callable[[World], Decision]:
    return lambda world: generator.add(world.gate(caller), command(), namesake, T0)


def test_generator_is_added_empty() -> None:
    added = generator_added(capacity=MOST_PASSED_ON)

    given(*inhabited()).when(add()).then(added).unless(added).unless(GONE)


def test_only_members_add_generators() -> None:
    given(*inhabited()).when(add(STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


def test_name_belongs_to_one_generator() -> None:
    given(*inhabited()).when(add(namesake=GENERATOR)).rejected(
        Invalid, "Generator with name <gather> in Colony <dev> already exists"
    )


@pytest.mark.parametrize("trigger", [0, -1, MOST_TRIGGER + 1])
def test_trigger_that_could_not_be_reached_is_refused(trigger: int) -> None:
    with pytest.raises(Invalid, match="Generator trigger must be larger than 0 and at most 100000"):
        generator.check(command(trigger=trigger))


# -------------------------------------------------------------------- packing


def test_argument_waits_while_there_is_room_for_more() -> None:
    given(*LIVED, generator_added()).when(pack("a")).then(packed("a", NOW)).unless(GONE)


def test_packs_do_not_get_in_each_others_way() -> None:
    before = (*LIVED, generator_added())

    decision = pack("b")(World(before))

    assert World((*before, packed("a"))).failed(decision) == []


def test_pack_that_turns_out_to_be_the_last_is_a_conflict() -> None:
    given(*LIVED, generator_added()).when(pack("c")).unless(packed("a"), packed("b"))


def test_last_argument_starts_the_workflow_with_all_that_wait_in_order() -> None:
    waiting = (packed("a"), packed('say "b"'))

    decision = pack("c")(World((*LIVED, generator_added(), *waiting)))

    assert decision.events[:2] == (packed("c", NOW), triggered(3, NOW))
    assert given_arguments(decision) == [(["a", 'say "b"', "c"], {}), (["old"], {"k": 1})]
    assert decision.wakes == (CLI.class_key,)


def test_last_argument_conflicts_with_whatever_changes_what_waits() -> None:
    waiting = (packed("a"), packed("b"))
    when = given(*LIVED, generator_added(), *waiting).when(pack("c"))

    when.unless(packed("d"))
    when.unless(packed("d"), triggered(3, NOW), packed("e"), packed("f"))
    when.unless(GONE)
    when.unless(GeneratorRemoved(subject=GENERATOR, actor=USER, at_ns=NOW, name="gather"))


def test_room_is_there_again_after_the_workflow() -> None:
    before = (*LIVED, generator_added(), packed("a"), packed("b"))
    full = pack("c")(World(before)).events

    given(*before, *full).when(pack("d")).then(packed("d", NOW))


def test_trigger_of_one_starts_a_workflow_each_time_without_conflicts() -> None:
    before = (*LIVED, generator_added(trigger=1))
    decision = pack("a")(World(before))

    after: tuple[Event, ...] = (*before, packed("b"), triggered(1, NOW, trigger=1))

    assert given_arguments(decision)[0] == (["a"], {})
    assert World(after).failed(decision) == []


def test_argument_that_is_too_large_is_refused() -> None:
    given(*LIVED, generator_added()).when(pack("x" * CAPACITY)).rejected(
        Invalid,
        "Failed to increment generator, the arguments of one workflow would have more than"
        f" {CAPACITY} bytes",
    )


def test_arguments_that_would_be_too_large_together_conflict() -> None:
    half = "x" * (CAPACITY // 2)

    given(*LIVED, generator_added()).when(pack(half)).unless(packed(half))


def test_stranger_packs_nothing() -> None:
    given(*LIVED, generator_added()).when(pack("a", STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


def test_nothing_is_packed_into_an_unknown_generator() -> None:
    given(*LIVED).when(pack("a")).rejected(
        Missing, "Failed to increment generator, generator is nil"
    )


def test_last_argument_is_refused_when_the_creator_is_gone() -> None:
    before = (*LIVED, generator_added(trigger=1), GONE)

    given(*before).when(pack("a", "e1" * 32)).rejected(
        Invalid, f"Failed to increment generator, {NO_CREATOR}"
    )


def test_last_argument_is_refused_while_the_colony_is_full() -> None:
    given(*LIVED, generator_added(trigger=1)).when(pack("a", full=True)).rejected(
        Overloaded, "as many processes wait in the colony as the server allows; try again later"
    )


# -------------------------------------------------------------------- timeouts


def test_first_argument_says_when_it_will_have_waited_long_enough() -> None:
    due = packed("a", NOW, due_ns=NOW + 5 * SECOND_NS)

    given(*LIVED, generator_added(timeout=5)).when(pack("a")).then(due)


def test_argument_long_after_the_last_run_is_due_at_once() -> None:
    before = (*LIVED, generator_added(timeout=5), packed("a"), triggered(1, T0 + 2, TIMEOUT))

    given(*before).when(pack("b")).then(packed("b", NOW, due_ns=NOW))


def test_run_that_comes_meanwhile_makes_a_timed_pack_a_conflict() -> None:
    before = (*LIVED, generator_added(timeout=5))

    given(*before).when(pack("b")).unless(packed("a"), triggered(1, NOW, TIMEOUT))


def test_what_waited_long_enough_starts_a_workflow() -> None:
    due = T0 + 1 + 5 * SECOND_NS
    before = (*LIVED, generator_added(timeout=5), packed("a", due_ns=due), packed("b", due_ns=due))

    decision = flush(due)(World(before))

    assert decision.events[0] == triggered(2, due, TIMEOUT)
    assert given_arguments(decision)[0] == (["a", "b"], {})
    assert World(before).failed(decision) == []
    assert World((*before, packed("c"))).failed(decision) != []
    assert World((*before, triggered(2, due, TIMEOUT))).failed(decision) != []


def test_nothing_is_started_before_the_time() -> None:
    due = T0 + 1 + 5 * SECOND_NS
    before = (*LIVED, generator_added(timeout=5), packed("a", due_ns=due))

    given(*before).when(flush(due - 1)).then()


def test_nothing_is_started_with_nothing() -> None:
    given(*LIVED, generator_added(timeout=5)).when(flush()).then()
    given(*LIVED).when(flush()).then()


@pytest.mark.parametrize(
    ("events", "full", "reason"),
    [
        ((GONE,), False, NO_CREATOR),
        ((), True, "as many processes wait in the colony as the server allows"),
    ],
)
def test_what_cannot_be_started_now_stays_and_is_looked_at_later(
    events: tuple[Event, ...],
    full: bool,  # noqa: FBT001 - a parameter of the table
    reason: str,
) -> None:
    before = (*LIVED, generator_added(timeout=5), packed("a", due_ns=NOW), *events)
    postponed = GeneratorPostponed(
        subject=GENERATOR,
        actor="",
        at_ns=NOW,
        cause=TIMEOUT,
        reason=reason,
        due_ns=NOW + 60 * SECOND_NS,
    )

    given(*before).when(flush(full=full)).then(postponed)


# -------------------------------------------------------------------- removing


def remove(caller: str = USER) -> Callable[[World], Decision]:
    return lambda world: generator.remove(world.gate(caller), row_in(world), NOW)


def test_nothing_is_left_of_a_removed_generator() -> None:
    removed = GeneratorRemoved(subject=GENERATOR, actor=USER, at_ns=NOW, name="gather")
    before = (*LIVED, generator_added(timeout=5), packed("a", due_ns=NOW))

    given(*before).when(remove()).then(removed).unless(removed)

    assert World((*before, removed)).values == World(LIVED).values


def test_stranger_removes_no_generator() -> None:
    given(*LIVED, generator_added()).when(remove(STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


def test_unknown_generator_cannot_be_removed() -> None:
    given(*LIVED).when(remove()).rejected(Missing, "Failed to remove generator, generator is nil")
