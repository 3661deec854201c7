"""Any order of commands leaves a colony in order.

The machine gives commands to the handlers of two API processes on one store, each with its own
memory of the rows, and after each of them looks at all that the store holds. There is no second
model of the broker: only what must be true of it whatever was asked.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from api import wire, wire_attribute, wire_colony, wire_executor, wire_process, wire_spec
from api.context import Call, Context
from api.handlers import assign, attribute, executor, process
from api.specs import SubmitMsg
from broker import keys
from broker.aggregates.colony import retire_class
from broker.aggregates.process import State
from broker.clock import StoreClock
from broker.decision import Event
from broker.errors import Rejected
from broker.keys import Key
from broker.store import BY_SERVER, EventStore
from projections.core import fold
from projections.replay import live_rows, replay
from projections.rows import Value
from tests.facts import COLONY, EXECUTOR, OTHER, OWNER, STRANGER, USER
from tests.links import FakeLink
from tests.moments import told_and_true
from tests.properties.lives import Lives
from tests.stage import PhoneLine, Stage
from tests.store.ground import everything

LONG = os.environ.get("PROPERTIES") == "long"
SEARCH = settings(
    max_examples=1_000 if LONG else 12,
    stateful_step_count=60 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    # A shrunk story takes minutes to find, and is wanted when one looks for it.
    phases=list(Phase) if LONG else [Phase.explicit, Phase.reuse, Phase.generate],
)
T = TypeVar("T")
Handler = Callable[[Context, Call, Any], Awaitable[Any]]
WHO = st.sampled_from(["worker", "other", "alice", "owner", "stranger", "former"])
WORKER = st.sampled_from(["worker", "other"])
THERE = st.booleans()
TARGETS = st.sampled_from([None, ["worker"], ["other"]])
NOTHING = cast("Any", multiple())
FOLLOWING = {"ProcessRequeued", "ExecutorReleased", "RequirementClassAdded", "ProcessHandedOver"}
"""Events that come along with others, as many as there is work for."""


class AnyOrder(RuleBasedStateMachine):
    """One colony with two executors, a user, an owner, and somebody from elsewhere."""

    processes: Bundle[str] = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.link = FakeLink()
        self.stages = [
            Stage(EventStore(self.link, fold, StoreClock()), allow_reregister=True)
            for _ in range(2)
        ]
        self.store = self.stages[0].store
        self.people = {
            "worker": EXECUTOR,
            "other": OTHER,
            "alice": USER,
            "owner": OWNER,
            "stranger": STRANGER,
            "former": STRANGER,
        }
        self.asked = 0
        self.events: list[Event] = []
        self.held: dict[bytes, Any] = {}

    def teardown(self) -> None:
        """The loop is the machine's own."""
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something to its end."""
        return self.runner.run(work)

    async def log(self) -> list[Event]:
        """All events of the colony."""
        return [each.event async for each in self.store.events(self.tag)]

    async def look(self) -> None:
        """Remember everything there is, to compare with later."""
        self.events, self.held = await self.log(), await everything(self.link)

    def ask(
        self,
        there: bool,  # noqa: FBT001 - which of the two processes
        who: str,
        handler: Handler,
        message: wire.Message,
        *leads_to: str,
    ) -> Any:  # noqa: ANN401 - whatever the handler answers
        """Give a command: refused it leaves no trace, accepted its events are there once.

        Each is given twice with the same nonce; the second changes nothing and answers the same.
        """
        return self.run(self._ask(self.stages[there], who, handler, message, leads_to))

    async def _ask(
        self,
        stage: Stage,
        who: str,
        handler: Handler,
        message: wire.Message,
        leads_to: tuple[str, ...],
    ) -> Any:  # noqa: ANN401
        caller, self.asked = self.people[who], self.asked + 1
        nonce, again = f"nonce {self.asked}", wire.decode(wire.encode(message), type(message))
        try:
            answer = await stage.say(handler, caller, message, nonce=nonce)
        except Rejected:
            await stage.settle()
            assert await everything(self.link) == self.held
            return None
        await stage.settle()
        before = self.events
        await self.look()
        assert self.events[: len(before)] == before
        added = Counter(event.TYPE for event in self.events[len(before) :])
        assert {kind for kind in added if kind not in FOLLOWING} <= set(leads_to)
        assert all(count == 1 for kind, count in added.items() if kind not in FOLLOWING)
        repeated = await stage.say(handler, caller, again, nonce=nonce)
        await stage.settle()
        assert wire.encode(repeated) == wire.encode(answer)
        assert await everything(self.link) == self.held
        return answer

    # ------------------------------------------------------------ commands

    @initialize()
    def begin(self) -> None:
        """Everybody is there and approved."""
        self.run(self.stages[0].found())
        self.run(self.stages[0].add_executor(OTHER, "other"))
        self.tag = self.run(self.stages[0].tag())
        self.run(self.look())

    @rule(
        target=processes,
        there=THERE,
        who=WHO,
        priority=st.sampled_from([-1, 0, 1, 60_000]),
        names=TARGETS,
        seconds=st.sampled_from([-1, 60]),
    )
    def submit(
        self,
        there: bool,  # noqa: FBT001
        who: str,
        priority: int,
        names: list[str] | None,
        seconds: int,
    ) -> Any:  # noqa: ANN401 - one process, or none
        """Somebody submits."""
        conditions = wire_spec.Conditions(
            colonyname=COLONY, executortype="cli", executornames=names
        )
        spec = wire_spec.FunctionSpec(
            priority=priority,
            maxexectime=seconds,
            maxwaittime=seconds,
            env={"A": "1"},
            conditions=conditions,
        )
        message = wire.decode(wire.encode(wire_process.SubmitFuncSpecMsg(spec=spec)), SubmitMsg)
        answer = self.ask(there, who, process.submit, message, "ProcessSubmitted")
        if answer is None:
            return NOTHING
        return wire.decode(answer, wire_process.Process).processid

    @rule(there=THERE, who=WHO)
    def assign(self, there: bool, who: str) -> None:  # noqa: FBT001
        """Somebody asks for work, and gets the first there is for it."""
        message = wire_process.AssignProcessMsg(colonyname=COLONY, timeout=-1)
        self.ask(there, who, assign.assign, message, "ProcessAssigned")

    @rule(there=THERE, who=WORKER)
    def assign_and_hang_up(self, there: bool, who: str) -> None:  # noqa: FBT001
        """What a client never heard of is queued as before."""
        message = wire_process.AssignProcessMsg(colonyname=COLONY, timeout=-1)
        stage, line = self.stages[there], PhoneLine(gone=True)
        before = Lives()
        for event in self.events:
            before.hear(event)
        try:
            self.run(stage.say(assign.assign, self.people[who], message, line=line))
        except Rejected:
            self.run(stage.settle())
        self.run(self.look())
        after = Lives()
        for event in self.events:
            after.hear(event)
        assert after.holders == before.holders

    @rule(there=THERE, who=WHO, process_id=processes, failed=st.booleans())
    def close(self, there: bool, who: str, process_id: str, failed: bool) -> None:  # noqa: FBT001
        """Somebody closes something."""
        if failed:
            message = wire_process.CloseFailedMsg(processid=process_id, errors=["e"])
            self.ask(there, who, process.close_failed, message, "ProcessClosed")
        else:
            message = wire_process.CloseSuccessfulMsg(
                processid=process_id, output=msgspec.Raw(b"[1]")
            )
            self.ask(there, who, process.close_successful, message, "ProcessClosed")

    @rule(there=THERE, who=WHO, process_id=processes)
    def cancel(self, there: bool, who: str, process_id: str) -> None:  # noqa: FBT001
        """Somebody cancels something."""
        message = wire_process.CancelProcessMsg(processid=process_id)
        self.ask(there, who, process.cancel, message, "ProcessCancelled")

    @rule(there=THERE, who=WHO, process_id=processes)
    def remove(self, there: bool, who: str, process_id: str) -> None:  # noqa: FBT001
        """Somebody removes something."""
        message = wire_process.RemoveProcessMsg(processid=process_id)
        self.ask(there, who, process.remove, message, "ProcessRemoved")

    @rule(there=THERE, who=WHO, process_id=processes, key=st.sampled_from("AB"))
    def set_attribute(self, there: bool, who: str, process_id: str, key: str) -> None:  # noqa: FBT001
        """Somebody puts an attribute on something."""
        given = wire_attribute.Attribute(targetid=process_id, key=key, value="v", attributetype=3)
        message = wire_attribute.AddAttributeMsg(attribute=given)
        self.ask(there, who, attribute.add, message, "AttributeSet")

    @rule(there=THERE, who=WHO, name=WORKER)
    def approve(self, there: bool, who: str, name: str) -> None:  # noqa: FBT001
        """Somebody approves an executor."""
        message = wire_executor.ApproveExecutorMsg(colonyname=COLONY, executorname=name)
        self.ask(there, who, executor.approve, message, "ExecutorApproved")

    @rule(there=THERE, who=WHO, name=WORKER)
    def reject(self, there: bool, who: str, name: str) -> None:  # noqa: FBT001
        """Somebody rejects an executor."""
        message = wire_executor.RejectExecutorMsg(colonyname=COLONY, executorname=name)
        self.ask(there, who, executor.reject, message, "ExecutorRejected")

    @rule(there=THERE, who=WHO, name=WORKER)
    def remove_executor(self, there: bool, who: str, name: str) -> None:  # noqa: FBT001
        """Somebody removes an executor."""
        message = wire_executor.RemoveExecutorMsg(colonyname=COLONY, executorname=name)
        self.ask(there, who, executor.remove, message, "ExecutorRemoved")

    @rule(there=THERE, who=WHO, name=WORKER, kind=st.sampled_from(["cli", "gpu"]))
    def add_executor(self, there: bool, who: str, name: str, kind: str) -> None:  # noqa: FBT001
        """Somebody adds an executor again, under its own id."""
        given = wire_executor.Executor(
            executorid=self.people[name],
            executorname=name,
            executortype=kind,
            colonyname=COLONY,
        )
        message = wire_executor.AddExecutorMsg(executor=given)
        self.ask(there, who, executor.add, message, "ExecutorAdded", "ExecutorRemoved")

    @rule(there=THERE, who=WORKER)
    def change_id(self, there: bool, who: str) -> None:  # noqa: FBT001
        """An executor moves to another key."""
        new_id = f"{self.asked:064x}"
        message = wire_executor.ChangeExecutorIdMsg(colonyname=COLONY, executorid=new_id)
        answer = self.ask(there, who, executor.change_id, message, "ExecutorIdChanged")
        if answer is not None:
            self.people |= {"former": self.people[who], who: new_id}

    @rule(there=THERE, paused=st.booleans())
    def pause(self, there: bool, paused: bool) -> None:  # noqa: FBT001
        """The owner pauses or resumes."""
        if paused:
            message = wire_colony.PauseAssignmentsMsg(colonyname=COLONY)
            self.ask(there, "owner", assign.pause, message, "AssignmentsPaused")
        else:
            message = wire_colony.ResumeAssignmentsMsg(colonyname=COLONY)
            self.ask(there, "owner", assign.resume, message, "AssignmentsResumed")

    @rule()
    def retire_classes(self) -> None:
        """The timer forgets every class in which nothing waits."""
        names = self.run(self.store.hashes(self.tag, keys.CLASSES))[0]
        for name in names:
            if name.decode() != keys.EPOCH:
                decided = retire_class(name.decode(), self.store.clock.now_ns())
                self.run(self.store.append(self.tag, decided, BY_SERVER))
        self.run(self.look())

    # ------------------------------------------------------------ what is always true

    @invariant()
    def rows_are_the_folded_log(self) -> None:
        """Folding the stream from zero gives the live rows, key by key."""
        rows, _ = self.run(replay(self.store, self.tag, fold))
        assert rows.values() == self.run(live_rows(self.store, self.tag))

    @invariant()
    def landmarks_add_up_to_the_rows(self) -> None:
        """What stretches of the log changed is, in all, what there is."""
        told, true = self.run(told_and_true(self.store, self.tag))
        assert told == true

    @invariant()
    def every_process_is_in_one_place(self) -> None:
        """Nobody holds what another holds, what ended stays ended, what waits is queued once."""
        lives = Lives()
        for event in self.events:
            lives.hear(event)
        rows = self.run(live_rows(self.store, self.tag))
        assert _states(rows) == lives.states
        assert _held(rows) == lives.holders
        waiting = sorted(i for i, state in lives.states.items() if state is State.WAITING)
        assert _queued(rows) == waiting


def _states(rows: dict[Key, Value]) -> dict[str, State]:
    found = {k[2:]: v for k, v in rows.items() if k.startswith("p:") and isinstance(v, dict)}
    return {process_id: State(int(row[b"state"])) for process_id, row in found.items()}


def _held(rows: dict[Key, Value]) -> dict[str, str]:
    holders: defaultdict[str, list[str]] = defaultdict(list)
    for key, members in rows.items():
        if key.startswith("h:"):
            for member in members:
                holders[member.decode()].append(key[2:])
    assert all(len(each) == 1 for each in holders.values())
    return {process_id: each[0] for process_id, each in holders.items()}


def _queued(rows: dict[Key, Value]) -> list[str]:
    queues = [members for key, members in rows.items() if key.startswith("q:")]
    return sorted(keys.queued_process(m.decode()) for members in queues for m in members)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = SEARCH
