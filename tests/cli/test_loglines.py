"""Lines on their way to a log: in bursts, one by one, and while the server is away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from broker.identity import Identity
from cli.client import Client, Timeouts
from cli.errors import CliError
from cli.loglines import LONGEST, LogLines
from tests.cli.test_client import Listener, refusal, reply
from tests.patience import until

PROCESS = "a" * 64
ME = Identity.generate()
PATIENT = Timeouts(connect_s=20, reply_s=20, patience_s=20)
DONE = reply({})
PLAIN, MANY, NONCES = (
    reply({"extensions": found}) for found in ([], ["addlogs"], ["addlogs", "nonce"])
)


def sent(listener: Listener) -> list[list[str]]:
    """The lines of each request that carried some."""
    found: list[list[str]] = []
    for number in range(len(listener.bodies)):
        message = listener.message(number)
        if message["msgtype"] == "addlogmsg":
            found.append([cast("str", message["message"])])
        if message["msgtype"] == "addlogsmsg":
            found.append(cast("list[str]", message["messages"]))
    return found


def flat(requests: list[list[str]]) -> list[str]:
    return [line for lines in requests for line in lines]


@asynccontextmanager
async def logging_to(listener: Listener) -> AsyncGenerator[LogLines]:
    async with (
        asyncio.timeout(60),
        listener.listening() as address,
        Client(address, ME, timeouts=PATIENT) as client,
        LogLines(client, PROCESS) as log,
    ):
        yield log


async def say_all(listener: Listener, *lines: str) -> LogLines:
    async with logging_to(listener) as log:
        for line in lines:
            await log.say(line)
    return log


async def test_a_burst_goes_in_one_request_where_the_server_takes_many() -> None:
    listener = Listener(MANY, DONE, DONE)
    await say_all(listener, "one", "two", "three")
    assert flat(sent(listener)) == ["one", "two", "three"]
    assert max(len(lines) for lines in sent(listener)) > 1
    assert listener.message(len(listener.bodies) - 1)["processid"] == PROCESS


async def test_lines_go_one_by_one_where_it_does_not() -> None:
    listener = Listener(PLAIN, DONE, DONE, DONE)
    await say_all(listener, "one", "two", "three")
    assert sent(listener) == [["one"], ["two"], ["three"]]


async def test_nothing_is_asked_when_nothing_is_said() -> None:
    listener = Listener()
    await say_all(listener)
    assert listener.bodies == []


async def test_a_request_holds_a_thousand_lines_and_so_much_text() -> None:
    many = [str(number) for number in range(2_500)]
    listener = Listener(MANY, *[DONE] * 5)
    await say_all(listener, *many)
    assert flat(sent(listener)) == many
    assert max(len(lines) for lines in sent(listener)) == 1_000
    listener = Listener(MANY, *[DONE] * 100)
    await say_all(listener, *["x" * LONGEST] * 100)
    assert flat(sent(listener)) == ["x" * LONGEST] * 100
    assert max(len(lines) for lines in sent(listener)) == 16


@pytest.mark.parametrize("broken", [None, refusal(503, "away")])
async def test_a_server_that_is_away_for_a_moment_gets_every_line_once_and_in_order(
    broken: bytes | None,
) -> None:
    lines = [str(number) for number in range(1_500)]
    listener = Listener(NONCES, broken, broken, DONE, DONE, DONE)
    log = await say_all(listener, *lines)
    assert log.lost == 0
    repeated, *rest = sent(listener)[1:]
    assert sent(listener)[0] == repeated == rest[0]
    assert flat(rest) == lines


async def test_who_says_more_than_is_held_waits_until_some_has_arrived() -> None:
    class Slow(Listener):
        """Answers a request with lines when it may."""

        def __init__(self) -> None:
            super().__init__(MANY, *[DONE] * 100)
            self.may = asyncio.Event()

        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            """Answer one connection, when it may."""
            await self.may.wait()
            await super().serve(reader, writer)

    listener, count, most = Slow(), 0, -(-1024 * 1024 // LONGEST)

    async def speak(log: LogLines) -> None:
        nonlocal count
        for _ in range(2 * most):
            await log.say("x" * LONGEST)
            count += 1

    async with logging_to(listener) as log:
        speaking = asyncio.create_task(speak(log))
        await until(lambda: count >= most)
        for _ in range(100):
            await asyncio.sleep(0)
        assert count == most
        listener.may.set()
        await speaking
    assert len(flat(sent(listener))) == 2 * most


async def test_what_is_refused_is_counted_and_ends_no_work() -> None:
    listener = Listener(MANY, refusal(403, "process is not running"))
    log = await say_all(listener, *[str(number) for number in range(10)])
    assert (log.lost, log.reason) == (10, "process is not running")


async def test_after_a_refusal_lines_are_only_counted() -> None:
    listener = Listener(MANY, refusal(403, "no"))
    log = await say_all(listener, *["x" * LONGEST] * 1_000)
    assert (log.lost, log.reason) == (1_000, "no")


async def test_an_error_of_the_speaker_ends_the_sending_at_once() -> None:
    listener = Listener(MANY)

    async def speak() -> None:
        async with logging_to(listener) as log:
            await log.say("line")
            raise CliError("stop")

    with pytest.raises(CliError, match="stop"):
        await speak()
    assert sent(listener) == []
