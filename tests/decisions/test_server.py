"""The server: its owner, and its directory of colonies."""

import pytest

from broker import keys
from broker.aggregates import server
from broker.aggregates.server import (
    ColonyIdReleased,
    ColonyIdReserved,
    ColonyPurged,
    ColonyRegistered,
    ColonyUnregistered,
    Entry,
    ServerIdChanged,
)
from broker.decision import Decision, Event
from broker.errors import Denied, Invalid
from tests.facts import (
    COLONY,
    LATER,
    OWNER,
    SERVER_OWNER,
    STRANGER,
    SUFFIX,
    T0,
    TAG,
    server_founded,
)
from tests.scenario import Decide, World, given

NEW = "59" * 32
OTHER_SUFFIX = "11111111"
NOT_OWNER = "Access denied, not server owner"
MOVED = ServerIdChanged(subject=NEW, actor=SERVER_OWNER, at_ns=LATER)


def registered(
    name: str = COLONY, suffix: str = SUFFIX, colony_id: str = OWNER
) -> ColonyRegistered:
    return ColonyRegistered(
        subject=name, actor=SERVER_OWNER, at_ns=T0, suffix=suffix, colony_id=colony_id
    )


UNREGISTERED = ColonyUnregistered(
    subject=COLONY, actor=SERVER_OWNER, at_ns=LATER, suffix=SUFFIX, colony_ids=[OWNER]
)
PURGED = ColonyPurged(subject=TAG.text, actor="", at_ns=LATER)
RESERVED = ColonyIdReserved(subject=COLONY, actor=OWNER, at_ns=LATER, colony_id=NEW)
RELEASED = ColonyIdReleased(subject=COLONY, actor=OWNER, at_ns=LATER, colony_id=OWNER)


def found(world: World) -> Decision:
    del world
    return server.found(SERVER_OWNER, T0)


def test_empty_store_gets_an_owner_once() -> None:
    given().when(found).then(server_founded()).unless(server_founded())


# ---------------------------------------------------------------- owner


def change_id(caller: str = SERVER_OWNER, new_id: str = NEW) -> Decide:
    return lambda world: server.change_id(caller, world.server(), new_id, LATER)


def test_owner_hands_the_server_over() -> None:
    given(server_founded()).when(change_id()).then(MOVED).unless(MOVED)


@pytest.mark.parametrize("caller", [OWNER, STRANGER])
def test_only_the_owner_hands_it_over(caller: str) -> None:
    given(server_founded()).when(change_id(caller)).rejected(Denied, NOT_OWNER)


def test_old_owner_has_no_say_any_more() -> None:
    given(server_founded(), MOVED).when(change_id()).rejected(Denied, NOT_OWNER)


def test_empty_id_is_refused_before_the_caller_is_looked_at() -> None:
    given(server_founded()).when(change_id(STRANGER, "")).rejected(
        Invalid, "Failed to change colony Id, colony Id is empty"
    )


@pytest.mark.parametrize("wrong", ["ab", "AB" * 32, "59" * 33])
def test_id_that_would_lock_everybody_out_is_refused(wrong: str) -> None:
    given(server_founded()).when(change_id(new_id=wrong)).rejected(
        Invalid, "Failed to change server Id, new server Id is not 64 hex digits"
    )


# ---------------------------------------------------------------- colonies


def register(
    caller: str = SERVER_OWNER,
    name: str = COLONY,
    colony_id: str = OWNER,
    suffix: str = SUFFIX,
) -> Decide:
    return lambda world: server.register(
        caller,
        world.server(),
        name,
        colony_id,
        suffix,
        T0,
        name_taken=name.encode() in world.hash(keys.COLONIES),
        id_taken=colony_id.encode() in world.hash(keys.COLONY_IDS),
    )


@pytest.mark.parametrize(
    "meanwhile",
    [
        MOVED,
        registered("dev", OTHER_SUFFIX, NEW),
        registered("other", OTHER_SUFFIX, OWNER),
        registered("other", SUFFIX, NEW),
    ],
    ids=["owner", "name", "id", "suffix"],
)
def test_server_owner_registers_a_colony(meanwhile: Event) -> None:
    given(server_founded()).when(register()).then(registered()).unless(meanwhile)


