"""Processes as lists and in detail: which ones, and what is shown of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Group, Parameter
from msgspec import Raw

from api import wire, wire_process, wire_spec
from cli import ids, render, spec
from cli.client import Client

_LONGEST_IN_LIST, _LONGEST = 20, 50
_NONE = "None"
_ATTRIBUTE_TYPES = ("In", "Out", "Err", "Env")


@Parameter(name="*", group=Group("Filters", sort_key=50))
@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which processes a list shows, and how."""

    count: int = 100
    """Number of processes to list, at most 100 (100)."""

    executortype: Annotated[str, Parameter(name=("--type", "--executortype"))] = ""
    """Only for this executor type."""

    label: str = ""
    """Only with this label."""

    initiator: str = ""
    """Only submitted by this user."""

    # Not called `func`: cyclopts takes a class with such an attribute for a partial function.
    funcname: Annotated[str, Parameter(name=("--func",))] = ""
    """Only this function."""

    wide: Annotated[bool, Parameter(name=("--wide", "-w"), negative="")] = False
    """Show initiator and label too."""

    ids: Annotated[bool, Parameter(name=("--ids", "-i"), negative="")] = False
    """Show ids; they always are."""

    def message(self, colony: str, state: int) -> wire_process.GetProcessesMsg:
        """The question to the server; it filters by the first of type, initiator and label."""
        return wire_process.GetProcessesMsg(
            colonyname=colony,
            count=self.count,
            state=state,
            executortype=self.executortype,
            label=self.label,
            initiator=self.initiator,
        )

    def keeps(self, process: wire_process.Process) -> bool:
        """Whether a process fits all filters; those the server does not combine, too."""
        function = _function(process)
        conditions = function.conditions or wire_spec.Conditions()
        return (
            self.executortype in {"", conditions.executortype}
            and self.label in {"", function.label}
            and self.initiator in {"", process.initiatorname}
            and self.funcname in {"", function.funcname}
        )


COUNT = Filters()


async def whole_id(client: Client, colony: str, typed: str) -> str:
    """The id of a process that begins as typed; what is no beginning of one stays as it is.

    Narrow tables shorten ids, and what they show can be used. Found are the latest processes.

    Raises:
        UsageError: several ids begin so.
    """
    typed = ids.beginning(typed)
    if not ids.is_short(typed):
        return typed
    found: list[str] = []
    for state in range(len(render.PROCESS_STATES)):
        message = wire_process.GetProcessesMsg(colonyname=colony, count=COUNT.count, state=state)
        found += [one.processid for one in await client.ask_list(message, wire_process.Process)]
    return ids.completed(typed, found, "processes")


def listing(
    processes: Sequence[wire_process.Process], state: render.State, *, wide: bool
) -> render.Listing:
    """The list of processes that are all in one state."""
    times: dict[render.State, tuple[str, Callable[[wire_process.Process], str]]] = {
        render.State.WAITING: ("SUBMISSION TIME", lambda process: process.submissiontime),
        render.State.RUNNING: ("START TIME", lambda process: process.starttime),
    }
    title, at = times.get(state, ("END TIME", lambda process: process.endtime))
    header = ("ID", "FUNCNAME", "ARGS", "KWARGS", title, "EXECUTOR TYPE")
    return render.Listing(
        header=(*header, "INITIATOR", "LABEL") if wide else header,
        rows=[_row(process, render.moment(at(process)), wide=wide) for process in processes],
        nothing=f"No {state.value.lower()} processes found",
        data=spec.plain(processes),
        ids=[process.processid for process in processes],
    )


def _row(process: wire_process.Process, time: str, *, wide: bool) -> render.Row:
    function = _function(process)
    row: list[render.Cell] = [
        render.Id(process.processid),
        function.funcname or "",
        _cut(spec.words(function.args), _LONGEST_IN_LIST),
        _cut(spec.words(function.kwargs), _LONGEST_IN_LIST),
        time,
        (function.conditions.executortype if function.conditions else "") or "",
    ]
    return [*row, process.initiatorname, function.label or ""] if wide else row


