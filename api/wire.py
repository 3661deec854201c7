"""Messages exactly as the protocol spells them (core.md, sections 2, 5 and 6).

Requests decode into one struct a message, replies encode from structs, both with msgspec. The
decoders are strict and fast for the spelling the protocol prescribes. What Go's decoder would have
accepted besides (other letter case, unknown keys, ``null`` for anything) takes the slow road in
``decode``, which rewrites the text to the prescribed spelling and decodes that.

Free-form values (``args``, ``kwargs``, ``in``, ``out``) stay the client's own JSON text, so
numbers and key order come back exactly as they were sent.
"""

import base64
import binascii
from datetime import UTC, datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, UnsetType

from broker.errors import Invalid, Malformed

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
NO_TIME = "0001-01-01T00:00:00Z"
_MICRO = 1_000
_SECOND = 1_000_000
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


class Wire(Struct, kw_only=True, forbid_unknown_fields=True):
    """What every structure of the protocol has in common."""


class Strict(Wire):
    """A structure of ours alone: a key that it does not have is a mistake, not another version."""


class Message(Wire, kw_only=True):
    """A request. ``nonce`` and ``issuedat`` (Unix ns) are ours: with them it is accepted once."""

    msgtype: str = ""
    nonce: str = ""
    issuedat: Int = 0


class Request(Wire):
    """The outer request; ``payload`` is base64 text, ``signature`` signs that text."""

    payloadtype: str = ""
    payload: str = ""
    signature: str = ""


class Reply(Wire):
    """The outer reply; ``error`` is always present."""

    payloadtype: str
    payload: str
    error: bool = False


class Success(Wire):
    """The outer reply to what succeeded; the encoder puts ``payload`` in base64."""

    payloadtype: str
    payload: bytes
    error: bool = False


class Failure(Wire):
    """Payload of an error reply; ``status`` equals the HTTP status."""

    status: int
    message: str


class Empty(Wire):
    """The reply of a message that has nothing to say: ``{}``."""


class OfColony(Message):
    """A message that names a colony and nothing else."""

    colonyname: str = ""


M = TypeVar("M", bound=Struct)

encode = msgspec.json.Encoder().encode


def payload_text(value: Any) -> str:  # noqa: ANN401 - any reply structure
    """The base64 text of a reply or request structure."""
    return base64.b64encode(encode(value)).decode("ascii")


def decode(text: bytes, kind: type[M]) -> M:
    """Read one structure, as leniently as the reference does and no more.

    Raises:
        Malformed: not JSON, not an object, or a value of a wrong type; the text names the place.
        Invalid: a key that a structure of ours alone does not have.
    """
    try:
        return _decoder(kind).decode(text)
    except msgspec.ValidationError:
        return _decode_slowly(text, kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from error


@lru_cache(maxsize=256)
def _decoder(kind: type[M]) -> msgspec.json.Decoder[M]:
    return msgspec.json.Decoder(kind)


def _decode_slowly(text: bytes, kind: type[M]) -> M:
    try:
        loose = _respell(msgspec.json.decode(text), kind)
        return _decoder(kind).decode(encode(loose))
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise Malformed(str(error)) from error


def _respell(value: Any, kind: Any) -> Any:  # noqa: ANN401 - walks JSON beside its type
    """Keys in the prescribed letter case, unknown keys and nulls left out, as far as typed."""
    if get_origin(kind) in (Union, UnionType):
        kinds = [k for k in get_args(kind) if k not in (NoneType, UnsetType)]
        structs = [k for k in kinds if isinstance(value, dict) == _is_struct(k)]
        kind = structs[0] if structs else kinds[0]
    if isinstance(value, dict):
        return _respell_object(cast("dict[str, Any]", value), kind)
    if get_origin(kind) is list and isinstance(value, list):
        items, item_kind = cast("list[Any]", value), get_args(kind)[0]
        return [_zero(item_kind) if i is None else _respell(i, item_kind) for i in items]
    return value


def _respell_object(value: dict[str, Any], kind: Any) -> dict[str, Any]:  # noqa: ANN401
    if _is_struct(kind):
        known = _fields(kind)
        if issubclass(kind, Strict) and (mistaken := [k for k in value if k.lower() not in known]):
            raise Invalid(f"there is no field `{mistaken[0]}`, only {', '.join(known)}")
        pairs = ((known.get(k.lower()), v) for k, v in value.items())
        return {f[0]: _respell(v, f[1]) for f, v in pairs if f and v is not None}
    if get_origin(kind) is dict:
        of = get_args(kind)[1]
        return {k: _zero(of) if v is None else _respell(v, of) for k, v in value.items()}
    return value


def _zero(kind: Any) -> Any:  # noqa: ANN401
    """What ``null`` means where nothing can be left out: the zero value of a type."""
    return {} if _is_struct(kind) else kind() if isinstance(kind, type) else None


def _is_struct(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, Struct)


@lru_cache(maxsize=256)
def _fields(kind: type[Struct]) -> dict[str, tuple[str, Any]]:
    return {f.encode_name.lower(): (f.encode_name, f.type) for f in msgspec.structs.fields(kind)}


def unwrap(payload: str) -> bytes:
    """The message text inside a base64 payload; a broken one ends as text that does not parse."""
    try:
        return binascii.a2b_base64(payload, strict_mode=True)
    except (binascii.Error, ValueError):
        return b""


def rfc3339(at_ns: int) -> str:
    """A time as the protocol writes it: UTC, microseconds, no trailing zeros; 0 is "never"."""
    if at_ns == 0:
        return NO_TIME
    seconds, micros = divmod(at_ns // _MICRO, _SECOND)
    head = _whole_seconds(seconds)
    return f"{head}.{micros:06d}".rstrip("0") + "Z" if micros else head + "Z"


@lru_cache(maxsize=1024)
def _whole_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int:
    """Unix ns of an RFC 3339 text; "never" (year 1) is 0.

    Raises:
        Malformed: not such a text.
    """
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError as error:
        raise Malformed(str(error)) from error
    if moment.tzinfo is None:
        raise Malformed("time without zone")
    if moment.year <= 1:
        return 0
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise Malformed(f"the year {moment.year} does not fit a time in ns")
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * _MICRO
