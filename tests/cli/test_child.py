"""A command that is run for a process, and its lines."""

import asyncio
import os
from pathlib import Path

import pytest

from cli import child
from cli.child import Ran
from cli.loglines import LONGEST
from tests.patience import PATIENCE_S


async def run(script: str, given: bytes = b"") -> tuple[Ran, list[str]]:
    said: list[str] = []

    async def say(line: str) -> None:
        said.append(line)

    running = await child.start(["sh", "-c", script], os.environ)
    async with asyncio.timeout(PATIENCE_S):
        return await child.finish(running, given, say), said


async def test_all_that_it_prints_is_handed_on_line_by_line() -> None:
    ran, said = await run("echo one; echo two >&2; printf three")
    assert (ran.code, ran.output, list(ran.errors)) == (0, "one\nthree", ["two"])
    assert sorted(said) == ["one\n", "three", "two\n"]


async def test_it_reads_what_it_is_given_or_does_not() -> None:
    ran, _ = await run("cat", b"hello")
    assert ran.output == "hello"
    ran, _ = await run("exit 3", b"x" * 10_000_000)
    assert ran.code == 3


async def test_a_line_is_handed_on_before_the_command_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "answer")

    async def answer(line: str) -> None:
        if line == "question\n":
            await asyncio.to_thread((tmp_path / "answer").write_text, "answer\n")

    script = f"echo question; cat {tmp_path}/answer"
    running = await child.start(["sh", "-c", script], os.environ)
    async with asyncio.timeout(PATIENCE_S):
        ran = await child.finish(running, b"", answer)
    assert ran.output == "question\nanswer"


async def test_only_the_last_lines_of_error_and_so_much_output_are_kept() -> None:
    ran, said = await run("seq 1 300000; seq 1 100 >&2")
    assert len(ran.output) == 1024 * 1024
    assert list(ran.errors) == [str(number) for number in range(81, 101)]
    assert len(said) == 300_100


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a", b"b\nc", b"\n\n", b"d"], ["ab\n", "c\n", "\n", "d"]),
        ([b"\xc3", b"\xa5\n"], ["å\n"]),
        ([b"\xff\n", b"\xc3"], ["\ufffd\n", "\ufffd"]),
        ([b"x" * LONGEST, b"y\n"], ["x" * LONGEST, "y\n"]),
        ([b""], []),
    ],
)
async def test_lines_are_whole_wherever_a_pipe_is_cut(
    chunks: list[bytes], lines: list[str]
) -> None:
    pipe = asyncio.StreamReader()

    async def write() -> None:
        for chunk in chunks:
            pipe.feed_data(chunk)
            await asyncio.sleep(0)
        pipe.feed_eof()

    writing = asyncio.create_task(write())
    assert [line async for line in child.lines_of(pipe)] == lines
    await writing
