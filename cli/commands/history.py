"""``colonies history``: the log of a colony, shown, proven, and gone back in."""

import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from api.history import archive
from api.history.compared import elements_of
from api.history.log import REBUILT, History, Log
from api.history.moment import Past
from api.telling import Filter
from broker.archive_url import archive_url
from broker.defaults import LOG_RETENTION_S
from broker.errors import NotFound
from broker.position import START
from cli import history, ids, moments, render, spec
from cli.commands.server import statistics
from cli.errors import CliError, UsageError
from cli.history import Teller
from cli.options import NONE, Format, Options
from cli.output import Output
from cli.processes import blocks, listing
from cli.session import settle

app = App(
    name="history",
    help="Show, verify, rebuild, restore and export the log of a colony. Asks no server.",
    help_format="plaintext",
)

_THE_SERVER = "(server)"


Switch = Annotated[bool, Parameter(negative="")]


@app.command
async def verify(*, options: Options = NONE) -> None:
    """Fold the log beside the live rows, under load too, and compare them key by key.

    Without --colony the log of the server and those of all colonies. Exit code 0 and a count, or 1
    and exactly what differs.

    Args:
        options: global options.
    """
    out = Output.of(options, os.environ)
    rows: list[render.Row] = []
    data: list[dict[str, object]] = []
    async with history.opened(options) as opened:
        logs = [await opened.log(options.colony)] if options.colony else await opened.logs()
        for log in logs:
            verdict = await opened.verified(log)
            found = [one for each in verdict.differences for one in elements_of(each)]
            name = log.name or _THE_SERVER
            counts = {"events": verdict.events, "keys": verdict.keys}
            if out.format is Format.TABLE:
                agree = "The rows are what the log says"
                text = "The rows are NOT what the log says" if verdict.differences else agree
                level = "ERRO" if verdict.differences else "INFO"
                told = {key.capitalize(): str(value) for key, value in counts.items()}
                out.say(text, level=level, Colony=name, **told)
            rows += [(name, one.key, one.field, one.live or "-", one.log or "-") for one in found]
            differences = [
                {"key": one.key, "field": one.field, "live": one.live, "log": one.log}
                for one in found
            ]
            position = str(verdict.position)
            data.append(
                {"colony": log.name, **counts, "position": position, "differences": differences}
            )
    if rows or out.format is not Format.TABLE:
        listing = render.Listing(
            header=("COLONY", "KEY", "FIELD", "LIVE", "LOG"), rows=rows, nothing="", data=data
        )
        out.show(listing)
    if rows:
        raise CliError(
            f"values that are not what the log says: {len(rows)}",
            hint="somebody wrote to the store, or this is a bug; docs/history.md says what to do",
        )


@app.command
async def show(
    *,
    process: str = "",
    workflow: str = "",
    executor: str = "",
    type_: Annotated[list[str] | None, Parameter(name="--type", negative="")] = None,
    since: str = "",
    until: str = "",
    last: int | None = None,
    follow: Annotated[bool, Parameter(name=("--follow", "-f"), negative="")] = False,
    server: Switch = False,
    options: Options = NONE,
) -> None:
    """Show what happened in a colony: who, when, what, and whose signature asked for it.

    A moment is a position, a time, or how long ago: 1764000000000-0, 2026-11-23T14:30:00Z, 10m.

    Args:
        process: only events about this process; its id, or the beginning of it.
        workflow: only events about this workflow and its processes; its id, or the beginning of it.
        executor: only what this executor had a part in; its name or its id.
        type_: only events of this type, as docs/events.md names it; repeat it for several.
        since: from this moment on.
        until: up to this moment.
        last: only so many of them, the last ones.
        follow: go on with what happens from now on, until Ctrl-C.
        server: the log of the server itself: its owner and its colonies.
        options: global options; -v cuts nothing off, -o json prints one event a line.
    """
    if last is not None and last < 1:
        raise UsageError("--last must be at least 1", hint="without it all events are shown")
    if until and follow:
        raise UsageError("--until and --follow do not fit", hint="one ends where the other goes on")
    out = Output.of(options, os.environ)
    async with history.opened(options) as opened:
        log = opened.server() if server else await opened.log(settle(options).colony)
        people = await opened.people(log)
        wanted = Filter(
            types=type_ or (),
            process=await _whole(opened, log, "p", process),
            workflow=await _whole(opened, log, "w", workflow),
            executor=ids.called(executor, people.items(), "members"),
        )
        teller = Teller(people, out.results, whole=out.verbose)
        after = moments.since(since) if since else START
        end = moments.until(until) if until else None
        if last is not None:
            after, shown_to = await opened.last(log, wanted, last, after, end)
            end = None if follow else shown_to
        events = opened.events(log, wanted, after, end, follow=follow)
        async with aclosing(events):
            async for recorded in events:
                match out.format:
                    case Format.TABLE:
                        out.write(teller.line(recorded) + "\n")
                    case Format.JSON:
                        out.write(json.dumps(teller.data(recorded), ensure_ascii=False) + "\n")
                    case Format.YAML:
                        out.write(render.to_yaml([teller.data(recorded)]))
                    case Format.ID:
                        out.write(f"{recorded.position}\n")


