"""Specifications and values as users write them."""

from pathlib import Path

import pytest

from cli import spec
from cli.errors import UsageError


def test_a_function_spec_gets_the_colony_and_no_limits() -> None:
    found = spec.function_spec('{"funcname": "f", "conditions": {"executortype": "t"}}', "dev")
    assert found.conditions is not None
    assert (found.conditions.colonyname, found.conditions.executortype) == ("dev", "t")
    assert (found.maxwaittime, found.maxexectime, found.maxretries) == (-1, -1, 0)


def test_limits_that_were_given_are_kept() -> None:
    found = spec.function_spec('{"maxwaittime": 0, "maxexectime": 5, "maxretries": 3}', "dev")
    assert (found.maxwaittime, found.maxexectime, found.maxretries) == (0, 5, 3)


def test_json_that_is_none_is_shown_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{\n  "funcname": oops\n}')
    with pytest.raises(UsageError) as refusal:
        spec.function_spec(str(path), "dev")
    assert "line 2 column 15" in refusal.value.message
    assert refusal.value.message.endswith('  "funcname": oops\n                ^')


def test_json_that_ends_too_soon_is_shown_with_its_end(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"funcname": \n\n')
    with pytest.raises(UsageError) as refusal:
        spec.function_spec(str(path), "dev")
    assert "line 1 column 13" in refusal.value.message
    assert refusal.value.message.endswith('  {"funcname":\n              ^')


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text("\n")
    with pytest.raises(UsageError, match=r"spec\.json is empty"):
        spec.function_spec(str(path), "dev")


def test_a_list_is_told_apart_as_a_workflow() -> None:
    with pytest.raises(UsageError) as refusal:
        spec.function_spec("[]", "dev")
    assert "workflow submit" in refusal.value.hint


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot read nowhere\.json: No such file"):
        spec.function_spec("nowhere.json", "dev")


def test_wrong_types_are_named() -> None:
    with pytest.raises(UsageError, match="priority"):
        spec.function_spec('{"priority": "high"}', "dev")


def test_hardware_may_be_an_object_and_a_place_a_description() -> None:
    found, place = spec.executor(
        '{"executorname": "n", "location": {"long": 1.5, "lat": 2, "desc": "ICE"},'
        ' "capabilities": {"hardware": {"model": "m"}, "software": [{"name": "s"}]}}'
    )
    assert found.locationname == "ICE"
    assert place is not None
    assert (place.name, place.long, place.lat) == ("ICE", 1.5, 2)
    assert found.capabilities.hardware is not None


def test_values_are_split_at_commas_outside_quotes() -> None:
    assert spec.split(["a,b", '"c,d"', "e"]) == ["a", "b", "c,d", "e"]
    assert spec.split(None) == []


def test_pairs_may_contain_their_separator() -> None:
    values = ["url:http://x:1/", "k:"]
    assert spec.pairs(values, at=":", option="--kwargs") == {"url": "http://x:1/", "k": ""}
    with pytest.raises(UsageError, match="--env takes key=value, got 'oops'"):
        spec.pairs(["oops"], at="=", option="--env")


def test_free_form_values_are_shown_as_words() -> None:
    assert spec.words(spec.json_text(["a", 1, {"b": None}])) == 'a 1 {"b": null}'
    assert spec.words(spec.json_text({"name": "x", "cmd": "python3"})) == "cmd:python3 name:x"
    assert not spec.words(spec.json_text([]))


def test_fields_that_nobody_reads_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    spec.function_spec('{"condition": {}, "conditions": {"executertype": "t", "x": 1}}', "dev")

    assert capsys.readouterr().err == (
        "note: the specification: the field 'condition' is not known, did you mean 'conditions'?\n"
        "note: the specification, conditions: the field 'executertype' is not known, "
        "did you mean 'executortype'?\n"
        "note: the specification, conditions: the field 'x' is not known\n"
    )


def test_letter_case_of_fields_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    found = spec.function_spec('{"MaxWaitTime": 7, "Conditions": {"ExecutorType": "t"}}', "dev")

    assert found.maxwaittime == 7
    assert capsys.readouterr().err == ""
