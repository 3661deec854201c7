"""``colonies function``: submit work, and say what an executor can do."""

import secrets
from typing import Annotated

from cyclopts import App, Parameter

from api import wire, wire_executor, wire_file, wire_function, wire_process, wire_spec
from broker.identity import is_identity
from cli import logfollow, render, spec
from cli.commands.executor import times
from cli.config import Role
from cli.errors import RpcError, UsageError
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session
from cli.waiting import finish

app = App(name="function", help="Manage functions.", help_format="plaintext")

_SUBMIT = "submitfuncspecmsg"

Switch = Annotated[bool, Parameter(negative="")]
Words = Annotated[list[str] | None, Parameter(negative="")]


@app.command
async def submit(
    *,
    spec_: Annotated[str, Parameter(name=("--spec",))],
    label: str | None = None,
    snapshot: Switch = False,
    wait: Switch = False,
    out: Switch = False,
    follow: Switch = False,
    options: Options = NONE,
) -> None:
    """Submit a function spec; it becomes a process that an executor can take.

    Args:
        spec_: a JSON file, - for standard input, or the JSON itself.
        label: label of the process, instead of the one in the spec.
        snapshot: make a snapshot of each label in fs.snapshots now, for it to start from.
        wait: wait until the process has ended; exit code 1 when it failed.
        out: print its output when it has ended; with --wait.
        follow: print what it says, and its output when it has ended; exit code 1 when it failed.
        options: global options.
    """
    async with Session(options) as session:
        function = spec.function_spec(spec_, session.colony)
        if label is not None:
            function.label = label
        made = await _snapshots(session, function) if snapshot else []
        try:
            await _submit(session, function, wait=wait or out, out=out, follow=follow)
        except RpcError as error:
            if error.asked == _SUBMIT:
                await _forget(session, made)
            raise


async def _snapshots(session: Session, function: wire_spec.FunctionSpec) -> list[str]:
    """Make a snapshot for each mount of a spec, and name it there; their ids.

    Raises:
        UsageError: nothing is mounted from a snapshot, or a mount names no label.
    """
    mounts = (function.fs.snapshots if function.fs else None) or []
    if not mounts or not all(mount.label for mount in mounts):
        raise UsageError(
            "--snapshot needs the labels to make snapshots of",
            hint='in the spec: "fs": {"snapshots": [{"label": "/src", "dir": "/src"}], …}',
        )
    made: list[str] = []
    for mount in mounts:
        message = wire_file.CreateSnapshotMsg(
            colonyname=session.colony, label=mount.label, name=secrets.token_hex(32)
        )
        try:
            found = await session.client().ask(message, wire_file.Snapshot)
        except RpcError:
            await _forget(session, made)
            raise
        mount.snapshotid = found.snapshotid
        made.append(found.snapshotid)
        session.out.say("Snapshot created", Label=mount.label, SnapshotId=found.snapshotid)
    return made


async def _forget(session: Session, snapshot_ids: list[str]) -> None:
    """Remove snapshots that no process will start from."""
    for snapshot_id in snapshot_ids:
        await session.client().tell(
            wire_file.RemoveSnapshotMsg(colonyname=session.colony, snapshotid=snapshot_id)
        )


@app.command(name="exec")
async def execute(
    *,
    func: str,
    targettype: str = "",
    targetname: Annotated[list[str] | None, Parameter(name=("--targetname", "--targetid"))] = None,
    args: Words = None,
    kwargs: Words = None,
    env: Words = None,
    label: str = "",
    priority: int = 0,
    maxwaittime: int = -1,
    maxexectime: int = -1,
    maxretries: int = -1,
    wait: Switch = False,
    out: Switch = False,
    follow: Switch = False,
    options: Options = NONE,
) -> None:
    """Submit a function without writing a spec.

    Args:
        func: name of the function.
        targettype: type of the executors that may take it.
        targetname: name (or id) of an executor that may take it.
        args: arguments, with commas between them; double quotes protect a comma.
        kwargs: named arguments, key:value.
        env: environment variables, key=value.
        label: label of the process.
        priority: -50000 to 50000; one step is worth one day of waiting (0).
        maxwaittime: seconds it may wait, -1 without limit (-1).
        maxexectime: seconds it may run, -1 without limit (-1).
        maxretries: times it may be started again after running too long, -1 without limit (-1).
        wait: wait until the process has ended; exit code 1 when it failed.
        out: print its output when it has ended; with --wait.
        follow: print what it says, and its output when it has ended; exit code 1 when it failed.
        options: global options.
    """
    async with Session(options) as session:
        if not targettype and not targetname:
            raise UsageError(
                "--targettype or --targetname is missing",
                hint="who may take it? executors of a type, or one with a name: `executor ls`",
            )
        targets = [await _executor(session, name) for name in spec.split(targetname)]
        function = wire_spec.FunctionSpec(
            funcname=func,
            args=spec.json_text(spec.split(args)),
            kwargs=spec.json_text(spec.pairs(kwargs, at=":", option="--kwargs")),
            env=spec.pairs(env, at="=", option="--env"),
            label=label,
            priority=priority,
            maxwaittime=maxwaittime,
            maxexectime=maxexectime,
            maxretries=maxretries,
            conditions=wire_spec.Conditions(
                colonyname=session.colony,
                executortype=targettype or targets[0].executortype,
                executornames=[target.executorname for target in targets] or None,
            ),
        )
        await _submit(session, function, wait=wait or out, out=out, follow=follow)


