"""One file to an object, one object to a file: parts side by side, memory bounded, bytes verified.

What is held of a file in memory is a few slices, however large it is: a part is read once for its
digests and once more as it is sent. An encrypted part lies in a temporary file of its own between
the two, so that repeating it sends the same bytes, whatever happens to the file meanwhile.
"""

import asyncio
import hashlib
import os
import secrets
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace

from cli.errors import CliError, first
from cli.fs import crypt
from cli.fs.crypt import ColonyKey, Facts, FileCipher
from cli.fs.pieces import Bytes, Changed, Digests, Stretch, read
from cli.fs.settings import S3Settings
from cli.fs.store import SLICE, Count, ObjectStore, Piece, StoreRefusal, Upload
from cli.fs.threads import in_thread
from cli.fs.tree import Partial, Stamp

PART = 8 * 1024 * 1024
_MOST_PARTS = 10_000
_SEGMENT = 16 * 1024 * 1024
_TRIES = 3
_LOST = "NoSuchUpload"
_SEALED = crypt.CHUNK + crypt.TAG
# The listing of a label says nothing of encryption; the name of the object does.
SEALED_SUFFIX = ".sealed"


class Corrupted(CliError):
    """What arrived is not what was kept, again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """Where and how the bytes of a revision are kept."""

    key: str
    size: int
    checksum: str
    bucket: str = ""
    encryption_key: str = ""
    encryption_alg: str = ""


class Transfer:
    """Files to and from one bucket."""

    def __init__(self, store: ObjectStore, *, parts: int, colony_key: ColonyKey | None) -> None:
        """Move files.

        Args:
            store: the bucket.
            parts: how many parts of one file travel side by side.
            colony_key: what files are encrypted with, if they are.
        """
        self._store = store
        self._parts = parts
        self._colony_key = colony_key

    @property
    def settings(self) -> S3Settings:
        """Where the bucket is."""
        return self._store.settings

    async def prepare(self) -> None:
        """See to it that there is a bucket to upload to."""
        await self._store.ensure_bucket()

    async def upload(
        self,
        fd: int,
        shown: str,
        count: Count,
        *,
        sealed_for: Callable[[int, str], Facts] | None = None,
    ) -> Object:
        """Keep the bytes of an open file as a new object.

        Args:
            fd: the file.
            shown: how messages call it.
            count: told of bytes that went.
            sealed_for: encrypt it, and bind its key to what this says of a size and a checksum.

        Raises:
            Changed: the file was written to meanwhile; no object is left.
        """
        before = Stamp.of(os.fstat(fd))
        key = secrets.token_hex(32) + (SEALED_SUFFIX if sealed_for else "")
        outgoing = await self._sent(
            key, lambda: _Outgoing(fd, before.size, shown, sealed=sealed_for is not None), count
        )
        if Stamp.of(os.fstat(fd)) != before:
            await self.forget(key)
            raise Changed(shown)
        kept = Object(key=key, size=before.size, checksum=outgoing.checksum)
        if sealed_for is None or outgoing.cipher is None:
            return kept
        return replace(
            kept,
            encryption_key=self._key().wrap(outgoing.cipher, sealed_for(kept.size, kept.checksum)),
            encryption_alg=crypt.ALGORITHM,
        )

    async def download(self, kept: Object, partial: Partial, count: Count, facts: Facts) -> None:
        """Write the bytes of an object into a file that is not complete yet, and verify them.

        Raises:
            Corrupted: its bytes are not those of the file, and were not the next times either.
            Undecipherable: it was encrypted with another key, or changed.
        """
        cipher: FileCipher | None = None
        if kept.encryption_alg or kept.encryption_key:
            _check_algorithm(kept.encryption_alg)
            cipher = self._key().unwrap(kept.encryption_key, facts)
        for tries_left in reversed(range(_TRIES)):
            counted = _Counted(count)
            try:
                await self._fetch(kept, partial, counted, cipher)
            except (Corrupted, crypt.Undecipherable):
                if not tries_left:
                    raise
                # A byte may have been changed on its way.
                counted.take_back()
                partial.truncate()
            else:
                return

    async def forget(self, key: str, *, bucket: str = "") -> None:
        """Remove an object."""
        await self._store.delete(key, bucket=bucket)

    async def _sent(
        self, key: str, outgoing: Callable[[], "_Outgoing"], count: Count
    ) -> "_Outgoing":
        """A file that has been sent: made anew for each try, with a key of its own."""
        tries_left = _TRIES
        while True:
            sent = outgoing()
            counted = _Counted(count)
            try:
                if sent.parts > 1:
                    await self._upload_parts(key, sent, counted)
                else:
                    async with sent.piece(0) as piece:
                        await self._store.put(key, piece, counted)
            except StoreRefusal as error:
                # Some stores give up an upload of which one part arrived damaged.
                tries_left -= 1
                if error.code != _LOST or not tries_left:
                    raise
                counted.take_back()
            else:
                return sent

    async def _upload_parts(self, key: str, outgoing: "_Outgoing", count: Count) -> None:
        upload = await self._store.begin(key)
        try:
            tags = await self._send_parts(upload, outgoing, count)
            await self._store.complete(upload, tags, size=outgoing.sealed_size)
        except BaseException:
            # Also when we are told to stop: parts that belong to no object cost money for ever.
            with suppress(CliError):
                await asyncio.shield(self._store.abort(upload))
            raise

    async def _send_parts(self, upload: Upload, outgoing: "_Outgoing", count: Count) -> list[str]:
        room = asyncio.Semaphore(self._parts)
        tags = [""] * outgoing.parts

        async def send(number: int, prepared: asyncio.Future[None]) -> None:
            try:
                async with outgoing.piece(number) as piece:
                    prepared.set_result(None)
                    tags[number] = await self._store.put_part(upload, number + 1, piece, count)
            finally:
                room.release()

        try:
            async with asyncio.TaskGroup() as sending:
                for number in range(outgoing.parts):
                    await room.acquire()
                    prepared = asyncio.get_running_loop().create_future()
                    task = sending.create_task(send(number, prepared))
                    # In their order: all of them together make the digest of the file.
                    await asyncio.wait([prepared, task], return_when=asyncio.FIRST_COMPLETED)
        except* CliError as group:
            raise first(group) from group
        return tags

    async def _fetch(
        self, kept: Object, partial: Partial, count: Count, cipher: FileCipher | None
    ) -> None:
        if cipher is None:
            await self._receive(kept, kept.size, partial.write, count)
            digest = await in_thread(lambda: _digest(partial.fd, kept.size))
        else:
            with partial.spool() as spool:
                size = crypt.sealed_size(kept.size)
                await self._receive(kept, size, _writer(spool), count)
                digest = await in_thread(lambda: _decrypt(spool, partial, cipher, kept.size))
        if digest != kept.checksum:
            raise Corrupted(
                "the bytes that arrived are not those of the file (checksum)",
                hint="nothing was written; the object may have been overwritten",
            )

    async def _receive(
        self, kept: Object, size: int, write: Callable[[bytes, int], None], count: Count
    ) -> None:
        room = asyncio.Semaphore(self._parts)

        async def one(start: int) -> None:
            position = start
            length = min(_SEGMENT, size - start)
            async with (
                room,
                aclosing(
                    self._store.get(kept.key, start, length, total=size, bucket=kept.bucket)
                ) as source,
            ):
                async for data in source:
                    write(data, position)
                    position += len(data)
                    count(len(data))

        if size <= _SEGMENT:
            await one(0)
            return
        try:
            async with asyncio.TaskGroup() as receiving:
                for start in range(0, size, _SEGMENT):
                    receiving.create_task(one(start))
        except* CliError as group:
            raise first(group) from group

    def _key(self) -> ColonyKey:
        if self._colony_key is None:
            raise crypt.Undecipherable("the file is encrypted, and COLONIES_FS_KEY is not set")
        return self._colony_key


class _Outgoing:
    """A file as the parts that are sent, each to be asked for in turn."""

    def __init__(self, fd: int, size: int, shown: str, *, sealed: bool) -> None:
        self._fd = fd
        self._size = size
        self._shown = shown
        self._whole = hashlib.sha256()
        self.cipher = FileCipher.fresh() if sealed else None
        self._part = part_size(size)
        self.parts = max(1, -(-size // self._part))

    @property
    def sealed_size(self) -> int:
        return crypt.sealed_size(self._size) if self.cipher else self._size

    @property
    def checksum(self) -> str:
        """Of all parts; final once each of them was asked for."""
        return self._whole.hexdigest()

    @asynccontextmanager
    async def piece(self, number: int) -> AsyncGenerator[Piece]:
        offset = number * self._part
        length = min(self._part, self._size - offset)
        if self.cipher is not None:
            with tempfile.TemporaryFile() as spool:
                fd = spool.fileno()
                yield await in_thread(lambda: self._sealed(fd, offset, length))
        elif length <= SLICE:
            yield await in_thread(lambda: self._small(offset, length))
        else:
            yield await in_thread(
                lambda: Stretch.of(self._fd, offset, length, self._shown, self._whole)
            )

    def _small(self, offset: int, length: int) -> Bytes:
        data = b"".join(read(self._fd, offset, length, self._shown))
        self._whole.update(data)
        return Bytes.of(data)

    def _sealed(self, spool: int, offset: int, length: int) -> Stretch:
        assert self.cipher is not None, "asked for when there is one"  # noqa: S101
        digests = Digests()
        write = _writer(spool)
        position = 0
        sealed = self.cipher.encrypted(
            self._chunks(offset, length),
            first=offset // crypt.CHUNK,
            ends=offset + length == self._size,
        )
        for data in sealed:
            digests.update(data)
            write(data, position)
            position += len(data)
        return Stretch(
            fd=spool,
            offset=0,
            length=position,
            sha256=digests.sha256,
            md5=digests.md5,
            shown=self._shown,
        )

    def _chunks(self, offset: int, length: int) -> Iterator[bytes]:
        end = offset + length
        for start in range(offset, max(end, offset + 1), crypt.CHUNK):
            wanted = min(crypt.CHUNK, end - start)
            chunk = b"".join(read(self._fd, start, wanted, self._shown))
            self._whole.update(chunk)
            yield chunk


class _Counted:
    """What was counted, so that it can be taken back."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._sum = 0

    def __call__(self, number: int) -> None:
        self._sum += number
        self._count(number)

    def take_back(self) -> None:
        self._count(-self._sum)


