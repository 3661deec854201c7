"""New revisions on their way to the server.

What is announced while a request is under way goes together with the next one, where the server
announces ``addfiles``: each request is forced to the disk there, however many files are in it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cli.errors import RpcError
from cli.fs.download import Object
from cli.fs.remote import Shelf
from cli.fs.transfer import Transfer

_MANY = "addfiles"
_MOST_IN_REQUEST = 100


@dataclass(frozen=True, slots=True)
class _News:
    """A revision, and who waits for it to be there."""

    label: str
    name: str
    kept: Object
    told: asyncio.Future[None]


class Announcer:
    """Tells the server of objects that are kept; one that it refuses is not left behind."""

    def __init__(self, shelf: Shelf, transfer: Transfer) -> None:
        self._shelf = shelf
        self._transfer = transfer
        self._waiting: list[_News] = []
        self._sending = asyncio.Lock()

    async def tell(self, label: str, name: str, kept: Object) -> None:
        """Return when the revision is there.

        Raises:
            RpcError: the server refused it, and the object is gone again.
            Unreachable: its answer was lost; it may have been told, so the object stays.
        """
        if not await self._shelf.client.knows(_MANY):
            await self._tell_one(label, name, kept)
            return
        news = _News(label, name, kept, asyncio.get_running_loop().create_future())
        self._waiting.append(news)
        try:
            async with self._sending:
                if not news.told.done():
                    await self._send_next()
        finally:
            # Whoever is stopped before its turn is not told of any more.
            if news in self._waiting:
                self._waiting.remove(news)
        await news.told

    async def _send_next(self) -> None:
        """Send what waits, the oldest first; whoever waits for it hears how that went."""
        batch = self._waiting[:_MOST_IN_REQUEST]
        del self._waiting[:_MOST_IN_REQUEST]
        try:
            await self._send(batch)
        except Exception as error:  # noqa: BLE001 - handed on to each that waits
            for news in batch:
                _hear(news, error)
        finally:
            for news in batch:
                # Nothing to one that heard already; the others are stopped with us.
                news.told.cancel()

    async def _send(self, batch: Sequence[_News]) -> None:
        if len(batch) == 1:
            await self._send_each(batch)
            return
        added = [(news.label, news.name, news.kept) for news in batch]
        try:
            await self._shelf.add_many(added, self._transfer.settings)
        except RpcError:
            # None was added, perhaps because of one.
            await self._send_each(batch)
        else:
            for news in batch:
                _hear(news)

    async def _send_each(self, batch: Sequence[_News]) -> None:
        for news in batch:
            try:
                await self._tell_one(news.label, news.name, news.kept)
            except RpcError as error:
                _hear(news, error)
            else:
                _hear(news)

    async def _tell_one(self, label: str, name: str, kept: Object) -> None:
        try:
            await self._shelf.add(label, name, kept, self._transfer.settings)
        except RpcError:
            await self._transfer.forget(kept.key)
            raise


def _hear(news: _News, error: Exception | None = None) -> None:
    """Tell who waits, unless it heard already or does not wait any more."""
    if news.told.done():
        return
    if error is None:
        news.told.set_result(None)
    else:
        news.told.set_exception(error)
