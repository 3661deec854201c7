"""``colonies executor``: register, look at and run the workers of a colony."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from api import wire_executor, wire_function, wire_location
from broker.identity import Identity
from cli import render, spec
from cli.commands.runner import run
from cli.config import Role
from cli.errors import RpcError, UsageError
from cli.options import NONE, ONCE, Options, Watch
from cli.profile import write_private
from cli.session import Session

app = App(name="executor", help="Manage executors, or run one.", help_format="plaintext")
app.command(run)

Name = Annotated[str, Parameter(name=("--name",))]
Switch = Annotated[bool, Parameter(negative="")]
_UNREGISTERED = 3
_NOT_FOUND = 404
_NOT_KNOWN = "n/a"
_LINE = "=" * 94


@app.command
async def add(
    *,
    executorid: str,
    spec_: Annotated[str | None, Parameter(name=("--spec",))] = None,
    name: str | None = None,
    type_: Annotated[str | None, Parameter(name=("--type",))] = None,
    approve: Switch = False,
    options: Options = NONE,
) -> None:
    """Add an executor; signed by the colony owner. It gets no work before it is approved.

    Args:
        executorid: id of the executor's key, 64 hex digits.
        spec_: a JSON file (or -, or the JSON itself) with the executor's name, type, capabilities.
        name: name, instead of the one in the spec.
        type_: type, instead of the one in the spec.
        approve: approve it at once.
        options: global options.
    """
    async with Session(options) as session:
        executor, place = _executor(session, spec_, name, type_)
        executor.executorid = executorid
        await _add(session, executor, place, approve=approve)


@app.command
async def create(
    *,
    keypath: Path,
    idpath: Path | None = None,
    spec_: Annotated[str | None, Parameter(name=("--spec",))] = None,
    name: str | None = None,
    type_: Annotated[str | None, Parameter(name=("--type",))] = None,
    approve: Switch = False,
    options: Options = NONE,
) -> None:
    """Generate a key and add an executor with it; signed by the colony owner.

    Args:
        keypath: new file for the private key (mode 0600).
        idpath: new file for the id.
        spec_: a JSON file (or -, or the JSON itself) with the executor's name, type, capabilities.
        name: name, instead of the one in the spec.
        type_: type, instead of the one in the spec.
        approve: approve it at once.
        options: global options.
    """
    async with Session(options) as session:
        for path in (keypath, idpath):
            if path is not None and path.exists():
                raise UsageError(f"{path} exists already", hint="a key is never overwritten")
        identity = Identity.generate()
        executor, place = _executor(session, spec_, name, type_)
        executor.executorid = identity.id
        # Written first: a key that the server knows must not be lost.
        write_private(keypath, identity.prvkey + "\n")
        try:
            await _add(session, executor, place, approve=approve)
        except RpcError as error:
            if error.asked == "addexecutormsg":
                _discard(keypath)
            raise
        if idpath is not None:
            write_private(idpath, identity.id + "\n")


def _discard(path: Path) -> None:
    path.unlink()


def _executor(
    session: Session, source: str | None, name: str | None, type_: str | None
) -> tuple[wire_executor.Executor, wire_location.Location | None]:
    executor, place = spec.executor(source) if source else (wire_executor.Executor(), None)
    executor.colonyname = session.colony
    executor.executorname = name or executor.executorname
    executor.executortype = type_ or executor.executortype or session.config.get("executor_type")
    if not executor.executorname or not executor.executortype:
        raise UsageError(
            "an executor needs a name and a type",
            hint="give them with --name and --type, or in the file of --spec",
        )
    return executor, place


async def _add(
    session: Session,
    executor: wire_executor.Executor,
    place: wire_location.Location | None,
    *,
    approve: bool,
) -> None:
    owner = session.client(Role.OWNER)
    added = await owner.ask(wire_executor.AddExecutorMsg(executor=executor), wire_executor.Executor)
    if approve:
        session.out.say("Approving Executor", ExecutorName=added.executorname)
        await owner.tell(
            wire_executor.ApproveExecutorMsg(
                colonyname=session.colony, executorname=added.executorname
            )
        )
        added.state = render.EXECUTOR_STATES.index(render.State.APPROVED)
    if place is not None:
        await _add_place(session, place)
    session.out.done(
        "Executor added",
        ids=added.executorname,
        data=spec.plain(added),
        ColonyName=added.colonyname,
        ExecutorID=added.executorid,
        ExecutorName=added.executorname,
        ExecutorType=added.executortype,
    )


async def _add_place(session: Session, place: wire_location.Location) -> None:
    """Put the place that a spec describes into the directory, unless it cannot be."""
    place.colonyname = session.colony
    try:
        await session.client(Role.OWNER).tell(wire_location.AddLocationMsg(location=place))
    except RpcError as error:
        # The executor is added all the same, and very often its place was there before it.
        session.out.say("The directory of locations stays as it is", Reason=error.message)
    else:
        session.out.say("Location added", Name=place.name)


@app.command
async def approve(name: Name, *, options: Options = NONE) -> None:
    """Approve an executor, so that it gets work; signed by the colony owner.

    Args:
        name: name of the executor.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_executor.ApproveExecutorMsg(colonyname=session.colony, executorname=name)
        await session.client(Role.OWNER).tell(message)
        _done(session, "Executor approved", name)


