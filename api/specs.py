"""Function specs: from what clients send to what is stored, matched and shown."""

import re
from collections.abc import Sequence
from math import isinf
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from api import wire, wire_spec
from api.wire_spec import SubmittedSpec
from broker import keys
from broker.aggregates.backoff import Backoff
from broker.aggregates.process_submit import SubmitProcess
from broker.aggregates.workflow import Node
from broker.errors import Invalid, Malformed
from broker.matching import Requirement
from broker.remembered import remembered
from broker.resources import in_bytes, millicores, shown_mebibytes, shown_millicores

MOST_ENVIRONMENT = 50_000
"""Each is a write of the append, during which the store does nothing else."""
MOST_CHANNELS = 100
_HEADROOM = 700
"""Levels of nesting that could be read besides those of a value: Python counts calls among them,
and whoever reads it later, as when its time is over, may be called from further down."""
_SHALLOW = 200
"""So few brackets cannot be nested too deep."""
_ANYBODY = ["*"]
S = TypeVar("S", bound=Struct)
_any_json = msgspec.json.Decoder(Raw).decode
_as_known = remembered(most=4_096, longest=4_096)
# Digits before the point and exponent together are 309 in a number that no double can hold, so it
# has an exponent of three digits, or many before that. Mostly what looks so is part of a text.
_MANY = 210
_EXPONENT = re.compile(rb"[0-9][eE]\+?0*[1-9][0-9]{2}")
_LONG = re.compile(rb"(?<![0-9])[0-9]{%d}" % _MANY)
# Strings are passed over, and nothing is kept of them: there may be millions.
_STRING_OR_LARGE = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
    rb"|((?<![0-9.])[0-9.]++[eE]\+?0*[1-9][0-9]{2,}"
    rb"|(?<![0-9.])[0-9]{%d,}+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)" % _MANY,
    re.DOTALL,
)


class SubmitMsg(wire.Message):
    """``wire_process.SubmitFuncSpecMsg`` as the server reads it."""

    spec: SubmittedSpec | None = None


class _Asked(Struct, frozen=True):
    """What conditions say: what is stored and shown, and what is matched."""

    shown: Raw
    requires: bytes


def colony_of(spec: SubmittedSpec) -> str:
    """The colony a spec is meant for.

    Raises:
        Malformed: conditions that are no conditions.
    """
    return _decoded_conditions(bytes(spec.conditions)).colonyname or ""


def command_of(spec: SubmittedSpec, process_id: str) -> SubmitProcess:
    """The command a checked spec means; ``spec`` is normalised in place to what replies show.

    Raises:
        Invalid: resources that cannot be read.
    """
    asked = _asked(bytes(spec.conditions))
    spec.nodename = spec.nodename or ""
    spec.funcname = spec.funcname or ""
    spec.label = spec.label or ""
    spec.priority = spec.priority or 0
    spec.maxwaittime = spec.maxwaittime or 0
    spec.maxexectime = spec.maxexectime or 0
    spec.maxretries = spec.maxretries or 0
    spec.env = spec.env or {}
    spec.channels = spec.channels or UNSET
    spec.retrybackoff = spec.retrybackoff or UNSET
    spec.conditions = asked.shown
    return SubmitProcess(
        process_id=process_id,
        spec=wire.encode(spec),
        requires=asked.requires,
        function=spec.funcname,
        label=spec.label,
        priority=spec.priority,
        max_wait_s=spec.maxwaittime,
        max_exec_s=spec.maxexectime,
        max_retries=spec.maxretries,
        env=spec.env,
    )


def nodes_of(specs: Sequence[SubmittedSpec], colony_name: str, suffix: str) -> list[Node]:
    """The nodes of a workflow, with new ids, in a colony whatever they say themselves.

    Raises:
        Malformed, Invalid: as for a single function spec; too large an environment in all.
    """
    variables = sum(len(spec.env or ()) for spec in specs)
    if variables > MOST_ENVIRONMENT:
        raise Invalid(
            f"Failed to submit workflow, it has {variables} environment variables in all, more than"
            f" the limit of {MOST_ENVIRONMENT}"
        )
    for at, spec in enumerate(specs):
        try:
            check_free_form(spec)
        except Malformed as error:
            raise Malformed(
                f"Failed to submit workkflow, invalid JSON (functionspecs[{at}])"
            ) from error
    return [node_of(spec, colony_name, suffix) for spec in specs]


def node_of(spec: SubmittedSpec, colony_name: str, suffix: str) -> Node:
    """One node of a workflow: a spec that was checked, in a colony whatever it says itself."""
    conditions = replace(_decoded_conditions(bytes(spec.conditions)), colonyname=colony_name)
    spec.conditions = Raw(wire.encode(conditions))
    spec.maxexectime = spec.maxexectime or -1
    command = command_of(spec, keys.new_id(suffix))
    return Node(
        name=spec.nodename or "", depends=list(conditions.dependencies or ()), process=command
    )


