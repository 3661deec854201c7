"""Files to a real object store and back, over a way on which things happen."""

import asyncio
import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from cli.errors import CliError, Unreachable
from cli.fs import crypt
from cli.fs.aws import control
from cli.fs.crypt import ColonyKey, Facts, Undecipherable
from cli.fs.download import Corrupted, Object
from cli.fs.partial import InTheWay
from cli.fs.pieces import Changed
from cli.fs.refusals import StoreRefusal
from cli.fs.settings import S3Settings
from cli.fs.store import ObjectStore
from cli.fs.transfer import PART, Transfer, part_size
from cli.fs.tree import Directory
from tests.fs.faults import Fault, Kind, Proxy, Way
from tests.patience import PATIENCE_S

COLONY, LABEL = "dev", "/files"
LARGE = 2 * PART + 77
SIZES = [0, 1, 4096, crypt.CHUNK, crypt.CHUNK + 1, PART, PART + 1, LARGE]


def facts(name: str, size: int, checksum: str) -> Facts:
    return Facts(colony=COLONY, label=LABEL, name=name, size=size, checksum=checksum)


def ignore(_count: int) -> None:
    """Count nothing."""


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - content, not a secret


class Box:
    """Two directories and a way between them."""

    def __init__(self, path: Path, transfer: Transfer) -> None:
        self.source, self.target = path / "source", path / "target"
        self.source.mkdir()
        self.target.mkdir()
        self.transfer = transfer

    async def up(self, name: str, data: bytes | None = None, *, sealed: bool = False) -> Object:
        """Write a file, unless it is there, and upload it."""
        if data is not None:
            (self.source / name).write_bytes(data)
        directory = Directory(self.source)
        try:
            with directory.reading((), name) as file:
                sealed_for = partial(facts, name) if sealed else None
                return await self.transfer.upload(file, name, ignore, sealed_for=sealed_for)
        finally:
            directory.close()

    async def down(self, kept: Object, name: str, called: str = "") -> bytes:
        """Download an object, as the server says it is called; what arrived."""
        directory = Directory(self.target)
        about = facts(called or name, kept.size, kept.checksum)
        try:
            with directory.writing((), name, instead_of=None) as file:
                await self.transfer.download(kept, file, ignore, about)
                file.keep()
        finally:
            directory.close()
        return (self.target / name).read_bytes()

    @property
    def arrived(self) -> list[str]:
        """Everything in the target, whatever it is called."""
        return sorted(path.name for path in self.target.iterdir())


@pytest.fixture
def box(tmp_path: Path, transfer: Transfer) -> Box:
    return Box(tmp_path, transfer)


@pytest.fixture
def shaky_box(tmp_path: Path, shaky_transfer: Transfer) -> Box:
    return Box(tmp_path, shaky_transfer)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("size", SIZES)
async def test_what_went_up_comes_down(box: Box, size: int, sealed: bool) -> None:  # noqa: FBT001
    data = content(size)
    kept = await box.up("name", data, sealed=sealed)
    assert (kept.size, kept.checksum) == (size, hashlib.sha256(data).hexdigest())
    assert await box.down(kept, "name") == data
    assert box.arrived == ["name"]


