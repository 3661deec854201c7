"""Answers without an end: an HTTP response that is read while it is being written."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httptools

from cli.errors import CutOff
from cli.transport import Transport

_SIZE = 64 * 1024


class Streamed:
    """One response. Its status is known with its first part."""

    def __init__(self, reader: asyncio.StreamReader, silence_s: float) -> None:
        self.status = 0
        self._reader = reader
        self._silence_s = silence_s
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._complete = False

    async def parts(self) -> AsyncGenerator[bytes]:
        """What comes, as it comes; the first part may be empty.

        Raises:
            CutOff: the connection ended before the response did, or said nothing for too long.
        """
        while not self._complete:
            try:
                async with asyncio.timeout(self._silence_s):
                    read = await self._reader.read(_SIZE)
            except TimeoutError as error:
                text = f"the server said nothing for {self._silence_s:g} s"
                raise CutOff(text) from error
            except OSError as error:
                raise CutOff(f"the connection broke: {error}") from error
            if not read:
                raise CutOff("the server closed the connection")
            try:
                self._parser.feed_data(read)
            except httptools.HttpParserError as error:
                raise CutOff(f"what the server says is not HTTP ({error})") from error
            if self.status:
                body, self._body = bytes(self._body), bytearray()
                yield body

    def on_headers_complete(self) -> None:
        """Called by the parser, as the next two."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """More of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The response ends."""
        self._complete = True


@asynccontextmanager
async def streamed(
    transport: Transport, path: str, body: bytes, *, silence_s: float
) -> AsyncGenerator[Streamed]:
    """The response to a body that is posted over a connection of its own.

    Raises:
        Unreachable: no connection.
    """
    async with transport.reaching():
        address = transport.address
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=transport.ssl
        )
    try:
        writer.write(transport.request("POST", path, body))
        yield Streamed(reader, silence_s)
    finally:
        writer.transport.abort()
