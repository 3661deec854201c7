"""The connection: bounded, in order, and back by itself after the worst."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncGenerator, Iterator

import pytest

from broker import keys
from broker.clock import StoreClock
from broker.errors import Overloaded, Unavailable
from broker.notices import RedisNotices
from broker.pipeline import Connection, Pipeline, Reply, ReplyError
from broker.store import Done, EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import SUFFIX, TAG, class_added, inhabited, submitted
from tests.patience import PATIENCE_S, until, until_answer
from tests.store.ground import append
from tests.store.servers import Mortal, mortal_server

pytestmark = pytest.mark.real
IN_FLIGHT = 64
PATIENT_S = 2.0


@pytest.fixture
def server() -> Iterator[Mortal]:
    with mortal_server() as server:
        yield server


@pytest.fixture
async def pipeline(redis_url: str) -> AsyncGenerator[Pipeline]:
    pipeline = Pipeline(redis_url, IN_FLIGHT)
    await pipeline.start()
    yield pipeline
    await pipeline.close()


@contextlib.asynccontextmanager
async def connected(
    server: Mortal, most: int = IN_FLIGHT, *, patience_s: float = 0.0
) -> AsyncGenerator[Pipeline]:
    pipeline = Pipeline(server.url, most, patience_s=patience_s)
    await pipeline.start()
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def test_replies_come_in_the_order_of_their_commands(pipeline: Pipeline) -> None:
    calls = [pipeline.call("ECHO", n) for n in range(IN_FLIGHT)]

    assert await asyncio.gather(*calls) == [b"%d" % n for n in range(IN_FLIGHT)]


async def test_more_than_allowed_under_way_is_refused(pipeline: Pipeline) -> None:
    calls = [pipeline.call("PING") for _ in range(IN_FLIGHT)]

    with pytest.raises(Overloaded):
        pipeline.call("PING")

    await asyncio.gather(*calls)
    assert await pipeline.call("PING") == b"PONG"


async def test_error_reply_is_raised_and_the_next_command_is_answered(pipeline: Pipeline) -> None:
    bad, good = pipeline.call("NOSUCH"), pipeline.call("PING")

    with pytest.raises(ReplyError, match="unknown command"):
        await bad
    assert await good == b"PONG"


async def test_command_nobody_waits_for_any_more_takes_its_reply_along(pipeline: Pipeline) -> None:
    pipeline.call("ECHO", "first").cancel()

    assert await pipeline.call("ECHO", "second") == b"second"


class ShortLived(Connection):
    """Ends in the moment in which it begins."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The other side has closed already."""
        super().connection_made(transport)
        transport.close()
        self.connection_lost(None)


async def test_connection_that_ended_before_it_was_kept_is_not_kept(redis_url: str) -> None:
    pipeline = Pipeline(redis_url, IN_FLIGHT, make=ShortLived)

    with pytest.raises(Unavailable):
        await pipeline.start()


async def test_nothing_at_the_address_is_unavailable() -> None:
    pipeline = Pipeline("unix:///nonexistent/redis.sock", IN_FLIGHT)

    with pytest.raises(Unavailable):
        await pipeline.start()
    with pytest.raises(Unavailable):
        pipeline.call("PING")


async def test_commands_in_flight_fail_as_unavailable_when_the_server_dies(
    server: Mortal,
) -> None:
    async with connected(server) as pipeline:
        blocked = [pipeline.call("BLPOP", "nothing", 0) for _ in range(3)]
        await asyncio.sleep(0)
        server.kill()

        outcomes = await asyncio.gather(*blocked, return_exceptions=True)

        assert {type(each) for each in outcomes} == {Unavailable}


async def test_connection_comes_back_with_its_server(server: Mortal) -> None:
    async with connected(server) as pipeline:
        server.kill()
        server.start()

        await until_answer(lambda: pipeline.call("PING"), b"PONG")


async def test_server_that_does_not_answer_is_given_up_until_it_does(server: Mortal) -> None:
    async with connected(server, patience_s=PATIENT_S) as pipeline:
        server.signal(signal.SIGSTOP)

        with pytest.raises(Unavailable, match="does not answer"):
            await pipeline.call("SET", "key", "value")
        with pytest.raises(Unavailable, match="cannot be reached"):
            pipeline.call("PING")

        server.signal(signal.SIGCONT)
        await until_answer(lambda: said(pipeline, "PING"), b"PONG")


async def test_server_that_answers_again_in_time_is_kept(server: Mortal) -> None:
    async with connected(server, patience_s=600) as pipeline:
        number = await pipeline.call("CLIENT", "ID")
        server.signal(signal.SIGSTOP)
        call = pipeline.call("CLIENT", "ID")
        await asyncio.sleep(0)
        server.signal(signal.SIGCONT)

        assert await call == number


