"""A command that is run for a process: what goes in, and what comes out while it runs."""

import asyncio
import codecs
import errno
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cli.loglines import LONGEST

_MOST_OUTPUT = 1024 * 1024
_MOST_ERROR_LINES = 20
_CHUNK = 64 * 1024

Line = Callable[[str], Awaitable[None]]


@dataclass(slots=True)
class Ran:
    """What came of a command: its exit code, what it printed, and its last lines of error."""

    code: int = 0
    output: str = ""
    errors: deque[str] = field(default_factory=lambda: deque[str](maxlen=_MOST_ERROR_LINES))


async def start(command: Sequence[str], environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """A command in a process group of its own, with pipes to all it reads and prints.

    Raises:
        OSError: it cannot be run.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
            # A Ctrl-C of the terminal is its parent's to handle: the work is to be finished first.
            start_new_session=True,
        )
    except ValueError as error:  # a name or a value that no environment can hold
        raise OSError(errno.EINVAL, str(error)) from error


async def finish(child: asyncio.subprocess.Process, given: bytes, said: Line) -> Ran:
    """Give a command its input, and hand on its lines while it runs; what it was at its end."""
    ran = Ran()
    printed: list[str] = []
    room = _MOST_OUTPUT

    async def output(line: str) -> None:
        nonlocal room
        if room:
            printed.append(line[:room])
            room -= len(printed[-1])
        await said(line)

    async def error(line: str) -> None:
        ran.errors.append(line.removesuffix("\n"))
        await said(line)

    async with asyncio.TaskGroup() as pipes:
        pipes.create_task(_feed(child, given))
        pipes.create_task(_hand_on(child.stdout, output))
        pipes.create_task(_hand_on(child.stderr, error))
    ran.code = await child.wait()
    ran.output = "".join(printed).removesuffix("\n")
    return ran


async def _feed(child: asyncio.subprocess.Process, given: bytes) -> None:
    if child.stdin is None:
        return
    # A command need not read what it is given.
    with suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(given)
        await child.stdin.drain()
    child.stdin.close()


async def _hand_on(pipe: asyncio.StreamReader | None, line: Line) -> None:
    if pipe is not None:
        async for one in lines_of(pipe):
            await line(one)


async def lines_of(pipe: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a pipe with their line breaks; what is longer than a line may be in pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    begun = ""
    while chunk := await pipe.read(_CHUNK):
        *lines, begun = (begun + decoder.decode(chunk)).split("\n")
        for line in lines:
            for piece in _pieces(f"{line}\n"):
                yield piece
        *pieces, begun = _pieces(begun) or [""]
        for piece in pieces:
            yield piece
    for piece in _pieces(begun + decoder.decode(b"", final=True)):
        yield piece


def _pieces(text: str) -> list[str]:
    return [text[first : first + LONGEST] for first in range(0, len(text), LONGEST)]