def blocks(process: wire_process.Process, at: datetime | None = None) -> list[render.Block]:
    """Everything about one process; ``at`` is when it was so, without it now."""
    function = _function(process)
    return [
        render.Block(caption="Process", rows=_process_rows(process, at or datetime.now(UTC))),
        *spec_blocks(function),
        render.Block(
            caption="Attributes",
            header=("ID", "KEY", "VALUE", "TYPE"),
            rows=[
                (
                    render.Id(attribute.attributeid),
                    _cut(attribute.key, 30),
                    _cut(attribute.value, 30),
                    attribute_type(attribute.attributetype),
                )
                for attribute in process.attributes
            ],
            nothing="No attributes found",
        ),
    ]


def spec_blocks(
    function: wire_spec.FunctionSpec, caption: str = "FunctionSpec"
) -> list[render.Block]:
    """What a function spec asks for."""
    conditions = function.conditions or wire_spec.Conditions()
    return [
        render.Block(caption=caption, rows=_function_rows(function)),
        render.Block(caption="Conditions", rows=_condition_rows(conditions)),
    ]


def attribute_type(number: int) -> str:
    """What an attribute type is called."""
    return _ATTRIBUTE_TYPES[number] if 0 <= number < len(_ATTRIBUTE_TYPES) else str(number)


def _process_rows(process: wire_process.Process, at: datetime) -> list[render.Row]:
    began = process.starttime if render.parse_moment(process.starttime) else ""
    return [
        ("ID", render.Id(process.processid)),
        ("IsAssigned", str(process.isassigned)),
        ("AssignedExecutorID", render.Id(process.assignedexecutorid or _NONE)),
        ("State", render.state_of(render.PROCESS_STATES, process.state)),
        ("PriorityTime", str(process.prioritytime)),
        ("SubmissionTime", render.moment(process.submissiontime)),
        ("StartTime", render.moment(process.starttime)),
        ("EndTime", render.moment(process.endtime)),
        ("WaitDeadline", render.moment(process.waitdeadline)),
        ("ExecDeadline", render.moment(process.execdeadline)),
        ("WaitingTime", _between(process.submissiontime, began or process.endtime, at)),
        ("ProcessingTime", _between(process.starttime, process.endtime, at)),
        ("Retries", str(process.retries)),
        ("Errors", "\n".join(process.errors)),
        ("Output", spec.words(process.output)),
    ]


def _function_rows(function: wire_spec.FunctionSpec) -> list[render.Row]:
    rows = [
        ("Func", function.funcname or ""),
        ("Args", shortened_args(function.args)),
        ("KwArgs", shortened_args(function.kwargs)),
        ("MaxWaitTime", str(function.maxwaittime)),
        ("MaxExecTime", str(function.maxexectime)),
        ("MaxRetries", str(function.maxretries)),
        ("Priority", str(function.priority)),
    ]
    return [*rows, ("Label", function.label)] if function.label else [*rows]


def shortened_args(args: Raw) -> str:
    """Arguments as words, cut where they are long."""
    return _cut(spec.words(args), _LONGEST) or _NONE


def _condition_rows(conditions: wire_spec.Conditions) -> list[render.Row]:
    gpu = conditions.gpu or wire_spec.Gpu()
    rows: list[render.Row] = [
        ("ColonyName", conditions.colonyname or ""),
        ("ExecutorNames", "\n".join(conditions.executornames or []) or _NONE),
        ("ExecutorType", conditions.executortype or ""),
        ("Dependencies", "\n".join(conditions.dependencies or [])),
        ("Nodes", str(conditions.nodes)),
        ("CPU", conditions.cpu or ""),
        ("Memory", conditions.mem or ""),
        ("Processes", str(conditions.processes)),
        ("ProcessesPerNode", str(conditions.processespernode)),
        ("Storage", conditions.storage or ""),
        ("Walltime", str(conditions.walltime)),
        ("GPU", gpu.name or ""),
        ("GPUs", str(gpu.count)),
        ("GPUMemory", gpu.mem or ""),
    ]
    place = conditions.locationname
    return [*rows, ("Location", place)] if isinstance(place, str) and place else rows


def _function(process: wire_process.Process) -> wire_spec.FunctionSpec:
    return wire.decode(bytes(process.spec), wire_spec.FunctionSpec)


def _between(begin: str, end: str, at: datetime) -> str:
    """How long something took, or had taken at a moment by our clock; nothing before it began."""
    first, last = render.parse_moment(begin), render.parse_moment(end)
    if first is None:
        return "-"
    return render.duration(((last or at) - first).total_seconds())


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
