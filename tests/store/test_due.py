"""Looking at what is due: what cannot be done keeps nothing else waiting."""

from collections.abc import Sequence

import pytest

from broker import keys
from broker.clock import MS_NS, StoreClock
from broker.directory import Colony
from broker.errors import BrokerError, Corrupt, NotFound, Unavailable
from broker.reactors.due import AGAIN_MS, AHEAD_MS, RETRY_MS, Due
from broker.reactors.reactor import each
from broker.store import EventStore
from tests.facts import COLONY, SUFFIX, TAG

OTHER = Colony("other", "0000000b", keys.colony_tag("other", "0000000b"))
HERE = Colony(COLONY, SUFFIX, TAG)
PAGE = 100
NOW_MS = 1_800_000_000_000


class StoppedClock(StoreClock):
    """A clock that stands."""

    def now_ns(self) -> int:
        """One and the same moment."""
        return NOW_MS * MS_NS


class Work:
    """Meets what is due, and cannot meet some of it."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self.broken: dict[str, Exception] = {}
        self.met: list[str] = []

    async def put(self, colony: Colony, ids: Sequence[str]) -> None:
        """Make some due, in this order."""
        for at, identifier in enumerate(ids):
            await self.store.send("ZADD", colony.tag.key(keys.DUE), at, f"do/{identifier}")

    async def meet(self, colony: Colony, identifier: str) -> None:
        """Take one off, unless it is broken."""
        if identifier in self.broken:
            raise self.broken[identifier]
        self.met.append(identifier)
        await self.store.send("ZREM", colony.tag.key(keys.DUE), f"do/{identifier}")

    async def put_at(self, colony: Colony, identifier: str, ms: int) -> None:
        """Make one due at a moment (Unix ms)."""
        await self.store.send("ZADD", colony.tag.key(keys.DUE), ms, f"do/{identifier}")

    async def look(self) -> list[int]:
        """Once; when to look again."""
        return await Due(store=self.store, meets={"do": self.meet}).all_due([HERE, OTHER])


@pytest.fixture
def work(store: EventStore) -> Work:
    return Work(store)


@pytest.mark.parametrize(
    "error",
    [
        Corrupt("a row that cannot be read"),
        NotFound("gone"),
        Unavailable("others were faster every time"),
        ZeroDivisionError("a bug of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_cannot_be_done_keeps_no_colony_waiting(
    work: Work, error: BrokerError | ZeroDivisionError
) -> None:
    work.broken["first"] = error
    await work.put(HERE, ["first", "second"])
    await work.put(OTHER, ["third"])

    await work.look()

    assert work.met == ["second", "third"]


async def test_a_page_that_cannot_be_done_keeps_nothing_behind_it_waiting(work: Work) -> None:
    broken = [f"broken{at:04d}" for at in range(PAGE)]
    work.broken = dict.fromkeys(broken, Corrupt("a row that cannot be read"))
    whole = [f"whole{at:04d}" for at in range(PAGE + 1)]
    await work.put(HERE, [*broken, *whole])

    await work.look()

    assert sorted(work.met) == whole


async def test_next_look_is_when_something_is_due(work: Work) -> None:
    work.store.clock = StoppedClock()
    await work.put_at(HERE, "soon", NOW_MS + 7)
    await work.put_at(HERE, "sooner", NOW_MS)
    await work.put_at(OTHER, "far", NOW_MS + AHEAD_MS + 1)

    assert await work.look() == [NOW_MS + 1, NOW_MS + AHEAD_MS + 1]

    assert work.met == []


async def test_next_look_after_something_was_done_is_soon(work: Work) -> None:
    work.store.clock = StoppedClock()
    work.broken["stuck"] = Corrupt("a row that cannot be read")
    await work.put_at(HERE, "late", NOW_MS - 1)
    await work.put_at(OTHER, "stuck", NOW_MS - 1)

    assert await work.look() == [NOW_MS + AGAIN_MS, NOW_MS + RETRY_MS]

    assert work.met == ["late"]


async def test_what_is_wrong_with_one_colony_keeps_no_other_waiting() -> None:
    seen: list[Colony] = []

    async def look(colony: Colony) -> None:
        seen.append(colony)
        if colony is HERE:
            raise Corrupt("a row that cannot be read")

    await each([HERE, OTHER], look)

    assert seen == [HERE, OTHER]


async def test_shard_that_is_away_keeps_no_other_colony_waiting() -> None:
    seen: list[Colony] = []

    async def look(colony: Colony) -> None:
        seen.append(colony)
        if colony is HERE:
            raise Unavailable("away")

    with pytest.raises(Unavailable):
        await each([HERE, OTHER], look)

    assert seen == [HERE, OTHER]
