"""``colonies fs gc``: what nothing names goes, what anything names stays."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from api.wire_file import RemoveFileMsg, RemoveSnapshotMsg
from cli.client import Client
from cli.errors import RpcError
from cli.fs import unnamed
from cli.fs.aws import control
from cli.fs.pieces import Bytes
from cli.fs.remote import Shelf
from cli.fs.settings import S3Settings
from cli.fs.store import ObjectStore
from cli.fs.transfer import Transfer
from tests.cli.conftest import Dev, Ran, Shell
from tests.fs.test_sync import read, write
from tests.patience import PATIENCE_S

NOW = "--olderthan 0"
COLONY = "dev"
_PART = 64 * 1024


@pytest.fixture
async def bucket(dev: Dev) -> AsyncGenerator[ObjectStore]:
    """The object store of the development server."""
    host, port = dev.exports["AWS_S3_ENDPOINT"].rsplit(":", 1)
    settings = S3Settings(
        host=host,
        port=int(port),
        access_key=dev.exports["AWS_S3_ACCESSKEY"],
        secret_key=dev.exports["AWS_S3_SECRETKEY"],
        bucket=dev.exports["AWS_S3_BUCKET"],
    )
    async with ObjectStore(settings, connections=4) as opened:
        yield opened


@pytest.fixture
def shelf(member: Client) -> Shelf:
    """The files of the colony."""
    return Shelf(member, COLONY)


@pytest.fixture
async def upload(bucket: ObjectStore, shelf: Shelf) -> Transfer:
    """Somebody whose revisions are not added yet."""
    transfer = Transfer(bucket, parts=1, colony_key=None)
    await transfer.prepare(await shelf.prefix())
    return transfer


async def keys_of(bucket: ObjectStore) -> set[str]:
    return {one.key async for one in bucket.present("")}


def ignore(_count: int) -> None:
    """Count nothing."""


class Away:
    """Command lines from a test that has a loop of its own."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    async def __call__(self, line: str, *, stdin: str = "") -> Ran:
        """Run ``colonies LINE``."""
        return await asyncio.to_thread(self._shell, line, stdin=stdin)

    async def ok(self, line: str) -> Ran:
        """Run ``colonies LINE``, which must succeed."""
        return await asyncio.to_thread(self._shell.ok, line)


@pytest.fixture
def away(shell: Shell) -> Away:
    """Command lines that find the server and the object store."""
    return Away(shell)


async def put(away: Away, root: Path, label: str, files: dict[str, str], option: str = "") -> None:
    write(root, files)
    await away.ok(f"fs sync -l {label} -d {root} --yes {option}")


@pytest.mark.parametrize("option", ["", "--encrypt"])
async def test_what_nothing_names_goes_and_the_rest_can_be_read(  # noqa: PLR0917 - fixtures
    away: Away,
    tmp_path: Path,
    label: str,
    option: str,
    bucket: ObjectStore,
    shelf: Shelf,
) -> None:
    await put(away, tmp_path / "a", label, {"n": "old", "gone": "1", "sub/kept": "2"}, option)
    await put(away, tmp_path / "a", label, {"n": "newer"}, option)
    await away.ok(f"fs snapshot create -l {label}/sub -n {label[1:]}")
    newest, older = await shelf.revisions(label, "n")
    (gone,) = await shelf.revisions(label, "gone")
    (kept,) = await shelf.revisions(f"{label}/sub", "kept")
    for file in (gone, kept):
        # As by retention, or a client that leaves the bytes alone.
        await shelf.client.tell(RemoveFileMsg(colonyname=COLONY, fileid=file.fileid))

    shown = cast("list[dict[str, Any]]", (await away.ok(f"fs gc --dry {NOW} --json")).json)
    unnamed_object = gone.ref.s3object.object
    assert unnamed_object in {one["object"] for one in shown}
    assert unnamed_object in await keys_of(bucket)
    removed = (await away.ok(f"fs gc --yes {NOW} -o id")).out.split()

    assert unnamed_object in removed
    there = await keys_of(bucket)
    assert unnamed_object not in there
    assert {each.ref.s3object.object for each in (newest, older, kept)} <= there
    await away.ok(f"fs get -i {older.fileid} -d {tmp_path / 'older'}")
    await away.ok(f"fs snapshot download -n {label[1:]} -d {tmp_path / 'kept'}")
    assert (read(tmp_path / "older"), read(tmp_path / "kept")) == ({"n": "old"}, {"kept": "2"})
    again = await away.ok(f"fs gc --yes {NOW}")
    assert "No objects to be removed" in again.err
    await away.ok(f"fs snapshot remove -n {label[1:]}")


