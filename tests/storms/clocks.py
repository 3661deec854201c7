"""Clocks of servers, stepped by an hour forth and back: order and deadlines do not move."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from broker.aggregates.cron import CronFired
from broker.aggregates.process import (
    ProcessAssigned,
    ProcessFailed,
    ProcessRetried,
    ProcessSubmitted,
)
from broker.envelope import Recorded
from tests.acceptance.inspection import opened_store, tag_of
from tests.acceptance.processes import own_store
from tests.acceptance.tenants import Executor, Tenant
from tests.storms.client import Client
from tests.storms.clock import HOUR_S, Clock
from tests.storms.fleet import Fleet, Post, plan, sailing
from tests.storms.load import EXEC_S
from tests.storms.storm import Outcome, Storm, Wish, judge, storming

NS = 1_000_000_000
MOST_OFF_S = 5.0
"""No event may be further from the store's own time of it; a step is 720 times as much."""
WAIT_S = 1
BETWEEN = 100
"""So many mutations are acknowledged from one step to the next."""
IN_LINE = 4
"""So many processes are submitted, one after the other, after each step."""
STEPS = (HOUR_S, -HOUR_S, 0)


@dataclass
class Probe:
    """Processes whose order or end tells which clock was followed."""

    client: Client
    tenant: Tenant
    in_line: list[str] = field(default_factory=list[str])
    """In the order of their submission, through one server after the other."""
    hopeless: list[str] = field(default_factory=list[str])
    """They wait for somebody who never comes, and no longer than WAIT_S."""

    async def submit(self) -> None:
        """Some of each."""
        for _ in range(IN_LINE):
            self.in_line.append(await self._one("patient"))
        self.hopeless.append(await self._one("nobody", maxwaittime=WAIT_S))

    async def _one(self, kind: str, **fields: object) -> str:
        spec = self.tenant.spec(kind=kind, **fields)
        answer = await self.client.surely(self.tenant.user, "submitfuncspecmsg", spec=spec)
        return answer.ok["processid"]

    async def taken(self, executor: Executor) -> list[str]:
        """The line in the order in which it is given out."""
        found: list[str] = []
        while len(found) < len(self.in_line):
            asked = {"colonyname": self.tenant.name, "timeout": 1}
            given = await self.client.surely(executor.identity, "assignprocessmsg", **asked)
            found.append(given.ok["processid"])
            done = {"processid": found[-1]}
            (await self.client.surely(executor.identity, "closesuccessfulmsg", **done)).ok  # noqa: B018 - asserts
        return found


async def clocks(wish: Wish) -> Outcome:
    """The whole storm."""
    with own_store() as store:
        posts = plan(store.url)
        faces = _faces(posts, wish.directory)
        async with sailing(posts) as fleet:
            servers = lambda: fleet.apis  # noqa: E731
            async with storming("clocks", wish, servers) as storm:
                probe = Probe(storm.loads[0].client, storm.loads[0].tenant)
                patient = await probe.tenant.executor(fleet.apis[0], kind="patient")
                await _rage(storm, fleet, faces, probe)
                taken = await probe.taken(patient)
            outcome = await judge(storm, store.url)
            outcome.wrong += fleet.bugs
            if taken != probe.in_line:
                outcome.wrong.append("processes came in another order than they were submitted in")
            events = await recorded(store.url, probe.tenant.name)
            outcome.wrong += _times(events) + _deadlines(events, probe)
            outcome.looked_at["processes in line"] += len(taken)
            outcome.looked_at["deadlines"] += len(probe.hopeless) + outcome.retries
            off = max(_off_s(one) for one in events)
            outcome.notes.append(
                f"The time in an event was at most {off:.3f} s from the store's own time of it."
            )
            return outcome


def _faces(posts: Sequence[Post], directory: Path) -> list[Clock]:
    """A clock for each server, as it is from its start."""
    faces: list[Clock] = []
    for number, post in enumerate(posts):
        faces.append(Clock(directory / f"clock{number}"))
        faces[-1].step(STEPS[number % len(STEPS)])
        post.settings = {**post.settings, **faces[-1].environ}
    return faces


async def _rage(storm: Storm, fleet: Fleet, faces: Sequence[Clock], probe: Probe) -> None:
    """Step one clock after the other; at times a server starts under a clock that is off."""
    chance = storm.wish.chance()
    turns = itertools.cycle(range(len(faces)))
    rounds = 0
    while storm.goes_on(rounds) or rounds < len(faces):
        at = next(turns)
        seconds = chance.choice(STEPS)
        storm.strike(f"a clock stepped to {seconds:+d} s")
        faces[at].step(seconds)
        if rounds % len(faces) == 0 and not fleet.posts[at + 1].supervises:
            storm.strike("a server started again under such a clock")
            await fleet.posts[at + 1].empty()
            await fleet.posts[at + 1].fill()
        await probe.submit()
        await storm.witness.more(BETWEEN)
        rounds += 1
    await _over(probe)


async def _over(probe: Probe) -> None:
    """Wait until nobody is hopeless any more; the deadline is the servers' business."""
    last = {"processid": probe.hopeless[-1]}
    for _ in range(int(MOST_OFF_S * 10)):
        shown = await probe.client.surely(probe.tenant.user, "getprocessmsg", **last)
        if shown.ok["state"] != 0:
            return
        await asyncio.sleep(0.1)


async def recorded(url: str, colony_name: str) -> list[Recorded]:
    """The log of a colony, with the positions: they begin with the store's time."""
    async with opened_store(url) as store:
        return [one async for one in store.events(await tag_of(store, colony_name))]


def _off_s(one: Recorded) -> float:
    return abs(one.event.at_ns / NS - one.position.ms / 1_000)


def _times(events: Sequence[Recorded]) -> list[str]:
    """Each event has the time of the store, and each tick of a cron came when it was to come."""
    wrong = [
        f"{one.event.TYPE} at {one.position} says it was {one.event.at_ns}"
        for one in events
        if _off_s(one) > MOST_OFF_S
    ]
    ticks = [one.event for one in events if isinstance(one.event, CronFired)]
    late = [tick for tick in ticks if abs(tick.at_ns - tick.was_next_ns) > MOST_OFF_S * NS]
    return wrong + [f"a cron fired at {tick.at_ns} for {tick.was_next_ns}" for tick in late]


def _deadlines(events: Sequence[Recorded], probe: Probe) -> list[str]:
    """What waited or ran too long was ended after the time it had, and not much later."""
    began: dict[str, int] = {}
    ended: Mapping[str, list[int]] = {process_id: [] for process_id in probe.hopeless}
    wrong: list[str] = []
    for event in (one.event for one in events):
        if isinstance(event, ProcessSubmitted | ProcessAssigned):
            began[event.subject] = event.at_ns
        elif isinstance(event, ProcessRetried):
            wrong += _ended(event.subject, event.at_ns - began[event.subject], EXEC_S)
        elif isinstance(event, ProcessFailed) and event.subject in ended:
            ended[event.subject].append(event.at_ns)
            wrong += _ended(event.subject, event.at_ns - began[event.subject], WAIT_S)
    return wrong + [f"{i} did not end once: {at}" for i, at in ended.items() if len(at) != 1]


def _ended(process_id: str, after_ns: int, wanted_s: int) -> list[str]:
    fine = wanted_s <= after_ns / NS <= wanted_s + MOST_OFF_S
    return [] if fine else [f"{process_id} ended after {after_ns / NS:.3f} s, not {wanted_s}"]
