"""Function specs: from what clients send to what is stored, matched and shown."""

from msgspec import UNSET, Raw, UnsetType

from api import wire
from broker.aggregates.process import SubmitProcess
from broker.errors import Malformed
from broker.matching import Requirement
from broker.resources import in_bytes, millicores, shown_mebibytes, shown_millicores

_ANYBODY = ["*"]


def command_of(spec: wire.FunctionSpec, process_id: str) -> SubmitProcess:
    """The command a spec means; ``spec`` is normalised in place to what replies show.

    Raises:
        Invalid: resources that cannot be read.
    """
    requirement = _normalise(spec)
    return SubmitProcess(
        process_id=process_id,
        spec=wire.encode(spec),
        requirement=requirement,
        function=spec.funcname or "",
        label=spec.label or "",
        priority=spec.priority or 0,
        max_wait_s=spec.maxwaittime or 0,
        max_exec_s=spec.maxexectime or 0,
        max_retries=spec.maxretries or 0,
        env=spec.env or {},
    )


def check_free_form(spec: wire.FunctionSpec) -> None:
    """Put what is missing for ``args`` and ``kwargs``; the decoder did not look at their types.

    Raises:
        Malformed: args is no list, kwargs is no object, or they are not UTF-8.
    """
    spec.args = _typed(spec.args, b"[", Raw(b"[]"))
    spec.kwargs = _typed(spec.kwargs, b"{", Raw(b"{}"))


def _normalise(spec: wire.FunctionSpec) -> Requirement:
    spec.nodename = spec.nodename or ""
    spec.funcname = spec.funcname or ""
    spec.label = spec.label or ""
    spec.priority = spec.priority or 0
    spec.maxwaittime = spec.maxwaittime or 0
    spec.maxexectime = spec.maxexectime or 0
    spec.maxretries = spec.maxretries or 0
    spec.env = spec.env or {}
    spec.channels = spec.channels or UNSET
    spec.fs = spec.fs or wire.Filesystem()
    spec.fs.mount = spec.fs.mount or ""
    spec.conditions = spec.conditions or wire.Conditions()
    return _normalise_conditions(spec.conditions)


def _normalise_conditions(conditions: wire.Conditions) -> Requirement:
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
    conditions.gpu = _normalised_gpu(conditions.gpu or wire.Gpu())
    return Requirement(
        executor_type=conditions.executortype,
        names=tuple(sorted(set(conditions.executornames or ()))),
        location=conditions.locationname.casefold() if conditions.locationname else "",
        cpu=cpu,
        mem=mem,
    )


def _normalised_gpu(gpu: wire.Gpu) -> wire.Gpu:
    return wire.Gpu(
        name=gpu.name or "",
        mem=shown_mebibytes(in_bytes(gpu.mem or "")),
        count=gpu.count or 0,
        nodecount=gpu.nodecount or 0,
    )


def _names(conditions: wire.Conditions) -> list[str] | None:
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
    return Raw(_utf8(text, "Failed to submit process"))


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
    return None if not text[1:-1].strip() else _utf8(text, what)


def _utf8(text: bytes, what: str) -> bytes:
    """The decoder does not look into free-form values; a reply with broken text would be ours."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{what}, invalid JSON") from error
    return text
