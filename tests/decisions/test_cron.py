"""Crons: what a decision says, given what has happened."""

from collections.abc import Callable
from datetime import UTC

import pytest

from broker import keys
from broker.access import Gate
from broker.aggregates import cron
from broker.aggregates.cron import (
    RUN,
    SKIP,
    AddCron,
    CronRemoved,
    CronRow,
    CronSkipped,
    Occasion,
)
from broker.aggregates.process import State
from broker.aggregates.succession import MOST_PASSED_ON
from broker.aggregates.user import UserIdChanged, UserRemoved
from broker.aggregates.workflow import WorkflowLeft, WorkflowRow
from broker.clock import LAST_NS
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid, Missing
from tests.facts import CLI, OTHER, OWNER, STRANGER, T0, USER, class_added, inhabited
from tests.plans import (
    CRON,
    GRAPH,
    PREVIOUS,
    SECOND_NS,
    TEMPLATE,
    cron_added,
    cron_fired,
    cron_held,
    draft,
    spawned,
    workflow_ended,
    workflow_key,
)
from tests.scenario import World, given

NEXT = T0 + 10 * SECOND_NS
NOW = NEXT + 20_000_000
LIVED = (*inhabited(), class_added())


def occasion(world: World, *, output: bytes = b"[]", full: bool = False) -> Occasion:
    row = CronRow.read(CRON, world.hash(keys.cron(CRON)))
    previous = row.previous if row else ""
    return Occasion(
        cron=row,
        creator=world.member(row.initiator_id) if row else None,
        previous=WorkflowRow.read(previous, world.hash(workflow_key(previous))),
        output=output,
        known={CLI.class_key},
        full=full,
    )


def tick(
    now_ns: int = NOW, *, output: bytes = b"[]", full: bool = False
) -> Callable[[World], Decision]:
    return lambda world: cron.tick(occasion(world, output=output, full=full), draft(), UTC, now_ns)


def run(caller: str = USER, now_ns: int = NOW) -> Callable[[World], Decision]:
    return lambda world: cron.run(world.gate(caller), occasion(world), draft(), UTC, now_ns)


def ran_before(*, waits: bool = True, next_ns: int = NEXT, of: str = "4") -> tuple[Event, ...]:
    """A cron that has started a workflow, which waits."""
    return (
        *LIVED,
        cron_added(waits=waits, next_ns=T0),
        *spawned(PREVIOUS, of, T0),
        cron_fired(T0, next_ns),
    )


def skipped(reason: str, next_ns: int, now_ns: int = NOW) -> CronSkipped:
    return CronSkipped(
        subject=CRON, actor="", at_ns=now_ns, cause="tick", reason=reason, next_ns=next_ns
    )


def fired(
    next_ns: int,
    now_ns: int = NOW,
    *,
    was_next: int = NEXT,
    was_last: int = 0,
    was_workflow: str = "",
) -> Event:
    return cron_fired(
        now_ns, next_ns, GRAPH, was_next=was_next, was_last=was_last, was_workflow=was_workflow
    )


# -------------------------------------------------------------------- adding


def command(**fields: object) -> AddCron:
    asked: dict[str, object] = {
        "cron_id": CRON,
        "name": "tick",
        "expression": "",
        "interval": 10,
        "random": False,
        "waits": False,
        "missed": SKIP,
        "workflow": "{}",
        "template": TEMPLATE,
        "chance": 3,
    }
    return AddCron(**asked | fields)  # pyright: ignore[reportArgumentType] - fields of AddCron


def add(
    caller: str = USER, namesake: str | None = None, **fields: object
) -> Callable[..., Decision]:
    def decide(world: World) -> Decision:
        return cron.add(world.gate(caller), command(**fields), namesake, UTC, T0)

    return decide


