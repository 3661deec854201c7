"""After a storm: is everything there that was acknowledged, and did nothing happen twice?"""

import asyncio
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from broker import keys
from broker.aggregates.cron import CronFired
from broker.aggregates.generator import ArgumentPacked
from broker.aggregates.process import (
    NodeSubmitted,
    ProcessAssigned,
    ProcessCancelled,
    ProcessClosed,
    ProcessFailed,
    ProcessReleased,
    ProcessRequeued,
    ProcessRetried,
    ProcessSubmitted,
    State,
)
from broker.aggregates.workflow import WorkflowEnded, WorkflowSubmitted
from broker.archive_url import ARCHIVE_URL
from broker.archived import EVENTS
from broker.decision import Event
from projections.archive.archive import Archive
from tests.acceptance.asking import eventually
from tests.acceptance.inspection import opened_store, tag_of
from tests.acceptance.processes import ROOT, environment
from tests.storms.load import DIAMOND, Load
from tests.storms.witness import PATIENCE_S

AT_ONCE = 16
HISTORY_S = 3_600
"""A log of four million events takes a command minutes, more on a machine with other work."""
PROGRAM = (sys.executable, "-c", "from cli.app import main; main()")
_BACK = (ProcessRequeued, ProcessRetried)
_OVER = (ProcessClosed, ProcessFailed, ProcessCancelled)


@dataclass
class Verdict:
    """What was looked at in one colony, and what of it is wrong."""

    looked_at: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    """Processes that were given out again, each with an event that says so."""
    wrong: list[str] = field(default_factory=list[str])

    def want(self, holds: bool, what: str) -> None:  # noqa: FBT001 - a condition, as in assert
        """Remember what is not so."""
        if not holds:
            self.wrong.append(what)


async def events_of(url: str, colony_name: str) -> list[Event]:
    """The log of a colony."""
    async with opened_store(url) as store:
        tag = await tag_of(store, colony_name)
        return [recorded.event async for recorded in store.events(tag)]


async def check(url: str, load: Load) -> Verdict:
    """Compare what was acknowledged with what the servers answer and with the log."""
    verdict = Verdict()
    events = await events_of(url, load.tenant.name)
    verdict.looked_at["events"] += len(events)
    compared(events, load, verdict)
    await _check_answers(load, verdict)
    return verdict


def compared(events: Sequence[Event], load: Load, verdict: Verdict) -> None:
    """What the log alone can tell."""
    _check_lives(events, verdict)
    _check_acknowledged(events, load, verdict)
    _check_workflows(events, load, verdict)
    _check_crons(events, verdict)
    _check_generator(events, load, verdict)


def _check_lives(events: Iterable[Event], verdict: Verdict) -> None:
    """A process is held by one, given out again only after it was taken back, and ends once."""
    holder: dict[str, str] = {}
    ended: set[str] = set()
    for event in events:
        where = f"{event.TYPE} of {event.subject}"
        if isinstance(event, ProcessAssigned):
            verdict.want(event.subject not in holder, f"{where}: somebody holds it already")
            verdict.want(event.subject not in ended, f"{where}: it has ended")
            holder[event.subject] = event.actor
        elif isinstance(event, _BACK):
            verdict.want(holder.pop(event.subject, "") != "", f"{where}: nobody held it")
            verdict.retries += 1
        elif isinstance(event, _OVER):
            held = holder.pop(event.subject, "")
            closed_by_holder = not isinstance(event, ProcessClosed) or held == event.actor
            verdict.want(closed_by_holder, f"{where}: it was held by {held or 'nobody'}")
            verdict.want(event.subject not in ended, f"{where}: it had ended before")
            ended.add(event.subject)
    verdict.want(not holder, f"{len(holder)} processes are held still")