@app.command
async def at(
    moment: str,
    what: Literal["process", "stats", "queue"],
    processid: str = "",
    *,
    count: int = 100,
    options: Options = NONE,
) -> None:
    """Show a process, the counts or the queue of a colony as they were at a moment.

    Args:
        moment: a position, a time, or how long ago: 1764000000000-0, 2026-11-23T14:30:00Z, 10m.
        what: process ID, stats, or queue: what waited, in the order of its turn.
        processid: the id of the process, or the beginning of it.
        count: how many of the queue are shown, the first in order.
        options: global options.
    """
    if (what == "process") != bool(processid):
        raise UsageError(f"`{what}` and an id do not fit", hint="history at MOMENT process ID")
    if count < 1:
        raise UsageError("--count must be at least 1", hint="without it the first 100 are shown")
    out = Output.of(options, os.environ)
    until = moments.until(moment)
    async with history.opened(options) as opened:
        log = await opened.log(settle(options).colony)
        past = Past(opened, log, until)
        match what:
            case "process":
                whole = await _whole(opened, log, "p", processid)
                found = await past.process(whole)
                if found is None:
                    hint = f"`colonies history show --process {whole}` shows its events"
                    raise CliError(f"there was no process {whole} at {moment}", hint=hint)
                shown = blocks(found, moments.time_of(until))
                out.show(render.Detail(blocks=shown, data=spec.plain(found), ids=[whole]))
            case "stats":
                counts = await past.statistics()
                block = render.Block(caption="Process statistics", rows=statistics(counts))
                out.show(render.Detail(blocks=(block,), data=spec.plain(counts)))
            case "queue":
                queue = await past.queue(count)
                out.show(listing(queue.first, render.State.WAITING, wide=out.verbose))
                if queue.waiting > len(queue.first) and out.format is Format.TABLE:
                    counted = {"Shown": str(len(queue.first)), "Waiting": str(queue.waiting)}
                    out.say("More waited than are shown", Count=str(count), **counted)


@app.command
async def rebuild(projection: str, *, options: Options = NONE) -> None:
    """Build what follows the log anew beside what is served, and switch when it has caught up.

    Nothing stops for it, and one that is interrupted changes nothing: the next one goes on.
    Without --colony for all colonies.

    Args:
        projection: what to build: functions (the function statistics).
        options: global options.
    """
    chosen = REBUILT.get(projection)
    if chosen is None:
        known = ", ".join(REBUILT)
        raise UsageError(f"there is no projection {projection!r}", hint=f"there is: {known}")
    out = Output.of(options, os.environ)
    data: list[dict[str, object]] = []
    async with history.opened(options) as opened:
        named = [await opened.log(options.colony)] if options.colony else await opened.logs()
        for log in [log for log in named if log.name]:
            done = await opened.rebuilt(log, chosen)
            fields = {"build": done.build, "events": done.events, "deleted": done.deleted}
            data.append({"colony": log.name, **fields, "position": str(done.position)})
            if out.format is Format.TABLE:
                shown = {name.capitalize(): str(value) for name, value in fields.items()}
                out.say("Projection rebuilt", Colony=log.name, Projection=projection, **shown)
    if out.format is not Format.TABLE:
        out.show(render.Detail(blocks=(), data=data, ids=[str(one["colony"]) for one in data]))