async def forgotten(shelf: Shelf, file_id: str) -> None:
    """A timer of the server has forgotten a revision that nothing names."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(RpcError):
            while True:
                await shelf.revision(file_id)


async def test_a_snapshot_that_goes_leaves_what_it_alone_named(
    away: Away, tmp_path: Path, label: str, bucket: ObjectStore, shelf: Shelf
) -> None:
    await put(away, tmp_path / "a", label, {"n": "1"})
    (file,) = await shelf.revisions(label, "n")
    await away.ok(f"fs snapshot create -l {label} -n {label[1:]}")
    await away.ok(f"fs label remove -l {label} --yes")
    await away.ok(f"fs gc --yes --force {NOW}")
    assert file.ref.s3object.object in await keys_of(bucket)

    await shelf.client.tell(RemoveSnapshotMsg(colonyname=COLONY, name=label[1:]))

    await forgotten(shelf, file.fileid)
    await away.ok(f"fs gc --yes --force {NOW}")
    assert file.ref.s3object.object not in await keys_of(bucket)


async def test_what_is_on_its_way_up_stays(
    away: Away, upload: Transfer, shelf: Shelf, bucket: ObjectStore
) -> None:
    """Its bytes are kept, its revision is not added yet; older ones of nobody go."""
    young = await upload.upload_small(b"young", ignore)
    old = await shelf.prefix() + "a" * 64
    eight_days_ago = str(time.time() - 8 * 24 * 3600)
    async with control(bucket.settings) as client:
        # The gateway takes this for the time of the object.
        await cast("Any", client).put_object(
            Bucket=bucket.settings.bucket, Key=old, Body=b"old", Metadata={"mtime": eight_days_ago}
        )
    since = {one.key: one.modified async for one in bucket.present(old)}
    assert since[old] < datetime.now(UTC) - timedelta(days=7)

    await away.ok("fs gc --yes --force")

    there = await keys_of(bucket)
    assert (young.key in there, old in there) == (True, False)
    await upload.forget(young.key)


async def test_an_upload_of_parts_goes_on(
    away: Away, upload: Transfer, shelf: Shelf, bucket: ObjectStore
) -> None:
    del upload  # there is a bucket
    key = await shelf.prefix() + "e" * 64
    begun = await bucket.begin(key)
    tags = [await bucket.put_part(begun, 1, Bytes.of(b"1" * _PART), ignore)]
    await away.ok(f"fs gc --yes --force {NOW}")
    tags.append(await bucket.put_part(begun, 2, Bytes.of(b"2"), ignore))
    await bucket.complete(begun, tags, size=_PART + 1)

    assert key in await keys_of(bucket)
    await bucket.delete(key)


async def test_what_is_named_by_now_stays(
    shelf: Shelf, upload: Transfer, label: str, bucket: ObjectStore
) -> None:
    """Whoever asks before it removes may wait for long."""
    late = await upload.upload_small(b"late", ignore)
    never = await upload.upload_small(b"never", ignore)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    found = await unnamed.find(shelf, upload, await shelf.prefix(), before=soon)
    assert {late.key, never.key} <= {one.key for one in found.objects}

    await shelf.add(label, "n", late, upload.settings)
    removed = await unnamed.remove(shelf, upload, found.objects)

    there = await keys_of(bucket)
    assert never.key in {one.key for one in removed}
    assert (late.key in there, never.key in there) == (True, False)


async def test_objects_of_others_stay(
    away: Away, upload: Transfer, shelf: Shelf, bucket: ObjectStore
) -> None:
    del upload  # there is a bucket
    prefix = await shelf.prefix()
    others = {"d" * 64, f"{'c' * 64}/{'d' * 64}", f"{prefix}notes.txt", f"{prefix}{'d' * 64}/x"}
    for key in others:
        await bucket.put(key, Bytes.of(b"1"), ignore)
    await away.ok(f"fs gc --yes --force {NOW}")
    assert others <= await keys_of(bucket)
    for key in others:
        await bucket.delete(key)


async def test_what_cannot_be_read_stops_it(  # noqa: PLR0917 - fixtures
    away: Away,
    upload: Transfer,
    label: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bucket: ObjectStore,
) -> None:
    await put(away, tmp_path / "a", label, {"n": "1"})
    nobodys = await upload.upload_small(b"1", ignore)

    async def refuses(*_args: Any, **_fields: Any) -> None:  # noqa: ANN401 - whatever is asked
        raise RpcError(400, "no")

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "revisions", refuses)
        assert (await away(f"fs gc --yes {NOW}")).code == 1
    await put(away, tmp_path / "a", label, {"n": "2"})
    await away.ok(f"fs snapshot create -l {label} -n {label[1:]}")
    await away.ok(f"fs label remove -l {label} --yes")
    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "revision", refuses)
        refused = await away(f"fs gc --yes --force {NOW}")
    assert (refused.code, "cannot be read" in refused.err) == (1, True)
    assert nobodys.key in await keys_of(bucket)
    await away.ok(f"fs snapshot remove -n {label[1:]}")
    await upload.forget(nobodys.key)


async def test_a_server_that_names_none_of_them_is_asked_about(
    away: Away, upload: Transfer, monkeypatch: pytest.MonkeyPatch, bucket: ObjectStore
) -> None:
    """Somebody else's server, or one that lost its data, would have all of them removed."""
    kept = await upload.upload_small(b"1", ignore)

    async def nothing(*_args: Any, **_fields: Any) -> list[Any]:  # noqa: ANN401 - as above
        return []

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "labels", nothing)
        patch.setattr(Shelf, "snapshots", nothing)
        refused = await away(f"fs gc --yes {NOW}")
    assert (refused.code, "is it the right server?" in refused.err) == (1, True)
    assert kept.key in await keys_of(bucket)
    await upload.forget(kept.key)


