"""What users write in files and behind options, read into the messages of the protocol."""

import csv
import json
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar, cast

from msgspec import UNSET, Raw
from msgspec.structs import fields

from api import wire, wire_executor, wire_location, wire_spec
from broker.errors import Malformed
from cli.errors import UsageError
from cli.given import given_json
from cli.nearest import nearest

_UNLIMITED = -1

W = TypeVar("W", bound=wire.Wire)


def read_document(source: str) -> object:
    """The JSON of a file, of standard input (``-``), or of the argument itself.

    Raises:
        UsageError: no such file, or no JSON; with the line and a mark below the place.
    """
    # A file ends with a newline; what is missing at its end is missing on the line before.
    text = _text(source).rstrip()
    if not text:
        raise UsageError(f"{_called(source)} is empty, JSON is expected")
    try:
        return cast("object", json.loads(text))
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1].rstrip("\r")
        raise UsageError(
            f"{_called(source)} is no JSON: {error.msg}, line {error.lineno} column {error.colno}\n"
            f"  {line}\n  {' ' * (error.colno - 1)}^"
        ) from error


def _called(source: str) -> str:
    """What to call a source in a message."""
    if source == "-":
        return "standard input"
    return "the specification" if _is_text(source) else source


def _is_text(source: str) -> bool:
    return source.lstrip().startswith(("{", "["))


def _text(source: str) -> str:
    if _is_text(source):
        return source
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read {source}: {reason}") from error


def one(source: str, kind: type[W]) -> W:
    """The one structure that a document holds.

    Raises:
        UsageError: unreadable, or not of its shape.
    """
    return _shaped(read_document(source), kind, source)


def function_spec(source: str, colony: str) -> wire_spec.FunctionSpec:
    """A function spec with the defaults of the command line: unlimited times, no retry.

    Raises:
        UsageError: unreadable, or not the shape of a function spec.
    """
    document = read_document(source)
    if isinstance(document, list):
        raise UsageError(
            f"{_called(source)} holds a list, a function spec is an object",
            hint="a list of function specs is a workflow: colonies workflow submit",
        )
    return with_defaults(document, colony, source)


def with_defaults(
    document: object, colony: str, source: str, *, place: str = ""
) -> wire_spec.FunctionSpec:
    """A function spec out of a document; ``place`` says where in it, for a message.

    Raises:
        UsageError: not the shape of a function spec.
    """
    spec = _shaped(document, wire_spec.FunctionSpec, source, place=place)
    # Letter case does not count, as for the server.
    given = {key.lower(): value for key, value in cast("dict[str, object]", document).items()}
    where = f"{_called(source)}, {place}" if place else _called(source)
    _note_unknown(given, wire_spec.FunctionSpec, where)
    conditions = given.get("conditions")
    if isinstance(conditions, dict):
        named = cast("dict[str, object]", conditions)
        _note_unknown([key.lower() for key in named], wire_spec.Conditions, f"{where}, conditions")
    spec.maxwaittime = spec.maxwaittime if "maxwaittime" in given else _UNLIMITED
    spec.maxexectime = spec.maxexectime if "maxexectime" in given else _UNLIMITED
    spec.conditions = spec.conditions or wire_spec.Conditions()
    spec.conditions.colonyname = spec.conditions.colonyname or colony
    return spec


def _note_unknown(names: Iterable[str], kind: type[wire.Wire], where: str) -> None:
    """Say which fields nobody reads: a server passes over them, and over what was meant."""
    known = [field.encode_name for field in fields(kind)]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            meant = f", did you mean {near!r}?" if near else ""
            sys.stderr.write(f"note: {where}: the field {name!r} is not known{meant}\n")


def executor(source: str) -> tuple[wire_executor.Executor, wire_location.Location | None]:
    """An executor spec, and the place it describes; hardware and software may be objects or lists.

    Specs written for v1.7.0 describe the place they are at, today's name one in the directory.

    Raises:
        UsageError: unreadable, or not the shape of an executor spec.
    """
    document = read_document(source)
    found = _shaped(document, wire_executor.Executor, source)
    described = cast("dict[str, object]", document).get("location")
    if not isinstance(described, dict) or found.locationname is not UNSET:
        return found, None
    place = _shaped(cast("object", described), _Described, source)
    if not place.desc:
        return found, None
    found.locationname = place.desc
    return found, wire_location.Location(
        locationid=secrets.token_hex(32),
        name=place.desc,
        description=place.desc,
        long=place.long,
        lat=place.lat,
    )


class _Described(wire.Wire):
    """A place in an executor spec of v1.7.0."""

    long: float = 0
    lat: float = 0
    desc: str = ""


def _shaped(document: object, kind: type[W], source: str, *, place: str = "") -> W:
    where = f"{_called(source)}, {place}" if place else _called(source)
    if not isinstance(document, dict):
        what = "must be" if place else "must hold"
        raise UsageError(f"{where} {what} a JSON object")
    try:
        return wire.decode(json.dumps(document).encode(), kind)
    except Malformed as error:
        raise UsageError(f"{where}: {error}") from error


def split(values: Iterable[str] | None) -> list[str]:
    """Values of a repeatable option, each split at commas; double quotes protect a comma."""
    return [part for value in values or () for row in csv.reader([value]) for part in row]


def pairs(values: Iterable[str] | None, *, at: str, option: str) -> dict[str, str]:
    """Values of the form ``key<at>value``; the value may contain ``at`` too.

    Raises:
        UsageError: one without a key or without ``at``.
    """
    found: dict[str, str] = {}
    for value in split(values):
        key, separator, text = value.partition(at)
        if not separator or not key:
            raise UsageError(f"{option} takes key{at}value, got {value!r}")
        found[key] = text
    return found


def json_text(value: object) -> Raw:
    """JSON text for the free-form fields of a message."""
    return Raw(json.dumps(value, ensure_ascii=False).encode())


def plain(value: wire.Wire | Sequence[wire.Wire]) -> object:
    """A structure as plain JSON values, exactly as it is spelled on the wire."""
    return given_json(wire.encode(value))


def words(text: Raw) -> str:
    """A free-form JSON list as words with spaces between them, an object as ``key:value``."""
    value = given_json(bytes(text) or b"null")
    if isinstance(value, dict):
        items = sorted(cast("dict[str, object]", value).items())
        return " ".join(f"{key}:{_word(item)}" for key, item in items)
    return " ".join(_word(item) for item in cast("list[object]", value or []))


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
