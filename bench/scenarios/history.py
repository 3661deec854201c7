"""How long it takes to go back in a log: near its beginning, to its middle, and near its end.

The log is written into the store at once (``bench/past.py``), then the server's projector leaves
its landmarks in it. What is timed is the command of the user, with its start.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from time import perf_counter, time
from typing import Any

from redis.asyncio import Redis

from api.history import log
from bench.connection import connections
from bench.errors import WrongAnswer
from bench.past import PER_PROCESS, Past, surveyed
from bench.plan import Stage
from bench.report import FLOOR, Measurement
from bench.servers import Target
from bench.wire import Colony
from broker.directory import Directory
from broker.keys import Tag
from broker.position import Position
from broker.store import EventStore
from projections import landmarks

_SCENARIO = "history"
_AT = (sys.executable, "-c", "from cli.app import main; main()", "history", "at")
_SHARES = {"near the beginning": 0.05, "in the middle": 0.5, "near the end": 0.95}
_SHOWN = 100


async def measure(stage: Stage) -> list[Measurement]:
    """Every question at every moment.

    Raises:
        WrongAnswer: an answer is not what the log was written with.
    """
    found = list[Measurement]()
    for target in (one for one in stage.targets if one.name != FLOOR):
        bench = _Bench(target, stage.plan.history_events)
        found.append(await bench.write())
        for number in range(1, stage.plan.history_rounds + 1):
            found += [one async for one in bench.round(number)]
    return found


@dataclass(frozen=True, slots=True)
class _Moment:
    """How it is after so many events."""

    name: str
    position: Position
    head: str
    waiting: int
    succeeded: int

    @classmethod
    def after(cls, name: str, past: Past) -> "_Moment":
        """How it is now."""
        return cls(name, past.last, next(iter(past.waiting)), len(past.waiting), past.closed)

    def check(self, what: str, told: Any) -> None:  # noqa: ANN401 - JSON
        """Compare an answer with what has happened.

        Raises:
            WrongAnswer: it says something else.
        """
        found, should = {
            "process": lambda: ((told["processid"], told["state"]), (self.head, 0)),
            "stats": lambda: (
                (told["waitingprocesses"], told["successfulprocesses"]),
                (self.waiting, self.succeeded),
            ),
            "queue": lambda: (
                (told[0]["processid"], len(told)),
                (self.head, min(_SHOWN, self.waiting)),
            ),
        }[what]()
        if found != should:
            raise WrongAnswer(f"{what} {self.name} is {found}, and should be {should}")


@dataclass(slots=True)
class _Bench:
    """A server and the log of one of its colonies."""

    target: Target
    events: int
    _moments: list[_Moment] = field(default_factory=list[_Moment])
    _colony: Colony = field(init=False)

    def __post_init__(self) -> None:
        self._colony = Colony.imagine(self.target.endpoint, _SCENARIO, 1)

    @property
    def _store_url(self) -> str:
        if not self.target.redis_url:
            raise WrongAnswer("history is read from the store: name it with --redis-url")
        return self.target.redis_url

    async def write(self) -> Measurement:
        """Write the log, and wait until its landmarks are there."""
        async with connections(self.target.endpoint, 1) as (connection,):
            await self._colony.found(connection, self.target.owner())
        async with log.opened(self._store_url) as history, Redis.from_url(self._store_url) as redis:  # pyright: ignore[reportUnknownMemberType] - redis-py leaves **kwargs unannotated
            place = await Directory(history.store).named(_SCENARIO)
            if place is None:
                raise WrongAnswer("the colony is not in this store")
            past = Past(
                colony=place,
                executor_id=self._colony.executors[0].identity.id,
                user_id=self._colony.user.identity.id,
                processes=-(-self.events // PER_PROCESS),
                last=Position(round(time() * 1_000) + 1, 0),
            )
            done = 0
            for name, share in _SHARES.items():
                count = int(self.events * share) - done
                await past.write(redis, count)
                done += count
                self._moments.append(_Moment.after(name, past))
            await past.write(redis, self.events - done)
            return await self._surveyed(history.store, place.tag)

    async def _surveyed(self, store: EventStore, tag: Tag) -> Measurement:
        """How long the landmarks took, and how large they are."""
        begun = perf_counter()
        await surveyed(store, tag)
        sizes = await store.read(
            *(("MEMORY", "USAGE", tag.key(key), "SAMPLES", 0) for key in landmarks.INDEXES.values())
        )
        return Measurement(
            scenario=_SCENARIO,
            case="landmarks",
            target=self.target.name,
            round=1,
            count=self.events,
            seconds=(seconds := perf_counter() - begun),
            rate=self.events / seconds,
            values={"bytes of the store for each event": sum(sizes) / self.events},
        )

    async def round(self, number: int) -> AsyncGenerator[Measurement]:
        """Ask for a process, the counts and the queue at each moment.

        Raises:
            WrongAnswer: an answer is not what the log was written with.
        """
        for moment in self._moments:
            for what in (("process", moment.head), ("stats",), ("queue",)):
                begun, used = perf_counter(), _used_s()
                told = await self._told(str(moment.position), *what)
                seconds, used = perf_counter() - begun, _used_s() - used
                moment.check(what[0], told)
                yield Measurement(
                    scenario=_SCENARIO,
                    case=f"{what[0]}, {moment.name} of {self.events:,} events",
                    target=self.target.name,
                    round=number,
                    count=1,
                    seconds=seconds,
                    values={"seconds": seconds, "of them processor time": used},
                )

    async def _told(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        running = await asyncio.create_subprocess_exec(
            *_AT, *words, "--json", env=self._environ(), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await running.communicate()
        if running.returncode:
            raise WrongAnswer(f"history at {' '.join(words)} ended with {running.returncode}")
        return json.loads(out)

    def _environ(self) -> Mapping[str, str]:
        colony = {"COLONIES_COLONY_NAME": self._colony.name}
        return {**os.environ, "COLONIES_REDIS_URL": self._store_url, **colony}


def _used_s() -> float:
    """Processor time of the commands that have ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
