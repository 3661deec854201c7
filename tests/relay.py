"""A way to a store that can die without a word: connections stay, and carry nothing any more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.transports import break_off

_MOST = 65_536


@dataclass(eq=False)
class Relay:
    """Passes on what arrives, until it is told to fall silent."""

    path: str
    port: int = 0
    _silence: asyncio.Event = field(default_factory=asyncio.Event)
    _taking: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        """Where it takes connections."""
        return f"redis://127.0.0.1:{self.port}"

    def fall_silent(self) -> None:
        """Carry nothing more on the connections there are; new ones are as they should be."""
        self._silence.set()
        self._silence = asyncio.Event()

    def take(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection."""
        self._taking.add(task := asyncio.ensure_future(self._pass_on(near, back)))
        task.add_done_callback(self._taking.discard)

    async def _pass_on(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        silence, writers, ways = self._silence, [back], set[asyncio.Future[None]]()
        try:
            far, on = await asyncio.open_unix_connection(self.path)
            writers.append(on)
            both = (_carry(near, on, silence), _carry(far, back, silence))
            ways = {asyncio.ensure_future(way) for way in both}
            await asyncio.wait(ways)
        finally:
            await break_off(ways, writers)

    async def end(self) -> None:
        """Break everything off."""
        taking = list(self._taking)
        for task in taking:
            task.cancel()
        await asyncio.gather(*taking, return_exceptions=True)


async def _carry(
    here: asyncio.StreamReader, there: asyncio.StreamWriter, silence: asyncio.Event
) -> None:
    try:
        while data := await here.read(_MOST):
            if not silence.is_set():
                there.write(data)
                await there.drain()
    except ConnectionError:
        return
    finally:
        if not silence.is_set():
            there.close()


@asynccontextmanager
async def relay_to(url: str) -> AsyncGenerator[Relay]:
    """A relay to a store on a unix socket."""
    relay = Relay(url.removeprefix("unix://"))
    async with await asyncio.start_server(relay.take, "127.0.0.1", 0) as server:
        relay.port = server.sockets[0].getsockname()[1]
        try:
            yield relay
        finally:
            await relay.end()