def _check_acknowledged(events: Sequence[Event], load: Load, verdict: Verdict) -> None:
    """Each yes has its event, and nobody was told the same twice."""
    ledger = load.ledger
    born = _subjects(events, ProcessSubmitted)
    given = Counter((e.subject, e.actor) for e in events if isinstance(e, ProcessAssigned))
    closed = {e.subject: e.out for e in events if isinstance(e, ProcessClosed)}
    back = _subjects(events, *_BACK)
    for process_id in ledger.submitted:
        verdict.want(born[process_id] == 1, f"{process_id} was submitted {born[process_id]} times")
    for told, times in Counter(ledger.assigned).items():
        verdict.want(given[told] >= times, f"{told} was given out {times} times, says its executor")
    runs = Counter(process_id for process_id, _ in ledger.assigned)
    for process_id, times in runs.items():
        recorded = back[process_id] + 1
        verdict.want(times <= recorded, f"{process_id} ran {times} times, {recorded} recorded")
    for process_id, output in ledger.closed.items():
        wanted = msgspec.json.encode([output])
        verdict.want(closed.get(process_id) == wanted, f"the close of {process_id} is lost")
    for process_id in ledger.too_late:
        found = back[process_id] > 0
        verdict.want(found, f"a close of {process_id} was refused, and no retry is recorded")
    verdict.looked_at |= Counter(
        submits=len(ledger.submitted), assigns=len(ledger.assigned), closes=len(ledger.closed)
    )


def _check_workflows(events: Sequence[Event], load: Load, verdict: Verdict) -> None:
    """Each workflow began once and succeeded; each process of it was released once."""
    begun = _subjects(events, WorkflowSubmitted)
    ended = Counter(
        e.subject for e in events if isinstance(e, WorkflowEnded) and e.outcome == State.SUCCESS
    )
    for workflow_id in load.ledger.workflows:
        verdict.want(begun[workflow_id] == 1, f"workflow {workflow_id} is lost")
    for workflow_id in begun:
        times = ended[workflow_id]
        verdict.want(times == 1, f"workflow {workflow_id} succeeded {times} times")
    for kind in (NodeSubmitted, ProcessReleased):
        for process_id, times in _subjects(events, kind).items():
            verdict.want(times == 1, f"{process_id}: {times} times {kind.TYPE}")
    verdict.looked_at["workflows"] += len(begun)


def _check_crons(events: Sequence[Event], verdict: Verdict) -> None:
    """No time of a cron came twice, and each has one workflow."""
    fired = [event for event in events if isinstance(event, CronFired)]
    ticks = Counter((event.subject, event.was_next_ns) for event in fired)
    for (cron_id, at_ns), times in ticks.items():
        verdict.want(times == 1, f"cron {cron_id} fired {times} times for {at_ns}")
    workflows = Counter(event.workflow for event in fired)
    begun = _subjects(events, WorkflowSubmitted)
    for workflow_id, times in workflows.items():
        verdict.want((times, begun[workflow_id]) == (1, 1), f"workflow {workflow_id} of a cron")
    verdict.looked_at["cron ticks"] += len(fired)


def _check_generator(events: Sequence[Event], load: Load, verdict: Verdict) -> None:
    """Each argument was packed once and reached one workflow, in the order of the log."""
    packed = [e.argument for e in events if isinstance(e, ArgumentPacked)]
    times = Counter(packed)
    for argument in load.ledger.packed:
        verdict.want(times[argument] == 1, f"{argument} was packed {times[argument]} times")
    specs = [msgspec.json.decode(e.spec) for e in events if isinstance(e, NodeSubmitted)]
    passed = [argument for spec in specs for argument in spec.get("args") or ()]
    verdict.want(passed == packed, "the workflows of the generator did not get what was packed")
    verdict.looked_at["packs"] += len(packed)


def _subjects(events: Iterable[Event], *kinds: type[Event]) -> Counter[str]:
    return Counter(event.subject for event in events if isinstance(event, kinds))


# ---------------------------------------------------------------- what the servers answer


