"""Wrong answers are noticed, volatile values are not mistaken for wrong ones."""

import pytest

from tests.contract.stand_in import OUR_ID, RECORDED_ID, Answering, always, exchange, replay

TIME = "2026-11-23T07:15:32.196609Z"
OTHER_TIME = "2027-01-01T00:00:00Z"
RECORDED_UUID = "b5071c5e-fd44-42af-8630-a460f4eae705"
OUR_UUID = "b2e5db38-30e0-4ab2-b2a4-45e8c9a9526a"
UNSET = "0001-01-01T00:00:00Z"


async def test_same_answer_passes() -> None:
    answered = {"addcolonymsg": always(200, {"name": "c", "state": 1})}

    assert await replay(exchange("addcolonymsg", {"name": "c", "state": 1}), answers=answered) == []


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(always(200, {"name": "d", "state": 1, "in": []}), id="other value"),
        pytest.param(always(200, {"name": "c", "state": True, "in": []}), id="other type"),
        pytest.param(always(200, {"name": "c", "state": 1, "in": None}), id="null for a list"),
        pytest.param(always(200, {"name": "c", "in": []}), id="key missing"),
        pytest.param(always(200, {"name": "c", "state": 1, "in": [], "x": 0}), id="key too many"),
        pytest.param(always(200, {"name": "c", "state": 1, "in": [1]}), id="item too many"),
        pytest.param(always(403, "Access denied"), id="refused"),
    ],
)
async def test_wrong_answer_is_a_problem(wrong: Answering) -> None:
    line = exchange("addcolonymsg", {"name": "c", "state": 1, "in": []})

    assert len(await replay(line, answers={"addcolonymsg": wrong})) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(always(400, "Other text"), id="other text"),
        pytest.param(always(403, "Text"), id="other status"),
        pytest.param(always(200, {}), id="accepted"),
    ],
)
async def test_wrong_refusal_is_a_problem(wrong: Answering) -> None:
    line = exchange("addcolonymsg", "Text", status=400)

    assert len(await replay(line, answers={"addcolonymsg": wrong})) == 1


async def test_text_of_a_parser_is_not_compared() -> None:
    line = exchange("addcolonymsg", "pq: duplicate key", status=400)

    assert await replay(line, answers={"addcolonymsg": always(400, "is there already")}) == []


async def test_text_of_a_parser_is_not_left_out() -> None:
    line = exchange("addcolonymsg", "pq: duplicate key", status=400)

    assert len(await replay(line, answers={"addcolonymsg": always(400, "")})) == 1


@pytest.mark.parametrize(
    ("recorded", "ours", "problems"),
    [
        pytest.param(TIME, OTHER_TIME, 0, id="any time for a time"),
        pytest.param(TIME, UNSET, 1, id="unset for a time"),
        pytest.param(UNSET, TIME, 1, id="a time for unset"),
        pytest.param(TIME, "2027-01-01T00:00:00.10Z", 1, id="trailing zero"),
        pytest.param(TIME, "2027-01-01T00:00:00+00:00", 1, id="not Z"),
    ],
)
async def test_times_are_compared_by_their_kind(recorded: str, ours: str, problems: int) -> None:
    answers = {"addcronmsg": always(200, {"endtime": ours})}

    assert len(await replay(exchange("addcronmsg", {"endtime": recorded}), answers=answers)) == (
        problems
    )


async def test_repeated_time_has_to_be_repeated() -> None:
    line = exchange("addcronmsg", {"submissiontime": TIME, "starttime": TIME})
    ours = {"submissiontime": OTHER_TIME, "starttime": "2027-01-01T00:00:01Z"}

    assert len(await replay(line, answers={"addcronmsg": always(200, ours)})) == 1


async def test_list_without_an_order_may_have_any() -> None:
    line = exchange("getusersmsg", [{"name": "a"}, {"name": "b"}])

    assert (
        await replay(line, answers={"getusersmsg": always(200, [{"name": "b"}, {"name": "a"}])})
        == []
    )


async def test_list_with_an_order_has_to_keep_it() -> None:
    line = exchange("getprocessesmsg", [{"label": "a"}, {"label": "b"}])
    answers = {"getprocessesmsg": always(200, [{"label": "b"}, {"label": "a"}])}

    assert len(await replay(line, answers=answers)) == 1


async def test_names_of_nodes_are_configuration() -> None:
    node = {"name": "server1", "host": "localhost", "apiport": 50081}
    ours = {"name": "other", "host": "elsewhere", "apiport": 1}
    line = exchange("getclustermsg", {"leader": node})

    assert await replay(line, answers={"getclustermsg": always(200, {"leader": ours})}) == []


