"""Queue again what an executor held that was removed or rejected.

The event that removes it also puts it into keys.LEAVING. Whoever is first does the work, in
bounded steps, each an ordinary guarded command; when nothing is held any more the entry is taken
off. A server that dies half-way leaves the entry for the next. An executor that is approved again
meanwhile keeps what it holds.
"""

from dataclasses import dataclass

from broker import keys
from broker.access import MemberRow, MemberState
from broker.aggregates import executor
from broker.aggregates.process_retry import requeue
from broker.aggregates.process_row import ProcessRow
from broker.decision import Decision, equals
from broker.directory import Classes, Colony, Directory
from broker.reactors.reactor import Reactor

_STEP = 100
_GONE = "the executor that ran it is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeuer(Reactor):
    """Does it, and tells what happened."""

    directory: Directory

    async def all_leaving(self, colony: Colony) -> None:
        """Every executor of a colony that left and may still hold work."""
        leaving = await self.store.send("ZRANGE", colony.tag.key(keys.LEAVING), 0, _STEP - 1)
        for executor_id in leaving:
            await self.held_by(colony, executor_id.decode())

    async def held_by(self, colony: Colony, executor_id: str) -> None:
        """Everything one executor that left still holds."""
        held = colony.tag.key(keys.held(executor_id))
        while members := await self.store.send("SRANDMEMBER", held, _STEP):
            if not await self._step(colony, executor_id, [m.decode() for m in members]):
                return
        released = executor.released(executor_id, self.store.clock.now_ns())
        await self.append(colony, released)

    async def _step(self, colony: Colony, executor_id: str, ids: list[str]) -> bool:
        async def read(_fresh: bool) -> _Rows:  # noqa: FBT001 - run's own shape
            names = (keys.member(executor_id), *(keys.process(i) for i in ids))
            member, *hashes = await self.store.hashes(colony.tag, *names)
            rows = (ProcessRow.read(i, h) for i, h in zip(ids, hashes, strict=True))
            classes = await self.directory.classes(colony, fresh=True)
            present = [row for row in rows if row is not None]
            return _Rows(MemberRow.read(executor_id, member), present, classes)

        return bool(await self.act(colony, read, _decide))


@dataclass(frozen=True, slots=True)
class _Rows:
    member: MemberRow | None
    processes: list[ProcessRow]
    classes: Classes


def _decide(rows: _Rows, now_ns: int) -> Decision:
    member = rows.member
    if member is None or member.state is MemberState.APPROVED:
        return Decision()
    decided = requeue(rows.processes, member.id, _GONE, rows.classes.by_key, now_ns)
    still = equals(keys.member(member.id), "guard", member.guard)
    return Decision(expects=(still, *decided.expects), events=decided.events, wakes=decided.wakes)
