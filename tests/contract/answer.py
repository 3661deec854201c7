"""What a server answers, told apart into what a client reads: status, headers, envelope or text."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec


class Unchecked:
    """Stands where a payload or a value would that is not promised."""


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | Unchecked | None"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A reply of the protocol with its payload decoded."""

    payloadtype: str
    error: bool
    payload: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply over HTTP, recorded or received: an envelope, or the body as text."""

    status: int
    body: Envelope | str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class _Wire(msgspec.Struct, forbid_unknown_fields=True):
    payloadtype: str
    payload: str
    error: bool


def read_body(body: bytes) -> Envelope | str:
    """The envelope a body holds; the body as text when it holds anything else.

    An envelope has exactly the three keys of core.md section 2, and a payload that decodes.
    """
    try:
        wire = msgspec.json.decode(body, type=_Wire)
        payload = json.loads(base64.b64decode(wire.payload, validate=True))
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return body.decode("utf-8", errors="backslashreplace")
    return Envelope(wire.payloadtype, wire.error, payload)


def read_json(text: str) -> Json:
    """JSON as the values it means; integers of any size stay exact."""
    value: Any = json.loads(text)
    return value