@app.command
async def reject(name: Name, *, options: Options = NONE) -> None:
    """Reject an executor, so that it gets no work; signed by the colony owner.

    Args:
        name: name of the executor.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_executor.RejectExecutorMsg(colonyname=session.colony, executorname=name)
        await session.client(Role.OWNER).tell(message)
        _done(session, "Executor rejected", name)


@app.command
async def remove(name: Name, *, options: Options = NONE) -> None:
    """Remove an executor; its running work goes back to the queue. Signed by the colony owner.

    Args:
        name: name of the executor.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_executor.RemoveExecutorMsg(colonyname=session.colony, executorname=name)
        await session.client(Role.OWNER).tell(message)
        _done(session, "Executor removed", name)


def _done(session: Session, text: str, name: str) -> None:
    session.out.done(text, ids=name, ColonyName=session.colony, ExecutorName=name)


@app.command
async def ls(
    *,
    all_: Annotated[bool, Parameter(name=("--all", "-a"), negative="")] = False,
    full: Switch = False,
    type_: Annotated[str, Parameter(name=("--type", "--executortype"))] = "",
    location: str = "",
    filter_: Annotated[str, Parameter(name=("--filter", "-f"))] = "",
    watch: Watch = ONCE,
    options: Options = NONE,
) -> None:
    """List the executors of the colony.

    Args:
        all_: unregistered ones too, with state and the time they were last heard from.
        full: everything known about each.
        type_: only of this type.
        location: only at this location.
        filter_: only with this text in the name or the type.
        watch: how often to show it.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        message = wire_executor.GetExecutorsMsg(colonyname=session.colony)

        async def found() -> list[wire_executor.Executor]:
            return [
                executor
                for executor in await client.ask_list(message, wire_executor.Executor)
                if (all_ or executor.state != _UNREGISTERED)
                and type_ in {"", executor.executortype}
                and location in {"", _location(executor)}
                and (filter_ in executor.executorname or filter_ in executor.executortype)
            ]

        async def ask() -> render.Listing | render.Detail:
            executors = await found()
            if not full or not executors:
                return _listing(executors, all_=all_)
            return _in_full(executors, await _functions(session), await _places(session))

        await session.show(ask, watch)


def _listing(found: list[wire_executor.Executor], *, all_: bool) -> render.Listing:
    header = ("NAME", "TYPE", "LOCATION")
    return render.Listing(
        header=(*header[:2], "STATE", header[2], "LAST HEARD FROM") if all_ else header,
        rows=[_row(executor, all_=all_) for executor in found],
        nothing="No Executors found",
        data=spec.plain(found),
        ids=[executor.executorname for executor in found],
    )


def _row(executor: wire_executor.Executor, *, all_: bool) -> render.Row:
    name, kind, place = executor.executorname, executor.executortype, _location(executor)
    if not all_:
        return (name, kind, place)
    state = render.state_of(render.EXECUTOR_STATES, executor.state)
    return (name, kind, state, place, render.moment(executor.lastheardfromtime))


def _in_full(
    found: list[wire_executor.Executor],
    functions: list[wire_function.Function],
    places: dict[str, wire_location.Location],
) -> render.Detail:
    """The blocks of each executor, with a line between two of them."""
    line = render.Block(nothing=_LINE)
    parts: list[render.Block] = []
    for executor in found:
        parts += [line, *_blocks(executor, functions, places.get(_location(executor)))]
    return render.Detail(
        blocks=parts[1:],
        data=spec.plain(found),
        ids=[executor.executorname for executor in found],
    )


async def _places(session: Session) -> dict[str, wire_location.Location]:
    message = wire_location.GetLocationsMsg(colonyname=session.colony)
    found = await session.client().ask_list(message, wire_location.Location)
    return {place.name: place for place in found}


async def _functions(session: Session, executor: str = "") -> list[wire_function.Function]:
    message = wire_function.GetFunctionsMsg(colonyname=session.colony, executorname=executor)
    return await session.client().ask_list(message, wire_function.Function)


@app.command
async def get(name: Name, *, options: Options = NONE) -> None:
    """Show an executor with its hardware, software and functions.

    Args:
        name: name of the executor.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        executor = await client.ask(
            wire_executor.GetExecutorMsg(colonyname=session.colony, executorname=name),
            wire_executor.Executor,
        )
        functions = await _functions(session, name)
        place = await _place(session, executor)
        session.out.show(
            render.Detail(
                blocks=_blocks(executor, functions, place),
                data=spec.plain(executor),
                ids=(executor.executorid,),
            )
        )


