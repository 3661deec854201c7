"""Looking at what is due: what cannot be done keeps nothing else waiting."""

from collections.abc import Sequence

import pytest

from broker import keys
from broker.directory import Colony
from broker.errors import BrokerError, Corrupt, NotFound, Unavailable
from broker.reactors.due import Due
from broker.reactors.timer import each
from broker.store import EventStore
from tests.facts import COLONY, SUFFIX, TAG

OTHER = Colony("other", "0000000b", keys.colony_tag("other", "0000000b"))
HERE = Colony(COLONY, SUFFIX, TAG)
PAGE = 100


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

    async def look(self) -> None:
        """Once."""
        await Due(store=self.store, meets={"do": self.meet}).all_due([HERE, OTHER])


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


async def test_what_is_wrong_with_one_colony_keeps_no_other_waiting() -> None:
    seen: list[Colony] = []

    async def look(colony: Colony) -> None:
        seen.append(colony)
        if colony is HERE:
            raise Corrupt("a row that cannot be read")

    await each([HERE, OTHER], look)

    assert seen == [HERE, OTHER]


async def test_store_that_is_away_is_not_asked_for_each_colony() -> None:
    seen: list[Colony] = []

    async def look(colony: Colony) -> None:
        seen.append(colony)
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        await each([HERE, OTHER], look)

    assert seen == [HERE]
