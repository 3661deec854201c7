"""The projector takes what there is, and gathers what comes meanwhile."""

import asyncio
from math import inf

import pytest
from msgspec.structs import replace

from broker import keys
from broker.aggregates.server import ColonyRegistered
from broker.directory import Colony
from broker.keys import SERVER, Tag
from broker.position import Position
from broker.store import Batch, EventStore
from projections import checkpoint
from projections.functions import FUNCTIONS, read
from projections.projection import Projection
from projections.projector import PAGE, Projector
from projections.rebuild import rebuild
from tests.acceptance.inspection import opened_store
from tests.facts import COLONY, LATER, OWNER, SUFFIX, T0, TAG, class_added, founded, inhabited
from tests.patience import PATIENCE_S
from tests.projections.test_rebuild import HERE, ends, projector
from tests.store.ground import append

PAIRS = [("worker", "echo"), ("worker", "sum")]


async def test_what_comes_while_it_writes_is_left_to_the_next_batch(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would write a batch of a few events all the time while others work."""
    await append(store, *inhabited(), *ends(10))
    more, batches, project = iter(ends(40)[10:]), list[Batch](), store.project

    async def busy(tag: Tag, batch: Batch) -> bool:
        batches.append(batch)
        for end in more:
            await append(store, end)
            break
        return await project(tag, batch)

    monkeypatch.setattr(store, "project", busy)

    reached = await projector(store).catch_up(HERE)

    assert len(batches) == 1
    assert reached == batches[0].after
    assert (await checkpoint.lag(store, TAG, FUNCTIONS)).behind
    await projector(store).catch_up(HERE)
    assert (await read(store, TAG, PAIRS))[0].count == 7  # of eleven, one failed, three were others


async def test_all_that_was_there_is_taken_however_much_it_is(store: EventStore) -> None:
    await append(store, *inhabited())
    for first in range(0, 3 * PAGE, 100):
        await append(store, *ends(3 * PAGE)[first : first + 100])

    await projector(store).catch_up(HERE)

    assert not (await checkpoint.lag(store, TAG, FUNCTIONS)).behind


async def test_one_that_was_fenced_off_goes_on_where_the_other_is(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(store, *inhabited(), *ends(10))
    project, fenced = store.project, list[bool]()

    async def late(tag: Tag, batch: Batch) -> bool:
        if not fenced:
            assert await project(tag, batch)
            await append(store, ends(11)[-1])
        fenced.append(not await project(tag, batch))
        return not fenced[-1]

    monkeypatch.setattr(store, "project", late)

    await projector(store).catch_up(HERE)

    assert fenced == [True, False]
    assert not (await checkpoint.lag(store, TAG, FUNCTIONS)).behind


async def test_build_that_is_switched_while_it_looks_is_followed(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would wait for events behind the end of every log."""
    await append(store, *inhabited(), *ends(10))
    await projector(store).catch_up(HERE)
    last, of_build = await checkpoint.load(store, TAG, FUNCTIONS), checkpoint.of_build

    async def late(
        store: EventStore, tag: Tag, projection: Projection, build: int
    ) -> Position | None:
        monkeypatch.undo()
        await rebuild(store, tag, projection)
        return await of_build(store, tag, projection, build)

    monkeypatch.setattr(checkpoint, "of_build", late)

    assert await projector(store).catch_up(HERE) == last


@pytest.mark.real
async def test_colony_in_which_nothing_happens_is_not_asked_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand colonies three may be busy."""
    monkeypatch.setattr("projections.projector.BLOCK_MS", 0)
    monkeypatch.setattr("projections.projector._LOOK_S", inf)
    quiet = keys.colony_tag("quiet", "00000001")
    async with opened_store(redis_url) as store, opened_store(redis_url) as waits:
        for name, suffix in ((COLONY, SUFFIX), ("quiet", "00000001")):
            registered = ColonyRegistered(
                subject=name, actor=OWNER, at_ns=T0, suffix=suffix, colony_id=OWNER
            )
            await append(store, registered, tag=SERVER)
        await append(store, *inhabited())
        await append(store, replace(founded(), subject="quiet", suffix="00000001"), tag=quiet)
        running = Projector(store, waits, [FUNCTIONS])
        looked, catch_up = asyncio.Queue[Tag](), running.catch_up

        async def noted(colony: Colony) -> Position:
            reached = await catch_up(colony)
            looked.put_nowait(colony.tag)
            return reached

        monkeypatch.setattr(running, "catch_up", noted)
        task = asyncio.get_running_loop().create_task(running.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                assert {await looked.get(), await looked.get()} == {TAG, quiet}
                for end in ends(3):
                    await append(store, end)
                    assert await looked.get() == TAG
                await append(store, replace(class_added(), at_ns=LATER), tag=quiet)
                assert await looked.get() == quiet
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
