"""HTTP spoken by hand: bytes out, replies in, and what else happens to the connection."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.acceptance.asking import Answer, opened
from tests.patience import PATIENCE_S


@dataclass(frozen=True)
class Reply:
    """One HTTP response."""

    version: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def answer(self) -> Answer:
        """What is in it; it must be an envelope."""
        return opened(self.status, self.body, self.headers)


class Raw:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *parts: bytes) -> None:
        """Send bytes as they are; a server that has closed already may not take them all."""
        try:
            self._writer.write(b"".join(parts))
            await self._writer.drain()
        except (ConnectionResetError, BrokenPipeError):
            return

    async def reply(self, timeout_s: float = PATIENCE_S) -> Reply | None:
        """The next response; None when the server closed the connection without one."""
        async with asyncio.timeout(timeout_s):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise AssertionError(f"half a response: {error.partial!r}") from error
                return None
            except (ConnectionResetError, BrokenPipeError):  # the latter of what was sent before
                return None
            first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            version, status = first.split(" ")[:2]
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            if status == "100":
                return await self.reply(timeout_s)
            body = await self._reader.readexactly(int(headers["content-length"]))
            return Reply(version, int(status), headers, body)

    async def line(self, timeout_s: float = PATIENCE_S) -> bytes:
        """The next line, whatever it is."""
        async with asyncio.timeout(timeout_s):
            return await self._reader.readline()

    def finish(self) -> None:
        """Say that nothing more will be sent."""
        self._writer.write_eof()

    async def ended(self, timeout_s: float = PATIENCE_S) -> bool:
        """Whether the server ends the connection, with nothing more to say."""
        async with asyncio.timeout(timeout_s):
            try:
                return not await self._reader.read()
            except ConnectionResetError:
                return True

    def vanish(self) -> None:
        """Go away without a word (the peer sees a reset)."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Go away properly."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (ConnectionResetError, BrokenPipeError):
            return


@asynccontextmanager
async def connected(port: int) -> AsyncGenerator[Raw]:
    """A connection to a server on this machine."""
    raw = Raw(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield raw
    finally:
        await raw.close()


def posted(body: bytes, *headers: bytes, version: bytes = b"1.1", path: bytes = b"/api") -> bytes:
    """A POST with its length."""
    lines = (b"host: test", b"content-length: %d" % len(body), *headers)
    return b"POST %b HTTP/%b\r\n" % (path, version) + b"\r\n".join(lines) + b"\r\n\r\n" + body
