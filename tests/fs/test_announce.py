"""New revisions on their way to a real server: together where it can, one by one elsewhere."""

import asyncio
from collections import Counter

import pytest

from api import wire
from cli.client import Client
from cli.errors import RpcError
from cli.fs.announce import Announcer
from cli.fs.download import Object
from cli.fs.refusals import StoreRefusal
from cli.fs.remote import Shelf
from cli.fs.store import ObjectStore
from cli.fs.transfer import Transfer
from tests.patience import PATIENCE_S

COUNT = 250


class Counting(Client):
    """A client that counts what it says."""

    said: Counter[str]

    def sealed(self, message: wire.Message) -> bytes:
        """Count it, and say it."""
        self.said[type(message).__name__] += 1
        return super().sealed(message)


@pytest.fixture
def client(member: Client) -> Counting:
    counting = Counting(member.transport, member.identity, timeouts=member.timeouts)
    counting.said = Counter()
    return counting


def kept(number: int, *, size: int = 1) -> Object:
    return Object(key=f"object{number}", size=size, checksum="c")


async def test_what_is_told_side_by_side_goes_together(
    client: Counting, transfer: Transfer, label: str
) -> None:
    shelf = Shelf(client, "dev")
    announcer = Announcer(shelf, transfer)
    await asyncio.gather(*(announcer.tell(label, f"f{n}", kept(n)) for n in range(COUNT)))
    assert len(await shelf.files(label)) == COUNT
    # The first does not wait for others.
    assert client.said["AddFileMsg"] <= 1
    assert client.said["AddFilesMsg"] <= COUNT // 50


async def test_a_server_that_takes_no_many_gets_one_after_the_other(
    client: Counting, transfer: Transfer, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.transport, "extensions", frozenset[str]())
    shelf = Shelf(client, "dev")
    announcer = Announcer(shelf, transfer)
    await asyncio.gather(*(announcer.tell(label, f"f{n}", kept(n)) for n in range(5)))
    assert len(await shelf.files(label)) == 5
    assert client.said["AddFilesMsg"] == 0


async def test_one_that_is_refused_keeps_none_of_the_others_back(
    client: Counting, store: ObjectStore, transfer: Transfer, label: str
) -> None:
    shelf = Shelf(client, "dev")
    announcer = Announcer(shelf, transfer)
    refused = await transfer.upload_small(b"bytes", lambda _count: None)
    steps = [announcer.tell(label, f"f{n}", kept(n)) for n in range(5)]
    wrong = Object(key=refused.key, size=-1, checksum="c")
    *others, failure = await asyncio.gather(
        *steps, announcer.tell(label, "wrong", wrong), return_exceptions=True
    )
    assert others == [None] * 5
    assert isinstance(failure, RpcError)
    assert len(await shelf.files(label)) == 5
    with pytest.raises(StoreRefusal, match="NoSuchKey"):
        await anext(store.get(refused.key, 0, 5, total=5))


async def test_who_stops_waiting_keeps_none_of_the_others_waiting(
    client: Counting, transfer: Transfer, label: str
) -> None:
    shelf = Shelf(client, "dev")
    announcer = Announcer(shelf, transfer)
    tasks = [asyncio.create_task(announcer.tell(label, f"f{n}", kept(n))) for n in range(COUNT)]
    await tasks[0]
    for task in tasks[1::2]:
        task.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait(tasks)
    assert not announcer._waiting  # pyright: ignore[reportPrivateUsage] - nothing is left over