@pytest.mark.parametrize("key", ["attributes", "children", "edges", "processids"])
async def test_list_of_a_workflow_without_an_order_may_have_any(key: str) -> None:
    line = exchange("getprocessgraphmsg", {key: ["a", "b"]})

    assert await replay(line, answers={"getprocessgraphmsg": always(200, {key: ["b", "a"]})}) == []


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("getprocessmsg", "parents"),
        ("getprocessgraphmsg", "rootprocessids"),
        ("submitworkflowspecmsg", "processids"),
    ],
)
async def test_list_of_a_workflow_with_an_order_has_to_keep_it(message: str, key: str) -> None:
    line = exchange(message, {key: ["a", "b"]})

    assert len(await replay(line, answers={message: always(200, {key: ["b", "a"]})})) == 1


def drawn(*nodes: tuple[str, int, int]) -> dict[str, object]:
    return {"nodes": [{"id": name, "position": {"x": x, "y": y}} for name, x, y in nodes]}


@pytest.mark.parametrize(
    ("ours", "problems"),
    [
        pytest.param(drawn(("b", 200, 80), ("c", 0, 80), ("a", 100, 0)), 0, id="other order"),
        pytest.param(drawn(("a", 100, 0), ("b", 0, 80), ("c", 200, 80)), 0, id="siblings swapped"),
        pytest.param(drawn(("a", 100, 0), ("b", 0, 80), ("c", 0, 80)), 1, id="one on another"),
        pytest.param(drawn(("b", 100, 0), ("a", 0, 80), ("c", 200, 80)), 1, id="levels swapped"),
        pytest.param(drawn(("a", 100, 0), ("b", 0, 80)), 1, id="one missing"),
    ],
)
async def test_nodes_of_one_level_may_be_drawn_in_any_order(ours: object, problems: int) -> None:
    line = exchange("getprocessgraphmsg", drawn(("a", 100, 0), ("c", 0, 80), ("b", 200, 80)))

    assert len(await replay(line, answers={"getprocessgraphmsg": always(200, ours)})) == problems


SECOND_RECORDED_ID = "ba" * 32
SECOND_ID = "dc" * 32
SHOWN = [{"processid": RECORDED_ID, "name": "a"}, {"processid": SECOND_RECORDED_ID, "name": "b"}]


@pytest.mark.parametrize(
    ("processes", "problems"),
    [
        pytest.param([(OUR_ID, "a"), (SECOND_ID, "b")], 0, id="in the order of the ids"),
        pytest.param([(SECOND_ID, "a"), (OUR_ID, "b")], 0, id="in another order"),
        pytest.param([(OUR_ID, "a"), ("fe" * 32, "b")], 1, id="an id that was not listed"),
    ],
)
async def test_ids_of_a_list_without_an_order_are_known_by_what_they_turn_out_to_be(
    processes: list[tuple[str, str]], problems: int
) -> None:
    listed = {"processids": [RECORDED_ID, SECOND_RECORDED_ID]}
    lines = [
        exchange("getprocessgraphsmsg", listed),
        exchange("getprocessesmsg", SHOWN),
        exchange("getprocessgraphmsg", listed),
    ]
    answered = {"processids": [OUR_ID, SECOND_ID]}
    answers = {
        "getprocessgraphsmsg": always(200, answered),
        "getprocessesmsg": always(200, [{"processid": i, "name": name} for i, name in processes]),
        "getprocessgraphmsg": always(200, answered),
    }

    assert len(await replay(*lines, answers=answers)) == problems


async def test_list_without_an_order_has_as_many_ids_as_recorded() -> None:
    line = exchange("getprocessgraphsmsg", {"processids": [RECORDED_ID, SECOND_RECORDED_ID]})
    answers = {"getprocessgraphsmsg": always(200, {"processids": [OUR_ID, "no id"]})}

    assert len(await replay(line, answers=answers)) == 1


@pytest.mark.parametrize(
    ("second", "problems"),
    [(OUR_UUID, 0), ("5" * 8 + OUR_UUID[8:], 1), (OUR_ID, 1), ("", 1)],
    ids=["repeated", "another", "other form", "none"],
)
async def test_uuid_of_the_server_is_volatile_but_stays_the_same(
    second: str, problems: int
) -> None:
    answers = iter(({"historyid": OUR_UUID}, {"historyid": second}))

    found = await replay(
        exchange("addcolonymsg", {"historyid": RECORDED_UUID}, name="one"),
        exchange("addcolonymsg", {"historyid": RECORDED_UUID}, name="two"),
        answers={"addcolonymsg": lambda _: (200, next(answers))},
    )

    assert len(found) == problems
