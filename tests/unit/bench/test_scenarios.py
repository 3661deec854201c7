"""Scenarios measure the floor, and give no result for a server that answers wrongly."""

import asyncio
import sys
from pathlib import Path

import pytest

from bench import usage
from bench.errors import WrongAnswer
from bench.plan import Plan, Stage
from bench.scenarios import depth, fleet, lifecycle, startup
from bench.servers import Target
from bench.wire import Member
from broker.identity import Identity
from tests.patience import PATIENCE_S

_PLAN = Plan(
    rounds=2,
    warm_up=5,
    connections=2,
    processes=20,
    depths=(10,),
    class_counts=(2,),
    depth_rounds=1,
    depth_samples=5,
    starts=1,
    fleet=2,
)


def _liar(floor: Target) -> Target:
    """The floor, taken for a broker: it gives every process the same id and counts nothing."""
    owner = Member(floor.endpoint, "server", Identity.generate())
    return Target(name="liar", endpoint=floor.endpoint, server_owner=owner)


def _stored(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_lifecycle_measures_every_phase_in_every_round(floor: Target) -> None:
    found = await lifecycle.measure(Stage(plan=_PLAN, targets=(floor,)))
    assert [(one.case, one.round, one.count) for one in found] == [
        (case, number, count)
        for number in (1, 2)
        for case, count in (
            ("submit", 20),
            ("submit, same bytes", 20),
            ("assign+close", 40),
            ("submit+assign+close", 20),
        )
    ]
    assert all(one.rate for one in found)
    assert all(latency.count == one.count for one in found for latency in one.latencies.values())


async def test_the_floor_has_one_depth(floor: Target) -> None:
    (found,) = await depth.measure(Stage(plan=_PLAN, targets=(floor,)))
    assert found.case == "0 waiting, 2 classes, head fits"
    assert found.latencies["assign"].count == 5


async def test_a_depth_with_wrong_answers_is_not_a_result(floor: Target) -> None:
    with pytest.raises(WrongAnswer, match="more than once"):
        await depth.measure(Stage(plan=_PLAN, targets=(_liar(floor),)))


async def test_a_fleet_that_nobody_wakes_is_not_a_result(floor: Target) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await fleet.measure(Stage(plan=_PLAN, targets=(_liar(floor),)))
    assert raised.group_contains(WrongAnswer, match="was never submitted")


async def test_a_start_that_does_not_list_what_waits_is_not_a_result(floor: Target) -> None:
    with pytest.raises(WrongAnswer, match="process psw ended with"):
        await startup.measure(Stage(plan=_PLAN, targets=(_liar(floor),)))


async def test_a_fast_wrong_answer_is_not_a_result(floor: Target) -> None:
    with pytest.raises(WrongAnswer, match="submitted more than once"):
        await lifecycle.measure(Stage(plan=_PLAN, targets=(_liar(floor),)))


async def test_a_wrong_answer_ends_the_program_with_an_error(floor: Target, tmp_path: Path) -> None:
    url = f"http://{floor.endpoint.host}:{floor.endpoint.port}"
    key = Identity.generate().prvkey
    words = ["lifecycle", "--quick", "--target", url, "--server-prvkey", key, "--out", tmp_path]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *words, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"submitted more than once" in errors
    assert not _stored(tmp_path)


async def test_sigterm_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", "lifecycle", "--target", "floor", "--out", str(tmp_path)
    )
    async with asyncio.timeout(PATIENCE_S):
        started = await _family_of(process.pid, 4)
        process.terminate()
        assert await process.wait() == 143
        for pid in started:
            await _gone(pid)


async def _family_of(pid: int, size: int) -> list[int]:
    while len(found := list(usage.family(pid))) < size:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.02)
    return found


async def _gone(pid: int) -> None:
    """Wait until a process has ended, reaped or not."""
    while usage.runs(pid):  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.02)
