"""Log lines: who may say them, in which order they are read, and what is forgotten."""

import asyncio
import time

import pytest

from api import wire_colony, wire_process
from api.handlers import colony, log, process
from api.wire_log import (
    AddExecutorLogMsg,
    AddLogMsg,
    AddLogsMsg,
    GetLogsMsg,
    Log,
    SearchLogsMsg,
)
from broker import keys, log_search, logs
from broker.clock import MS_NS, StoreClock
from broker.errors import Denied, Invalid, Missing, Rejected, Replayed
from broker.logs import LINE_BYTES, Retention
from broker.reactors.log_retention import LogRetention
from broker.store import EventStore
from projections.core import fold
from projections.replay import verify
from tests.facts import COLONY, EXECUTOR, OTHER, OWNER, STRANGER, USER
from tests.stage import Stage


class Logging(Stage):
    """A stage on which an executor runs a process and says things."""

    async def running(self) -> str:
        """A process that EXECUTOR runs."""
        await self.submit()
        return (await self.assign()).processid

    async def add(self, process_id: str, *lines: str, caller: str = EXECUTOR) -> None:
        """Say lines one by one."""
        for line in lines:
            await self.say(log.add, caller, AddLogMsg(processid=process_id, message=line))

    async def read(
        self,
        process_id: str = "",
        *,
        name: str = "",
        count: int = 100,
        since: int = 0,
        latest: bool = False,
    ) -> list[Log]:
        """Read lines of a process, or of an executor by name."""
        message = GetLogsMsg(
            colonyname=COLONY,
            processid=process_id,
            executorname=name,
            count=count,
            since=since,
            latest=latest,
        )
        found: list[Log] = await self.say(log.get, USER, message)
        return found

    async def search(self, text: str, *, days: int = 1, count: int = 100) -> list[str]:
        """The texts that a search finds."""
        message = SearchLogsMsg(colonyname=COLONY, text=text, days=days, count=count)
        found: list[Log] = await self.say(log.search, USER, message)
        return [line.message for line in found]

    async def everything(self) -> tuple[int, int]:
        """How many lines there are, and the bytes of text that are counted for them."""
        tag = await self.tag()
        length = int(await self.store.send("XLEN", tag.key(keys.LOGS)))
        counted = await self.store.send("HGET", tag.key(keys.LOG_STATE), "bytes")
        return length, int(counted or 0) - length * logs.LINE_BYTES


@pytest.fixture
async def stage(store: EventStore) -> Logging:
    found = Logging(store)
    await found.found()
    return found


async def test_lines_come_back_in_order_with_who_said_them(stage: Logging) -> None:
    process_id = await stage.running()

    await stage.add(process_id, "one\n", "", "zwölf Boxkämpfer 🥊")

    found = await stage.read(process_id)
    assert [line.message for line in found] == ["one\n", "", "zwölf Boxkämpfer 🥊"]
    assert {(line.processid, line.executorname, line.colonyname) for line in found} == {
        (process_id, "worker", COLONY)
    }
    assert [line.message for line in await stage.read(name="worker")] == [
        line.message for line in found
    ]
    assert (await verify(stage.store, await stage.tag(), fold)).differences == ()


async def test_times_increase_when_the_clock_does_not(stage: Logging) -> None:
    process_id = await stage.running()
    await stage.add(process_id, "before")
    stage.pass_time(-3600)

    await stage.add(process_id, *map(str, range(20)))

    times = [line.timestamp for line in await stage.read(process_id)]
    assert times == sorted(set(times))
    assert len(times) == 21


class StoppedClock(StoreClock):
    """A clock that stands at the end of a millisecond."""

    def now_ns(self) -> int:
        """One and the same moment."""
        return 1_800_000_000_999 * MS_NS + MS_NS - 2


async def test_lines_of_one_moment_go_over_into_the_next_millisecond(stage: Logging) -> None:
    process_id = await stage.running()
    began = StoppedClock().now_ns()
    stage.store.clock = StoppedClock()

    said = AddLogsMsg(processid=process_id, messages=list("abc"))
    await stage.say(log.add_many, EXECUTOR, said)
    await stage.add(process_id, "d")
    await stage.say(log.add_many, EXECUTOR, said)

    found = await stage.read(process_id)
    assert [line.message for line in found] == list("abcdabc")
    assert [line.timestamp for line in found] == [began + n for n in range(7)]


async def test_reading_on_neither_skips_nor_repeats(stage: Logging) -> None:
    process_id = await stage.running()
    said = [str(n) for n in range(57)]
    await stage.say(log.add_many, EXECUTOR, AddLogsMsg(processid=process_id, messages=said))

    found, since = list[str](), 0
    while page := await stage.read(process_id, count=10, since=since):
        found += [line.message for line in page]
        since = page[-1].timestamp

    assert found == said


async def test_latest_is_the_newest_ascending(stage: Logging) -> None:
    process_id = await stage.running()
    await stage.add(process_id, "a", "b", "c")

    found = await stage.read(process_id, count=2, latest=True)

    assert [line.message for line in found] == ["b", "c"]


