"""``colonies blueprint log``: what the executors say that reconcile blueprints."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from api.wire_log import Log
from cli import blueprints, logfollow, logs, render, spec
from cli.client import Client
from cli.errors import CliError, UsageError, first
from cli.options import NONE, Format, Options
from cli.session import Session

Lines = dict[str, list[Log]]
"""By the names of executors, the oldest line first."""


async def log(
    name: Annotated[str, Parameter(name=("--name",))] = "",
    *,
    count: Annotated[int, Parameter(name=("--count", "-c"))] = 100,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    options: Options = NONE,
) -> None:
    """Print the last lines of the executors that reconcile a blueprint, or all blueprints.

    Args:
        name: name of the blueprint.
        count: number of lines of each executor, at most 500 (100).
        follow: go on with what they say, until Ctrl-C.
        options: global options.
    """
    if not 1 <= count <= logs.MOST_LATEST:
        raise UsageError(f"--count must be 1 to {logs.MOST_LATEST}")
    async with Session(options) as session:
        client = session.client()
        lines = {
            each: await logs.latest(client, logs.of(session.colony, executor=each), count)
            for each in await _reconcilers(client, session.colony, name)
        }
        if not lines and session.out.format is Format.TABLE:
            session.out.say("No reconciler executors found")
        if follow:
            await _follow(session, lines)
        else:
            _show(session, lines)


def _show(session: Session, lines: Lines) -> None:
    if session.out.format is Format.TABLE:
        printer = _Printer(session)
        for each, found in lines.items():
            printer.show(each, found)
        return
    said = [line for found in lines.values() for line in found]
    ids = [str(line.timestamp) for line in said]
    session.out.show(render.Detail(blocks=(), data=spec.plain(said), ids=ids))


async def _follow(session: Session, lines: Lines) -> None:
    """Print what was said, then what is said, by whom it is.

    Raises:
        CliError: the server refuses, is gone, or tells nothing of what executors say.
    """
    printer = _Printer(session)
    for each, found in lines.items():
        printer.show(each, found)
    try:
        async with asyncio.TaskGroup() as group:
            for each, found in lines.items():
                since = found[-1].timestamp if found else 0
                group.create_task(_follow_one(session, printer, each, since))
    except* CliError as errors:
        raise first(errors) from errors


async def _follow_one(session: Session, printer: "_Printer", executor: str, since: int) -> None:
    question = logs.of(session.colony, executor=executor)
    await logfollow.follow(
        session, question, lambda found: printer.show(executor, found), since=since
    )


class _Printer:
    """Prints lines below the name of who says them; it is repeated when somebody else goes on."""

    def __init__(self, session: Session) -> None:
        self._out = session.out
        self._speaker = ""

    def show(self, executor: str, lines: list[Log]) -> None:
        """Print some lines of one executor."""
        if self._out.format is not Format.TABLE:
            self._out.stream([(str(line.timestamp), spec.plain(line)) for line in lines])
            return
        if executor != self._speaker:
            self._speaker = executor
            self._out.write(f"=== {executor} ===\n")
        terminal = self._out.stdout.isatty()
        self._out.write(logs.text_of(lines, exactly=False, terminal=terminal))


async def _reconcilers(client: Client, colony: str, name: str) -> list[str]:
    """Names of executors that reconcile a blueprint, or any."""
    blueprint = await blueprints.named(client, colony, name) if name else None
    kinds = await blueprints.definitions(client, colony)
    found = await blueprints.executors(client, colony)
    place = blueprints.location(blueprint) if blueprint else ""
    return sorted(
        {
            each.executorname
            for kind in kinds
            if blueprint is None or kind.spec.names.kind == blueprint.kind
            for each in blueprints.approved(found, kind.spec.handler.executor_type, place)
        }
    )