@app.command
async def chid(
    executorid: Annotated[str, Parameter(name=("--executorid",))], *, options: Options = NONE
) -> None:
    """Move the calling executor to another key; the old key is dead at once.

    Args:
        executorid: id of the new key, 64 hex digits.
        options: global options.
    """
    async with Session(options) as session:
        message = wire_executor.ChangeExecutorIdMsg(
            colonyname=session.colony, executorid=executorid
        )
        await session.client(Role.EXECUTOR).tell(message)
        session.out.done(
            "Changed executor Id", ids=executorid, ColonyName=session.colony, ExecutorId=executorid
        )


async def _place(
    session: Session, executor: wire_executor.Executor
) -> wire_location.Location | None:
    """Where an executor is, if the directory knows the place it names."""
    name = _location(executor)
    message = wire_location.GetLocationMsg(colonyname=session.colony, name=name)
    try:
        return await session.client().ask(message, wire_location.Location) if name else None
    except RpcError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def _location(executor: wire_executor.Executor) -> str:
    return executor.locationname if isinstance(executor.locationname, str) else ""


def _blocks(
    executor: wire_executor.Executor,
    functions: list[wire_function.Function],
    place: wire_location.Location | None,
) -> list[render.Block]:
    """Everything about an executor; the functions may be those of others too."""
    hardware, software = executor.capabilities.hardware, executor.capabilities.software
    machines = hardware if isinstance(hardware, list) else [hardware] if hardware else []
    programs = software if isinstance(software, list) else [software] if software else []
    return [
        render.Block(caption="Executor", rows=_executor_rows(executor)),
        render.Block(caption="Location", rows=_location_rows(executor, place)),
        *(render.Block(caption="Hardware", rows=_hardware_rows(one)) for one in machines),
        *(
            render.Block(
                caption="Software",
                rows=[("Name", one.name), ("Type", one.type), ("Version", one.version)],
            )
            for one in programs
        ),
        *_function_blocks([f for f in functions if f.executorname == executor.executorname]),
    ]


def _executor_rows(executor: wire_executor.Executor) -> list[render.Row]:
    return [
        ("Name", executor.executorname),
        ("ID", render.Id(executor.executorid)),
        ("Type", executor.executortype),
        ("ColonyName", executor.colonyname),
        ("State", render.state_of(render.EXECUTOR_STATES, executor.state)),
        ("RequireFuncRegistration", str(executor.requirefuncreg)),
        ("CommissionTime", render.moment(executor.commissiontime)),
        ("LastHeardFrom", render.moment(executor.lastheardfromtime)),
    ]


def _location_rows(
    executor: wire_executor.Executor, place: wire_location.Location | None
) -> list[render.Row]:
    return [
        ("Name", _location(executor) or _NOT_KNOWN),
        ("Longitude", f"{place.long:.6f}" if place else _NOT_KNOWN),
        ("Latitude", f"{place.lat:.6f}" if place else _NOT_KNOWN),
        ("Description", place.description if place else _NOT_KNOWN),
    ]


def _hardware_rows(hardware: wire_executor.Hardware) -> list[render.Row]:
    gpu = hardware.gpu
    rows = [
        ("Model", hardware.model),
        ("CPU", hardware.cpu),
        ("Nodes", str(hardware.nodes)),
        ("Memory", hardware.mem),
        ("Storage", hardware.storage),
        ("GPU", gpu.name or ""),
        ("GPUMem", gpu.mem or ""),
        ("GPUs", str(gpu.count or 0)),
        ("GPUs/Node", str(gpu.nodecount or 0)),
    ]
    newer = [
        ("Cores", str(hardware.cores) if hardware.cores else ""),
        ("Platform", hardware.platform),
        ("Architecture", hardware.architecture),
        ("Network", ", ".join(hardware.network or [])),
    ]
    return [*rows, *(row for row in newer if row[1])]


def _function_blocks(functions: list[wire_function.Function]) -> list[render.Block]:
    if not functions:
        return [render.Block(caption="Functions", nothing="No functions found")]
    return [
        render.Block(
            caption="" if number else "Functions",
            rows=[
                ("FuncName", function.funcname),
                ("FunctionId", render.Id(function.functionid)),
                ("Counter", str(function.counter)),
                *times(function),
            ],
        )
        for number, function in enumerate(functions)
    ]


def times(function: wire_function.Function) -> list[tuple[str, str]]:
    """The six times of a function, in seconds, as the guide labels them."""
    return [
        ("MinWaitTime", f"{function.minwaittime:.6f} s"),
        ("MaxWaitTime", f"{function.maxwaittime:.6f} s"),
        ("AvgWaitTime", f"{function.avgwaittime:.6f} s"),
        ("MinExecTime", f"{function.minexectime:.6f} s"),
        ("MaxExecTime", f"{function.maxexectime:.6f} s"),
        ("AvgExecTime", f"{function.avgexectime:.6f} s"),
    ]
