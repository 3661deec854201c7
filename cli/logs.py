"""Log lines as commands read and show them."""

from collections.abc import Sequence

from api import wire
from api.wire_log import GetLogsMsg, Log, SearchLogsMsg
from cli import ids, render, spec
from cli.client import Client
from cli.errors import RpcError, UsageError

MOST_LATEST = 500
"""Lines in one reply."""
_SECOND_NS = 1_000_000_000
_WIDEST_TEXT = 64
_UNKNOWN = 500
_NOBODY = "None"
_BEGIN, _END = " LOGS ".center(44, "="), " END LOGS ".center(44, "=")


def of(colony: str, *, processid: str = "", executor: str = "") -> GetLogsMsg:
    """The question for the lines of a process or of an executor, by its name or its id.

    Raises:
        UsageError: neither, or both.
    """
    if bool(processid) == bool(executor):
        raise UsageError("whose lines?", hint="give either --processid ID or --executorname NAME")
    by_id = ids.is_whole(executor)
    return GetLogsMsg(
        colonyname=colony,
        processid=processid,
        executorname="" if by_id else executor,
        executorid=executor if by_id else "",
    )


async def latest(client: Client, question: GetLogsMsg, count: int) -> list[Log]:
    """The last lines, ascending."""
    question.latest, question.count = True, count
    return await client.ask_list(question, Log)


async def following(client: Client, question: GetLogsMsg, count: int, *, since: int) -> list[Log]:
    """The first lines after a time (Unix ns), ascending; page after page when there are many."""
    found: list[Log] = []
    question.latest = False
    while len(found) < count:
        question.since = found[-1].timestamp if found else since
        question.count = min(MOST_LATEST, count - len(found))
        page = await client.ask_list(question, Log)
        found += page
        if len(page) < question.count:
            break
    return found


def text_of(lines: Sequence[Log], *, exactly: bool, terminal: bool) -> str:
    """What was said, a line each; ``exactly`` as it was said, which may steer a terminal."""
    if exactly:
        return "".join(line.message for line in lines)
    text = "".join(
        line.message if line.message.endswith("\n") else f"{line.message}\n" for line in lines
    )
    return render.printable(text) if terminal else text


async def around(client: Client, line: Log, seconds: int) -> list[Log]:
    """The lines of the same process (or executor) so many seconds before and after a line."""
    margin_ns = seconds * _SECOND_NS
    by_executor = of(line.colonyname, executor=line.executorname)
    question = of(line.colonyname, processid=line.processid) if line.processid else by_executor
    since = line.timestamp - margin_ns - 1
    try:
        found = await following(client, question, MOST_LATEST, since=since)
    except RpcError as error:
        # The lines of a process that was removed are found by its executor.
        if error.status != _UNKNOWN or question is by_executor:
            raise
        found = await following(client, by_executor, MOST_LATEST, since=since)
    return [
        one
        for one in found
        if one.timestamp <= line.timestamp + margin_ns and one.processid == line.processid
    ]


async def found(client: Client, message: SearchLogsMsg) -> list[Log]:
    """Lines with a text, newest first."""
    lines = await client.ask_list(message, Log)
    return sorted(lines, key=lambda line: line.timestamp, reverse=True)


def hits(lines: Sequence[Log]) -> render.Detail:
    """What was found, a table each."""
    return render.Detail(
        blocks=[render.Block(rows=_rows(line)) for line in lines],
        data=spec.plain(lines),
        ids=[str(line.timestamp) for line in lines],
    )


def _rows(line: Log) -> list[render.Row]:
    return [
        ("Timestamp", moment(line)),
        ("ExecutorName", line.executorname),
        ("ProcessID", render.Id(line.processid or _NOBODY)),
        ("Text", _wrapped(line.message)),
    ]


def _wrapped(text: str) -> str:
    parts = [
        line[first : first + _WIDEST_TEXT]
        for line in text.splitlines()
        for first in range(0, max(1, len(line)), _WIDEST_TEXT)
    ]
    return "\n".join(parts)


def in_context(line: Log, context: Sequence[Log], *, terminal: bool) -> str:
    """A line that was found, with what was said before and after it."""
    text = text_of(context, exactly=False, terminal=terminal)
    return (
        f"\nTimestamp: {moment(line)}\nProcessID: {line.processid or _NOBODY}\n"
        f"ExecutorName: {line.executorname}\n{_BEGIN}\n{text}{_END}\n"
    )


def moment(line: Log) -> str:
    """When a line was said, in local time."""
    return render.moment(wire.rfc3339(line.timestamp))