async def test_lines_of_two_processes_of_one_executor_are_told_apart(stage: Logging) -> None:
    first, second = await stage.running(), await stage.running()
    await stage.add(first, "1")
    await stage.add(second, "2")
    await stage.add(first, "3")

    assert [line.message for line in await stage.read(first)] == ["1", "3"]
    assert [line.message for line in await stage.read(name="worker")] == ["1", "2", "3"]


async def test_only_who_runs_a_process_speaks_about_it(stage: Logging) -> None:
    process_id = await stage.running()

    for caller in (OTHER, USER, OWNER, STRANGER):
        with pytest.raises(Denied):
            await stage.add(process_id, "x", caller=caller)
    await stage.close(process_id)
    with pytest.raises(Denied, match="process is not running"):
        await stage.add(process_id, "late")
    with pytest.raises(Missing, match="process is nil"):
        await stage.add("nope", "x")

    assert await stage.everything() == (0, 0)


async def test_remembered_assignment_does_not_outlive_the_hold(stage: Logging) -> None:
    process_id = await stage.running()
    elsewhere = Logging(stage.store)
    message = wire_process.CancelProcessMsg(processid=process_id)
    await elsewhere.say(process.cancel, USER, message)

    with pytest.raises(Denied, match="process is not running"):
        await stage.add(process_id, "late")

    assert await stage.everything() == (0, 0)


async def test_executor_speaks_for_itself_alone(stage: Logging) -> None:
    own = AddExecutorLogMsg(colonyname=COLONY, executorname="worker", message="starting")
    await stage.say(log.add_of_executor, EXECUTOR, own)

    for caller in (OTHER, USER, STRANGER):
        with pytest.raises(Denied):
            await stage.say(log.add_of_executor, caller, own)

    (line,) = await stage.read(name="worker")
    assert (line.processid, line.message) == ("", "starting")


async def test_line_that_is_too_long_leaves_nothing(stage: Logging) -> None:
    process_id = await stage.running()
    most = stage.context.settings.limits.max_log_bytes

    with pytest.raises(Invalid, match=f"{most + 1} bytes"):
        await stage.add(process_id, "x" * (most + 1))
    with pytest.raises(Invalid, match="bytes, more than"):
        await stage.add(process_id, "ü" * (most // 2 + 1))
    many = AddLogsMsg(processid=process_id, messages=["x"] * 1001)
    with pytest.raises(Invalid, match="1001 log lines"):
        await stage.say(log.add_many, EXECUTOR, many)
    await stage.add(process_id, "x" * most)

    assert await stage.everything() == (1, most)


async def test_line_with_a_nonce_is_said_once(stage: Logging) -> None:
    process_id = await stage.running()
    message = AddLogMsg(processid=process_id, message="once")
    for _ in range(2):
        await stage.say(log.add, EXECUTOR, message, nonce="n1")

    other = AddLogMsg(processid=process_id, message="other")
    with pytest.raises(Replayed):
        await stage.say(log.add, EXECUTOR, other, nonce="n1")

    assert [line.message for line in await stage.read(process_id)] == ["once"]


async def test_many_at_once_from_two_servers_are_all_there(stage: Logging) -> None:
    process_id = await stage.running()
    elsewhere = Logging(stage.store)
    said = [f"{n}" for n in range(100)]

    await asyncio.gather(
        *(place.add(process_id, line) for line in said for place in (stage, elsewhere))
    )

    found = await stage.read(process_id, count=500)
    assert sorted(line.message for line in found) == sorted(said * 2)
    assert len({line.timestamp for line in found}) == 200


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("message", ["message 2", "message 1"]),
        ("MESSAGE", []),
        ("m%2", ["message 2"]),
        ("message _", ["message 2", "message 1"]),
        ("_message", []),
        ("%", ["other\nline", "message 2", "message 1"]),
        ("", ["other\nline", "message 2", "message 1"]),
        ("er%li", ["other\nline"]),
        ("line%other", []),
        (".*", []),
    ],
)
async def test_search_is_that_of_like(stage: Logging, text: str, found: list[str]) -> None:
    await stage.add(await stage.running(), "message 1", "message 2", "other\nline")

    assert await stage.search(text) == found


async def test_search_ends_at_its_limits(stage: Logging) -> None:
    process_id = await stage.running()
    said = [str(n) for n in range(350)]
    await stage.say(log.add_many, EXECUTOR, AddLogsMsg(processid=process_id, messages=said))

    assert await stage.search("", count=3) == ["349", "348", "347"]
    assert await stage.search("7", days=0) == []
    assert len(await stage.search("%", count=100)) == 100
    assert await stage.search("12%") == ["312", "212", *map(str, range(129, 119, -1)), "112", "12"]
    for days, count in ((31, 1), (1, 101)):
        with pytest.raises(Rejected):
            await stage.search("", days=days, count=count)


LONGEST = 64 * 1024