@pytest.mark.parametrize("after", [10, 5_000, PART // 2])
async def test_an_upload_survives_broken_connections(
    shaky_box: Box, box_of: Callable[[Transfer], Box], transfer: Transfer, proxy: Proxy, after: int
) -> None:
    proxy.faults.extend([Fault(Kind.CUT, Way.UP, after)] * 3)
    kept = await shaky_box.up("name", content(LARGE))
    assert proxy.happened != []
    assert await box_of(transfer).down(kept, "name") == content(LARGE)


@pytest.fixture
def box_of(tmp_path: Path) -> Callable[[Transfer], Box]:
    """Another way from the same source to a target of its own."""

    def make(transfer: Transfer) -> Box:
        (tmp_path / "other").mkdir()
        return Box(tmp_path / "other", transfer)

    return make


@pytest.mark.parametrize("after", [5_000, 100_000, PART + 40_000])
async def test_a_download_goes_on_where_the_connection_broke(
    shaky_box: Box, proxy: Proxy, after: int
) -> None:
    kept = await shaky_box.up("name", content(LARGE))
    proxy.faults.extend([Fault(Kind.CUT, Way.DOWN, after)] * 4)
    assert await shaky_box.down(kept, "name") == content(LARGE)
    assert proxy.happened != []


async def test_bytes_that_arrived_are_not_asked_for_again(shaky_box: Box, proxy: Proxy) -> None:
    kept = await shaky_box.up("name", content(LARGE))
    proxy.faults.extend(Fault(Kind.CUT, Way.DOWN, after) for after in (PART, PART // 2, 5_000))
    received: list[int] = []
    directory = Directory(shaky_box.target)
    with directory.writing((), "name", instead_of=None) as file:
        about = facts("name", kept.size, kept.checksum)
        await shaky_box.transfer.download(kept, file, received.append, about)
    directory.close()
    assert proxy.happened != []
    assert sum(received) == LARGE


@pytest.mark.parametrize("size", [300_000, LARGE])
async def test_a_byte_changed_on_its_way_up_is_noticed_and_sent_again(
    shaky_box: Box, proxy: Proxy, size: int
) -> None:
    proxy.faults.append(Fault(Kind.FLIP, Way.UP, 200_000))
    kept = await shaky_box.up("name", content(size))
    assert len(proxy.happened) == 1
    assert await shaky_box.down(kept, "name") == content(size)


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_byte_changed_on_its_way_down_is_fetched_again(
    shaky_box: Box,
    proxy: Proxy,
    sealed: bool,  # noqa: FBT001
) -> None:
    kept = await shaky_box.up("name", content(300_000), sealed=sealed)
    proxy.faults.append(Fault(Kind.FLIP, Way.DOWN, 100_000))
    assert await shaky_box.down(kept, "name") == content(300_000)
    assert len(proxy.happened) == 1


@pytest.mark.parametrize("sealed", [False, True])
async def test_what_stays_wrong_is_an_error_and_no_file(
    box: Box,
    store: ObjectStore,
    sealed: bool,  # noqa: FBT001
) -> None:
    kept = await box.up("name", content(300_000), sealed=sealed)
    other = await box.up("other", content(300_000)[:-1] + b"x", sealed=sealed)
    await overwrite(store, kept.key, other.key, crypt.sealed_size(300_000) if sealed else 300_000)
    with pytest.raises((Corrupted, Undecipherable)):
        await box.down(kept, "name")
    assert box.arrived == []


async def overwrite(store: ObjectStore, key: str, source: str, size: int) -> None:
    """Put the bytes of one object where those of another are."""
    from cli.fs.pieces import Bytes  # noqa: PLC0415 - here only

    data = b"".join([chunk async for chunk in store.get(source, 0, size, total=size)])
    await store.put(key, Bytes.of(data), ignore)


async def test_an_object_of_another_size_is_refused(box: Box) -> None:
    kept = await box.up("name", b"hello")
    with pytest.raises(StoreRefusal, match=r"WrongSize|NoRange"):
        await box.down(replace(kept, size=4), "name")
    assert box.arrived == []


async def test_an_object_that_is_gone_is_named(box: Box, transfer: Transfer) -> None:
    kept = await box.up("name", b"hello")
    await transfer.forget(kept.key)
    with pytest.raises(StoreRefusal, match="NoSuchKey") as refused:
        await box.down(kept, "name")
    assert "not in the bucket" in refused.value.hint
    assert box.arrived == []


async def test_a_store_that_stays_away_is_given_up_and_nothing_is_left(
    shaky_box: Box, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await shaky_box.up("name", content(300_000))
    monkeypatch.setattr("cli.fs.refusals._LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr("cli.fs.refusals._FIRST_PAUSE_S", 0.01)
    proxy.faults.append(Fault(Kind.CUT, Way.DOWN, 100_000))
    proxy.refusing = True
    # The connection that is open already works until it is cut.
    with pytest.raises(Unreachable, match="the object store"):
        await shaky_box.down(kept, "name")
    assert shaky_box.arrived == []


async def test_a_file_written_to_meanwhile_is_not_kept(box: Box) -> None:
    path = box.source / "name"
    path.write_bytes(content(LARGE))
    seen = 0

    def write_to_it(count: int) -> None:
        nonlocal seen
        if not seen:
            with path.open("r+b") as file:
                file.seek(LARGE - 1)
                file.write(b"?")
                os.utime(path, ns=(1, 1))
        seen += count

    directory = Directory(box.source)
    with directory.reading((), "name") as file, pytest.raises(Changed, match="was changed"):
        await box.transfer.upload(file, "name", write_to_it)
    directory.close()
    assert seen > 0


async def test_cancelled_in_the_middle_nothing_is_left(box: Box) -> None:
    kept = await box.up("name", content(LARGE))
    begun = asyncio.Event()
    directory = Directory(box.target)

    async def download() -> None:
        with directory.writing((), "name", instead_of=None) as file:
            about = facts("name", kept.size, kept.checksum)
            await box.transfer.download(kept, file, lambda _count: begun.set(), about)
            file.keep()

    task = asyncio.create_task(download())
    await asyncio.wait_for(begun.wait(), PATIENCE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    directory.close()
    assert box.arrived == []


@pytest.mark.parametrize("sealed", [False, True])
async def test_an_upload_that_is_stopped_leaves_no_parts(
    box: Box,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    sealed: bool,  # noqa: FBT001
) -> None:
    (box.source / "name").write_bytes(content(LARGE))
    begun = asyncio.Event()
    directory = Directory(box.source)

    async def never(*_args: object, **_more: object) -> None:
        """However long it takes to look what there is, the upload is not done by then."""
        await asyncio.Event().wait()

    monkeypatch.setattr(ObjectStore, "complete", never)

    async def upload() -> None:
        sealed_for = partial(facts, "name") if sealed else None
        with directory.reading((), "name") as file:
            await box.transfer.upload(
                file, "name", lambda _count: begun.set(), sealed_for=sealed_for
            )

    task = asyncio.create_task(upload())
    await asyncio.wait_for(begun.wait(), PATIENCE_S)
    assert len(await unfinished(store)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    directory.close()
    assert await unfinished(store) == []


async def unfinished(store: ObjectStore) -> list[str]:
    """The uploads that are neither completed nor aborted."""
    async with control(store.settings) as client:
        found = await cast("Any", client).list_multipart_uploads(Bucket=store.settings.bucket)
    return [each["Key"] for each in found.get("Uploads", [])]


def test_what_came_into_the_place_meanwhile_is_kept(box: Box) -> None:
    directory = Directory(box.target)
    with directory.writing((), "name", instead_of=None) as file:
        file.write(b"from afar", 0)
        (box.target / "name").write_text("mine")
        with pytest.raises(InTheWay, match="was changed meanwhile"):
            file.keep()
    directory.close()
    assert (box.target / "name").read_text() == "mine"
    assert box.arrived == ["name"]


async def test_another_key_reads_nothing(box: Box, store: ObjectStore) -> None:
    kept = await box.up("name", b"secret", sealed=True)
    box.transfer = Transfer(store, parts=1, colony_key=ColonyKey.fresh())
    with pytest.raises(Undecipherable, match="another key"):
        await box.down(kept, "name")
    box.transfer = Transfer(store, parts=1, colony_key=None)
    with pytest.raises(Undecipherable, match="COLONIES_FS_KEY is not set"):
        await box.down(kept, "name")
    assert box.arrived == []


async def test_one_file_cannot_be_passed_off_as_another(box: Box) -> None:
    kept = await box.up("name", b"secret", sealed=True)
    with pytest.raises(Undecipherable):
        await box.down(kept, "taken", called="other")


async def test_an_unknown_algorithm_is_an_error(box: Box) -> None:
    kept = await box.up("name", b"secret", sealed=True)
    with pytest.raises(Undecipherable, match="ROT13"):
        await box.down(replace(kept, encryption_alg="ROT13"), "name")


async def test_what_is_kept_of_an_encrypted_file_shows_nothing_of_it(
    box: Box, store: ObjectStore
) -> None:
    text = b"very secret " * 1000
    kept = await box.up("name", text, sealed=True)
    size = crypt.sealed_size(len(text))
    sealed = b"".join([chunk async for chunk in store.get(kept.key, 0, size, total=size)])
    assert len(sealed) == size
    assert b"secret" not in sealed
    again = await box.up("name", text, sealed=True)
    assert again.encryption_key != kept.encryption_key


@pytest.mark.parametrize("size", [1, 80_000 * 2**20, 5 * 2**40])
def test_no_file_has_too_many_parts(size: int) -> None:
    part = part_size(size)
    assert -(-size // part) <= 10_000
    assert part % crypt.CHUNK == 0


async def test_wrong_keys_are_explained(s3: S3Settings) -> None:
    wrong = replace(s3, secret_key="0" * 40)
    async with ObjectStore(wrong, connections=1) as store:
        with pytest.raises(CliError) as refused:
            await store.ensure_bucket()
        assert "0" * 40 not in refused.value.message + refused.value.hint