async def said(pipeline: Pipeline, *command: str) -> Reply:
    """The answer to a command."""
    return await pipeline.call(*command)


async def test_subscription_notices_that_its_server_is_silent(server: Mortal) -> None:
    missed = asyncio.Event()
    notices = RedisNotices(server.url, lambda _, __: None, missed.set, patience_s=PATIENT_S)
    await notices.start()
    await notices.listen("channel")
    async with connected(server) as pipeline, asyncio.timeout(PATIENCE_S):
        server.signal(signal.SIGSTOP)
        with pytest.raises(Unavailable):
            await notices.listen("other")

        server.signal(signal.SIGCONT)
        await missed.wait()
        await until_answer(lambda: said(pipeline, "PUBSUB", "NUMSUB", "channel"), [b"channel", 1])
    await notices.close()


async def test_closed_connection_does_not_come_back(server: Mortal) -> None:
    async with connected(server) as pipeline:
        pass
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await pipeline.call("PING")


async def test_everything_acknowledged_survives_kill_9(server: Mortal) -> None:
    async with connected(server, 4_096) as pipeline:
        store = EventStore(pipeline, fold, StoreClock())
        await append(store, *inhabited(), class_added())
        ids = [f"{n:056d}{SUFFIX}" for n in range(400)]
        appends = [asyncio.create_task(append(store, submitted(i))) for i in ids]
        await until(lambda: sum(task.done() for task in appends) >= 20)
        server.kill()
        outcomes = await asyncio.gather(*appends, return_exceptions=True)
        server.start()
        await until_answer(lambda: store.send("PING"), b"PONG")
        events = {each.event.subject async for each in store.events(TAG)}
        kept = {i for i, o in zip(ids, outcomes, strict=True) if isinstance(o, Done)}
        assert kept <= events
        assert (await verify(store, TAG, fold)).differences == ()


@pytest.mark.parametrize("seed", range(6))
async def test_connection_cut_in_the_middle_leaves_all_of_a_command_or_nothing(
    redis_url: str, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - where to cut, no secret
    cutter, pipeline = Pipeline(redis_url, 8), Pipeline(redis_url, 4_096)
    await cutter.start()
    await pipeline.start()
    store = EventStore(pipeline, fold, StoreClock())
    await append(store, *inhabited(), class_added())
    name = await pipeline.call("CLIENT", "ID")
    ids = [f"{n:056d}{SUFFIX}" for n in range(200)]

    appends = [asyncio.create_task(append(store, submitted(i))) for i in ids]
    for _ in range(chance.randrange(12)):
        await asyncio.sleep(0)
    await cutter.call("CLIENT", "KILL", "ID", name)
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    await until_answer(lambda: store.send("PING"), b"PONG")
    events = [each.event.subject async for each in store.events(TAG)][5:]
    rows = await store.read(*(("EXISTS", TAG.key(keys.process(i))) for i in ids))
    kept = {i for i, o in zip(ids, outcomes, strict=True) if isinstance(o, Done)}
    await pipeline.close()
    await cutter.close()
    assert len(set(events)) == len(events)
    assert {i for i, there in zip(ids, rows, strict=True) if there} == set(events)
    assert kept <= set(events)
    assert {type(o) for o in outcomes} <= {Done, Unavailable}


async def test_command_that_cannot_be_packed_takes_nobody_elses_reply(pipeline: Pipeline) -> None:
    with pytest.raises(UnicodeEncodeError):
        pipeline.call("ECHO", "\ud800")

    assert await pipeline.call("ECHO", "mine") == b"mine"


async def test_more_rows_than_may_be_under_way_are_read_all_the_same(redis_url: str) -> None:
    pipeline = Pipeline(redis_url, 300)
    await pipeline.start()
    store = EventStore(pipeline, fold, StoreClock())

    found = await store.read(*(("ECHO", n) for n in range(1_000)))

    assert found == [b"%d" % n for n in range(1_000)]
    await pipeline.close()


async def test_many_long_reads_wait_for_each_other_and_refuse_nobody(redis_url: str) -> None:
    pipeline = Pipeline(redis_url, 4_096)
    await pipeline.start()
    store = EventStore(pipeline, fold, StoreClock())
    page = [("ECHO", n) for n in range(200)]

    reading = [asyncio.create_task(store.read(*page)) for _ in range(100)]
    await asyncio.sleep(0)
    short = await store.read(("ECHO", 1), ("ECHO", 2))
    found = await asyncio.gather(*reading)

    assert short == [b"1", b"2"]
    assert found == [[b"%d" % n for n in range(200)]] * 100
    await pipeline.close()
