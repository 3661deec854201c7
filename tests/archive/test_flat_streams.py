"""With retention on and an archive to trim behind, a store does not grow with what it has done."""

import pytest

from projections.archive.archive import Archive
from projections.archive.archiver import Archiver
from projections.archive.trimming import trim
from projections.core import fold
from projections.functions import FUNCTIONS
from projections.landmarks import EVERY, Surveyor
from projections.projector import Projector
from tests.archive.conftest import END
from tests.holding import Held, held
from tests.store.test_flat_memory import ROOM, here, keeper, lived
from tests.store.test_retention import Keeper

pytestmark = pytest.mark.real
__all__ = ["keeper"]
STEPS, LIVES = 4, 3_000
EVENTS_A_LIFE = 4
MOST_OF_AN_EVENT = 1_000
MOST_OF_A_LANDMARK = 8
"""Bytes for each event that it tells of."""


async def test_only_landmarks_grow_behind_an_archive(keeper: Keeper, archive: Archive) -> None:
    """What is left of the log is less than two landmarks apart, whatever was before."""
    place, last = await here(keeper)
    store, seen = keeper.store, list[Held]()
    archiver, surveyor = Archiver(store, store, archive), Surveyor(store, fold)
    for _ in range(STEPS):
        last, removed = await lived(keeper, place, last, LIVES)
        assert removed == LIVES
        await archiver.catch_up(await archiver.logs())
        await Projector(store, store, [FUNCTIONS]).catch_up(place)
        await surveyor.advance(place)
        assert await trim(store, place.tag, END, 0, [FUNCTIONS]) > LIVES
        seen.append(await held(store, place.tag))

    assert max(each.log for each in seen) < 2 * EVERY * MOST_OF_AN_EVENT, seen
    assert max(each.rows for each in seen) <= seen[0].rows + ROOM, seen
    assert seen[-1].landmarks < STEPS * LIVES * EVENTS_A_LIFE * MOST_OF_A_LANDMARK, seen
