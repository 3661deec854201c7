"""Log lines as they are said, to the last one."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from api import wire_process
from api.wire_log import GetLogsMsg, Log
from api.wire_realtime import SubscribeLogsMsg
from cli import logs, spec
from cli.client import Client, read_list
from cli.errors import CliError
from cli.options import Format
from cli.session import Session
from cli.subscription import frames
from cli.waiting import ENDS, going_on, look, show_end, to_process

_EXTENSION = "subscribelogs"
_SUBSCRIBED_S = 3_600
_RUNNING = 1
_MANY = 1_000_000_000

Show = Callable[[list[Log]], None]


async def follow(
    session: Session, question: GetLogsMsg, show: Show, *, since: int
) -> wire_process.Process | None:
    """Show every line after a time (Unix ns) as it is said; those of a process until it has ended.

    Returns:
        The process that has ended; None for an executor.

    Raises:
        CliError: the server tells nothing of the lines of executors.
        RpcError: there is no such process or executor, or not any more.
    """
    client = session.client()
    # A server has answered by now: if it dies, another one is waited for.
    patient = client.patient(client.timeouts.reply_s)
    announced = await patient.knows(_EXTENSION)
    if not announced and not question.processid:
        raise CliError(
            "this server tells nothing of what executors say",
            hint="without --follow, `colonies log get` prints what was said until now",
        )
    if not announced:
        session.out.say(
            "The server tells nothing of log lines: they are printed when the process starts,"
            " and when it ends",
            level="WARN",
        )
    source = _subscribed if announced else _signalled
    async with aclosing(source(patient, question, since)) as told:
        async for lines in told:
            show(lines)
    return await look(patient, question.processid) if question.processid else None


async def _subscribed(
    client: Client, question: GetLogsMsg, since: int
) -> AsyncGenerator[list[Log]]:
    """Lines as they are said, from a server that tells them."""

    def asking() -> list[SubscribeLogsMsg]:
        return [
            SubscribeLogsMsg(
                colonyname=question.colonyname,
                processid=question.processid,
                executorname=question.executorname,
                executorid=question.executorid,
                since=since,
                timeout=_SUBSCRIBED_S,
            )
        ]

    while True:
        async with aclosing(frames(client, asking)) as told:
            async for frame in told:
                lines = read_list(frame.text, Log)
                if not lines:  # the process has ended, or the subscription
                    break
                since = lines[-1].timestamp
                yield lines
        if question.processid and (await look(client, question.processid)).state in ENDS:
            return


async def _signalled(client: Client, question: GetLogsMsg, since: int) -> AsyncGenerator[list[Log]]:
    """Lines read whenever the process has another state, as every server tells it."""
    state = -1
    while state not in ENDS:
        state = (await look(client, question.processid)).state
        if lines := await logs.following(client, question, _MANY, since=since):
            since = lines[-1].timestamp
            yield lines
        if state not in ENDS:
            await _changed(client, question.processid, state)


async def _changed(client: Client, processid: str, state: int) -> None:
    states = ENDS if state == _RUNNING else (_RUNNING, *ENDS)
    async with aclosing(frames(client, lambda: to_process(processid, *states))) as told:
        await anext(told)


async def finish(session: Session, processid: str) -> None:
    """Print what a process says, say how it ended, and print its output.

    In other formats than a table what it says goes where messages go, so that the result can be
    read by programs.

    Raises:
        CliError: it failed or was cancelled.
        Interrupted: by Ctrl-C.
    """
    out = session.out
    stream = out.stdout if out.format is Format.TABLE else out.stderr

    def show(lines: list[Log]) -> None:
        stream.write(logs.text_of(lines, exactly=False, terminal=stream.isatty()))
        stream.flush()

    out.say("Printing logs from process", ProcessId=processid)
    question = logs.of(session.colony, processid=processid)
    with going_on(f"process {processid}", f"log get {processid} --follow"):
        process = await follow(session, question, show, since=0)
    if process is not None:
        show_end(session, process, out=bool(spec.words(process.output)))
