"""What must be true of workflows in the rows of a colony, whatever was asked of it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from broker import keys
from broker.aggregates.process import HELD, State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.succession import joined
from broker.aggregates.workflow import REMOVING, WorkflowRow
from broker.keys import Key
from projections.rows import Hash, SortedSet, Value

OPEN = {State.WAITING, State.RUNNING}
_MS_NS = 1_000_000


@dataclass
class Families:
    """The workflows of a colony with their processes."""

    rows: Mapping[Key, Value]
    processes: dict[str, ProcessRow] = field(default_factory=dict[str, ProcessRow])
    workflows: dict[str, Hash] = field(default_factory=dict[str, Hash])
    members: defaultdict[str, list[ProcessRow]] = field(
        default_factory=lambda: defaultdict[str, list[ProcessRow]](list)
    )

    def __post_init__(self) -> None:
        for key, value in self.rows.items():
            if key.startswith("p:"):
                row = ProcessRow(id=key[2:], row=cast("Hash", value))
                self.processes[row.id] = row
                if row.graph:
                    self.members[row.graph].append(row)
            elif key.startswith("w:"):
                self.workflows[key[2:]] = cast("Hash", value)

    def check(self) -> None:
        """All of it."""
        self._nothing_is_left_behind()
        self._queues()
        self._due()
        self._listings()
        for row in self.processes.values():
            self._parents(row)
        for workflow_id, row in self.workflows.items():
            if int(row[b"state"]) != REMOVING:
                self._counts(workflow_id)
                self._state(workflow_id)

    def _nothing_is_left_behind(self) -> None:
        """Processes and lists of processes are those of workflows that are there."""
        listed = {key[2:] for key in self.rows if key.startswith("n:")}
        assert set(self.members) <= set(self.workflows)
        assert listed == set(self.workflows)

    def _queues(self) -> None:
        """What waits for parents is held, what waits for an executor is in its one queue."""
        queued = {
            (key[2:], member.decode())
            for key, members in self.rows.items()
            if key.startswith("q:")
            for member in members
        }
        expected = {
            (HELD if row.pending else row.class_key, row.queued_as)
            for row in self.processes.values()
            if row.state is State.WAITING
        }
        assert queued == expected

    def _due(self) -> None:
        """Deadlines of what waits and runs, and sweeps that are under way; nothing else."""
        expected = dict[str, int]()
        for row in self.processes.values():
            if row.state is State.WAITING and row.wait_deadline_ns:
                expected[keys.due_wait(row.id)] = row.wait_deadline_ns // _MS_NS
            if row.state is State.RUNNING and row.given["max_exec_s"] > 0:
                limit_ms = row.given["max_exec_s"] * 1_000
                expected[keys.due_exec(row.id)] = row.started_ns // _MS_NS + limit_ms
        found = cast("SortedSet", self.rows.get(keys.DUE, {}))
        deadlines = {m.decode(): int(s) for m, s in found.items() if b"sweep/" not in m}
        assert deadlines == expected
        swept = {m.decode() for m in found if b"sweep/" in m}
        assert swept == {
            keys.due_sweep(workflow_id)
            for workflow_id, row in self.workflows.items()
            if b"sweeps" in row or int(row[b"state"]) == REMOVING
        }

    def _listings(self) -> None:
        """Each workflow is listed in its state, at the time it was submitted."""
        listed = {
            (int(state), workflow_id.decode(), int(score))
            for state in State
            for workflow_id, score in cast(
                "SortedSet", self.rows.get(keys.workflows(int(state)), {})
            ).items()
        }
        assert listed == {
            (int(row[b"state"]), workflow_id, int(row[b"at"]) // 1_000)
            for workflow_id, row in self.workflows.items()
            if int(row[b"state"]) != REMOVING
        }

    def _parents(self, row: ProcessRow) -> None:
        """Parents and children name each other; what is held waits for those still to succeed."""
        there = [self.processes[i] for i in dict.fromkeys(row.parents) if i in self.processes]
        for parent in there:
            assert Counter(parent.children)[row.id] == 1
        for child in (self.processes.get(i) for i in row.children):
            assert child is None or row.id in child.parents
        if len(there) < len(set(row.parents)):
            return
        open_parents = [parent for parent in there if parent.state is not State.SUCCESS]
        if row.state is State.WAITING:
            assert row.pending == len(open_parents)
        released = row.state is State.WAITING or row.started_ns
        if row.parents and not row.pending and released:
            outputs = [self.processes[i].row.get(b"out", b"[]") for i in row.parents]
            assert row.row[b"in"] == joined(outputs)

    def _counts(self, workflow_id: str) -> None:
        """It knows how many processes it has, and how many of them have not succeeded."""
        row, members = self._workflow(workflow_id), self.members[workflow_id]
        assert row.size == len(members)
        assert row.left == sum(member.state is not State.SUCCESS for member in members)
        nodes = cast("SortedSet", self.rows[keys.nodes(workflow_id)])
        assert {i.decode() for i in nodes} == {member.id for member in members}
        assert max(nodes.values()) < len(members)
        assert [m.id for m in members if not m.parents] == sorted(
            row.roots, key=[m.id for m in members].index
        )

    def _state(self, workflow_id: str) -> None:
        """Its state follows from those of its processes, unless these are just being ended."""
        row, members = self._workflow(workflow_id), self.members[workflow_id]
        states = {member.state for member in members}
        if State.FAILED in states:
            expected = State.FAILED
        elif State.CANCELLED in states or row.sweeps == State.CANCELLED:
            expected = State.CANCELLED
        elif states == {State.SUCCESS}:
            expected = State.SUCCESS
        else:
            expected = State.RUNNING if row.started_ns else State.WAITING
        assert row.state is expected
        if row.state is State.WAITING:
            assert states == {State.WAITING}
        if row.sweeps is None and states & OPEN:
            assert State.CANCELLED not in states
            failed = [member for member in members if member.state is State.FAILED]
            assert not any(member.children for member in failed)

    def _workflow(self, workflow_id: str) -> WorkflowRow:
        row = WorkflowRow.read(workflow_id, self.workflows[workflow_id])
        assert row is not None
        return row
