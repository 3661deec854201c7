"""Closed loops run to their end, and open ones keep their times."""

import asyncio
from itertools import pairwise
from time import perf_counter

import pytest

from bench.connection import Connection, connections
from bench.load import closed_loop, due_times
from bench.servers import Target


async def test_every_connection_works_until_all_is_done(floor: Target) -> None:
    done = list[int]()
    queue = iter(range(40))

    async def work(number: int, connection: Connection) -> None:
        for _ in queue:
            await connection.request(floor.endpoint.get("/health"))
            done.append(number)

    async with connections(floor.endpoint, 4) as opened:
        seconds = await closed_loop(opened, work)
    assert len(done) == 40
    assert set(done) == {0, 1, 2, 3}
    assert seconds > 0


async def test_one_failure_ends_the_loop(floor: Target) -> None:
    async def work(number: int, _connection: Connection) -> None:
        if number == 1:
            raise LookupError("broken")
        await asyncio.Event().wait()

    async with connections(floor.endpoint, 2) as opened:
        with pytest.raises(ExceptionGroup) as raised:
            await closed_loop(opened, work)
    assert raised.group_contains(LookupError, match="broken")


async def test_who_is_late_moves_nobody_else() -> None:
    dues, late = list[float](), list[float]()
    async for number, due in due_times(4, 0.005):
        late.append(perf_counter() - due)
        dues.append(due)
        if number == 0:
            while perf_counter() < due + 0.012:
                pass
    assert [after - before for before, after in pairwise(dues)] == (pytest.approx([0.005] * 3))
    assert min(late) >= 0
    assert late[1] >= 0.006