def test_cron_is_added_with_its_first_time() -> None:
    (
        given(*inhabited())
        .when(add())
        .then(cron_added())
        .unless(cron_added())
        .unless(UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice"))
    )


def test_first_time_of_an_expression_is_the_next_that_matches() -> None:
    minute = T0 - T0 % (60 * SECOND_NS) + 60 * SECOND_NS
    added = cron_added(expression="0 * * * * *", interval=-1, next_ns=minute)

    given(*inhabited()).when(add(expression="0 * * * * *", interval=-1)).then(added)


def test_random_first_time_is_within_the_interval() -> None:
    added = cron_added(random=True, next_ns=T0 + 3 * SECOND_NS)

    given(*inhabited()).when(add(random=True)).then(added)


def test_only_members_add_crons() -> None:
    given(*inhabited()).when(add(STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


def test_name_belongs_to_one_cron() -> None:
    given(*inhabited(), cron_added()).when(add(namesake=CRON)).rejected(
        Invalid, "Cron with name <tick> in Colony <dev> already exists"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Cron name is empty"),
        ("x" * 257, "Cron name is longer than 256 characters"),
        ("a\nb", "Cron name 'a\\nb' has a control character"),
    ],
)
def test_name_can_be_shown(name: str, text: str) -> None:
    given(*inhabited()).when(add(name=name)).rejected(Invalid, text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"interval": 0}, "Cron interval must be -1 (disabled) or larger than 0"),
        ({"interval": -2}, "Cron interval must be -1 (disabled) or larger than 0"),
        (
            {"interval": 10**9 + 1},
            "Cron interval must be -1 (disabled) or larger than 0, and at most 1000000000",
        ),
        ({"interval": -1}, "empty cron expression string"),
        (
            {"interval": -1, "expression": "* * * * * *", "random": True},
            "Random cron is only supported when specifying intervals",
        ),
        ({"missed": "perhaps"}, "Cron missed must be skip or run"),
    ],
)
def test_cron_whose_times_cannot_be_told_is_refused(fields: dict[str, object], text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        cron.check(command(**fields), UTC)

    assert str(refusal.value) == text


def test_expression_is_not_looked_at_where_an_interval_counts() -> None:
    cron.check(command(expression="nonsense"), UTC)


# -------------------------------------------------------------------- its time comes


def test_workflow_is_started_and_the_time_moved_in_one_step() -> None:
    (
        given(*LIVED, cron_added())
        .when(tick())
        .then(*spawned(GRAPH, "3", NOW), fired(NEXT + 10 * SECOND_NS))
        .wakes(CLI.class_key)
    )


def test_tick_that_another_server_was_faster_with_is_a_conflict() -> None:
    given(*LIVED, cron_added()).when(tick()).unless(cron_fired(NOW, NEXT + 10 * SECOND_NS))


def test_tick_that_a_run_by_hand_was_faster_with_is_a_conflict_though_the_time_is_the_same() -> (
    None
):
    given(*LIVED, cron_added()).when(tick()).unless(cron_fired(NOW, NEXT, actor=USER))


def test_creator_that_is_removed_meanwhile_is_a_conflict() -> None:
    gone = UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice")

    given(*LIVED, cron_added()).when(tick()).unless(gone)


def test_cron_that_is_removed_meanwhile_is_a_conflict() -> None:
    removed = CronRemoved(subject=CRON, actor=USER, at_ns=NOW, name="tick")

    given(*LIVED, cron_added()).when(tick()).unless(removed)


def test_nothing_happens_before_the_time() -> None:
    given(*LIVED, cron_added()).when(tick(NEXT - 1)).then()


def test_cron_without_a_time_never_fires() -> None:
    given(*LIVED, cron_added(next_ns=0)).when(tick(LAST_NS)).then()


def test_cron_that_is_gone_does_nothing() -> None:
    given(*LIVED).when(tick()).then()


def test_next_time_of_an_interval_does_not_drift() -> None:
    late = NEXT + 4 * SECOND_NS + 1

    given(*LIVED, cron_added()).when(tick(late)).then(
        *spawned(GRAPH, "3", late), fired(NEXT + 10 * SECOND_NS, late)
    )


def test_next_time_of_a_random_interval_is_what_was_drawn() -> None:
    given(*LIVED, cron_added(random=True)).when(tick()).then(
        *spawned(GRAPH, "3", NOW), fired(NOW + 7 * SECOND_NS)
    )


def test_roots_get_what_the_previous_workflow_put_out() -> None:
    given(*ran_before(waits=False)).when(tick(output=b'["x",7]')).then(
        *spawned(GRAPH, "3", NOW, b'["x",7]'),
        fired(NEXT + 10 * SECOND_NS, was_last=T0, was_workflow=PREVIOUS),
    )


# -------------------------------------------------------------------- missed times


def test_time_that_is_missed_is_skipped_and_the_next_is_after_now() -> None:
    late = NEXT + 47 * SECOND_NS

    given(*LIVED, cron_added()).when(tick(late)).then(
        skipped("missed by 47 s", NEXT + 50 * SECOND_NS, late)
    )


def test_time_that_is_missed_is_made_up_for_once_where_the_cron_says_so() -> None:
    late = NEXT + 47 * SECOND_NS

    given(*LIVED, cron_added(missed=RUN)).when(tick(late)).then(
        *spawned(GRAPH, "3", late), fired(NEXT + 50 * SECOND_NS, late)
    )


DAY_S = 86_400


@pytest.mark.parametrize(
    ("interval", "late_s", "is_missed"),
    [
        (1, 5, False),
        (1, 6, True),
        (60, 6, False),
        (60, 7, True),
        (DAY_S, 300, False),
        (DAY_S, 301, True),
    ],
)
def test_lateness_of_a_tenth_of_the_interval_is_no_miss(
    interval: int,
    late_s: int,
    is_missed: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    decision = tick(NEXT + late_s * SECOND_NS)(World((*LIVED, cron_added(interval=interval))))

    assert isinstance(decision.events[-1], CronSkipped) is is_missed


def test_last_time_of_an_expression_has_a_grace_too() -> None:
    last = cron_added(expression="0 0 0 30 2 *", interval=-1)

    decision = tick(NEXT + 300 * SECOND_NS)(World((*LIVED, last)))

    assert decision.events[-1] == fired(0, NEXT + 300 * SECOND_NS)


# -------------------------------------------------------------------- waiting for the previous


def test_cron_waits_while_its_previous_workflow_goes_on() -> None:
    given(*ran_before()).when(tick()).then(cron_held(NOW))


def test_waiting_is_written_down_once() -> None:
    given(*ran_before(), cron_held(NOW)).when(tick(NOW + 100 * SECOND_NS)).then()


@pytest.mark.parametrize("outcome", [State.SUCCESS, State.FAILED, State.CANCELLED])
def test_cron_that_waited_fires_when_the_workflow_has_ended(outcome: State) -> None:
    late = NOW + 1_000 * SECOND_NS
    ended = workflow_ended(int(outcome))

    given(*ran_before(), cron_held(NOW), ended).when(tick(late)).then(
        *spawned(GRAPH, "3", late),
        fired(NEXT + 1_010 * SECOND_NS, late, was_last=T0, was_workflow=PREVIOUS),
    )


def test_removed_workflow_is_not_waited_for() -> None:
    left = WorkflowLeft(subject=PREVIOUS, actor=USER, at_ns=T0 + 1, was=0)

    given(*ran_before(), left).when(tick()).then(
        *spawned(GRAPH, "3", NOW),
        fired(NEXT + 10 * SECOND_NS, was_last=T0, was_workflow=PREVIOUS),
    )


def test_cron_that_need_not_wait_does_not() -> None:
    given(*ran_before(waits=False)).when(tick()).then(
        *spawned(GRAPH, "3", NOW),
        fired(NEXT + 10 * SECOND_NS, was_last=T0, was_workflow=PREVIOUS),
    )


# -------------------------------------------------------------------- obstacles


def test_time_passes_when_the_creator_is_gone() -> None:
    gone = UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice")

    given(*LIVED, cron_added(), gone).when(tick()).then(
        skipped("its creator is no longer a member of the colony", NEXT + 10 * SECOND_NS)
    )


def test_time_passes_while_the_colony_is_full() -> None:
    given(*LIVED, cron_added()).when(tick(full=True)).then(
        skipped("as many processes wait in the colony as the server allows", NEXT + 10 * SECOND_NS)
    )


def test_time_passes_when_there_is_too_much_to_pass_on() -> None:
    given(*ran_before(waits=False)).when(tick(output=b"[" + b"1" * MOST_PASSED_ON + b"]")).then(
        skipped(
            "its previous workflow has put out more than can be passed on", NEXT + 10 * SECOND_NS
        )
    )


def test_expression_that_this_server_cannot_read_is_tried_again_later() -> None:
    unknown = cron_added(expression="TZ=Mars/Base @daily", interval=-1)

    given(*LIVED, unknown).when(tick()).then(
        skipped(
            "provided bad location Mars/Base: unknown time zone Mars/Base (character 4)",
            NOW + 60 * SECOND_NS,
        )
    )


# -------------------------------------------------------------------- running by hand


def test_run_starts_the_workflow_now_and_counts_the_interval_from_now() -> None:
    (
        given(*LIVED, cron_added())
        .when(run(now_ns=T0 + 3 * SECOND_NS))
        .then(
            *spawned(GRAPH, "3", T0 + 3 * SECOND_NS),
            cron_fired(T0 + 3 * SECOND_NS, T0 + 13 * SECOND_NS, GRAPH, actor=USER, was_next=NEXT),
        )
        .unless(UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice"))
    )


def test_stranger_runs_nothing() -> None:
    given(*LIVED, cron_added()).when(run(STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


def test_run_does_nothing_while_the_previous_workflow_goes_on() -> None:
    given(*ran_before()).when(run()).then()


def test_run_of_an_unknown_cron_is_refused() -> None:
    given(*LIVED).when(
        lambda world: cron.run(world.gate(USER), Occasion(cron=None), None, UTC, NOW)
    ).rejected(Invalid, "cron not found")


def test_run_without_a_creator_is_refused() -> None:
    gone = UserRemoved(subject=USER, actor=OWNER, at_ns=T0, name="alice")

    given(*LIVED, cron_added(), gone).when(run("e1" * 32)).rejected(
        Invalid, "Failed to run cron, its creator is no longer a member of the colony"
    )


def test_workflow_is_started_for_the_creator_under_the_key_it_has_now() -> None:
    changed = UserIdChanged(
        subject=OTHER, actor=USER, at_ns=T0, name="alice", old_id=USER, email="", phone=""
    )

    def decide(world: World) -> Decision:
        found = occasion(world)
        renewed = Occasion(cron=found.cron, creator=world.member(OTHER), known={CLI.class_key})
        return cron.tick(renewed, draft(), UTC, NOW)

    decision = decide(World((*LIVED, cron_added(), changed)))

    assert {event.actor for event in decision.events[:-1]} == {OTHER}


# -------------------------------------------------------------------- removing


def remove(caller: str = USER) -> Callable[[World], Decision]:
    def decide(world: World) -> Decision:
        gate: Gate = world.gate(caller)
        return cron.remove(gate, CronRow.read(CRON, world.hash(keys.cron(CRON))), NOW)

    return decide


def test_member_removes_a_cron() -> None:
    removed = CronRemoved(subject=CRON, actor=USER, at_ns=NOW, name="tick")

    given(*LIVED, cron_added()).when(remove()).then(removed).unless(removed)


def test_nothing_is_left_of_a_removed_cron() -> None:
    removed = CronRemoved(subject=CRON, actor=USER, at_ns=NOW, name="tick")

    before, after = World(LIVED), World((*LIVED, cron_added(), cron_held(NOW), removed))

    assert after.values == before.values


def test_stranger_removes_no_cron() -> None:
    given(*LIVED, cron_added()).when(remove(STRANGER)).rejected(
        Denied, "Access denied, not a member of Colony with name <dev>"
    )


def test_unknown_cron_cannot_be_removed() -> None:
    given(*LIVED).when(remove()).rejected(Missing, "Failed to remove cron, cron is nil")
