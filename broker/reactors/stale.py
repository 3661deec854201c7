"""Unregister executors that have been silent for too long.

Silent means: heard from once, but in no signed request for the time the settings say, while a
server was there to hear it. One that runs something is not stale however long it is silent; its
processes have deadlines of their own. One that was never heard from is kept.
"""

from dataclasses import dataclass

from broker import keys
from broker.access import EXECUTOR, MemberRow, MemberState
from broker.aggregates.executor import unregister_stale
from broker.clock import SECOND_NS
from broker.directory import Colony
from broker.presence import Presence
from broker.reactors.reactor import Reactor

_LISTED = {MemberState.PENDING, MemberState.APPROVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleExecutors(Reactor):
    """Finds them, and tells what happened."""

    presence: Presence
    silent_s: int
    listening_since_ns: int

    async def unregister(self, colony: Colony) -> None:
        """Unregister the stale executors of a colony."""
        now_ns = self.store.clock.now_ns()
        if now_ns - self.listening_since_ns < self.silent_s * SECOND_NS:
            return
        heard = await self.presence.last(colony.tag)
        before_ns = now_ns - self.silent_s * SECOND_NS
        silent = [executor_id for executor_id, at_ns in heard.items() if at_ns < before_ns]
        if not silent:
            return
        rows = await self.store.hashes(colony.tag, *(keys.member(i) for i in silent))
        for executor_id, row in zip(silent, rows, strict=True):
            member = MemberRow.read(executor_id, row)
            if member is not None and member.kind == EXECUTOR and member.state in _LISTED:
                await self.append(colony, unregister_stale(member, now_ns))