def test_only_the_server_owner_registers() -> None:
    given(server_founded()).when(register(OWNER)).rejected(Denied, NOT_OWNER)


def test_server_without_owner_registers_nothing() -> None:
    given().when(register()).rejected(Denied, NOT_OWNER)


def test_name_is_taken_once() -> None:
    given(server_founded(), registered()).when(register(colony_id=NEW)).rejected(
        Invalid, f"A Colony with name <{COLONY}> already exists"
    )


def test_id_is_taken_once() -> None:
    given(server_founded(), registered()).when(register(name="other")).rejected(
        Invalid, f"A Colony with Id <{OWNER}> already exists"
    )


@pytest.mark.parametrize(
    ("colony_id", "text"),
    [
        ("ab", "Failed to add colony, invalid colony Id length"),
        ("AB" * 32, "Failed to add colony, colony Id is not 64 lower-case hex digits"),
    ],
)
def test_id_has_to_be_a_key(colony_id: str, text: str) -> None:
    given(server_founded()).when(register(colony_id=colony_id)).rejected(Invalid, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "Colony name is empty"),
        ("a:b", "Colony name <a:b> has a character that is not allowed (colon or control)"),
    ],
)
def test_name_has_to_be_storable(name: str, text: str) -> None:
    given(server_founded()).when(register(name=name)).rejected(Invalid, text)


def entry(world: World) -> Entry | None:
    suffix = world.hash(keys.COLONIES).get(COLONY.encode())
    ids = world.hash(keys.COLONY_IDS).items()
    taken = tuple(sorted(i.decode() for i, name in ids if name == COLONY.encode()))
    return Entry(suffix=suffix.decode(), colony_ids=taken) if suffix else None


def unregister(caller: str = SERVER_OWNER) -> Decide:
    return lambda world: server.unregister(caller, world.server(), entry(world), COLONY, LATER)


def test_server_owner_unregisters_a_colony() -> None:
    given(server_founded(), registered()).when(unregister()).then(UNREGISTERED).unless(
        MOVED
    ).unless(UNREGISTERED)


def test_colony_added_anew_meanwhile_is_not_unregistered() -> None:
    given(server_founded(), registered()).when(unregister()).unless(
        UNREGISTERED, registered(suffix=OTHER_SUFFIX)
    )


def test_every_id_of_an_unregistered_colony_is_free_again() -> None:
    facts = (server_founded(), registered(), RESERVED)
    events = unregister()(World(facts)).events

    assert keys.COLONY_IDS not in World((*facts, *events)).values


def test_only_the_server_owner_unregisters() -> None:
    given(server_founded(), registered()).when(unregister(OWNER)).rejected(Denied, NOT_OWNER)


def test_unknown_colony_is_not_unregistered() -> None:
    given(server_founded()).when(unregister()).rejected(
        Invalid, f"Colony with name <{COLONY}> not found"
    )


def test_removed_colony_is_purged_once() -> None:
    given(server_founded(), registered(), UNREGISTERED).when(
        lambda _: server.purged(TAG.text, LATER)
    ).then(PURGED).unless(PURGED)


# ---------------------------------------------------------------- a colony's identity


def reserve(name: str = COLONY) -> Decide:
    def decide(world: World) -> Decision:
        taken = world.hash(keys.COLONY_IDS).get(NEW.encode())
        return server.reserve_id(OWNER, name, NEW, taken.decode() if taken else None, LATER)

    return decide


def test_free_identity_is_reserved_once() -> None:
    given(server_founded(), registered()).when(reserve()).then(RESERVED).unless(RESERVED)


def test_own_identity_is_reserved_already() -> None:
    given(server_founded(), registered(), RESERVED).when(reserve()).then()


def test_identity_of_another_colony_is_refused() -> None:
    given(server_founded(), registered(), RESERVED).when(reserve("other")).rejected(
        Invalid, f"A Colony with Id <{NEW}> already exists"
    )


def test_old_identity_is_released_once() -> None:
    given(server_founded(), registered()).when(
        lambda _: server.release_id(OWNER, COLONY, OWNER, LATER)
    ).then(RELEASED).unless(RELEASED)
