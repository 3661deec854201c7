"""Submitting against limits, and against what another server has changed meanwhile."""

import time
from dataclasses import replace

import pytest

from api import wire_colony
from api.handlers import colony
from broker.aggregates.process import State
from broker.errors import Denied, Overloaded, Unavailable
from broker.settings import Limits
from broker.store import EventStore
from tests.facts import COLONY, OWNER
from tests.stage import Stage

SECOND_NS = 1_000_000_000


@pytest.fixture
async def stage(store: EventStore) -> Stage:
    stage = Stage(store)
    await stage.found()
    return stage


def limit_waiting(stage: Stage, most: int) -> None:
    settings = stage.context.settings
    stage.context.settings = replace(settings, limits=Limits(max_waiting=most))


def pass_two_seconds(store: EventStore) -> None:
    local = time.monotonic_ns()
    store.clock.synchronise(local, store.clock.now_ns() + 2 * SECOND_NS, local)


async def test_full_queue_refuses_more_and_takes_more_when_it_is_emptier(stage: Stage) -> None:
    limit_waiting(stage, 2)
    for _ in range(2):
        await stage.submit()
    pass_two_seconds(stage.store)
    with pytest.raises(Overloaded, match="2 processes wait"):
        await stage.submit()

    await stage.assign()
    pass_two_seconds(stage.store)

    assert (await stage.submit()).state == State.WAITING


async def test_repeat_of_an_accepted_submit_is_answered_by_a_full_queue(stage: Stage) -> None:
    limit_waiting(stage, 1)
    first = await stage.submit(nonce="once")
    pass_two_seconds(stage.store)

    assert (await stage.submit(nonce="once")).processid == first.processid


async def require_nonce(stage: Stage, *, required: bool) -> None:
    settings = wire_colony.WishedSettings(requirenonce=required)
    message = wire_colony.SetColonySettingsMsg(colonyname=COLONY, settings=settings)
    await stage.say(colony.set_settings, OWNER, message, nonce=f"settings-{required}")


async def test_requirement_lifted_on_another_server_is_lifted_here(stage: Stage) -> None:
    elsewhere = Stage(stage.store)
    await stage.submit()
    await require_nonce(elsewhere, required=True)
    with pytest.raises(Denied, match="requires a nonce"):
        await stage.submit()

    await require_nonce(elsewhere, required=False)

    assert (await stage.submit()).state == State.WAITING


async def test_claim_whose_answer_was_lost_is_given_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = await stage.submit()
    claim = stage.store.claim

    async def claim_and_lose_the_answer(*args: object) -> None:
        await claim(*args)  # pyright: ignore[reportArgumentType] - whatever it is called with
        monkeypatch.setattr(stage.store, "claim", claim)
        raise Unavailable("the connection to the store was lost")

    monkeypatch.setattr(stage.store, "claim", claim_and_lose_the_answer)
    with pytest.raises(Unavailable):
        await stage.assign()
    await stage.settle()

    assert (await stage.look(submitted.processid)).state == State.WAITING
