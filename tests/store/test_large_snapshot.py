"""A snapshot over 100,000 files: it costs what one over 100 costs, until it is read.

Counted in what goes to the store and comes back, and in what it holds: times would say more about
the machine. Only a real store, since the other one is slow with so many.
"""

import os
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from broker import keys, shelf
from broker.clock import StoreClock
from broker.pipeline import Pipeline
from broker.reading import Link
from broker.revisions import Listed, listed_member
from broker.store import EventStore
from projections.core import fold
from tests.filing import Filing
from tests.valkey import running_valkey

FEW = 100
MANY = int(os.environ.get("FS_FILES", "100000"))
LABELS = ("/a", "/a/b")
STEP = 5_000
A_FEW, A_LITTLE = 2, 256
"""Commands and bytes by which two equal lives may differ: numbers grow, an answer is fetched."""
pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True)
class Cost:
    """What something takes: commands, bytes that go to the store, and what is new there."""

    commands: int
    sent: int
    keys: int
    events: int


class Scales:
    """A way to the store that weighs what goes over it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.commands = self.sent = 0

    async def call(self, *args: Any) -> Any:  # noqa: ANN401 - what the store takes
        """Ask it, and weigh."""
        self.commands += 1
        self.sent += sum(len(arg if isinstance(arg, bytes) else str(arg)) for arg in args)
        return await self._link.call(*args)

    async def cost(self, desk: Filing, work: Awaitable[object]) -> Cost:
        """What some work takes."""
        before = await self._held(desk)
        self.commands = self.sent = 0
        await work
        commands, sent = self.commands, self.sent
        now = await self._held(desk)
        return Cost(commands, sent, now[0] - before[0], now[1] - before[1])

    async def _held(self, desk: Filing) -> tuple[int, int]:
        events = (await desk.tag()).key(keys.EVENTS)
        return await self._link.call("DBSIZE"), await self._link.call("XLEN", events)


@pytest.fixture
async def scales() -> AsyncGenerator[Scales]:
    """On a store of its own: what others leave in one would be counted, too."""
    with running_valkey() as url:
        pipeline = Pipeline(url, 4_096)
        await pipeline.start()
        yield Scales(pipeline)
        await pipeline.close()


@pytest.fixture
async def desk(scales: Scales) -> Filing:
    filing = Filing(EventStore(scales, fold, StoreClock()))
    await filing.found()
    return filing


async def fill(desk: Filing, start: int, end: int) -> None:
    """More files in two labels, one below the other, of whose rows only those that lists are of."""
    tag = await desk.tag()
    for low in range(start, end, STEP):
        for turn, label in enumerate(LABELS):
            there = range(low + turn, min(low + STEP, end), len(LABELS))
            members = [arg for n in there for arg in (0, listed_member(revision(n)))]
            await desk.store.send("ZADD", tag.key(keys.files_in(label)), *members)
            for field in ("files", "names"):
                await desk.store.send("HINCRBY", tag.key(keys.label(label)), field, len(there))


def revision(number: int) -> Listed:
    """As wide as those that clients add."""
    return Listed(
        name=f"f{number:06}",
        number=number + 1,
        file_id=f"{number:064x}",
        made=0,
        size=number,
        checksum="c" * 64,
        object=f"{number:064x}",
    )


async def life(desk: Filing, scales: Scales, name: str, count: int) -> dict[str, Cost]:
    """What a snapshot costs at each moment; making it is what remains without reading it.

    Its reply has every id, as the protocol wants it.
    """
    made = await scales.cost(desk, desk.snap("/a", name))
    read = await scales.cost(desk, desk.snapshot(name=name))
    page = await scales.cost(desk, desk.snapshots(count=1))
    await stays_as_it_is(desk, name, count)
    removed = await scales.cost(desk, desk.unsnap(name=name))
    await desk.forget()
    assert (read.keys, read.events, page.keys, page.events) == (0, 0, 0, 0)
    return {
        "make": replace(made, commands=made.commands - read.commands, sent=made.sent - read.sent),
        "read": read,
        "list": page,
        "remove": removed,
    }


async def stays_as_it_is(desk: Filing, name: str, count: int) -> None:
    """It names each file once, also after one of them was replaced and another one removed."""
    before = await desk.snapshot(name=name)
    assert len(before.fileids) == len(set(before.fileids)) == count
    await desk.put("/a", "real")
    await desk.remove("/a/b", "real")
    assert set((await desk.snapshot(name=name)).fileids) == set(before.fileids)
    await desk.put("/a/b", "real")


async def test_a_snapshot_over_many_files_costs_what_one_over_few_costs(
    desk: Filing, scales: Scales
) -> None:
    for label in LABELS:
        await desk.put(label, "real")
    await fill(desk, 0, FEW)
    await life(desk, scales, "first", FEW + len(LABELS))  # others find what a server remembers

    few = await life(desk, scales, "some", FEW + len(LABELS))
    await fill(desk, FEW, MANY)
    many = await life(desk, scales, "many", MANY + len(LABELS))

    assert (few["make"].events, few["remove"].events) == (1, 1)
    assert few["make"].keys < 10  # rows
    for moment in ("make", "remove"):
        assert (many[moment].keys, many[moment].events) == (few[moment].keys, few[moment].events)
        assert many[moment].commands <= few[moment].commands + A_FEW
        assert many[moment].sent <= few[moment].sent + A_LITTLE
    pages = 2 * (MANY // shelf.PAGE + len(LABELS))
    for moment in ("read", "list"):
        assert many[moment].commands - few[moment].commands <= pages
