"""Any order of commands, and of time passing, leaves crons and generators in order.

Two API processes share a store whose time the machine moves; the timers of both look at what is due
in turn. After every step the whole log is read: each time of a cron came once, one that waits never
started beside its previous workflow, and each packed argument is in one workflow or waits.
"""

import asyncio
import json
import os
from collections import defaultdict
from typing import Any, cast

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

from broker import keys
from broker.aggregates.cron import RUN, SKIP, CronAdded, CronFired, CronHeld, CronRow, CronSkipped
from broker.aggregates.generator import ArgumentPacked, GeneratorRemoved, GeneratorRow
from broker.aggregates.process import NodeSubmitted
from broker.aggregates.workflow import WorkflowEnded, WorkflowSubmitted
from broker.clock import StoreClock
from broker.decision import Event
from broker.errors import NothingAvailable
from broker.store import EventStore
from projections.core import fold
from projections.replay import live_rows, replay
from tests.clockwork import Clockwork, Gatherer
from tests.links import FakeLink
from tests.moments import told_and_true

LONG = os.environ.get("PROPERTIES") == "long"
SEARCH = settings(
    max_examples=500 if LONG else 10,
    stateful_step_count=60 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    phases=list(Phase) if LONG else [Phase.explicit, Phase.reuse, Phase.generate],
)
THERE = st.booleans()
NOTHING = cast("Any", multiple())
_MS_NS = 1_000_000


class Shop(Clockwork, Gatherer):
    """A stage with both."""


