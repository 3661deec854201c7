"""Counting what is in a colony: for statistics, and for metrics."""

from collections.abc import Iterable
from dataclasses import dataclass

from api import wire_colony
from broker import keys
from broker.access import EXECUTOR, MemberState
from broker.aggregates.process import State
from broker.directory import Colony, Directory
from broker.keys import Tag
from broker.store import EventStore
from projections.core import listings


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How many of what a colony has; counted one after the other, not at one moment."""

    members: list[MemberState]
    """The state of every executor."""
    processes: dict[State, int]
    workflows: dict[State, int]

    def executors(self, *states: MemberState) -> int:
        """How many executors are in one of some states."""
        return sum(state in states for state in self.members)

    @property
    def registered(self) -> int:
        """How many executors are not unregistered."""
        return len(self.members) - self.executors(MemberState.UNREGISTERED)


async def census(store: EventStore, directory: Directory, colony: Colony) -> Census:
    """Count one colony."""
    classes = await directory.classes(colony, fresh=True)
    return Census(
        members=await _member_states(store, colony.tag),
        processes=await listings.counts(store, colony.tag, classes),
        workflows=await listings.workflow_counts(store, colony.tag),
    )


def statistics(counted: Iterable[Census]) -> wire_colony.Statistics:
    """The sum of some colonies as the protocol shows it."""
    total = wire_colony.Statistics()
    for one in counted:
        total.colonies += 1
        total.executors += one.registered
        total.waitingprocesses += one.processes[State.WAITING]
        total.runningprocesses += one.processes[State.RUNNING]
        total.successfulprocesses += one.processes[State.SUCCESS]
        total.failedprocesses += one.processes[State.FAILED]
        total.cancelledprocesses += one.processes[State.CANCELLED]
        total.waitingworkflows += one.workflows[State.WAITING]
        total.runningworkflows += one.workflows[State.RUNNING]
        total.successfulworkflows += one.workflows[State.SUCCESS]
        total.failedworkflows += one.workflows[State.FAILED]
        total.cancelledworkflows += one.workflows[State.CANCELLED]
    return total


async def _member_states(store: EventStore, tag: Tag) -> list[MemberState]:
    names = (await store.hashes(tag, keys.NAMES))[0]
    prefix = f"{EXECUTOR}/".encode()
    ids = [value.decode() for name, value in names.items() if name.startswith(prefix)]
    if not ids:
        return []
    found = await store.read(*(("HGET", tag.key(keys.member(i)), "state") for i in ids))
    return [MemberState(int(state)) for state in found if state is not None]