def check_free_form(spec: SubmittedSpec) -> None:
    """Look at what the decoder left as text, and put what is missing.

    Raises:
        Invalid: more environment variables than one step may write.
        Malformed: args is no list, kwargs no object, fs or conditions not what they should be.
    """
    if len(spec.env or ()) > MOST_ENVIRONMENT:
        raise Invalid(
            f"Failed to submit process spec, more than {MOST_ENVIRONMENT} environment variables"
        )
    if isinstance(spec.channels, list) and len(set(spec.channels)) > MOST_CHANNELS:
        raise Invalid("process has too many channels")
    if isinstance(spec.retrybackoff, Backoff):
        spec.retrybackoff.check()
    spec.args = _typed(spec.args, b"[", Raw(b"[]"))
    spec.kwargs = _typed(spec.kwargs, b"{", Raw(b"{}"))
    spec.fs = _filesystem(bytes(spec.fs))
    _decoded_conditions(bytes(spec.conditions))


@_as_known
def _filesystem(text: bytes) -> Raw:
    found = _part(text, wire_spec.Filesystem)
    found.mount = found.mount or ""
    return Raw(wire.encode(found))


@_as_known
def _decoded_conditions(text: bytes) -> wire_spec.Conditions:
    """Conditions as sent; not to be changed, they are remembered by their text."""
    return _part(text, wire_spec.Conditions)


@_as_known
def _asked(text: bytes) -> _Asked:
    conditions = _part(text, wire_spec.Conditions)
    requirement = _normalise_conditions(conditions)
    shown = Raw(wire.encode(conditions))
    return _Asked(shown, requirement.pack())


def _part(text: bytes, kind: type[S]) -> S:
    try:
        return wire.decode(b"{}" if text == b"null" else text, kind)
    except Malformed as error:
        raise Malformed("Failed to submit process, invalid JSON") from error


def _normalise_conditions(conditions: wire_spec.Conditions) -> Requirement:
    cpu, mem = millicores(conditions.cpu or ""), in_bytes(conditions.mem or "")
    conditions.colonyname = conditions.colonyname or ""
    conditions.executortype = conditions.executortype or ""
    conditions.executornames = _names(conditions)
    conditions.executorids = UNSET
    conditions.locationname = conditions.locationname or UNSET
    conditions.dependencies = conditions.dependencies or []
    conditions.nodes = conditions.nodes or 0
    conditions.processes = conditions.processes or 0
    conditions.processespernode = conditions.processespernode or _given(
        conditions.processes_per_node
    )
    conditions.processes_per_node = UNSET
    conditions.walltime = conditions.walltime or 0
    conditions.cpu = shown_millicores(cpu)
    conditions.mem = shown_mebibytes(mem)
    conditions.storage = shown_mebibytes(in_bytes(conditions.storage or ""))
    conditions.gpu = _normalised_gpu(conditions.gpu or wire_spec.Gpu())
    return Requirement(
        executor_type=conditions.executortype,
        names=tuple(sorted(set(conditions.executornames or ()))),
        location=conditions.locationname.casefold() if conditions.locationname else "",
        cpu=cpu,
        mem=mem,
    )


def _normalised_gpu(gpu: wire_spec.Gpu) -> wire_spec.Gpu:
    return wire_spec.Gpu(
        name=gpu.name or "",
        mem=shown_mebibytes(in_bytes(gpu.mem or "")),
        count=gpu.count or 0,
        nodecount=gpu.nodecount or 0,
    )


def _names(conditions: wire_spec.Conditions) -> list[str] | None:
    """Targets by name and (old clients) by id; ``["*"]`` is anybody."""
    names, ids = conditions.executornames, conditions.executorids or None
    if names is None and ids is None:
        return None
    targets = [*(names or ()), *(ids or ())]
    return [] if targets == _ANYBODY else targets


def _given(value: int | UnsetType | None) -> int:
    return value or 0


def _typed(value: Raw, opening: bytes, default: Raw) -> Raw:
    text = bytes(value)
    if text == b"null":
        return default
    if not text.startswith(opening):
        raise Malformed("Failed to submit process, invalid JSON")
    _check_readable(text, "Failed to submit process")
    return value


def json_list(value: Raw, what: str) -> bytes | None:
    """A JSON list as its text; None when there is nothing in it.

    Raises:
        Malformed: not a list.
    """
    text = bytes(value)
    if text == b"null":
        return None
    if not text.startswith(b"["):
        raise Malformed(f"{what}, invalid JSON")
    if not text[1:-1].strip():
        return None
    _check_readable(text, what)
    return text


def _check_readable(text: bytes, what: str) -> None:
    """The decoder only skips free-form values; what others cannot read would be our reply.

    Raises:
        Malformed: it is no UTF-8, nested too deep, or has a number that is too large.
    """
    if _has_number_out_of_range(text):
        raise Malformed(f"{what}, invalid JSON: a number is out of range")
    try:
        text.decode()
        if text.count(b"[") + text.count(b"{") > _SHALLOW:
            _any_json(b"[" * _HEADROOM + text + b"]" * _HEADROOM)
    except UnicodeDecodeError as error:
        raise Malformed(f"{what}, invalid JSON") from error
    except RecursionError as error:
        raise Malformed(f"{what}, invalid JSON: nested too deep") from error


def _has_number_out_of_range(text: bytes) -> bool:
    """Whether no double can hold one of the numbers in valid JSON: few clients could read it."""
    if not (_EXPONENT.search(text) or (len(text) > _MANY and _LONG.search(text))):
        return False
    return any(isinf(float(found[1])) for found in _STRING_OR_LARGE.finditer(text) if found[1])
