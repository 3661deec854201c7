"""Specs against schemas, in the reference's words (recordings/extended/60_blueprint.jsonl)."""

from typing import Any

import msgspec
import pytest

from broker.errors import Invalid, Malformed
from broker.schema import MOST_DEPTH, Schema, check, check_schema, read, same

DEVICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "power": {"type": "boolean"},
        "name": {"type": "string", "enum": ["x", "y"], "description": "nm", "default": "x"},
        "level": {"type": "number"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "opt": {"type": "object", "properties": {"n": {"type": "number"}}},
    },
    "required": ["power"],
}


def schema(given: dict[str, Any]) -> Schema:
    return msgspec.json.decode(msgspec.json.encode(given), type=Schema)


def of(prop: dict[str, Any]) -> Schema:
    return schema({"properties": {"f": prop}})


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "required field 'power' is missing"),
        ({"power": "on"}, "field 'power' must be a boolean, got string"),
        ({"power": 1}, "field 'power' must be a boolean, got float64"),
        ({"power": None}, "field 'power' must be a boolean, got <nil>"),
        ({"power": True, "name": "z"}, "field 'name' must be one of [x y], got z"),
        ({"power": True, "name": 3}, "field 'name' must be a string, got float64"),
        ({"power": True, "level": "3"}, "field 'level' must be a number, got string"),
        ({"power": True, "level": True}, "field 'level' must be a number, got bool"),
        ({"power": True, "tags": ["a", 1]}, "field 'tags[1]' must be a string, got float64"),
        ({"power": True, "tags": "a"}, "field 'tags' must be an array, got string"),
        (
            {"power": True, "tags": {}},
            "field 'tags' must be an array, got map[string]interface {}",
        ),
        ({"power": True, "opt": {"n": "x"}}, "field 'opt.n' must be a number, got string"),
        ({"power": True, "opt": 3}, "field 'opt' must be an object, got float64"),
        ({"power": True, "opt": []}, "field 'opt' must be an object, got []interface {}"),
    ],
)
def test_spec_that_is_not_as_its_schema_says_is_refused(spec: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid) as caught:
        check(spec, schema(DEVICE))

    assert str(caught.value) == text


@pytest.mark.parametrize(
    "spec",
    [
        {"power": True},
        {"power": False, "extra": 1, "opt": {"other": []}},
        {"power": True, "name": "y", "level": 1.5, "tags": ["a"], "opt": {"n": 3}},
    ],
)
def test_what_the_schema_does_not_name_passes(spec: dict[str, Any]) -> None:
    check(spec, schema(DEVICE))


@pytest.mark.parametrize("value", ["1", 1, 1.5, True, None, [], {}])
def test_types_that_are_not_checked_pass(value: object) -> None:
    for kind in ("integer", "", "null"):
        check({"f": value}, of({"type": kind}))
    check({"f": value}, Schema())


@pytest.mark.parametrize(
    ("enum", "value", "text"),
    [
        ([1, 2.5], 3, "[1 2.5], got 3"),
        ([1], True, "[1], got true"),
        ([1e21, 1e-5, 0.0001, 1e6], 1e300, "[1e+21 1e-05 0.0001 1000000], got 1e+300"),
        ([None], [1, "a"], "[<nil>], got [1 a]"),
        ([[1]], {"b": 2, "a": None}, "[[1]], got map[a:<nil> b:2]"),
        ([{"a": 1}], {"a": True}, "[map[a:1]], got map[a:true]"),
        ([1], 10**400, "[1], got 1.7976931348623157e+308"),
    ],
)
def test_value_that_is_not_listed_is_printed_as_go_does(
    enum: list[Any], value: object, text: str
) -> None:
    with pytest.raises(Invalid) as caught:
        check({"f": value}, of({"enum": enum}))

    assert str(caught.value) == f"field 'f' must be one of {text}"


@pytest.mark.parametrize("value", [1, 1.0, "a", None, [1, {"x": False}], {"a": [2]}])
def test_value_that_is_listed_passes(value: object) -> None:
    check({"f": value}, of({"enum": [1, "a", None, [1, {"x": False}], {"a": [2]}]}))


def test_empty_enum_lists_nothing_to_hold_a_value_to() -> None:
    check({"f": 1}, of({"enum": []}))


def test_enum_looks_behind_the_type() -> None:
    with pytest.raises(Invalid, match="must be a string, got float64"):
        check({"f": 1}, of({"type": "string", "enum": [1]}))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1.0}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ([True], [1], False),
        ("1", 1, False),
    ],
)
def test_same_is_the_same_json(one: object, other: object, expected: bool) -> None:  # noqa: FBT001
    assert same(one, other) is expected
    assert same(other, one) is expected


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "text", [nested(MOST_DEPTH + 1), nested(100_000), b"{", b"", b'"\xff"', b"9" * 5_000, b"1e999"]
)
def test_value_that_cannot_be_kept_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        read(text)


def test_value_at_the_limit_is_read() -> None:
    assert read(nested(MOST_DEPTH)) is not None


def test_schema_is_not_nested_too_deep() -> None:
    deep: dict[str, Any] = {"type": "array"}
    for _ in range(MOST_DEPTH - 1):
        deep = {"items": deep}
    check_schema(of(deep))

    with pytest.raises(Malformed, match="nested deeper"):
        check_schema(of({"properties": {"g": deep}}))


@pytest.mark.parametrize("prop", [{"enum": 3}, {"enum": {}}, {"items": {"enum": "x"}}])
def test_enum_is_a_list(prop: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match="enum is no list"):
        check_schema(of(prop))


@pytest.mark.parametrize("name", ["enum", "default"])
def test_values_in_a_schema_are_not_nested_too_deep(name: str) -> None:
    value = msgspec.Raw(nested(MOST_DEPTH + 1))
    text = msgspec.json.encode({"properties": {"f": {name: value}}})

    with pytest.raises(Malformed, match="nested deeper"):
        check_schema(msgspec.json.decode(text, type=Schema))