@pytest.fixture
async def large(stage: Logging) -> Logging:
    """A log of lines in which every place looks like the beginning of what is searched for."""
    process_id = await stage.running()
    for _ in range(4):
        many = AddLogsMsg(processid=process_id, messages=["a" * LONGEST] * 50)
        await stage.say(log.add_many, EXECUTOR, many)
    return stage


@pytest.mark.parametrize("text", ["a_" * 499 + "b", "_" * 999 + "b", "a%" * 499 + "b", "ab"])
async def test_search_of_a_large_log_ends_in_time_and_holds_nobody_up(
    large: Logging, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "SEARCH_S", 1.0)
    began, longest = time.monotonic(), 0.0

    searching = asyncio.create_task(large.search(text))
    while not searching.done():
        turn = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - turn)

    assert await searching == []
    assert time.monotonic() - began < 10
    # One page is read at a time, and a bounded number of characters compared.
    assert longest < 0.5


async def test_text_that_is_too_long_is_not_searched_for(stage: Logging) -> None:
    assert await stage.search("x" * 1_000) == []
    with pytest.raises(Invalid, match="1001 characters"):
        await stage.search("x" * 1_001)


@pytest.mark.parametrize("before", [0, 1, 999_998, 999_999, 1_000_000, 1_000_001, 1_999_999])
def test_pattern_is_found_across_the_steps_in_which_it_is_looked_for(before: int) -> None:
    text = "." * before + "x-y"

    assert log_search.Pattern("x_y").is_in(text)
    assert log_search.Pattern(".%_-y").is_in(text) == (before > 0)
    assert not log_search.Pattern("x_z").is_in(text)
    assert not log_search.Pattern("x_y_").is_in(text)


async def test_old_lines_are_forgotten_with_their_places(stage: Logging) -> None:
    first, second = await stage.running(), await stage.running()
    await stage.add(first, "old 1", "old 2")
    await stage.add(second, "old 3")
    stage.pass_time(100)
    await stage.add(first, "new")
    retention = LogRetention(store=stage.store, default=Retention(age_s=50, size=0))

    (known,) = await stage.context.directory.every()
    forgotten = await retention.trim(known)

    assert forgotten == 3
    assert [line.message for line in await stage.read(first)] == ["new"]
    assert await stage.read(second) == []
    assert [line.message for line in await stage.read(name="worker")] == ["new"]
    assert await stage.everything() == (1, len("new"))
    await stage.add(first, "after")
    assert [line.message for line in await stage.read(first)] == ["new", "after"]


async def test_log_keeps_to_its_size(stage: Logging) -> None:
    process_id = await stage.running()
    said = [f"{n:050}" for n in range(1000)]
    await stage.say(log.add_many, EXECUTOR, AddLogsMsg(processid=process_id, messages=said))
    size = 100 * (LINE_BYTES + 50)

    forgotten = await logs.trim(stage.store, await stage.tag(), Retention(age_s=0, size=size))

    assert forgotten == 900
    assert [line.message for line in await stage.read(process_id, count=500)] == said[900:]


async def test_owner_decides_how_long_lines_are_kept(stage: Logging) -> None:
    process_id = await stage.running()
    await stage.add(process_id, "a", "b")
    stage.pass_time(100)
    (known,) = await stage.context.directory.every()
    retention = LogRetention(store=stage.store, default=Retention(age_s=10_000, size=0))
    assert await retention.trim(known) == 0

    for wished, kept in ((1_000, 2), (99, 0)):
        settings = wire_colony.WishedSettings(logretentionseconds=wished)
        message = wire_colony.SetColonySettingsMsg(colonyname=COLONY, settings=settings)
        answer: wire_colony.ColonySettings = await stage.say(colony.set_settings, OWNER, message)
        assert (answer.logretentionseconds, answer.logretentionbytes) == (wished, -1)
        await retention.trim(known)
        assert len(await stage.read(process_id)) == kept


async def test_lines_of_a_removed_process_are_found_by_executor(stage: Logging) -> None:
    process_id = await stage.running()
    await stage.add(process_id, "kept")
    await stage.close(process_id)
    await stage.say(process.remove, USER, wire_process.RemoveProcessMsg(processid=process_id))

    with pytest.raises(Missing, match="process does not exist"):
        await stage.read(process_id)

    assert [line.message for line in await stage.read(name="worker")] == ["kept"]
    with pytest.raises(Missing, match="executor does not exist"):
        await stage.read(name="nobody")
    with pytest.raises(Denied, match="500"):
        await stage.read(name="worker", count=501)


async def test_line_that_was_said_before_the_end_may_be_repeated_after_it(stage: Logging) -> None:
    process_id = await stage.running()
    message = AddLogMsg(processid=process_id, message="once")
    await stage.say(log.add, EXECUTOR, message, nonce="n1")
    await stage.close(process_id)

    await stage.say(log.add, EXECUTOR, message, nonce="n1")

    assert [line.message for line in await stage.read(process_id)] == ["once"]
