"""A log as it would have become: written into a store at once, so that one can go back in it.

One event each millisecond, of processes that wait, run and succeed. First only the queue grows, to
a tenth of all processes; then each that comes lets the oldest go; at the end all of them have gone.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from redis.asyncio import Redis

from broker import keys
from broker.aggregates.process import (
    UNLIMITED_EXEC,
    ProcessAssigned,
    ProcessClosed,
    ProcessSubmitted,
    State,
)
from broker.decision import Decision, Event
from broker.directory import Colony
from broker.envelope import FIELDS, entry
from broker.keys import Tag
from broker.matching import Requirement
from broker.position import START, Position
from broker.store import BY_SERVER, EventStore
from projections import landmarks

PER_PROCESS = 3
_WAITING_SHARE = 10
_BATCH = 1_000
_MS_NS = 1_000_000
_TOGETHER = 30
_AT_ONCE = 8
_LOOK_AGAIN_S = 0.2
_PATIENCE_S = 1_800.0
_PROOF = bytes(97)
_SPEC = b'{"funcname":"echo","args":["hello, world"],"conditions":{"executortype":"cli"}}'
_NEEDS = Requirement(executor_type="cli")


@dataclass(slots=True)
class Past:
    """What has happened so far."""

    colony: Colony
    executor_id: str
    user_id: str
    processes: int
    last: Position
    """Where the last event is."""
    waiting: dict[str, int] = field(default_factory=dict[str, int])
    """Ids, in order, and their priority times."""
    submitted: int = 0
    closed: int = 0
    running: str = ""

    async def write(self, redis: Redis, events: int) -> None:
        """Let so many events happen, one each millisecond."""
        stream = self.colony.tag.key(keys.EVENTS)
        coming = self._events(events)
        while batch := list(islice(coming, _BATCH)):
            async with redis.pipeline(transaction=False) as pipeline:
                for position, event in batch:
                    values = entry(event, _PROOF)
                    pipeline.xadd(stream, dict(zip(FIELDS, values, strict=True)), id=str(position))
                await pipeline.execute()

    async def append(self, store: EventStore, events: int) -> None:
        """The same by the append that everything takes, so that there are rows, too."""
        coming = (event for _, event in self._events(events))
        while decisions := [
            Decision(events=tuple(islice(coming, _TOGETHER))) for _ in range(_AT_ONCE)
        ]:
            appends = (store.append(self.colony.tag, each, BY_SERVER) for each in decisions)
            await asyncio.gather(*appends)
            if not decisions[-1].events:
                return

    def _events(self, events: int) -> Iterator[tuple[Position, Event]]:
        for _ in range(events):
            self.last = Position(self.last.ms + 1, 0)
            yield self.last, self._event(self.last.ms * _MS_NS)

    def _event(self, at_ns: int) -> Event:
        if self.running:
            return self._close(at_ns)
        full = len(self.waiting) >= max(1, self.processes // _WAITING_SHARE)
        if full or self.submitted == self.processes:
            return self._assign(at_ns)
        return self._submit(at_ns)

    def _submit(self, at_ns: int) -> Event:
        process_id = keys.new_id(self.colony.suffix)
        self.waiting[process_id] = at_ns
        self.submitted += 1
        return ProcessSubmitted(
            subject=process_id,
            actor=self.user_id,
            at_ns=at_ns,
            spec=_SPEC,
            initiator_name="user",
            function="echo",
            label="",
            priority_time=at_ns,
            wait_deadline_ns=0,
            max_wait_s=-1,
            max_exec_s=-1,
            max_retries=0,
            requires=_NEEDS.pack(),
            env={},
        )

    def _assign(self, at_ns: int) -> Event:
        self.running, priority_time = next(iter(self.waiting.items()))
        del self.waiting[self.running]
        return ProcessAssigned(
            subject=self.running,
            actor=self.executor_id,
            at_ns=at_ns,
            class_key=_NEEDS.class_key,
            queued_as=keys.queue_member(priority_time, self.running),
            max_exec_s=UNLIMITED_EXEC,
        )

    def _close(self, at_ns: int) -> Event:
        process_id, self.running = self.running, ""
        self.closed += 1
        return ProcessClosed(
            subject=process_id,
            actor=self.executor_id,
            at_ns=at_ns,
            outcome=int(State.SUCCESS),
            out=b'["hello, world"]',
            errors=[],
            function="echo",
            executor_name="executor-0",
            waited_ns=_MS_NS,
            ran_ns=_MS_NS,
            timed=False,
        )


async def surveyed(store: EventStore, tag: Tag) -> None:
    """Wait until the server's projector has left every landmark there is to leave."""
    async with asyncio.timeout(_PATIENCE_S):
        while await _is_behind(store, tag):  # noqa: ASYNC110 - a key of a store is no event
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _is_behind(store: EventStore, tag: Tag) -> bool:
    last = await landmarks.reached(store, tag) or START
    return len(await store.raw_page(tag, last, landmarks.EVERY)) == landmarks.EVERY
