"""``colonies events``: what happens in a colony, as it happens."""

import json
from contextlib import aclosing
from typing import Annotated, cast

from cyclopts import App, Parameter

from api import wire_executor
from api.wire_realtime import SubscribeEventsMsg
from cli import feed, ids, render, spec, workflows
from cli.client import Client
from cli.errors import CliError
from cli.feed import Happening
from cli.given import given_json
from cli.options import NONE, Format, Options
from cli.processes import whole_id
from cli.session import Session

app = App(name="events", help="Follow what happens.", help_format="plaintext")

_SHORT = 12
_ALL = "0-0"
_KNOWN = frozenset({"type", "version", "subject", "actor", "at", "cause"})
_WIDEST_VALUE = 40


@app.command
async def tail(
    *,
    type_: Annotated[list[str] | None, Parameter(name=("--type", "-t"), negative="")] = None,
    processid: Annotated[str, Parameter(name=("--processid", "-p"))] = "",
    workflowid: str = "",
    executorname: Annotated[str, Parameter(name=("--executorname", "-e", "--executorid"))] = "",
    after: str = "",
    all_: Annotated[bool, Parameter(name=("--all",), negative="")] = False,
    count: int = 0,
    options: Options = NONE,
) -> None:
    """Print the events of the colony as they happen, until Ctrl-C.

    docs/events.md lists their types.

    Args:
        type_: only these types, with commas between them, such as ProcessSubmitted.
        processid: only what is about this process; its id, or the beginning of it.
        workflowid: only what is about this workflow and its processes.
        executorname: only what this executor had a part in; its name or its id.
        after: begin after this position, as -o id prints it, instead of now.
        all_: begin with the first event there is.
        count: end after so many events, 0 for never (0).
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        message = SubscribeEventsMsg(
            colonyname=session.colony,
            types=spec.split(type_) or None,
            processid=await whole_id(client, session.colony, processid) if processid else "",
            workflowid=await workflows.whole_id(client, session.colony, workflowid),
            executorid=await _executor_id(client, session.colony, executorname),
            after=_ALL if all_ and not after else after,
        )
        if not await client.knows(feed.EXTENSION):
            raise CliError(
                "this server tells no events",
                hint="lists can be watched: `colonies process ps --watch`",
            )
        async with aclosing(feed.happenings(client, message)) as told:
            async for happening in told:
                if happening.type:
                    _print(session, happening)
                    count -= 1
                    if count == 0:
                        return


async def _executor_id(client: Client, colony: str, executor: str) -> str:
    if not executor or ids.is_whole(executor):
        return executor
    message = wire_executor.GetExecutorMsg(colonyname=colony, executorname=executor)
    return (await client.ask(message, wire_executor.Executor)).executorid


def _print(session: Session, happening: Happening) -> None:
    event = cast("dict[str, object]", given_json(happening.data))
    if session.out.format is Format.TABLE:
        session.out.write(_line(event, whole=not session.out.stdout.isatty()))
    else:
        data = {"position": happening.position, **event}
        session.out.stream([(happening.position, data)])


def _line(event: dict[str, object], *, whole: bool) -> str:
    """One event on one line; ids are shortened where people look at them."""

    def shown(value: object) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if whole:
            return text
        if ids.is_whole(text):
            return text[:_SHORT]
        return text if len(text) <= _WIDEST_VALUE else f"{text[:_WIDEST_VALUE]}..."

    subject, actor = shown(event["subject"]), shown(event["actor"])
    more = "".join(
        f" {key}={shown(value)}"
        for key, value in event.items()
        if key not in _KNOWN and value not in ("", None, [], {})
    )
    by = f" by {actor}" if actor else ""
    at = render.moment(str(event["at"]))
    return render.printable(f"{at}  {event['type']} {subject}{by}{more}".replace("\n", " ")) + "\n"
