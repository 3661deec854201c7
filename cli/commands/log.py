"""``colonies log``: what processes and executors say."""

from typing import Annotated

from cyclopts import App, Parameter

from api import wire
from api.wire_log import AddExecutorLogMsg, AddLogMsg, GetLogsMsg, Log, SearchLogsMsg
from cli import logfollow, logs, render, spec
from cli.config import Role
from cli.errors import UsageError
from cli.options import NONE, Format, Options
from cli.processes import whole_id
from cli.session import Session
from cli.waiting import tell_end

app = App(name="log", help="Manage logging.", help_format="plaintext")

Switch = Annotated[bool, Parameter(negative="")]
ProcessId = Annotated[str, Parameter(name=("--processid", "-p"))]
ExecutorName = Annotated[str, Parameter(name=("--executorname", "-e", "--executorid"))]


@app.command
async def add(
    processid: ProcessId = "",
    *,
    msg: Annotated[str, Parameter(name=("--msg", "-m"))],
    executorname: ExecutorName = "",
    options: Options = NONE,
) -> None:
    """Add a line to the log of a process, or of an executor; signed by the executor.

    Args:
        processid: the process, which the executor runs; its id, or the beginning of it.
        msg: what to say; no line break is added.
        executorname: name of the executor itself, for a line about no process.
        options: global options.
    """
    if bool(processid) == bool(executorname):
        raise UsageError("about what?", hint="give either --processid ID or --executorname NAME")
    async with Session(options) as session:
        client = session.client(Role.EXECUTOR)
        message: wire.Message
        if executorname:
            fields = {"ExecutorName": executorname}
            message = AddExecutorLogMsg(
                colonyname=session.colony, executorname=executorname, message=msg
            )
        else:
            processid = await whole_id(client, session.colony, processid)
            fields = {"ProcessID": processid}
            message = AddLogMsg(processid=processid, message=msg)
        await client.tell(message)
        session.out.done("Adding log", LogMsg=msg, **fields)


@app.command
async def get(
    processid: ProcessId = "",
    *,
    executorname: ExecutorName = "",
    count: int = 100,
    since: int = 0,
    latest: Annotated[bool, Parameter(name=("--latest", "-l"), negative="")] = False,
    first: Annotated[bool, Parameter(name=("--first", "-f"), negative="")] = False,
    raw: Switch = False,
    follow: Switch = False,
    options: Options = NONE,
) -> None:
    """Print the last lines of a process or an executor, the oldest of them first.

    What an executor says is followed until Ctrl-C. A server that cannot tell of lines (v1.9.12)
    tells when a process starts and ends; then they are printed.

    Args:
        processid: the process; its id, or the beginning of it.
        executorname: the executor; its name or its id.
        count: number of lines (100); of the last ones at most 500.
        since: the first lines after this time, in nanoseconds since 1970; -o id prints such times.
        latest: the last lines, which is what is printed without --since and --first.
        first: the first lines.
        raw: as they were said, no line break added and nothing escaped.
        follow: go on with what is said until the process has ended; exit code 1 when it failed.
        options: global options.
    """
    if latest and (first or since):
        raise UsageError(
            "--latest goes neither with --first nor with --since",
            hint="without any of them it is the last lines, too",
        )
    is_latest = not first and not since
    if count < 1 or (is_latest and count > logs.MOST_LATEST):
        raise UsageError(
            f"--count must be 1 to {logs.MOST_LATEST}",
            hint="more lines are read from the beginning, with --first or --since",
        )
    async with Session(options) as session:
        client = session.client()
        if processid:
            processid = await whole_id(client, session.colony, processid)
        question = logs.of(session.colony, processid=processid, executor=executorname)
        if is_latest:
            found = await logs.latest(client, question, count)
        else:
            found = await logs.following(client, question, count, since=since)
        if follow:
            await _follow(session, question, found, since=since, exactly=raw)
        else:
            _print(session, found, exactly=raw)


async def _follow(
    session: Session, question: GetLogsMsg, found: list[Log], *, since: int, exactly: bool
) -> None:
    """Print lines, and all that follow them."""

    def show(lines: list[Log]) -> None:
        if session.out.format is Format.TABLE:
            terminal = session.out.stdout.isatty()
            session.out.write(logs.text_of(lines, exactly=exactly, terminal=terminal))
        else:
            session.out.stream([(str(line.timestamp), spec.plain(line)) for line in lines])

    show(found)
    since = found[-1].timestamp if found else since
    process = await logfollow.follow(session, question, show, since=since)
    if process is not None:
        tell_end(session, process)


def _print(session: Session, lines: list[Log], *, exactly: bool) -> None:
    out = session.out
    if out.format is not Format.TABLE:
        ids = [str(line.timestamp) for line in lines]
        out.show(render.Detail(blocks=(), data=spec.plain(lines), ids=ids))
    elif lines:
        out.write(logs.text_of(lines, exactly=exactly, terminal=out.stdout.isatty()))
    else:
        out.say("No logs found")


@app.command
async def search(
    *,
    text: Annotated[str, Parameter(name=("--text", "-t"))],
    days: Annotated[int, Parameter(name=("--days", "-d"))] = 1,
    count: int = 10,
    print_: Annotated[bool, Parameter(name=("--print",), negative="")] = False,
    seconds: int = 1,
    options: Options = NONE,
) -> None:
    """Look for lines with a text in the last days, the newest first.

    Args:
        text: the text, as it is written; % stands for any text and _ for any character.
        days: how many days to look back, at most 30 (1).
        count: number of lines, at most 100 (10).
        print_: print what was said before and after each line, too.
        seconds: how many seconds before and after; with --print (1).
        options: global options.
    """
    async with Session(options) as session:
        client, out = session.client(), session.out
        fields = {"Count": str(count), "Days": str(days), "Text": text}
        if print_:
            fields["Seconds"] = str(seconds)
        message = SearchLogsMsg(colonyname=session.colony, text=text, days=days, count=count)
        if out.format is Format.TABLE:
            out.say("Searching for logs", **fields)
        found = await logs.found(client, message)
        if out.format is not Format.TABLE or (found and not print_):
            out.show(logs.hits(found))
        elif not found:
            out.say("No logs found")
        for line in found if print_ and out.format is Format.TABLE else ():
            context = await logs.around(client, line, seconds)
            out.write(logs.in_context(line, context, terminal=out.stdout.isatty()))