def part_size(size: int) -> int:
    """How large the parts of a file are: whole chunks, and no more parts than there may be."""
    needed = -(-size // _MOST_PARTS)
    return max(PART, -(-needed // crypt.CHUNK) * crypt.CHUNK)


def _check_algorithm(name: str) -> None:
    if name != crypt.ALGORITHM:
        raise crypt.Undecipherable(f"the file is encrypted with {name!r}, which nobody here knows")


def _writer(fd: int) -> Callable[[bytes, int], None]:
    def write(data: bytes, at: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, at)
            view, at = view[written:], at + written

    return write


def _digest(fd: int, size: int) -> str:
    digest = hashlib.sha256()
    for data in read(fd, 0, size, "the download"):
        digest.update(data)
    return digest.hexdigest()


def _decrypt(spool: int, partial: Partial, cipher: FileCipher, size: int) -> str:
    """Decrypt a spooled object into the file; the digest of the file."""
    digest = hashlib.sha256()
    sealed_size = crypt.sealed_size(size)
    sealed = (
        b"".join(read(spool, start, min(_SEALED, sealed_size - start), "the download"))
        for start in range(0, sealed_size, _SEALED)
    )
    position = 0
    for chunk in cipher.decrypted(sealed, size=size):
        partial.write(chunk, position)
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()
