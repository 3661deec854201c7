"""Lists of files and labels, however long they are: a page costs what it shows."""

import os
import time
from contextlib import suppress
from typing import Any

import pytest

from api import wire_file
from api.handlers import file
from broker import shelf
from broker.reading import Link
from broker.store import EventStore
from tests.facts import COLONY, USER
from tests.filing import Filing

MANY = int(os.environ.get("FS_FILES", "3000"))
PAGE = 100


class Counting:
    """A way to the store that counts what is asked and what is answered."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.cost = 0

    async def call(self, *args: Any) -> Any:  # noqa: ANN401 - what the store takes
        """Ask it, and count."""
        self.cost += 1
        answer: Any = await self._link.call(*args)
        with suppress(TypeError):  # a number or nothing
            self.cost += len(answer)
        return answer


@pytest.fixture
async def desk(store: EventStore, link: Link, monkeypatch: pytest.MonkeyPatch) -> Filing:
    filing = Filing(store)
    await filing.found()
    monkeypatch.setattr(store, "_link", Counting(link))
    monkeypatch.setattr(shelf, "PAGE", PAGE)
    return filing


async def fill(desk: Filing, start: int, end: int) -> None:
    """Files of one label, and as many labels with one file each."""
    for at in range(start, end, file.MOST_ADDED // 2):
        given = [
            wire_file.File(label=label, name=f"f{n:06}")
            for n in range(at, min(at + file.MOST_ADDED // 2, end))
            for label in ("/all", f"/each/{n:06}")
        ]
        message = wire_file.AddFilesMsg(colonyname=COLONY, files=given)
        await desk.say(file.add_many, USER, message)


async def cost_of_pages(desk: Filing, middle: int) -> int:
    """What two pages cost in the middle of both lists."""
    link: Any = desk.store._link  # pyright: ignore[reportPrivateUsage] - ours, see above
    before = link.cost
    files = await desk.listed("/all", count=PAGE, after=f"f{middle:06}")
    assert [each.name for each in files] == [f"f{middle + 1 + n:06}" for n in range(PAGE)]
    labels = await desk.labels("/each/", count=PAGE, after=f"/each/{middle:06}")
    assert list(labels) == [f"/each/{middle + 1 + n:06}" for n in range(PAGE)]
    return link.cost - before


async def test_a_page_costs_the_same_among_few_and_among_many(desk: Filing) -> None:
    few = 4 * PAGE
    await fill(desk, 0, few)
    among_few = await cost_of_pages(desk, few // 2)
    await fill(desk, few, MANY)
    began = time.perf_counter()
    assert await cost_of_pages(desk, MANY // 2) == among_few
    print(f"two pages among {MANY}: {(time.perf_counter() - began) * 1000:.1f} ms")  # noqa: T201 - shown with -s
