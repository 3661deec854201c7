"""``colonies executor run``: an executor in one line."""

import asyncio
import secrets
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from cyclopts import Parameter

from api import wire_executor, wire_function
from broker.identity import Identity
from cli.client import Client
from cli.config import Role
from cli.errors import CliError, Exit, UsageError
from cli.options import NONE, Options
from cli.session import Session
from cli.worker import Work, Worker


async def run(
    *command: str,
    name: str | None = None,
    type_: Annotated[str | None, Parameter(name=("--type",))] = None,
    func: str = "",
    parallel: int = 1,
    options: Options = NONE,
) -> int:
    """Run an executor that starts a command for each process it is assigned.

    The command gets the process as JSON on standard input, and COLONIES_PROCESS_ID,
    COLONIES_FUNC_NAME, COLONIES_ARGS and COLONIES_KWARGS in its environment. What it prints
    becomes the output of the process; an exit code other than 0 fails it, with the last lines of
    its standard error. All that it prints goes to the log of the process, too, while it runs.

    Example: colonies executor run --type cli -- sh -c 'echo hello'

    Without --name and --type it is the executor whose key is configured. With one of them it is
    a new one, which the colony owner's key adds and which is removed at the end. Ctrl-C lets
    running commands finish, a second one ends them.

    Args:
        command: the command and its arguments, after --.
        name: name of a new executor.
        type_: type of a new executor.
        func: run only this function, and register it; what is assigned for another is failed.
        parallel: how many processes at the same time (1).
        options: global options.
    """
    if not command:
        raise UsageError("which command?", hint="colonies executor run -- sh -c 'echo hello'")
    if parallel < 1:
        raise UsageError("--parallel must be at least 1")
    async with Session(options) as session, _executor(session, name, type_) as (client, own_name):
        work = Work(
            colony=session.colony,
            command=command,
            function=func,
            parallel=parallel,
            returnable=not _is_configured(session, name, type_),
        )
        if func:
            await _register(client, session.colony, own_name, func)
        worker = Worker(client, work, session.out.say)
        with_signals(worker)
        session.out.say("Executor is waiting for work", ExecutorName=own_name)
        await _until_stopped(worker)
        done, failed = str(worker.done), str(worker.failed)
        session.out.say("Executor stopped", ExecutorName=own_name, Successful=done, Failed=failed)
    return Exit.DONE


async def _until_stopped(worker: Worker) -> None:
    try:
        await worker.run()
    except* CliError as group:
        raise group.exceptions[0] from None


def with_signals(worker: Worker) -> None:
    """Let Ctrl-C and SIGTERM stop the worker instead of the program."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, worker.stop)


def _is_configured(session: Session, name: str | None, kind: str | None) -> bool:
    """Whether to be the executor whose key is configured, and not a new one."""
    return name is None and kind is None and session.config.key(Role.EXECUTOR) is not None


@asynccontextmanager
async def _executor(
    session: Session, name: str | None, kind: str | None
) -> AsyncGenerator[tuple[Client, str]]:
    """A client of the executor to be, and its name."""
    if _is_configured(session, name, kind):
        client = session.client(Role.EXECUTOR)
        yield client, await _configured_name(session, client)
        return
    made = Identity.generate()
    executor = wire_executor.Executor(
        colonyname=session.colony,
        executorid=made.id,
        executorname=name or f"{socket.gethostname()}-{secrets.token_hex(4)}",
        executortype=kind or session.config.get("executor_type") or "cli",
    )
    owner = session.client(Role.OWNER)
    await owner.ask(wire_executor.AddExecutorMsg(executor=executor), wire_executor.Executor)
    who = executor.executorname
    try:
        await owner.tell(
            wire_executor.ApproveExecutorMsg(colonyname=session.colony, executorname=who)
        )
        yield owner.as_identity(made), who
    finally:
        # Gives back to the queue whatever it still holds.
        await owner.tell(
            wire_executor.RemoveExecutorMsg(colonyname=session.colony, executorname=who)
        )


async def _configured_name(session: Session, client: Client) -> str:
    executors = await client.ask_list(
        wire_executor.GetExecutorsMsg(colonyname=session.colony), wire_executor.Executor
    )
    own = client.identity.id if client.identity else ""
    found = next((one.executorname for one in executors if one.executorid == own), None)
    if found is None:
        raise CliError(
            "the configured key is not an executor's",
            hint="name a new executor with --name or --type; the colony owner's key adds it",
        )
    return found


async def _register(client: Client, colony: str, executor: str, func: str) -> None:
    known = await client.ask_list(
        wire_function.GetFunctionsMsg(colonyname=colony, executorname=executor),
        wire_function.Function,
    )
    if func in {function.funcname for function in known}:
        return
    function = wire_function.Function(executorname=executor, colonyname=colony, funcname=func)
    await client.ask(wire_function.AddFunctionMsg(fun=function), wire_function.Function)
