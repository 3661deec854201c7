"""Remove finished processes and workflows that are older than they are to be kept.

What may stay is a setting of the server, and of a colony if its owner has said so, for each state
by itself; off unless set. Removing is an event like any other, in steps that hold the store up for
about a millisecond, and as much time passes between two steps as one takes: assignment goes on
beside it. A server that dies half-way has lost nothing, the next look finds what is left.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker import keys
from broker.access import ColonyRow
from broker.aggregates import dissolution, process_end
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.workflow import WorkflowRow
from broker.clock import SECOND_NS, US_NS
from broker.decision import Decision
from broker.directory import Colony
from broker.keys import Key, Tag
from broker.pace import rest
from broker.reactors.reactor import Reactor, each, forget_gone
from broker.reactors.sweep import Sweeper

_STEP = 25
_MOST = 5_000
"""How many are removed from one colony before the others have their turn."""
_SKEW_US = 60_000_000
"""By how much two servers may differ about the time at which something ended."""
_FINISHED = (State.SUCCESS, State.FAILED, State.CANCELLED)

Entry = tuple[str, int]
"""A member of a listing and its score, Unix μs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """For how many seconds after its end something is kept, by how it ended; 0 is for ever."""

    success_s: int = 0
    failed_s: int = 0
    cancelled_s: int = 0

    def seconds(self, state: State) -> int:
        """For one state."""
        return {
            State.SUCCESS: self.success_s,
            State.FAILED: self.failed_s,
            State.CANCELLED: self.cancelled_s,
        }[state]

    def unless_said(self, row: ColonyRow) -> "Keep":
        """What holds in a colony: its own where it says something, -1 is nothing."""
        return Keep(
            success_s=_either(row.success_retention_s, self.success_s),
            failed_s=_either(row.failed_retention_s, self.failed_s),
            cancelled_s=_either(row.cancelled_retention_s, self.cancelled_s),
        )


def _either(own: int, default: int) -> int:
    return default if own < 0 else own


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement(Reactor):
    """Removes, and tells what happened; ``default`` is for colonies that say nothing."""

    sweeper: Sweeper
    default: Keep
    _seen_us: dict[Tag, dict[Key, int]] = field(default_factory=dict[Tag, dict[Key, int]])
    """How far a listing holds only what stays: processes of workflows, which go with these."""

    async def purge_all(self, colonies: Sequence[Colony]) -> None:
        """Purge all colonies there are."""
        forget_gone(self._seen_us, colonies)
        await each(colonies, self.purge)

    async def purge(self, colony: Colony) -> int:
        """Remove what one colony should not keep, up to a bound; how many it were."""
        row = ColonyRow.read((await self.store.hashes(colony.tag, keys.COLONY))[0])
        if row is None:
            return 0
        keep, removed = self.default.unless_said(row), 0
        for state in _FINISHED:
            if kept_s := keep.seconds(state):
                before_us = (self.store.clock.now_ns() - kept_s * SECOND_NS) // US_NS
                removed += await self._workflows(colony, state, before_us)
                removed += await self._processes(colony, state, before_us)
        return removed

    async def _processes(self, colony: Colony, state: State, before_us: int) -> int:
        """Those that ended before a time and belong to no workflow."""
        listing = keys.listing(int(state))
        seen_us = self._seen_us.setdefault(colony.tag, {})
        first, skip, removed = seen_us.get(listing, 0), 0, 0
        while removed < _MOST:
            page = await self._page(colony.tag, listing, first, before_us, skip)
            began = time.monotonic()
            gone = await self._remove(colony, state, [process_id for process_id, _ in page])
            removed += len(gone)
            if len(page) < _STEP:
                seen_us[listing] = before_us - _SKEW_US
                break
            last = page[-1][1]
            stay = [at for process_id, at in page if process_id not in gone]
            skip = (skip if last == first else 0) + stay.count(last)
            first = last
            await rest(began)
        return removed

    async def _remove(self, colony: Colony, state: State, ids: list[str]) -> set[str]:
        if not ids:
            return set()

        async def read(_fresh: bool) -> list[ProcessRow]:  # noqa: FBT001 - run's shape
            hashes = await self.store.hashes(colony.tag, *(keys.process(i) for i in ids))
            rows = (ProcessRow.read(i, row) for i, row in zip(ids, hashes, strict=True))
            return [row for row in rows if row is not None and row.state is state]

        def decide(rows: list[ProcessRow], now_ns: int) -> Decision:
            return process_end.remove_many((), rows, "", now_ns)

        return {event.subject for event in await self.act(colony, read, decide)}

    async def _workflows(self, colony: Colony, state: State, before_us: int) -> int:
        """Those that ended before a time; they are listed by when they were submitted."""
        listing, first, skip, removed = keys.workflows(int(state)), 0, 0, 0
        while removed < _MOST:
            page = await self._page(colony.tag, listing, first, before_us, skip)
            for workflow_id, _ in page:
                began = time.monotonic()
                size = await self._leave(colony, state, workflow_id, before_us)
                removed += size
                skip += not size
                await rest(began)
            if len(page) < _STEP:
                break
        return removed

    async def _leave(self, colony: Colony, state: State, workflow_id: str, before_us: int) -> int:
        """Remove a workflow if it has ended long enough ago; how many processes it had."""
        size = 0

        async def read(_fresh: bool) -> WorkflowRow | None:  # noqa: FBT001
            row = (await self.store.hashes(colony.tag, keys.workflow(workflow_id)))[0]
            return WorkflowRow.read(workflow_id, row)

        def decide(row: WorkflowRow | None, now_ns: int) -> Decision:
            nonlocal size
            size = 0
            if row is None or row.state is not state or row.ended_ns // US_NS > before_us:
                return Decision()
            size = row.size
            return dissolution.leave((), row, "", now_ns)

        await self.act(colony, read, decide)
        if size:
            await self.sweeper.sweep(colony, workflow_id)
        return size

    async def _page(self, tag: Tag, listing: Key, first: int, last: int, skip: int) -> list[Entry]:
        limit = ("WITHSCORES", "LIMIT", skip, _STEP)
        flat = await self.store.send("ZRANGEBYSCORE", tag.key(listing), first, last, *limit)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [(member.decode(), int(float(score))) for member, score in pairs]