class AnyClockwork(RuleBasedStateMachine):
    """One colony with crons, generators and an executor, in a time of its own."""

    crons: Bundle[str] = Bundle("crons")
    generators: Bundle[str] = Bundle("generators")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        link, clock = FakeLink(), StoreClock()
        self.shops = [Shop(EventStore(link, fold, clock)) for _ in range(2)]
        self.names = 0

    def teardown(self) -> None:
        """The loop is the machine's own."""
        self.runner.close()

    @initialize()
    def begin(self) -> None:
        """Everybody is there and approved."""
        self.runner.run(self.shops[0].found())
        self.tag = self.runner.run(self.shops[0].tag())

    def name(self) -> str:
        """A new one."""
        self.names += 1
        return f"name{self.names}"

    # ------------------------------------------------------------ commands

    @rule(
        target=crons,
        there=THERE,
        interval=st.sampled_from([1, 2, 7]),
        waits=st.booleans(),
        chance=st.booleans(),
        missed=st.sampled_from([SKIP, RUN]),
    )
    def add_cron(self, there: bool, interval: int, waits: bool, chance: bool, missed: str) -> str:  # noqa: FBT001
        """A cron begins."""
        wished: dict[str, Any] = {
            "random": chance,
            "waitforprevprocessgraph": waits,
            "missed": missed,
        }
        shop, name = self.shops[there], self.name()
        added = self.runner.run(shop.add_cron(name=name, interval=interval, **wished))
        return added.cronid

    @rule(there=THERE, cron_id=crons)
    def run_cron(self, there: bool, cron_id: str) -> None:  # noqa: FBT001
        """Somebody starts it by hand."""
        self.runner.run(self.shops[there].run_cron(cron_id))

    @rule(there=THERE, seconds=st.sampled_from([0.3, 1.0, 2.0, 8.0, 60.0]))
    def pass_time(self, there: bool, seconds: float) -> None:  # noqa: FBT001
        """Time goes by, and both timers look at once."""
        self.shops[there].pass_time(seconds)
        self.runner.run(self._look())

    async def _look(self) -> None:
        await asyncio.gather(*(shop.look_at_deadlines() for shop in self.shops))
        await asyncio.gather(*(shop.look_at_held() for shop in self.shops))

    @rule(there=THERE, count=st.integers(1, 4), out=st.sampled_from([b"[]", b"[1]"]))
    def work(self, there: bool, count: int, out: bytes) -> None:  # noqa: FBT001
        """The executor finishes some of what there is."""
        self.runner.run(self._work(self.shops[there], count, out))

    @staticmethod
    async def _work(shop: Shop, count: int, out: bytes) -> None:
        for _ in range(count):
            try:
                given = await shop.assign()
            except NothingAvailable:
                return
            await shop.close_with(given.processid, out)

    @rule(
        target=generators,
        there=THERE,
        trigger=st.integers(1, 4),
        timeout=st.sampled_from([-1, 2]),
    )
    def add_generator(self, there: bool, trigger: int, timeout: int) -> str:  # noqa: FBT001
        """A generator begins."""
        shop, name = self.shops[there], self.name()
        added = self.runner.run(shop.add(name=name, trigger=trigger, timeout=timeout))
        return added.generatorid

    @rule(generator_id=generators, count=st.integers(1, 6), apart=st.booleans())
    def pack(self, generator_id: str, count: int, apart: bool) -> None:  # noqa: FBT001
        """Arguments arrive on both servers, perhaps at the same time."""
        texts = [self.name() for _ in range(count)]
        self.runner.run(self._pack(generator_id, texts, apart))

    async def _pack(self, generator_id: str, texts: list[str], apart: bool) -> None:  # noqa: FBT001
        packs = [self.shops[at % 2].pack(generator_id, text) for at, text in enumerate(texts)]
        if apart:
            for one in packs:
                await one
        else:
            await asyncio.gather(*packs)

    # ------------------------------------------------------------ what is always true

    async def _log(self) -> list[Event]:
        return [one.event async for one in self.shops[0].store.events(self.tag)]

    @invariant()
    def rows_are_the_folded_log(self) -> None:
        """Folding the stream from zero gives the live rows, key by key."""
        rows, _ = self.runner.run(replay(self.shops[0].store, self.tag, fold))
        assert rows.values() == self.runner.run(live_rows(self.shops[0].store, self.tag))

    @invariant()
    def landmarks_add_up_to_the_rows(self) -> None:
        """What stretches of the log changed is, in all, what there is."""
        told, true = self.runner.run(told_and_true(self.shops[0].store, self.tag))
        assert told == true

    @invariant()
    def each_time_comes_once(self) -> None:
        """Times of a cron only grow, and each starts one workflow, let go, or waits."""
        given, times = dict[str, CronAdded](), defaultdict[str, list[int]](list)
        unfinished, last = set[str](), dict[str, str]()
        for event in self.runner.run(self._log()):
            match event:
                case CronAdded():
                    given[event.subject] = event
                    times[event.subject].append(event.next_ns)
                case WorkflowSubmitted():
                    unfinished.add(event.subject)
                case WorkflowEnded():
                    unfinished.discard(event.subject)
                case CronHeld():
                    assert last[event.subject] in unfinished
                case CronFired() | CronSkipped():
                    known = times[event.subject]
                    if event.cause:
                        assert known[-1] <= event.at_ns
                    assert event.next_ns > event.at_ns
                    known.append(event.next_ns)
                    if isinstance(event, CronFired):
                        assert event.was_next_ns == known[-2]
                        assert event.workflow in unfinished
                        before = last.get(event.subject, "")
                        assert event.was_workflow == before
                        assert not (given[event.subject].waits and before in unfinished)
                        last[event.subject] = event.workflow
                case _:
                    pass

    @invariant()
    def what_is_due_is_what_rows_say(self) -> None:
        """A cron is due at its next time, or held; nothing else of crons is."""
        rows: Any = self.runner.run(live_rows(self.shops[0].store, self.tag))
        due = {k.decode(): score for k, score in rows.get(keys.DUE, {}).items()}
        held = {i.decode() for i in rows.get(keys.HELD_CRONS, set())}
        ids = {k[len(keys.cron("")) :] for k in rows if k.startswith(keys.cron(""))}
        for cron_id in ids:
            row = CronRow(id=cron_id, row=rows[keys.cron(cron_id)])
            wanted = None if row.is_held else row.next_ns // _MS_NS
            assert due.get(f"cron/{cron_id}") == wanted
            assert row.is_held == (cron_id in held)
        assert held <= ids

    @invariant()
    def each_argument_is_somewhere_once(self) -> None:
        """Packed in this order: first those of workflows, as they began, then those that wait."""
        packed, started = defaultdict[str, list[str]](list), list[list[str]]()
        for event in self.runner.run(self._log()):
            match event:
                case ArgumentPacked():
                    packed[event.subject].append(event.argument)
                case GeneratorRemoved():
                    packed.pop(event.subject)
                case NodeSubmitted(node="r1"):
                    started.append(json.loads(event.spec)["args"])
                case _:
                    pass
        for generator_id, arguments in packed.items():
            mine = [batch for batch in started if batch[0] in arguments]
            waiting = self.runner.run(self._waiting(generator_id))
            assert [text for batch in mine for text in batch] + waiting == arguments
            found = self.runner.run(self._row(generator_id))
            assert found.waiting == len(waiting) < found.given["trigger"]
            assert all(len(batch) <= found.given["trigger"] for batch in mine)

    async def _waiting(self, generator_id: str) -> list[str]:
        key = self.tag.key(keys.packed_arguments(generator_id))
        return [text.decode() for text in await self.shops[0].store.send("LRANGE", key, 0, -1)]

    async def _row(self, generator_id: str) -> GeneratorRow:
        row = (await self.shops[0].store.hashes(self.tag, keys.generator(generator_id)))[0]
        return GeneratorRow(id=generator_id, row=row)


TestAnyClockwork = AnyClockwork.TestCase
TestAnyClockwork.settings = SEARCH
