"""Any order of commands, and of time passing, leaves workflows in order.

The machine gives commands to two API processes on one store, whose time it moves. After each of
them all that the store holds is looked at: what must be true of it is in ``families.py``.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar, cast

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
from hypothesis.strategies import DrawFn

from api import wire_process
from broker import keys
from broker.aggregates.process import State
from broker.clock import StoreClock
from broker.errors import Rejected
from broker.store import EventStore
from projections.core import fold
from projections.replay import live_rows, replay
from tests.facts import EXECUTOR, OTHER
from tests.links import FakeLink
from tests.moments import told_and_true
from tests.properties.families import Families
from tests.properties.lives import Lives
from tests.store.ground import everything
from tests.workshop import Workshop, happened_once, spec

LONG = os.environ.get("PROPERTIES") == "long"
SEARCH = settings(
    max_examples=1_000 if LONG else 8,
    stateful_step_count=60 if LONG else 20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    # A shrunk story takes minutes to find, and is wanted when one looks for it.
    phases=list(Phase) if LONG else [Phase.explicit, Phase.reuse, Phase.generate],
)
T = TypeVar("T")
Do = Callable[[Workshop, str], Coroutine[Any, Any, T]]
THERE = st.booleans()
WHO = st.sampled_from([EXECUTOR, OTHER])
NOTHING = cast("Any", multiple())


@st.composite
def dags(draw: DrawFn) -> list[dict[str, Any]]:
    """A few function specs that depend on earlier ones, in any order, with limits of time."""
    names = "abcdef"[: draw(st.sampled_from([1, 3, 4, 5, 6]))]
    specs = [
        spec(
            name,
            *draw(
                st.lists(st.sampled_from(names[:at]), min_size=at > 1, max_size=3)
                if at
                else st.just([])
            ),
            priority=draw(st.sampled_from([0, 0, 1])),
            maxwaittime=draw(st.sampled_from([-1] * 5 + [5])),
            maxexectime=draw(st.sampled_from([-1, 0, 0, 5])),
            maxretries=draw(st.sampled_from([0, 1])),
            env=draw(st.sampled_from([{}, {"A": "1"}])),
            conditions=draw(st.sampled_from([{}, {}, {"executornames": ["other"]}])),
        )
        for at, name in enumerate(names)
    ]
    return draw(st.permutations(specs))


async def _put(
    parent: str,
    limits: dict[str, int],
    shop: Workshop,
    nonce: str,
    **where: Any,  # noqa: ANN401 - what ``grow`` takes
) -> wire_process.Process:
    """Put a process behind another."""
    return await shop.grow(parent, spec("new", **limits), nonce=nonce, **where)


class AnyWorkflow(RuleBasedStateMachine):
    """One colony with two executors and a user, in a time of its own."""

    graphs: Bundle[str] = Bundle("graphs")
    taken: Bundle[tuple[str, str]] = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.link, clock = FakeLink(), StoreClock()
        self.shops = [Workshop(EventStore(self.link, fold, clock)) for _ in range(2)]
        self.asked = 0

    def teardown(self) -> None:
        """The loop is the machine's own."""
        self.runner.close()

    def ask(self, there: bool, do: Do[T]) -> T | None:  # noqa: FBT001
        """Give a command twice with one nonce: refused or repeated, it leaves no trace."""
        return self.runner.run(self._ask(self.shops[there], do))

    async def _ask(self, shop: Workshop, do: Do[T]) -> T | None:
        self.asked += 1
        before = await self.stored()
        try:
            answer = await do(shop, f"nonce {self.asked}")
        except Rejected:
            await shop.settle()
            assert await self.stored() == before
            return None
        await shop.settle()
        after = await self.stored()
        assert await do(shop, f"nonce {self.asked}") == answer
        await shop.settle()
        assert await self.stored() == after
        return answer

    async def stored(self) -> dict[bytes, Any]:
        """All that is stored but nonces, which expire when a long story takes its time."""
        found = await everything(self.link)
        return {key: value for key, value in found.items() if keys.NONCES.encode() not in key}

    # ------------------------------------------------------------ commands

    @initialize()
    def begin(self) -> None:
        """Everybody is there and approved."""
        self.runner.run(self.shops[0].found())
        self.runner.run(self.shops[0].add_executor(OTHER, "other"))
        self.tag = self.runner.run(self.shops[0].tag())

    @rule(target=graphs, there=THERE, specs=dags())
    def submit(self, there: bool, specs: list[dict[str, Any]]) -> Any:  # noqa: ANN401, FBT001
        """A workflow begins."""
        begun = self.ask(there, lambda shop, nonce: shop.begin(*specs, nonce=nonce))
        assert begun is not None
        return begun.processgraphid

    @rule(there=THERE)
    def submit_single(self, there: bool) -> None:  # noqa: FBT001
        """A process that is part of nothing waits among the others."""
        self.ask(there, lambda shop, nonce: shop.submit(nonce=nonce))

    @rule(target=taken, there=THERE, who=WHO, count=st.sampled_from([0, 0, 1, 2, 4, 6]))
    def assign(self, there: bool, who: str, count: int) -> Any:  # noqa: ANN401, FBT001
        """An executor takes and finishes some, and takes one more."""
        given = self.take(there, who)
        for at in range(count):
            if given is not None:
                self.close(there, (given, who), [at], failed=False)
                given = self.take(there, who)
        return (given, who) if given is not None else NOTHING

    def take(self, there: bool, who: str) -> str | None:  # noqa: FBT001
        """What is first for an executor."""
        given = self.ask(there, lambda shop, nonce: shop.assign(who, nonce=nonce))
        return given.processid if given is not None else None

    @rule(
        there=THERE,
        held=taken,
        out=st.lists(st.integers(0, 9), max_size=2),
        failed=st.sampled_from([False] * 5 + [True]),
    )
    def close(self, there: bool, held: tuple[str, str], out: list[int], failed: bool) -> None:  # noqa: FBT001
        """Somebody closes what was given to them once."""
        process_id, who = held
        if failed:
            self.ask(there, lambda s, nonce: s.fail(process_id, caller=who, nonce=nonce))
        else:
            self.ask(there, lambda s, nonce: s.finish(process_id, *out, caller=who, nonce=nonce))

    @rule(
        target=taken,
        there=THERE,
        who=WHO,
        wishes=st.lists(st.tuples(st.booleans(), st.none() | st.integers(0, 9)), min_size=1),
        limits=st.sampled_from([{}, {}, {"maxexectime": 5}, {"maxwaittime": 5}]),
    )
    def grow(
        self,
        there: bool,  # noqa: FBT001
        who: str,
        wishes: list[tuple[bool, int | None]],
        limits: dict[str, int],
    ) -> Any:  # noqa: ANN401
        """An executor takes a process, and puts some behind it, perhaps in front of others."""
        parent = self.take(there, who)
        if parent is None:
            return NOTHING
        for insert, at in wishes:
            before = self.relative(parent, at)
            put = partial(_put, parent, limits, caller=who, before=before, insert=insert)
            self.ask(there, put)
        return parent, who

    @rule(there=THERE, held=taken)
    def grow_late(self, there: bool, held: tuple[str, str]) -> None:  # noqa: FBT001
        """Somebody puts a process behind one that was given to them once."""
        parent, who = held
        self.ask(there, lambda s, nonce: s.grow(parent, spec("new"), caller=who, nonce=nonce))

    def relative(self, process_id: str, at: int | None) -> str:
        """A process of the same workflow, "" for none; one that waits, if there is any."""
        families = Families(self.rows())
        members = families.members.get(families.processes[process_id].graph, [])
        held = sorted(member.id for member in members if member.pending)
        among = held or [member.id for member in members]
        return among[at % len(among)] if among and at is not None else ""

    @rule(there=THERE, graph=graphs, how=st.sampled_from(["cancel", "cancel", "remove", "all"]))
    def end(self, there: bool, graph: str, how: str) -> None:  # noqa: FBT001
        """Somebody cancels or removes a workflow, or the owner removes some."""
        if how == "cancel":
            self.ask(there, lambda shop, nonce: shop.cancel(graph, nonce=nonce))
        elif how == "remove":
            self.ask(there, lambda shop, nonce: shop.remove(graph, nonce=nonce))
        else:
            state = sum(graph.encode()) % 6 - 1
            self.ask(there, lambda shop, nonce: shop.remove_all(state, nonce=nonce))

    @rule(state=st.sampled_from([0, 2, 3, 4, -1]))
    def remove_all_processes(self, state: int) -> None:
        """The owner removes processes that are part of nothing."""
        before = Families(self.rows()).members
        self.runner.run(self.shops[0].remove_all_processes(state))
        after = Families(self.rows()).members
        assert {graph: len(m) for graph, m in after.items()} == {
            graph: len(m) for graph, m in before.items()
        }

    @rule(there=THERE, seconds=st.sampled_from([0.0, 1.0, 6.0]))
    def pass_time(self, there: bool, seconds: float) -> None:  # noqa: FBT001
        """Time goes by, and the timer of one of the two looks what is due."""
        self.shops[there].pass_time(seconds)
        self.runner.run(self.shops[there].look_at_due())

    @rule(there=THERE)
    def lose_executor(self, there: bool) -> None:  # noqa: FBT001
        """An executor leaves, and comes back."""
        shop = self.shops[there]
        self.runner.run(shop.remove_executor("other"))
        self.runner.run(shop.settle())
        self.runner.run(shop.add_executor(OTHER, "other"))

    # ------------------------------------------------------------ what is always true

    def rows(self) -> Any:  # noqa: ANN401 - rows by key
        """Everything there is."""
        return self.runner.run(live_rows(self.shops[0].store, self.tag))

    @invariant()
    def workflows_are_in_order(self) -> None:
        """See ``families.py``."""
        Families(self.rows()).check()

    @invariant()
    def rows_are_the_folded_log(self) -> None:
        """Folding the stream from zero gives the live rows, key by key."""
        rows, _ = self.runner.run(replay(self.shops[0].store, self.tag, fold))
        assert rows.values() == self.rows()

    @invariant()
    def landmarks_add_up_to_the_rows(self) -> None:
        """What stretches of the log changed is, in all, what there is."""
        told, true = self.runner.run(told_and_true(self.shops[0].store, self.tag))
        assert told == true

    @invariant()
    def every_process_lives_once(self) -> None:
        """No process is held twice, or ends twice; what the events say is what the rows hold."""
        events = self.runner.run(self.shops[0].log())
        lives = Lives()
        for event in events:
            lives.hear(event)
        happened_once(events)
        found = Families(self.rows()).processes
        assert {i: row.state for i, row in found.items()} == lives.states
        held = {i: row.holder for i, row in found.items() if row.state is State.RUNNING}
        assert held == lives.holders


TestAnyWorkflow = AnyWorkflow.TestCase
TestAnyWorkflow.settings = SEARCH