async def _executor(session: Session, name: str) -> wire_executor.Executor:
    """A target by name, or by id as older versions do; matching wants its type besides."""
    message: wire.Message = wire_executor.GetExecutorMsg(
        colonyname=session.colony, executorname=name
    )
    if is_identity(name):
        message = wire_executor.GetExecutorByIdMsg(colonyname=session.colony, executorid=name)
    return await session.client().ask(message, wire_executor.Executor)


async def _submit(
    session: Session, function: wire_spec.FunctionSpec, *, wait: bool, out: bool, follow: bool
) -> None:
    message = wire_process.SubmitFuncSpecMsg(spec=function)
    process = await session.client().ask(message, wire_process.Process)
    if not wait and not follow:
        session.out.done(
            "Process submitted",
            ids=process.processid,
            data=spec.plain(process),
            ProcessId=process.processid,
        )
        return
    session.out.say("Process submitted", ProcessId=process.processid)
    if follow:
        await logfollow.finish(session, process.processid)
    else:
        await finish(session, process.processid, out=out)


@app.command
async def register(*, name: str, func: str, options: Options = NONE) -> None:
    """Say that an executor has a function; signed by the executor itself.

    Args:
        name: name of the executor.
        func: name of the function.
        options: global options.
    """
    async with Session(options) as session:
        function = wire_function.Function(
            executorname=name, colonyname=session.colony, funcname=func
        )
        message = wire_function.AddFunctionMsg(fun=function)
        added = await session.client(Role.EXECUTOR).ask(message, wire_function.Function)
        session.out.done(
            "Function added",
            ids=added.functionid,
            data=spec.plain(added),
            ColonyName=added.colonyname,
            ExecutorName=added.executorname,
            FuncName=added.funcname,
            FunctionID=added.functionid,
        )


@app.command
async def remove(
    functionid: Annotated[str, Parameter(name=("--functionid",))], *, options: Options = NONE
) -> None:
    """Forget a registered function; signed by the executor that has it.

    Args:
        functionid: the function, see `colonies executor get`.
        options: global options.
    """
    async with Session(options) as session:
        await session.client(Role.EXECUTOR).tell(
            wire_function.RemoveFunctionMsg(functionid=functionid)
        )
        session.out.done("Function removed", ids=functionid, FunctionId=functionid)


@app.command
async def ls(*, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List the functions of the colony, with what they have been seen to take."""
    async with Session(options) as session:
        client, message = session.client(), wire_function.GetFunctionsMsg(colonyname=session.colony)

        async def ask() -> render.Listing | render.Detail:
            found = await client.ask_list(message, wire_function.Function)
            if not found:
                return render.Listing(header=(), rows=(), nothing="No functions found", data=[])
            by_name: dict[str, list[wire_function.Function]] = {}
            for function in sorted(found, key=lambda one: one.funcname):
                by_name.setdefault(function.funcname, []).append(function)
            return render.Detail(
                blocks=[_block(same) for same in by_name.values()],
                data=spec.plain(found),
                ids=[function.functionid for function in found],
            )

        await session.show(ask, watch)


def _block(same: list[wire_function.Function]) -> render.Block:
    count = len(same)
    return render.Block(
        caption="Function",
        rows=[
            ("FuncName", same[0].funcname),
            ("Calls", str(sum(function.counter for function in same))),
            ("Served by", f"{count} executor{'' if count == 1 else 's'}"),
            *times(together(same)),
        ],
    )


def together(same: list[wire_function.Function]) -> wire_function.Function:
    """The times of one function over all its executors; averages weigh by number of calls."""
    called = [function for function in same if function.counter] or same
    weights = [max(1, function.counter) for function in called]

    def mean(values: list[float]) -> float:
        pairs = zip(values, weights, strict=True)
        return sum(value * weight for value, weight in pairs) / sum(weights)

    return wire_function.Function(
        minwaittime=min(function.minwaittime for function in called),
        maxwaittime=max(function.maxwaittime for function in called),
        avgwaittime=mean([function.avgwaittime for function in called]),
        minexectime=min(function.minexectime for function in called),
        maxexectime=max(function.maxexectime for function in called),
        avgexectime=mean([function.avgexectime for function in called]),
    )
