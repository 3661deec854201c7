"""Workflows from submit to removal, on a fake and on a real store."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from api import wire_executor, wire_process
from api import wire_workflow as graphs
from api.handlers import executor, process
from broker.aggregates.process import ProcessReleased, State
from broker.aggregates.process_end import WORKFLOW_FAILED
from broker.aggregates.process_retry import RAN_TOO_LONG, WAITED_TOO_LONG
from broker.errors import Denied, Invalid, Missing, NotFound, Rejected
from broker.store import EventStore
from tests.facts import COLONY, EXECUTOR, OTHER, OWNER, STRANGER, USER
from tests.workshop import DIAMOND, Workshop, assignments, name_of, spec

CHAIN = (spec("a"), spec("b", "a"), spec("c", "b"))
WAITING, RUNNING, SUCCESS, FAILED, CANCELLED = State
MANY = 130
"""Processes of a workflow that is swept in more than one step."""


@pytest.fixture
async def shop(store: EventStore) -> Workshop:
    shop = Workshop(store)
    await shop.found()
    return shop


def values(raw: msgspec.Raw) -> Any:  # noqa: ANN401 - JSON
    """What a free-form field holds."""
    return msgspec.json.decode(raw)


async def state_of(shop: Workshop, begun: graphs.ProcessGraph) -> int:
    """The state of a workflow."""
    return (await shop.graph(begun.processgraphid)).state


async def errors_of(shop: Workshop, *process_ids: str) -> list[list[str]]:
    """Why processes failed."""
    return [(await shop.look(i)).errors for i in process_ids]


def wide(count: int, **fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    """One that many wait for."""
    return [spec("root"), *(spec(f"n{at}", "root", **fields) for at in range(count - 1))]


# -------------------------------------------------------------------- from end to end


async def test_diamond_runs_with_inputs_in_dependency_order(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)

    for at in range(3):
        for name, process_id in (await shop.take()).items():
            await shop.finish(process_id, name, at)

    shown = [await shop.look(i) for i in begun.processids]
    assert [values(each.input) for each in shown] == [
        [],
        ["a", 0],
        ["a", 0],
        ["c", 1, "b", 1],
    ]
    assert await state_of(shop, begun) == SUCCESS
    await shop.is_sound()


async def test_input_is_there_when_a_process_is_assigned(shop: Workshop) -> None:
    await shop.begin(*CHAIN)
    await shop.finish((await shop.assign()).processid, 1, [2], None)

    given = await shop.assign()

    assert (values(given.input), given.waitforparents) == ([1, [2], None], False)


async def test_output_that_was_set_survives_a_close_without_output(shop: Workshop) -> None:
    await shop.begin(*CHAIN)
    given = await shop.assign()
    await shop.set_output(given.processid, "set")
    await shop.finish(given.processid)

    assert values((await shop.assign()).input) == ["set"]
    await shop.is_sound()


async def test_workflow_shows_what_the_protocol_says_when_it_is_submitted(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)

    assert (begun.state, begun.initiatorid, begun.initiatorname) == (WAITING, USER, "alice")
    assert (begun.rootprocessids, begun.nodes, begun.edges) == ([begun.processids[0]], [], [])
    assert {begun.submissiontime, begun.starttime, begun.endtime} == {"0001-01-01T00:00:00Z"}
    assert [name_of(await shop.look(i)) for i in begun.processids] == ["a", "b", "c", "d"]


async def test_workflow_shows_its_processes_depth_first(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)
    a, b, c, d = begun.processids

    shown = await shop.graph(begun.processgraphid)

    assert shown.processids == [a, b, d, c]
    assert [node.data.label for node in shown.nodes] == ["a", "b", "d", "c"]
    assert shown.submissiontime != shown.starttime == shown.endtime


async def test_held_process_waits_for_its_parents_and_is_not_given_out(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)

    assert list(await shop.take()) == ["a"]

    held = await shop.look(begun.processids[3])
    assert (held.state, held.waitforparents, len(held.parents)) == (WAITING, True, 2)


async def test_execution_time_of_zero_is_without_limit_in_a_workflow(shop: Workshop) -> None:
    begun = await shop.begin(spec("a", maxexectime=0))
    given = await shop.assign()
    child = await shop.grow(given.processid, spec("b", maxexectime=0))

    shown = [await shop.look(i) for i in (begun.processids[0], child.processid)]
    assert [values(each.spec)["maxexectime"] for each in shown] == [-1, -1]


async def test_names_may_be_odd(shop: Workshop) -> None:
    odd = ["a b", "<&>", "ü:/{}", "\n", "0" * 64, "x" * 10_000, "' OR 1", "\u202e"]
    chain = [spec(odd[0]), *(spec(n, before) for before, n in pairwise(odd))]

    begun = await shop.begin(*chain)

    assert await shop.work() == len(odd)
    shown = await shop.graph(begun.processgraphid)
    assert [node.data.label for node in shown.nodes] == odd
    await shop.is_sound()


async def test_dependency_that_is_named_twice_is_waited_for_once(shop: Workshop) -> None:
    begun = await shop.begin(spec("a"), spec("b", "a", "a"))

    assert await shop.work() == 2

    shown = await shop.look(begun.processids[1])
    assert (shown.parents, values(shown.input)) == ([begun.processids[0]] * 2, ["a", "a"])


async def test_colony_of_the_workflow_is_that_of_its_processes(shop: Workshop) -> None:
    begun = await shop.begin(spec("a", conditions={"colonyname": "elsewhere"}))

    shown = values((await shop.look(begun.processids[0])).spec)
    assert shown["conditions"]["colonyname"] == COLONY


# -------------------------------------------------------------------- refusals


REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([], "no function specs"),
    ([spec("")], "functionspecs\\[0\\]"),
    ([spec("a"), spec("a")], "Duplicate nodename: a"),
    ([spec("a", "x")], "<a> depends on <x>"),
    ([spec("a", "a")], "<a> -> <a>"),
    ([spec("a", "b"), spec("b", "a")], "<a> -> <b> -> <a>"),
    ([spec("a", priority=50_001)], "nodename a"),
    (
        [spec(f"n{at}", env={f"e{number}": "" for number in range(26_000)}) for at in range(2)],
        "52000 environment variables in all",
    ),
]


@pytest.mark.parametrize(("specs", "text"), REFUSED, ids=[text for _, text in REFUSED])
async def test_refused_workflow_leaves_no_trace(
    shop: Workshop, specs: list[dict[str, Any]], text: str
) -> None:
    before = await shop.log()

    with pytest.raises(Invalid, match=text):
        await shop.begin(*specs)

    assert await shop.log() == before
    await shop.nothing_is_left()


@pytest.mark.parametrize("caller", [OWNER, STRANGER])
async def test_only_members_submit(shop: Workshop, caller: str) -> None:
    with pytest.raises(Denied, match="not a member"):
        await shop.begin(*DIAMOND, caller=caller)


@pytest.mark.parametrize("workflow_id", ["", "x", "0" * 64])
async def test_unknown_workflow_is_refused(shop: Workshop, workflow_id: str) -> None:
    for wish in (shop.graph, shop.cancel, shop.remove):
        with pytest.raises(Missing, match="graph is nil"):
            await wish(workflow_id)


async def test_workflow_is_not_found_by_the_id_of_a_process_nor_a_process_by_its(
    shop: Workshop,
) -> None:
    begun = await shop.begin(*DIAMOND)

    for wish in (shop.graph, shop.cancel, shop.remove):
        with pytest.raises(Missing, match="graph is nil"):
            await wish(begun.processids[0])
    with pytest.raises(NotFound):
        await shop.look(begun.processgraphid)


async def test_processes_of_a_workflow_are_not_cancelled_or_removed_one_by_one(
    shop: Workshop,
) -> None:
    begun = await shop.begin(*DIAMOND)

    for process_id in begun.processids:
        wish = wire_process.CancelProcessMsg(processid=process_id)
        with pytest.raises(Invalid, match="cancel the entire workflow instead"):
            await shop.say(process.cancel, USER, wish)
        with pytest.raises(Invalid, match="delete the entire workflow instead"):
            await shop.say(
                process.remove, USER, wire_process.RemoveProcessMsg(processid=process_id)
            )


# -------------------------------------------------------------------- failure


async def test_failure_takes_the_rest_along_but_not_what_succeeded(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)
    a, b, c, d = begun.processids
    await shop.finish((await shop.assign()).processid)
    taken = await shop.take()

    await shop.fail(taken["b"])

    assert await shop.states(a, b, c, d) == [SUCCESS, FAILED, FAILED, FAILED]
    assert await errors_of(shop, b, c, d) == [["it broke"], [WORKFLOW_FAILED], [WORKFLOW_FAILED]]
    assert await state_of(shop, begun) == FAILED
    await shop.is_sound()


async def test_late_close_after_the_others_failed_is_refused(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)
    await shop.finish((await shop.assign()).processid)
    taken = await shop.take()
    await shop.fail(taken["b"])

    with pytest.raises(Invalid, match="Tried to set failed process as successful"):
        await shop.finish(taken["c"], "late")

    assert await shop.states(*begun.processids) == [SUCCESS, FAILED, FAILED, FAILED]
    await shop.is_sound()


async def test_failed_leaf_leaves_its_siblings_alone(shop: Workshop) -> None:
    begun = await shop.begin(*wide(4))
    await shop.finish((await shop.assign()).processid)
    taken = await shop.take()

    await shop.fail(taken["n0"])
    assert await state_of(shop, begun) == FAILED
    await shop.finish(taken["n1"])
    await shop.finish(taken["n2"])

    assert await shop.states(*begun.processids) == [SUCCESS, FAILED, SUCCESS, SUCCESS]
    assert await state_of(shop, begun) == FAILED
    await shop.is_sound()


async def test_failure_of_many_is_seen_to_before_the_reply(shop: Workshop) -> None:
    begun = await shop.begin(*wide(MANY))

    await shop.fail((await shop.assign()).processid)

    assert await shop.states(*begun.processids) == [FAILED] * MANY
    await shop.is_sound()
    assert assignments(await shop.log()) == begun.processids[:1]


# -------------------------------------------------------------------- time


async def test_wait_deadline_of_a_held_process_runs_from_the_beginning(shop: Workshop) -> None:
    begun = await shop.begin(spec("a"), spec("b", "a", maxwaittime=5), spec("c", "b"))
    await shop.assign()
    shop.pass_time(6)

    await shop.look_at_due()
    shop.pass_time(0.1)
    await shop.look_at_due()

    assert await shop.states(*begun.processids) == [FAILED] * 3
    assert await errors_of(shop, *begun.processids) == [
        [WORKFLOW_FAILED],
        [WAITED_TOO_LONG],
        [WORKFLOW_FAILED],
    ]
    assert await state_of(shop, begun) == FAILED
    await shop.is_sound()


async def test_released_process_keeps_its_wait_deadline(shop: Workshop) -> None:
    begun = await shop.begin(spec("a"), spec("b", "a", maxwaittime=5))
    await shop.finish((await shop.assign()).processid)
    shop.pass_time(6)

    await shop.look_at_due()

    assert await shop.states(*begun.processids) == [SUCCESS, FAILED]
    assert await state_of(shop, begun) == FAILED
    await shop.is_sound()


async def test_execution_deadline_inside_a_workflow_fails_the_rest(shop: Workshop) -> None:
    begun = await shop.begin(spec("a", maxexectime=5), spec("b", "a"), spec("c", "b"))
    given = await shop.assign()
    shop.pass_time(6)

    await shop.look_at_due()
    shop.pass_time(0.1)
    await shop.look_at_due()

    assert await errors_of(shop, *begun.processids) == [
        [RAN_TOO_LONG],
        [WORKFLOW_FAILED],
        [WORKFLOW_FAILED],
    ]
    with pytest.raises(Invalid, match="Tried to set failed process as successful"):
        await shop.finish(given.processid)
    await shop.is_sound()


async def test_retry_inside_a_workflow_keeps_it_running(shop: Workshop) -> None:
    begun = await shop.begin(spec("a", maxexectime=5, maxretries=1), spec("b", "a"))
    late = await shop.assign()
    shop.pass_time(6)
    await shop.look_at_due()
    assert await state_of(shop, begun) == RUNNING

    with pytest.raises(Denied):
        await shop.finish(late.processid, "late")
    assert await shop.work() == 2

    assert await state_of(shop, begun) == SUCCESS
    assert values((await shop.look(begun.processids[1])).input) == ["a"]
    await shop.is_sound()


async def test_process_of_an_executor_that_left_goes_on_with_another(shop: Workshop) -> None:
    begun = await shop.begin(*CHAIN)
    await shop.assign()
    await shop.remove_executor()
    await shop.settle()
    await shop.add_executor(OTHER, "other")

    assert await shop.work(OTHER) == 3

    assert await state_of(shop, begun) == SUCCESS
    await shop.is_sound()


async def test_executor_that_moves_to_another_key_finishes_what_it_runs(shop: Workshop) -> None:
    begun = await shop.begin(*CHAIN)
    given = await shop.assign()
    change = wire_executor.ChangeExecutorIdMsg(colonyname=COLONY, executorid=OTHER)
    await shop.say(executor.change_id, EXECUTOR, change)

    await shop.finish(given.processid, "a", caller=OTHER)

    assert await shop.work(OTHER) == 2
    assert await state_of(shop, begun) == SUCCESS
    await shop.is_sound()


# -------------------------------------------------------------------- cancel


async def test_cancel_ends_what_waits_and_runs_and_keeps_what_succeeded(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)
    await shop.finish((await shop.assign()).processid)
    given = await shop.assign()

    await shop.cancel(begun.processgraphid)

    assert await shop.states(*begun.processids) == [SUCCESS] + [CANCELLED] * 3
    assert await state_of(shop, begun) == CANCELLED
    with pytest.raises(Invalid, match="Tried to set cancelled process as successful"):
        await shop.finish(given.processid)
    await shop.is_sound()


async def test_cancel_of_what_succeeded_changes_nothing(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)
    await shop.work()
    before = await shop.graph(begun.processgraphid)

    await shop.cancel(begun.processgraphid)

    assert await shop.graph(begun.processgraphid) == before


async def test_cancelled_workflow_gives_out_nothing_any_more(shop: Workshop) -> None:
    begun = await shop.begin(*wide(MANY))
    await shop.finish((await shop.assign()).processid)

    await shop.cancel(begun.processgraphid)

    assert await shop.take() == {}
    assert len(await shop.processes(CANCELLED)) == 100
    await shop.is_sound()


async def test_wait_deadline_in_a_cancelled_workflow_means_nothing(shop: Workshop) -> None:
    begun = await shop.begin(spec("a", maxwaittime=5), spec("b", "a", maxwaittime=5))
    await shop.cancel(begun.processgraphid)
    shop.pass_time(6)

    await shop.look_at_due()

    assert await shop.states(*begun.processids) == [CANCELLED] * 2
    assert await state_of(shop, begun) == CANCELLED
    await shop.is_sound()


# -------------------------------------------------------------------- remove


async def test_removed_workflow_leaves_nothing(shop: Workshop) -> None:
    begun = await shop.begin(*wide(MANY, env={"A": "1"}, maxwaittime=60))

    await shop.remove(begun.processgraphid)

    await shop.nothing_is_left()
    await shop.is_sound()
    with pytest.raises(Missing):
        await shop.graph(begun.processgraphid)


@pytest.mark.parametrize("ending", ["success", "failure", "cancel"])
async def test_workflow_that_ended_leaves_nothing_when_it_is_removed(
    shop: Workshop, ending: str
) -> None:
    begun = await shop.begin(*DIAMOND)
    if ending == "success":
        await shop.work()
    elif ending == "failure":
        await shop.fail((await shop.assign()).processid)
    else:
        await shop.assign()
        await shop.cancel(begun.processgraphid)

    await shop.remove(begun.processgraphid)

    await shop.nothing_is_left()
    await shop.is_sound()


async def test_running_workflow_is_not_removed_alone(shop: Workshop) -> None:
    begun = await shop.begin(*DIAMOND)
    await shop.assign()

    with pytest.raises(Invalid, match="cannot remove a running processgraph"):
        await shop.remove(begun.processgraphid)


async def test_all_workflows_are_removed_also_while_processes_run(shop: Workshop) -> None:
    for _ in range(3):
        await shop.begin(*DIAMOND)
    given = await shop.assign()
    single = await shop.submit()

    await shop.remove_all()

    assert [await shop.listed(state) for state in State] == [[]] * 5
    with pytest.raises(Missing):
        await shop.finish(given.processid)
    assert (await shop.look(single.processid)).state == WAITING
    await shop.is_sound()
    assert await shop.work() == 1


async def test_only_workflows_in_the_given_state_are_removed(shop: Workshop) -> None:
    done = await shop.begin(*CHAIN)
    await shop.work()
    runs = await shop.begin(*CHAIN)
    await shop.finish((await shop.assign()).processid)
    waits = await shop.begin(*CHAIN)

    await shop.remove_all(int(SUCCESS))

    with pytest.raises(Missing):
        await shop.graph(done.processgraphid)
    assert await shop.states(*runs.processids) == [SUCCESS, WAITING, WAITING]
    await shop.remove_all(int(WAITING))
    with pytest.raises(Missing):
        await shop.graph(waits.processgraphid)
    assert await shop.work() == 2
    assert await state_of(shop, runs) == SUCCESS
    await shop.is_sound()


async def test_more_workflows_than_a_page_are_removed(shop: Workshop) -> None:
    for _ in range(102):
        await shop.begin(spec("a"))

    await shop.remove_all(int(WAITING))

    await shop.nothing_is_left()


@pytest.mark.parametrize(("state", "text"), [(1, "running processgraphs"), (5, "invalid state")])
async def test_workflows_are_not_removed_by_such_states(
    shop: Workshop, state: int, text: str
) -> None:
    with pytest.raises(Invalid, match=text):
        await shop.remove_all(state)


# -------------------------------------------------------------------- listing and counting


async def test_workflows_are_listed_by_state_newest_first(shop: Workshop) -> None:
    begun = [(await shop.begin(*CHAIN)).processgraphid for _ in range(3)]
    await shop.assign()

    assert await shop.listed(WAITING) == [begun[2], begun[1]]
    assert await shop.listed(RUNNING) == [begun[0]]


async def test_statistics_count_workflows_and_held_processes(shop: Workshop) -> None:
    for _ in range(5):
        await shop.begin(*CHAIN)
    await shop.fail((await shop.assign()).processid)
    for _ in range(4):
        await shop.finish((await shop.assign()).processid)
    for begun in (await shop.listed(RUNNING))[:1]:
        await shop.cancel(begun)

    seen = await shop.statistics()

    assert (
        seen.waitingworkflows,
        seen.runningworkflows,
        seen.successfulworkflows,
        seen.failedworkflows,
        seen.cancelledworkflows,
    ) == tuple([len(await shop.listed(state)) for state in State])
    assert (
        seen.waitingprocesses,
        seen.runningprocesses,
        seen.successfulprocesses,
        seen.failedprocesses,
        seen.cancelledprocesses,
    ) == tuple([len(await shop.processes(state)) for state in State])
    assert seen.failedworkflows == seen.cancelledworkflows == 1


async def test_held_processes_are_listed_as_waiting(shop: Workshop) -> None:
    await shop.begin(*DIAMOND)

    listed = await shop.processes(WAITING)

    assert sorted((name_of(each), each.waitforparents) for each in listed) == [
        ("a", False),
        ("b", True),
        ("c", True),
        ("d", True),
    ]


@pytest.mark.parametrize("state", [-1, 0, 2, 3, 4])
async def test_removing_all_processes_leaves_those_of_workflows_alone(
    shop: Workshop, state: int
) -> None:
    more_than_a_page = 205 if state in {-1, 4} else 3
    await shop.begin(*wide(3))
    await shop.finish((await shop.assign()).processid)
    done = await shop.begin(*wide(3))
    cancelled = await shop.begin(*wide(more_than_a_page))
    await shop.cancel(cancelled.processgraphid)
    for _ in range(3):
        await shop.submit(priority=1)
        await shop.close((await shop.assign()).processid)
        await shop.submit(priority=1)
    before = {s: len(await shop.listed(s)) for s in State}

    await shop.remove_all_processes(state)

    assert {s: len(await shop.listed(s)) for s in State} == before
    singles = [p for s in State for p in await shop.processes(s) if not p.processgraphid]
    left = {-1: 0, 0: 3, 2: 3, 3: 6, 4: 6}[state]
    assert len(singles) == left
    assert await state_of(shop, done) == WAITING
    await shop.is_sound()


# -------------------------------------------------------------------- growing


async def test_workflow_grows_behind_beside_between_and_in_front(shop: Workshop) -> None:
    begun = await shop.begin(*CHAIN)
    _, b, c = begun.processids
    given = await shop.assign()
    behind = await shop.grow(given.processid, spec("behind"))
    between = await shop.grow(given.processid, spec("between"), before=c)
    front = await shop.grow(given.processid, spec("front"), insert=True)

    assert (front.parents, front.waitforparents) == ([given.processid], True)
    assert sorted(front.children) == sorted([b, behind.processid, between.processid])
    assert (await shop.look(c)).parents == [b, between.processid]
    await shop.finish(given.processid, "a")
    assert await shop.work() == 5
    assert values((await shop.look(c)).input) == ["b", "between"]
    assert values((await shop.look(behind.processid)).input) == ["front"]
    assert await state_of(shop, begun) == SUCCESS
    shown = await shop.graph(begun.processgraphid)
    assert len(set(shown.processids)) == 6
    await shop.is_sound()


async def test_last_process_of_a_workflow_may_let_it_go_on(shop: Workshop) -> None:
    begun = await shop.begin(spec("a"))
    given = await shop.assign()

    await shop.grow(given.processid, spec("b"))
    await shop.finish(given.processid, 1)

    assert await state_of(shop, begun) == RUNNING
    assert values((await shop.look((await shop.assign()).processid)).input) == [1]
    await shop.is_sound()


@pytest.mark.parametrize("priority", [50_001, -(2**62), 2**63 - 1])
async def test_child_with_a_priority_out_of_range_is_refused(shop: Workshop, priority: int) -> None:
    await shop.begin(spec("a"))
    given = await shop.assign()

    with pytest.raises(Invalid, match=r"outside range .* \(nodename b\)"):
        await shop.grow(given.processid, spec("b", priority=priority))


@pytest.mark.parametrize("before", ["itself", "parent", "x", "0" * 64, "other"])
async def test_child_is_put_in_front_of_nothing_else(shop: Workshop, before: str) -> None:
    other = await shop.begin(*CHAIN)
    await shop.begin(spec("a", priority=1))
    given = await shop.assign()
    named = {"itself": given.processid, "parent": given.processid, "other": other.processids[1]}

    with pytest.raises(Rejected, match=r"not found|does not wait for its parents"):
        await shop.grow(given.processid, spec("b"), before=named.get(before, before))

    await shop.is_sound()


@pytest.mark.parametrize("parent", ["", "x", "0" * 64])
async def test_unknown_parent_is_refused(shop: Workshop, parent: str) -> None:
    with pytest.raises(NotFound, match="not found"):
        await shop.grow(parent, spec("b"))


# -------------------------------------------------------------------- repeated requests


async def test_repeated_submit_answers_as_the_first_time(shop: Workshop) -> None:
    first = await shop.begin(*DIAMOND, nonce="n")

    assert await shop.begin(*DIAMOND, nonce="n") == first

    assert await shop.listed(WAITING) == [first.processgraphid]
    await shop.is_sound()


async def test_repeated_child_answers_as_the_first_time(shop: Workshop) -> None:
    begun = await shop.begin(*CHAIN)
    given = await shop.assign()
    first = await shop.grow(given.processid, spec("new"), insert=True, nonce="n")
    await shop.finish(given.processid)

    again = await shop.grow(given.processid, spec("new"), insert=True, nonce="n")

    assert again == first
    assert len((await shop.graph(begun.processgraphid)).processids) == 4
    await shop.is_sound()


async def test_repeated_close_releases_nothing_twice(shop: Workshop) -> None:
    begun = await shop.begin(*CHAIN)
    given = await shop.assign()
    for _ in range(2):
        await shop.finish(given.processid, "a", nonce="n")

    released = [e for e in await shop.log() if isinstance(e, ProcessReleased)]
    assert [e.subject for e in released] == begun.processids[1:2]
    await shop.is_sound()


async def test_repeated_failure_cancel_and_removal_are_answered_as_the_first_time(
    shop: Workshop,
) -> None:
    begun = await shop.begin(*CHAIN)
    given = await shop.assign()
    for _ in range(2):
        await shop.fail(given.processid, nonce="f")
    for _ in range(2):
        await shop.cancel(begun.processgraphid, nonce="c")
    for _ in range(2):
        await shop.remove(begun.processgraphid, nonce="r")
    for _ in range(2):
        await shop.remove_all(nonce="a")

    await shop.nothing_is_left()
    await shop.is_sound()


# -------------------------------------------------------------------- what has failed, and goes on


async def test_cancel_of_what_failed_and_is_over_leaves_its_end(shop: Workshop) -> None:
    begun = await shop.begin(*wide(MANY))
    await shop.fail((await shop.assign()).processid)
    before, log = await shop.graph(begun.processgraphid), await shop.log()
    shop.pass_time(5)

    await shop.cancel(begun.processgraphid)

    assert (await shop.graph(begun.processgraphid), await shop.log()) == (before, log)


async def test_cancel_of_what_failed_and_goes_on_is_its_end(shop: Workshop) -> None:
    begun = await shop.begin(*wide(4))
    await shop.finish((await shop.assign()).processid)
    taken = await shop.take()
    await shop.fail(taken["n0"])
    before = await shop.graph(begun.processgraphid)
    shop.pass_time(5)

    await shop.cancel(begun.processgraphid)

    assert await shop.states(*begun.processids) == [SUCCESS, FAILED, CANCELLED, CANCELLED]
    shown = await shop.graph(begun.processgraphid)
    assert (shown.state, shown.endtime > before.endtime) == (FAILED, True)
    await shop.is_sound()


async def test_workflow_of_which_a_leaf_failed_still_grows(shop: Workshop) -> None:
    begun = await shop.begin(*wide(3))
    await shop.finish((await shop.assign()).processid)
    taken = await shop.take()
    await shop.fail(taken["n0"])

    child = await shop.grow(taken["n1"], spec("new"))
    await shop.finish(taken["n1"], "out")

    given = await shop.assign()
    assert (given.processid, values(given.input)) == (child.processid, ["out"])
    await shop.finish(given.processid)
    assert await state_of(shop, begun) == FAILED
    await shop.is_sound()
