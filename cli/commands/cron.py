"""``colonies cron``: workflows that start by the clock."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from api.wire_cron import AddCronMsg, Cron, GetCronMsg, GetCronsMsg, RemoveCronMsg, RunCronMsg
from cli import ids, render, spec, workflowspec
from cli.client import Client
from cli.errors import UsageError
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session
from cli.workflowspec import spec_blocks

app = App(name="cron", help="Manage cron.", help_format="plaintext")

Switch = Annotated[bool, Parameter(negative="")]
CronId = Annotated[str, Parameter(name=("--cronid",))]
_NO_INTERVAL = -1
_COUNT = 100


@app.command
async def add(
    *,
    spec_: Annotated[str, Parameter(name=("--spec",))],
    name: str,
    cron: str = "",
    interval: int | None = None,
    random: Switch = False,
    number: Annotated[str | None, Parameter(name=("--ignored-number",), show=False)] = None,
    waitprevious: Switch = False,
    timezone: str = "",
    missed: Literal["skip", "run"] | None = None,
    options: Options = NONE,
) -> None:
    """Start a workflow again and again, by a cron expression or every so many seconds.

    A cron expression has six fields: second, minute, hour, day of the month, month, day of the
    week (0 or SUN is Sunday). `0/5 * * * * *` is every five seconds, `59 3 15 * * MON` is every
    Monday at 15:03:59.

    Args:
        spec_: a JSON file with a list of function specs, - for standard input, or the JSON itself.
        name: name of the cron, unique in the colony.
        cron: the cron expression, in quotes.
        interval: seconds between two runs, instead of an expression.
        random: run at a random time within each interval.
        number: what follows --random in the guide and means nothing.
        waitprevious: do not run while the workflow of the previous run has not ended.
        timezone: the zone that the expression means, such as Europe/Stockholm (the server's).
        missed: what happens after times that passed while no server was there (skip).
        options: global options.
    """
    if bool(cron) == (interval is not None):
        raise UsageError(
            "when is it to run?" if not cron else "only one of --cron and --interval can be given",
            hint='give --cron "SECOND MINUTE HOUR DAY MONTH WEEKDAY" or --interval SECONDS',
        )
    if interval is None and random:
        raise UsageError("--random needs --interval SECONDS")
    if timezone and not cron:
        raise UsageError("--timezone needs --cron")
    async with Session(options) as session:
        asked = Cron(
            colonyname=session.colony,
            name=name,
            cronexpression=f"CRON_TZ={timezone} {cron}" if timezone else cron,
            interval=_NO_INTERVAL if interval is None else interval,
            random=random,
            waitforprevprocessgraph=waitprevious,
            workflowspec=workflowspec.text(workflowspec.read(spec_, session.colony)),
        )
        if missed is not None:
            asked.missed = missed
        if number is not None:
            session.out.say(f"--random is a switch, the {number} behind it is ignored")
        wait = "Waiting" if waitprevious else "Will not wait"
        session.out.say(f"{wait} for previous processgraph to finish")
        added = await session.client().ask(AddCronMsg(cron=asked), Cron)
        session.out.done(
            "Cron added", ids=added.cronid, data=spec.plain(added), CronID=added.cronid
        )


@app.command
async def ls(
    *,
    count: int = _COUNT,
    wide: Annotated[bool, Parameter(name=("--wide", "-w"), negative="")] = False,
    watch: Watch = ONCE,
    options: Options = NONE,
) -> None:
    """List the crons of the colony.

    Args:
        count: number of crons to list (100).
        wide: show when they run, and who added them.
        watch: how often.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()

        async def ask() -> render.Listing:
            found = await _listed(client, session.colony, count)
            return render.Listing(
                header=("CRONID", "NAME", "WHEN", "NEXT RUN", "INITIATOR")
                if wide
                else ("CRONID", "NAME"),
                rows=[_row(cron, wide=wide) for cron in found],
                nothing="No crons found",
                data=spec.plain(found),
                ids=[cron.cronid for cron in found],
            )

        await session.show(ask, watch)


def _row(cron: Cron, *, wide: bool) -> render.Row:
    if not wide:
        return (render.Id(cron.cronid), cron.name)
    within = "within" if cron.random else "every"
    when = cron.cronexpression if cron.interval <= 0 else f"{within} {cron.interval} s"
    next_run = render.moment(cron.nextrun)
    return (render.Id(cron.cronid), cron.name, when, next_run, cron.initiatorname)


async def _listed(client: Client, colony: str, count: int = _COUNT) -> list[Cron]:
    return await client.ask_list(GetCronsMsg(colonyname=colony, count=count), Cron)


async def _whole_id(client: Client, colony: str, typed: str) -> str:
    """The id of a cron that has this name, or an id that begins so."""
    typed = ids.beginning(typed)
    if ids.is_whole(typed):
        return typed
    found = await _listed(client, colony)
    return ids.called(typed, [(cron.cronid, cron.name) for cron in found], "crons")


@app.command
async def get(cronid: CronId, *, options: Options = NONE) -> None:
    """Show a cron with the workflow that it starts.

    Args:
        cronid: its id, the beginning of it, or its name.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        cronid = await _whole_id(client, session.colony, cronid)
        found = await client.ask(GetCronMsg(cronid=cronid), Cron)
        block = render.Block(caption="Cron", rows=_rows(found))
        session.out.show(
            render.Detail(
                blocks=[block, *spec_blocks(found.workflowspec)],
                data=spec.plain(found),
                ids=(found.cronid,),
            )
        )


def _rows(cron: Cron) -> list[render.Row]:
    rows: list[render.Row] = [
        ("Id", render.Id(cron.cronid)),
        ("ColonyName", cron.colonyname),
        ("Name", cron.name),
        ("Cron Expression", cron.cronexpression),
        ("Interval", str(cron.interval)),
        ("Random", str(cron.random).lower()),
        ("NextRun", render.moment(cron.nextrun)),
        ("LastRun", render.moment(cron.lastrun)),
        ("PrevProcessGraphID", render.Id(cron.prevprocessgraphid)),
        ("WaitForPrevProcessGraph", str(cron.waitforprevprocessgraph).lower()),
        ("CheckerPeriod", str(cron.checkerperiod)),
    ]
    return [*rows, ("Missed", cron.missed)] if isinstance(cron.missed, str) else rows


@app.command
async def run(cronid: CronId, *, options: Options = NONE) -> None:
    """Start the workflow of a cron now.

    Args:
        cronid: its id, the beginning of it, or its name.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        cronid = await _whole_id(client, session.colony, cronid)
        found = await client.ask(RunCronMsg(cronid=cronid), Cron)
        session.out.done(
            "Running cron", ids=found.cronid, data=spec.plain(found), CronID=found.cronid
        )


@app.command
async def remove(cronid: CronId, *, options: Options = NONE) -> None:
    """Remove a cron; the workflows that it started stay.

    Args:
        cronid: its id, the beginning of it, or its name.
        options: global options.
    """
    async with Session(options) as session:
        client = session.client()
        cronid = await _whole_id(client, session.colony, cronid)
        await client.tell(RemoveCronMsg(cronid=cronid))
        session.out.done("Deleting cron", ids=cronid, CronId=cronid)
