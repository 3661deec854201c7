"""Function specs: echoed as the reference echoes them, and turned into what is matched."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Raw

from api import wire
from api.specs import SubmitMsg, check_free_form, command_of, json_list
from broker.aggregates.backoff import backoff_in
from broker.aggregates.process_submit import SubmitProcess
from broker.errors import Invalid, Malformed
from broker.matching import Requirement

EMPTY: dict[str, Any] = {
    "nodename": "",
    "funcname": "",
    "args": [],
    "kwargs": {},
    "priority": 0,
    "maxwaittime": 0,
    "maxexectime": 0,
    "maxretries": 0,
    "conditions": {
        "colonyname": "",
        "executornames": None,
        "executortype": "",
        "dependencies": [],
        "nodes": 0,
        "cpu": "0m",
        "processes": 0,
        "processespernode": 0,
        "mem": "0Mi",
        "storage": "0Mi",
        "gpu": {"name": "", "mem": "0Mi", "count": 0, "nodecount": 0},
        "walltime": 0,
    },
    "label": "",
    "fs": {"mount": "", "snapshots": None, "dirs": None},
    "env": {},
}


def command(**spec: Any) -> SubmitProcess:  # noqa: ANN401 - any JSON
    return command_in(json.dumps({"spec": spec}).encode())


def command_in(text: bytes) -> SubmitProcess:
    message = wire.decode(text, SubmitMsg)
    assert message.spec is not None
    check_free_form(message.spec)
    return command_of(message.spec, "p")


def shown(**spec: Any) -> Any:  # noqa: ANN401
    return json.loads(command(**spec).spec)


def asked(**conditions: Any) -> Requirement:  # noqa: ANN401
    return Requirement.unpack(command(conditions=conditions).requires)


def test_empty_spec_is_shown_with_all_that_it_means() -> None:
    assert shown() == EMPTY


@pytest.mark.parametrize("field", sorted(EMPTY))
def test_null_means_the_same_as_nothing(field: str) -> None:
    assert shown(**{field: None}) == EMPTY


@pytest.mark.parametrize("field", [*EMPTY["conditions"], "locationname", "executorids"])
def test_null_condition_means_the_same_as_none(field: str) -> None:
    assert shown(conditions={field: None}) == EMPTY


@pytest.mark.parametrize(
    ("sent", "echo"), [(None, None), ([], []), (["*"], []), (["a", "b"], ["a", "b"])]
)
def test_names_are_echoed_as_the_reference_does(sent: Any, echo: Any) -> None:  # noqa: ANN401
    assert shown(conditions={"executornames": sent})["conditions"]["executornames"] == echo


def test_targets_of_old_clients_are_ids() -> None:
    assert asked(executorids=["e1"]).names == ("e1",)


def test_order_and_repetition_of_names_make_no_other_class() -> None:
    assert asked(executornames=["b", "a", "b"]) == asked(executornames=["a", "b"])


def test_anybody_is_no_name() -> None:
    assert asked(executornames=["*"]).names == ()


def test_conditions_become_a_requirement() -> None:
    found = asked(executortype="cli", locationname="NORTH", cpu="1500m", mem="1Gi", storage="5Gi")

    assert found == Requirement(executor_type="cli", location="north", cpu=1500, mem=1024**3)


def test_amounts_are_shown_normalised_and_matched_exactly() -> None:
    found = shown(conditions={"cpu": "2", "mem": "500KB", "storage": "100Ti"})["conditions"]

    assert (found["cpu"], found["mem"], found["storage"]) == ("0m", "0Mi", "104857600Mi")
    assert asked(mem="500KB").mem == 500_000


@pytest.mark.parametrize(
    "conditions",
    [{"cpu": "1.5m"}, {"mem": "1024"}, {"storage": "x"}, {"gpu": {"mem": "1gi"}}],
    ids=["cpu", "mem", "storage", "gpu"],
)
def test_amounts_that_cannot_be_read_are_refused(conditions: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="convert"):
        command(conditions=conditions)


def test_old_spelling_of_processes_per_node_is_read() -> None:
    found = shown(conditions={"processes-per-node": 4})["conditions"]

    assert found["processespernode"] == 4
    assert "processes-per-node" not in found


@pytest.mark.parametrize(
    "spec",
    [
        {"args": "x"},
        {"args": {}},
        {"kwargs": []},
        {"conditions": []},
        {"conditions": {"nodes": "1"}},
        {"fs": []},
        {"fs": {"mount": 5}},
        {"priority": 1.5},
        {"env": {"a": 1}},
        {"channels": "x"},
    ],
    ids=str,
)
def test_wrong_types_are_malformed(spec: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        command(**spec)


def test_free_form_values_stay_the_clients_own_text() -> None:
    text = b'{"spec":{"args":[1.0, 9007199254740993,1e21],"kwargs":{"b":1, "a" : "\\u003c"}}}'
    message = wire.decode(text, SubmitMsg)
    assert message.spec is not None
    check_free_form(message.spec)

    stored = command_of(message.spec, "p").spec

    assert b"[1.0, 9007199254740993,1e21]" in stored
    assert b'{"b":1, "a" : "\\u003c"}' in stored


def test_text_that_is_no_utf_8_is_malformed() -> None:
    message = wire.decode(b'{"spec":{"args":["\xff"]}}', SubmitMsg)
    assert message.spec is not None

    with pytest.raises(Malformed):
        check_free_form(message.spec)


def test_limits_and_environment_are_taken_over() -> None:
    found = command(
        maxwaittime=1, maxexectime=2, maxretries=3, priority=4, env={"a": "b"}, label="l"
    )

    assert (found.max_wait_s, found.max_exec_s, found.max_retries) == (1, 2, 3)
    assert (found.priority, found.env, found.label) == (4, {"a": "b"}, "l")


def test_two_specs_with_the_same_conditions_do_not_share_what_one_changes() -> None:
    first = command(conditions={"executortype": "cli"}, label="one")
    second = command(conditions={"executortype": "cli"}, label="two")

    assert first.requires == second.requires
    assert first.spec != second.spec


# -------------------------------------------------------------------- nesting


def lists(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def nested(levels: int) -> SubmitProcess:
    return command_in(b'{"spec":{"args":%b}}' % lists(levels))


def further_down(frames: int, work: Callable[[], object]) -> object:
    """What some work returns that is begun so many calls further down."""
    return further_down(frames - 1, work) if frames else work()


def is_accepted(levels: int) -> bool:
    try:
        nested(levels)
    except Malformed:
        return False
    return True


def test_whatever_is_accepted_can_be_read_where_more_calls_are_under_way() -> None:
    deepest = next(levels for levels in range(1_000, 0, -1) if is_accepted(levels))
    stored = nested(deepest).spec

    assert further_down(500, lambda: backoff_in(stored)) is None


def test_ordinary_nesting_is_accepted() -> None:
    assert json.loads(nested(250).spec)["args"]
    assert json_list(Raw(lists(250)), "Failed") == lists(250)


def test_wide_values_are_not_taken_for_deep_ones() -> None:
    wide = b"[%b]" % b",".join([b'[{"a":{}}]'] * 10_000)

    assert json_list(Raw(wide), "Failed") == wide


@pytest.mark.parametrize("text", [lists(900), b'[{"a":' * 450 + b"1" + b"}]" * 450])
def test_output_that_is_nested_too_deep_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed, match=r"^Failed, invalid JSON: nested too deep$"):
        json_list(Raw(text), "Failed")


@pytest.mark.parametrize(
    "number",
    [
        *("1e400", "-1e400", "99e308", "1.5E+0400", "1e10000", "99999999999e299"),
        *("9" * 309, "9" * 5_000, "9" * 250 + "e99", "9" * 305 + ".5e9"),
    ],
)
def test_number_that_no_double_holds_is_refused(number: str) -> None:
    """Clients would fail on every list that it is in."""
    text = f'["a\\"", {{"k": {number}}}]'
    why = "Failed to submit process, invalid JSON: a number is out of range"
    with pytest.raises(Malformed, match=f"^{why}$"):
        command_in(f'{{"spec":{{"args":{text}}}}}'.encode())
    with pytest.raises(Malformed, match=r"^Failed to set output, invalid JSON: a number is out"):
        json_list(Raw(text.encode()), "Failed to set output")


@pytest.mark.parametrize(
    "value",
    [
        *("1e308", "1e-400", "0e999", "9" * 308, "1" * 400 + "e-200", "0." + "0" * 400 + "1"),
        *('"1e400"', '{"1e400":"\\"1e400"}', '"' + "9" * 5_000 + '"'),
    ],
)
def test_number_that_a_double_holds_and_text_are_kept(value: str) -> None:
    text = f"[{value}]".encode()
    assert json_list(Raw(text), "Failed to set output") == text


def test_looking_for_large_numbers_keeps_nothing_of_millions_of_texts() -> None:
    text = b'["1e400",' + b'"",' * 300_000 + b"1]"
    tracemalloc.start()
    try:
        assert json_list(Raw(text), "Failed to set output") == text
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(text)