async def test_nothing_goes_without_a_yes(
    away: Away, upload: Transfer, bucket: ObjectStore
) -> None:
    kept = await upload.upload_small(b"1", ignore)
    refused = await away(f"fs gc --force {NOW}", stdin="no\n")
    assert (refused.code, "aborted" in refused.err) == (1, True)
    assert "must not be negative" in (await away("fs gc --olderthan -1")).err
    assert kept.key in await keys_of(bucket)
    await upload.forget(kept.key)


async def test_long_lists_come_in_pages(s3: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway gives all at once, other object stores a thousand."""
    names = [f"{n:03}" for n in range(7)]

    class Pages:
        """An object store that gives three at a time."""

        async def list_objects_v2(
            self,
            *,
            Bucket: str,  # noqa: N803 - botocore's names
            Prefix: str,  # noqa: N803
            StartAfter: str,  # noqa: N803
        ) -> Mapping[str, object]:
            del Bucket, Prefix
            left = [name for name in names if name > StartAfter]
            at = datetime.now(UTC)
            contents = [{"Key": name, "Size": 1, "LastModified": at} for name in left[:3]]
            return {"Contents": contents, "IsTruncated": len(left) > 3}

    async with ObjectStore(s3, connections=1) as opened:
        monkeypatch.setattr(opened, "_control", Pages())
        assert [one.key async for one in opened.present("")] == names


async def test_where_there_is_no_bucket_there_is_nothing(s3: S3Settings) -> None:
    async with ObjectStore(s3, connections=1) as opened:
        assert [one async for one in opened.present("x/")] == []