async def _check_answers(load: Load, verdict: Verdict) -> None:
    """Every process, workflow and line that was acknowledged, read as a client reads it."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def see(kind: str, **asked: Any) -> Any:  # noqa: ANN401 - JSON
        async with gate:
            return (await load.client.surely(load.tenant.user, kind, **asked)).ok

    ledger = load.ledger
    processes = {*ledger.submitted, *ledger.closed}
    ids = sorted(processes | {i for ids in ledger.workflows.values() for i in ids})
    read = await asyncio.gather(*(see("getprocessmsg", processid=i) for i in ids))
    found = dict(zip(ids, read, strict=True))
    for process_id, process in found.items():
        verdict.want(process["state"] == State.SUCCESS, f"{process_id} is {process['state']}")
        output = ledger.closed.get(process_id)
        same = output is None or process["out"] == [output]
        verdict.want(same, f"{process_id} has the output {process['out']}, not {output}")
        argument = ledger.submitted.get(process_id)
        same = argument is None or process["spec"]["args"] == [argument]
        verdict.want(same, f"{process_id} has other arguments")
    for node_ids in ledger.workflows.values():
        _check_inputs([found[i] for i in node_ids], verdict)
    said = list(ledger.lines)
    asked = {"colonyname": load.tenant.name, "count": 500}
    logs = await asyncio.gather(*(see("getlogsmsg", processid=i, **asked) for i in said))
    for process_id, lines in zip(said, logs, strict=True):
        _check_lines(ledger.lines[process_id], [line["message"] for line in lines], verdict)
    verdict.looked_at["processes read"] += len(ids)
    verdict.looked_at["log lines"] += sum(map(len, ledger.lines.values()))


def _check_inputs(nodes: Sequence[dict[str, Any]], verdict: Verdict) -> None:
    """A process has the outputs of its parents, in the order in which it names them."""
    output = {node["spec"]["nodename"]: node["out"] for node in nodes}
    for node, (name, *depends) in zip(nodes, DIAMOND, strict=True):
        wanted = [out for parent in depends for out in output[parent]]
        same = sorted(node["in"] or []) == sorted(wanted)
        verdict.want(same, f"{node['processid']} ({name}) got {node['in']}, not {wanted}")


def _check_lines(acknowledged: Sequence[str], found: Sequence[str], verdict: Verdict) -> None:
    """Lines that were acknowledged are there, in order, and none is there twice."""
    verdict.want(len(found) == len(set(found)), f"a line is there twice: {found}")
    wanted = set(acknowledged)
    kept = [text for text in found if text in wanted]
    verdict.want(kept == list(acknowledged), f"of {acknowledged} there is {found}")


# ---------------------------------------------------------------- the log as a product


async def archived(url: str, archive: Archive, colony_name: str) -> Verdict:
    """All events of a colony reach the archive, each once."""
    verdict = Verdict()
    async with opened_store(url) as store:
        tag = await tag_of(store, colony_name)
        told = await store.send("XINFO", "STREAM", tag.key(keys.EVENTS))
    wanted = int(dict(zip(told[::2], told[1::2], strict=True))[b"entries-added"])
    found: dict[tuple[str, str], int] = {}

    async def whole() -> bool:
        found.update({(p.owner.tag, p.log): p.count for p in await archive.positions()})
        return found.get((tag.text, EVENTS), 0) >= wanted

    try:
        await eventually(whole, "the archive to catch up", PATIENCE_S)
    except AssertionError as error:
        verdict.wrong.append(str(error))
    copied = found.get((tag.text, EVENTS), 0)
    verdict.want(copied == wanted, f"of {wanted} events {copied} were archived")
    verdict.looked_at["events in the archive"] += copied
    return verdict


def prove(url: str) -> dict[str, list[str]]:
    """What ``colonies history`` says of every log: verify, export and check; nothing when fine."""
    wrong = defaultdict[str, list[str]](list)
    with tempfile.TemporaryDirectory(prefix="storm-") as name:
        path = Path(name) / "log.jsonl"
        say = _history(url, "verify")
        if say.returncode:
            wrong["verify"].append(say.stdout + say.stderr)
        for colony in _colonies(say.stdout):
            for arguments in (("export", str(path), "--colony", colony), ("check", str(path))):
                done = _history(url, *arguments)
                if done.returncode:
                    wrong[arguments[0]].append(done.stdout + done.stderr)
    return wrong


def verified(url: str, archive_url: str) -> list[str]:
    """What ``colonies history verify`` says of logs that are partly in an archive."""
    say = _history(url, "verify", archive_url=archive_url)
    return [say.stdout + say.stderr] if say.returncode else []


def _colonies(said: str) -> list[str]:
    """The colonies that were verified, as the command names them."""
    told = msgspec.json.decode(said.encode(), type=list[dict[str, Any]])
    return [one["colony"] for one in told if one["colony"]]


def _history(
    url: str, *arguments: str, archive_url: str = ""
) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryDirectory(prefix="storm-") as home:
        places = {"COLONIES_REDIS_URL": url, "HOME": home, "XDG_DATA_HOME": home}
        environ = environment({**places, ARCHIVE_URL: archive_url} if archive_url else places)
        output = ("-o", "json") if arguments[0] == "verify" else ()
        return subprocess.run(  # noqa: S603 - our own program
            [*PROGRAM, "history", *arguments, *output],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=HISTORY_S,
        )