@app.command
async def restore(*, logage: int = LOG_RETENTION_S, options: Options = NONE) -> None:
    """Bring an empty store back from the archive: all colonies with their events, rows and logs.

    Each is verified. No server starts on the store before all is there; a restore that was
    interrupted or killed is gone on with by the next one.

    Args:
        logage: seconds of age up to which log lines come back, 0 for all (2592000).
        options: global options.
    """
    out = Output.of(options, os.environ)
    url = archive_url(os.environ)
    if not url:
        hint = "export COLONIES_ARCHIVE_URL, the one that the servers had"
        raise UsageError("no archive is known", hint=hint)
    async with history.opened(options) as opened:
        try:
            done = await archive.restored(opened.store, url, logage)
        except NotFound as error:
            hint = (
                "is it the one that the servers had? `colonies database status` shows what is in it"
            )
            raise CliError(str(error), hint=hint) from error
    rows: list[render.Row] = [
        (one.colony or _THE_SERVER, str(one.events), str(one.keys), str(one.lines)) for one in done
    ]
    data = [
        {"colony": one.colony, "events": one.events, "keys": one.keys, "lines": one.lines}
        for one in done
    ]
    header = ("COLONY", "EVENTS", "KEYS", "LOG LINES")
    out.show(render.Listing(header=header, rows=rows, nothing="", data=data))
    if out.format is Format.TABLE:
        out.say("Store restored and verified", Colonies=str(len(done) - 1))


@app.command
async def export(file: Path, *, server: Switch = False, options: Options = NONE) -> None:
    """Write the log of a colony to a file that anybody can check, with every request's signature.

    Args:
        file: where to; it is replaced once the export is whole.
        server: the log of the server itself: its owner and its colonies.
        options: global options.
    """
    out = Output.of(options, os.environ)
    async with history.opened(options) as opened:
        log = opened.server() if server else await opened.log(settle(options).colony)
        with history.replaced(file) as target:
            sealer = await opened.exported(log, target.write)
    fields = {"events": sealer.events, "blocks": sealer.blocks, "seal": sealer.seal}
    shown = {name.capitalize(): str(value) for name, value in fields.items()}
    out.done("Log exported", ids=sealer.seal, data={"file": str(file), **fields}, **shown)


@app.command
def check(
    file: Path,
    *,
    seal: str = "",
    request: Path | None = None,
    show: Switch = False,
    options: Options = NONE,
) -> None:
    """Check an exported log: nothing changed, removed or moved, and every signature; asks nobody.

    Where the server kept what was signed (COLONIES_KEEP_REQUESTS), also that this is what was.

    Args:
        file: the exported log.
        seal: a seal that was noted earlier; what came before it must be the same still.
        request: a signed request as a client sent it (JSON); name the events that it asked for.
        show: print who asked for what in each request of the file.
        options: global options.
    """
    out = Output.of(options, os.environ)
    report = history.checked(file, request, show=show)
    if seal and seal not in report.seals:
        report.wrong += 1
        report.findings.append(f"no block has the seal {seal}")
    data = {
        "colony": report.colony,
        "events": report.events,
        "blocks": report.blocks,
        "seal": report.seal,
        "unsigned": report.unsigned,
        "signers": dict(report.signers.most_common()),
        "requests": report.requests,
        "messages": dict(report.messages.most_common()),
        "findings": report.findings,
        "requested": report.found,
    }
    if show:
        data["shown"] = report.shown
    if out.format is Format.TABLE:
        texts = (*report.shown, *report.findings, *report.found)
        out.write("".join(render.printable(text).replace("\n", " ") + "\n" for text in texts))
        if report.wrong:
            shown = {"Events": str(report.events), "Findings": str(report.wrong)}
            out.say("The log is NOT whole", level="ERRO", Colony=report.colony, **shown)
        else:
            shown = {
                "Events": str(report.events),
                "Requests": str(report.requests),
                "Unsigned": str(report.unsigned),
            }
            out.say("The log is whole", Colony=report.colony, Seal=report.seal, **shown)
    else:
        out.show(render.Detail(blocks=(), data=data, ids=[report.seal]))
    if report.wrong:
        raise CliError(
            f"things that are wrong with {file}: {report.wrong}",
            hint="compare with an export that was made earlier; docs/history.md says how",
        )
    if request is not None and not report.found:
        raise CliError(
            f"no event of {file} was asked for by {request}",
            hint="a request leaves an event only if it was accepted, and is known by every byte",
        )


async def _whole(opened: History, log: Log, kind: str, typed: str) -> str:
    """The whole id of a process or a workflow; of one that is gone all of it has to be typed."""
    typed = ids.beginning(typed)
    if not ids.is_short(typed):
        return typed
    known = await opened.completed(log, kind, typed)
    return ids.completed(typed, known, {"p": "processes", "w": "workflows"}[kind])
