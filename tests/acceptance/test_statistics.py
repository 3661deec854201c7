"""Function statistics are exact, whenever the process that counts is killed."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec
import pytest

from api import wire, wire_process
from api.handlers import assign, process
from api.specs import SubmitMsg
from broker.aggregates.process import ProcessClosed
from broker.envelope import position_of, read_entry
from broker.keys import Tag
from broker.position import START
from broker.settings import Role
from broker.store import EventStore
from projections import checkpoint, functions
from projections.functions import FUNCTIONS, FunctionStatistics
from projections.progress import PATIENCE_S
from tests.acceptance.asking import Api, eventually
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.inspection import opened_store, tag_of
from tests.acceptance.processes import Server, Store, started
from tests.acceptance.tenants import Executor, Tenant, found
from tests.stage import Stage

CLOSES, LEG = 10_000, 1_000
"""How many processes are closed; the counting process is killed once in each leg."""
LANES = 8
WORKERS, FUNCTION_NAMES = 2, ("echo", "sum", "render")
MOST_MOVES = 4
SECOND_NS, MS_NS = 10**9, 10**6
PAGE = 1_000
START_S = 60


@pytest.fixture
async def api(store: Store) -> AsyncGenerator[Api]:
    """A server that answers, and counts nothing."""
    with started(settings_on(store.url, roles=frozenset({Role.API}))) as server:
        async with Api(server.url) as answering:
            yield answering


@dataclass(kw_only=True)
class Mill:
    """Submits, assigns and closes; never more than it may."""

    stage: Stage
    tenant: Tenant
    workers: Sequence[Executor]
    chance: random.Random
    may: int
    closed: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def go_on(self, to: int) -> None:
        """Let it close so many in all."""
        self.may = to
        self._more.set()

    async def run(self) -> None:
        """Until everything is closed, a few at a time."""
        begun = iter(range(CLOSES))
        await asyncio.gather(*(self._lane(begun) for _ in range(LANES)))

    async def _lane(self, begun: Iterator[int]) -> None:
        for number in begun:
            while number >= self.may:
                self._more.clear()
                await self._more.wait()
            await self.close_one()
            self.closed += 1

    async def close_one(self) -> None:
        """One process from beginning to end."""
        worker = self.chance.choice(self.workers)
        spec = self.tenant.spec(kind=worker.name, funcname=self.chance.choice(FUNCTION_NAMES))
        message = wire.decode(msgspec.json.encode({"spec": spec}), SubmitMsg)
        await self.stage.say(process.submit, self.tenant.user.id, message)
        asked = wire_process.AssignProcessMsg(colonyname=self.tenant.name, timeout=-1)
        answer: bytes = await self.stage.say(assign.assign, worker.identity.id, asked)
        given = wire.decode(answer, wire_process.Process)
        done = wire_process.CloseSuccessfulMsg(processid=given.processid)
        await self.stage.say(process.close_successful, worker.identity.id, done)


@dataclass
class Expected:
    """What the successful runs of one function took, counted anew."""

    waited_ns: list[int] = field(default_factory=list[int])
    ran_ns: list[int] = field(default_factory=list[int])


Row = tuple[str, str]
"""An executor and a function, by name."""


async def counted(store: EventStore, tag: Tag) -> dict[Row, Expected]:
    """The statistics that follow from the log."""
    found: defaultdict[Row, Expected] = defaultdict(Expected)
    after = START
    while page := await store.raw_page(tag, after, PAGE):
        after = position_of(page[-1])
        for event in (read_entry(raw).event for raw in page):
            if isinstance(event, ProcessClosed):
                row = found[event.executor_name, event.function]
                row.waited_ns.append(event.waited_ns)
                row.ran_ns.append(event.ran_ns)
    return found


def histogram(took_ns: Sequence[int]) -> dict[int, int]:
    """How many took less than each power of two of milliseconds, and not less than half of it."""
    found: defaultdict[int, int] = defaultdict(int)
    for each in took_ns:
        bound = 1
        while bound * MS_NS <= each:
            bound *= 2
        found[bound] += 1
    return found


def differences(row: Row, expected: Expected, shown: FunctionStatistics) -> list[str]:
    """Where statistics are not what they should be."""
    found = [f"{row}: {shown.count} counted"] if shown.count != len(expected.ran_ns) else []
    pairs = ((expected.waited_ns, shown.waited), (expected.ran_ns, shown.ran))
    for took_ns, timing in pairs:
        mean = sum(each // 1_000 for each in took_ns) / len(took_ns) / 1_000_000
        least, most = min(took_ns) / SECOND_NS, max(took_ns) / SECOND_NS
        exact = (least, most, max(mean, least), histogram(took_ns))
        told = (timing.least, timing.most, timing.mean, timing.below_ms)
        if exact != told:
            found.append(f"{row}: {told}, {exact} expected")
    return found


async def moved(store: EventStore, tag: Tag, times: int) -> None:
    """Until the checkpoint has moved so often, or there is nothing left to count."""
    before = await checkpoint.load(store, tag, FUNCTIONS)

    async def further() -> bool:
        lag = await checkpoint.lag(store, tag, FUNCTIONS)
        return lag.applied != before or not lag.behind

    for _ in range(times):
        await eventually(further, "the counting to go on", START_S)
        before = await checkpoint.load(store, tag, FUNCTIONS)


async def started_aside(stack: AsyncExitStack, store: Store) -> Server:
    """A process that counts, and does nothing else."""
    settings = settings_on(store.url, roles=frozenset({Role.PROJECTOR}))
    server = started(settings)
    running = await asyncio.to_thread(server.__enter__)
    stack.push_async_callback(asyncio.to_thread, server.__exit__, None, None, None)
    return running


async def killed_once_a_leg(mill: Mill, store: Store, rows: EventStore, tag: Tag) -> int:
    """Let the mill go on with each kill; how often there was something left to count."""
    behind = 0
    for leg in range(1, CLOSES // LEG + 1):
        async with AsyncExitStack() as stack:
            projector = await started_aside(stack, store)
            await moved(rows, tag, mill.chance.randint(1, MOST_MOVES))
            await asyncio.to_thread(projector.kill)
        behind += (await checkpoint.lag(rows, tag, FUNCTIONS)).behind
        mill.go_on((leg + 1) * LEG)
    return behind


async def registered(api: Api, tenant: Tenant) -> Sequence[Executor]:
    """Executors, each of a type of its own, with functions to have statistics about."""
    workers = [await tenant.executor(api, f"w{n}", kind=f"w{n}") for n in range(WORKERS)]
    for worker in workers:
        for name in FUNCTION_NAMES:
            fun = {"executorname": worker.name, "colonyname": tenant.name, "funcname": name}
            (await api.ask(worker.identity, "addfunctionmsg", fun=fun)).ok  # noqa: B018 - asserts
    return workers


async def shown(api: Api, tenant: Tenant) -> dict[Row, int]:
    """The counters, as clients read them."""
    functions_ = await tenant.see(api, "getfunctionsmsg")
    return {(each["executorname"], each["funcname"]): each["counter"] for each in functions_}


@pytest.mark.real
async def test_counters_are_exact_when_the_projector_is_killed_at_random(
    api: Api, store: Store
) -> None:
    tenant = await found(api, OWNER)
    workers = await registered(api, tenant)
    chance = random.Random(20261123)  # noqa: S311 - when to kill, no secret
    async with opened_store(store.url) as rows, AsyncExitStack() as stack:
        tag = await tag_of(rows, tenant.name)
        mill = Mill(stage=Stage(rows), tenant=tenant, workers=workers, chance=chance, may=LEG)
        milling = asyncio.create_task(mill.run())
        behind = await killed_once_a_leg(mill, store, rows, tag)
        await milling
        await started_aside(stack, store)

        async def all_counted() -> bool:
            return sum((await shown(api, tenant)).values()) >= CLOSES

        await eventually(all_counted, "everything to be counted", START_S)
        expected = await counted(rows, tag)
        statistics = await functions.read(rows, tag, list(expected))

    assert mill.closed == CLOSES
    assert sum(len(row.ran_ns) for row in expected.values()) == CLOSES
    assert behind, "it was never killed in the middle of its work"
    told = zip(expected.items(), statistics, strict=True)
    assert [text for (row, exact), seen in told for text in differences(row, exact, seen)] == []


async def functions_with(api: Api, tenant: Tenant, runs: int) -> list[dict[str, Any]]:
    """The functions when so many runs were counted, or what a server said that did not wait.

    One that has waited for long enough may say what there is by then, and is asked again.
    """
    async with asyncio.timeout(START_S):
        while True:
            began = monotonic()
            found: list[dict[str, Any]] = await tenant.see(api, "getfunctionsmsg")
            counted_ = sum(each["counter"] for each in found)
            if counted_ == runs or monotonic() - began < PATIENCE_S:
                return found


@pytest.mark.real
async def test_a_read_right_after_a_close_shows_it(api: Api, store: Store) -> None:
    tenant = await found(api, OWNER)
    (worker, *_) = await registered(api, tenant)
    async with AsyncExitStack() as stack:
        await started_aside(stack, store)
        seen: list[int] = []
        for number in range(1, 21):
            process_id = await tenant.submit(api, kind=worker.name)
            (await worker.assign(api)).ok  # noqa: B018 - asserts
            (await worker.close(api, process_id)).ok  # noqa: B018 - asserts
            rows = await functions_with(api, tenant, number)
            seen += [row["counter"] for row in rows if row["counter"]]

    assert seen == list(range(1, 21))


@pytest.mark.real
async def test_the_mean_of_a_single_run_is_what_it_took(api: Api, store: Store) -> None:
    tenant = await found(api, OWNER)
    (worker, *_) = await registered(api, tenant)
    async with AsyncExitStack() as stack:
        await started_aside(stack, store)
        process_id = await tenant.submit(api, kind=worker.name)
        (await worker.assign(api)).ok  # noqa: B018 - asserts
        (await worker.close(api, process_id)).ok  # noqa: B018 - asserts
        rows = await functions_with(api, tenant, 1)

    (row,) = (each for each in rows if each["counter"])
    for what in ("wait", "exec"):
        assert row[f"min{what}time"] == row[f"avg{what}time"] == row[f"max{what}time"] > 0


@pytest.mark.real
async def test_a_read_waits_for_nobody_who_counts_only_so_long(api: Api, store: Store) -> None:
    tenant = await found(api, OWNER)
    (worker, *_) = await registered(api, tenant)
    process_id = await tenant.submit(api, kind=worker.name)
    (await worker.assign(api)).ok  # noqa: B018 - asserts
    (await worker.close(api, process_id)).ok  # noqa: B018 - asserts

    began = monotonic()
    seen = await shown(api, tenant)

    assert monotonic() - began >= PATIENCE_S
    assert seen[worker.name, "echo"] == 0
    async with AsyncExitStack() as stack:
        await started_aside(stack, store)

        async def caught_up() -> bool:
            return (await shown(api, tenant))[worker.name, "echo"] == 1

        await eventually(caught_up, "what was closed before to be counted", START_S)
