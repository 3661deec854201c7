"""The schema of a blueprint's ``spec``: the protocol's own small part of JSON Schema, in its words.

A required name is there, and a known name has its type and is one of the listed values, also inside
objects and lists; what the schema does not name passes. The texts show values as a Go program
prints them, since that is what clients have learned to read (extended.md, section 10.1).
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from broker.errors import Invalid, Malformed

MOST_DEPTH = 64
"""Levels of nesting in a schema, and in what is checked against one."""
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_LARGEST = sys.float_info.max
_FAR = 1e21
_NEAR = 1e-4


class Property(Struct, kw_only=True, forbid_unknown_fields=True):
    """What one name of a spec may hold; ``enum`` is a list, ``default`` documentation."""

    type: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    enum: Raw | UnsetType = UNSET
    default: Raw | UnsetType = UNSET
    properties: "dict[str, Property] | UnsetType" = UNSET
    items: "Property | UnsetType" = UNSET


class Schema(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a spec may hold."""

    type: str | UnsetType = UNSET
    properties: dict[str, Property] | UnsetType = UNSET
    required: list[str] | UnsetType = UNSET


def check_schema(schema: Schema) -> None:
    """See that a schema can be used.

    Raises:
        Malformed: it, or a value in it, is nested too deep, or an enum is no list.
    """
    for each in (schema.properties or {}).values():
        _check_property(each, MOST_DEPTH)


def _check_property(wanted: Property, most: int) -> None:
    if most == 0:
        raise Malformed(f"nested deeper than {MOST_DEPTH} levels")
    if wanted.default:
        read(bytes(wanted.default))
    if wanted.enum and not isinstance(read(bytes(wanted.enum)), list):
        raise Malformed("enum is no list")
    for inner in (*(wanted.properties or {}).values(), *([wanted.items] if wanted.items else ())):
        _check_property(inner, most - 1)


def read(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The value of a JSON text.

    Raises:
        Malformed: it has none, or one that is nested too deep.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Malformed(str(error)) from error
    if is_deep(value):
        raise Malformed(f"nested deeper than {MOST_DEPTH} levels")
    return value


def check(spec: Mapping[str, Any], schema: Schema) -> None:
    """See that a spec is what its schema says.

    Raises:
        Invalid: it is not; the text names the first place where it is not, in the spec's order.
    """
    for name in schema.required or ():
        if name not in spec:
            raise Invalid(f"required field '{name}' is missing")
    _check_fields(spec, schema.properties or {}, "")


def _check_fields(
    value: Mapping[str, Any], properties: Mapping[str, Property], prefix: str
) -> None:
    for name, inner in value.items():
        if name in properties:
            _check_value(inner, properties[name], prefix + name)


def _check_value(value: Any, wanted: Property, name: str) -> None:  # noqa: ANN401 - any JSON
    kinds = _TYPES.get(wanted.type or "")
    if kinds is not None and not _is_one_of(value, kinds):
        article = "an" if wanted.type in {"object", "array"} else "a"
        raise Invalid(f"field '{name}' must be {article} {wanted.type}, got {_type_name(value)}")
    if wanted.enum:
        allowed: list[Any] = msgspec.json.decode(wanted.enum)
        if allowed and not any(same(value, each) for each in allowed):
            raise Invalid(
                f"field '{name}' must be one of {_printed(allowed)}, got {_printed(value)}"
            )
    if isinstance(value, dict) and wanted.properties:
        _check_fields(cast("dict[str, Any]", value), wanted.properties, f"{name}.")
    if isinstance(value, list) and wanted.items:
        for at, item in enumerate(cast("list[Any]", value)):
            _check_value(item, wanted.items, f"{name}[{at}]")


def _is_one_of(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (not isinstance(value, bool) or kinds == (bool,))


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether two values are the same JSON; 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(one, list) and isinstance(other, list):
        first, second = cast("list[Any]", one), cast("list[Any]", other)
        return len(first) == len(second) and all(map(same, first, second))
    return one == other


def is_deep(value: Any, most: int = MOST_DEPTH) -> bool:  # noqa: ANN401 - any JSON
    """Whether a value is nested deeper than so many levels."""
    if isinstance(value, dict):
        inner: Iterable[Any] = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    else:
        return False
    return most == 0 or any(is_deep(each, most - 1) for each in inner)


# -------------------------------------------------------------------- as Go prints it


def _type_name(value: object) -> str:
    names: dict[type, str] = {
        str: "string",
        bool: "bool",
        int: "float64",
        float: "float64",
        dict: "map[string]interface {}",
        list: "[]interface {}",
    }
    return names.get(type(value), "<nil>")


def _printed(value: Any) -> str:  # noqa: ANN401 - any JSON
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _printed_number(float(min(max(value, -_LARGEST), _LARGEST)))
    if isinstance(value, list):
        return "[" + " ".join(map(_printed, cast("list[Any]", value))) + "]"
    if isinstance(value, dict):
        pairs = sorted(cast("dict[str, Any]", value).items())
        return "map[" + " ".join(f"{name}:{_printed(inner)}" for name, inner in pairs) + "]"
    return str(value)


def _printed_number(value: float) -> str:
    """The shortest digits that mean this number; with an exponent only if it is far from 1."""
    digits = repr(value)
    if value == 0 or _NEAR <= abs(value) < _FAR:
        return f"{value:.0f}" if value.is_integer() else digits
    mantissa, _, exponent = digits.partition("e")
    return f"{mantissa}e{int(exponent):+03d}"
