"""The directory: finds colonies, remembers rows, and forgets when it has to."""

import pytest

from api import wire_colony
from api.handlers import colony
from broker import keys
from broker.directory import Classes, Directory
from broker.keys import SERVER
from broker.store import EventStore
from tests.facts import COLONY, EXECUTOR, OWNER, SERVER_OWNER, STRANGER, USER, class_added
from tests.stage import Stage
from tests.store.ground import append


@pytest.fixture
async def stage(store: EventStore) -> Stage:
    stage = Stage(store)
    await stage.found()
    return stage


@pytest.fixture
def directory(stage: Stage) -> Directory:
    """One that remembers nothing yet."""
    return Directory(stage.store)


async def test_colony_is_found_by_name_and_by_the_ids_made_in_it(
    stage: Stage, directory: Directory
) -> None:
    given = await stage.submit()

    found = await directory.named(COLONY)

    assert found is not None
    assert await directory.of_id(given.processid) is found
    assert directory.on_channel(keys.wake_channel(found.tag)) is found


@pytest.mark.parametrize("name", ["", "none", "*", "DEV"])
async def test_unknown_name_is_nowhere(directory: Directory, name: str) -> None:
    assert await directory.named(name) is None


@pytest.mark.parametrize("identifier", ["", "x", "ff" * 32, "0" * 64])
async def test_id_made_nowhere_is_nowhere(directory: Directory, identifier: str) -> None:
    assert await directory.of_id(identifier) is None


async def test_every_colony_is_listed_by_name(stage: Stage, directory: Directory) -> None:
    await stage.add_colony("a", "a1" * 32)
    await stage.add_colony("z", "a2" * 32)

    assert [each.name for each in await directory.every()] == ["a", COLONY, "z"]


async def test_remembered_rows_answer_until_fresh_ones_are_wanted(
    stage: Stage, directory: Directory
) -> None:
    found = await directory.named(COLONY)
    assert found is not None
    before = await directory.gate(EXECUTOR, found, fresh=False)
    await stage.remove_executor()

    assert await directory.gate(EXECUTOR, found, fresh=False) == before
    fresh = await directory.gate(EXECUTOR, found, fresh=True)
    assert fresh.member is not None
    assert fresh.member.state == 3


@pytest.mark.parametrize("caller", [OWNER, STRANGER])
async def test_who_is_no_member_is_not_remembered_as_one(directory: Directory, caller: str) -> None:
    found = await directory.named(COLONY)
    assert found is not None

    assert (await directory.gate(caller, found, fresh=False)).member is None
    assert caller not in found.members


async def test_member_that_left_is_forgotten(stage: Stage, directory: Directory) -> None:
    found = await directory.named(COLONY)
    assert found is not None
    await directory.gate(USER, found, fresh=False)
    await stage.store.send("DEL", found.tag.key(keys.member(USER)))

    await directory.gate(USER, found, fresh=True)

    assert USER not in found.members


async def test_colony_that_is_gone_is_forgotten(stage: Stage, directory: Directory) -> None:
    found = await directory.named(COLONY)
    assert found is not None
    message = wire_colony.RemoveColonyMsg(colonyname=COLONY)
    await stage.say(colony.remove, SERVER_OWNER, message)

    assert await directory.named(COLONY, fresh=True) is None
    assert directory.on_channel(keys.wake_channel(found.tag)) is None
    assert await directory.every() == []


async def test_colony_added_anew_is_another_one(stage: Stage, directory: Directory) -> None:
    before = await directory.named(COLONY)
    message = wire_colony.RemoveColonyMsg(colonyname=COLONY)
    await stage.say(colony.remove, SERVER_OWNER, message)
    await stage.add_colony()

    after = await directory.named(COLONY, fresh=True)

    assert before is not None
    assert after is not None
    assert before.tag != after.tag


async def test_classes_are_read_once_until_fresh_ones_are_wanted(
    stage: Stage, directory: Directory
) -> None:
    found = await directory.named(COLONY)
    assert found is not None
    assert await directory.classes(found, fresh=False) == Classes("0", {})
    await append(stage.store, class_added(), tag=found.tag)

    assert (await directory.classes(found, fresh=False)).epoch == "0"
    assert (await directory.classes(found, fresh=True)).epoch == "1"


async def test_server_row_is_read_each_time(stage: Stage, directory: Directory) -> None:
    row = await directory.server()
    await stage.store.send("HSET", SERVER.key(keys.SERVER_ROW), "guard", 7)

    again = await directory.server()

    assert row is not None
    assert again is not None
    assert (row.guard, again.guard) == (1, 7)
