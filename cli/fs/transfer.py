"""One file to an object, one object to a file: parts side by side, memory bounded, bytes verified.

What is held of a file in memory is a few slices, however large it is: a part is read once for its
digests and once more as it is sent. An encrypted part lies in a temporary file of its own between
the two, so that repeating it sends the same bytes, whatever happens to the file meanwhile.
"""

import asyncio
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from cli.errors import CliError, first
from cli.fs import crypt
from cli.fs.crypt import ColonyKey, Facts, FileCipher
from cli.fs.download import Corrupted, Object, Receiver
from cli.fs.partial import Partial, Stamp
from cli.fs.pieces import Bytes, Changed, Digests, Stretch, read, write_at
from cli.fs.refusals import StoreRefusal
from cli.fs.settings import S3Settings
from cli.fs.store import SLICE, Count, ObjectStore, Piece, Present, Upload
from cli.fs.threads import in_thread

PART = 8 * 1024 * 1024
_MOST_PARTS = 10_000
SMALL = SLICE
"""Bytes of a file that is held in memory as a whole."""
_TRIES = 3
_LOST = "NoSuchUpload"
# The listing of a label says nothing of encryption; the name of the object does.
SEALED_SUFFIX = ".sealed"
_NAME = re.compile(rf"[0-9a-f]{{64}}({re.escape(SEALED_SUFFIX)})?")

T = TypeVar("T")
Naming = Callable[[int, str], Facts] | None
"""What a size and a checksum are bound to, for a file that is encrypted."""


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
        self._receiver = Receiver(store, parts=parts)
        self._colony_key = colony_key
        self._prefix = ""

    @property
    def settings(self) -> S3Settings:
        """Where the bucket is."""
        return self._store.settings

    async def prepare(self, prefix: str) -> None:
        """See to it that there is a bucket to upload to, under keys that begin with the prefix."""
        self._prefix = prefix
        await self._store.ensure_bucket()

    async def upload(
        self,
        fd: int,
        shown: str,
        count: Count,
        *,
        sealed_for: Naming = None,
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
        key = self._fresh_key(sealed=sealed_for is not None)
        outgoing = await self._sent(
            key, lambda: _Outgoing(fd, before.size, shown, sealed=sealed_for is not None), count
        )
        if Stamp.of(os.fstat(fd)) != before:
            await self.forget(key)
            raise Changed(shown)
        kept = Object(key=key, size=before.size, checksum=outgoing.checksum)
        return self._marked(kept, outgoing.cipher, sealed_for)

    async def upload_small(self, data: bytes, count: Count, *, sealed_for: Naming = None) -> Object:
        """Keep at most ``SMALL`` bytes as a new object; as ``upload``."""
        cipher = FileCipher.fresh() if sealed_for else None
        kept = Object(
            key=self._fresh_key(sealed=cipher is not None),
            size=len(data),
            checksum=hashlib.sha256(data).hexdigest(),
        )
        sent = b"".join(cipher.encrypted([data], first=0, ends=True)) if cipher else data
        await self._store.put(kept.key, Bytes.of(sent), count)
        return self._marked(kept, cipher, sealed_for)

    def _marked(self, kept: Object, cipher: FileCipher | None, sealed_for: Naming) -> Object:
        """An object with the key that it was encrypted with, if it was."""
        if cipher is None or sealed_for is None:
            return kept
        return replace(
            kept,
            encryption_key=self._key().wrap(cipher, sealed_for(kept.size, kept.checksum)),
            encryption_alg=crypt.ALGORITHM,
        )

    async def download(self, kept: Object, partial: Partial, count: Count, facts: Facts) -> None:
        """Write the bytes of an object into a file that is not complete yet, and verify them.

        Raises:
            Corrupted: its bytes are not those of the file, and were not the next times either.
            Undecipherable: it was encrypted with another key, or changed.
        """
        cipher = self._cipher(kept, facts)
        await _tried(
            lambda counted: self._receiver.fetch(kept, partial, counted, cipher),
            count,
            partial.truncate,
        )

    async def contents(self, kept: Object, count: Count, facts: Facts) -> bytes:
        """The bytes of an object that is no larger than ``SMALL``; as ``download``."""
        cipher = self._cipher(kept, facts)
        return await _tried(lambda counted: self._receiver.contents(kept, counted, cipher), count)

    async def forget(self, key: str, *, bucket: str = "") -> None:
        """Remove an object."""
        await self._store.delete(key, bucket=bucket)

    async def present(self, prefix: str) -> list[Present]:
        """The objects that uploads under this prefix have left there."""
        own = re.compile(re.escape(prefix) + _NAME.pattern)
        return [each async for each in self._store.present(prefix) if own.fullmatch(each.key)]

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

    def _fresh_key(self, *, sealed: bool) -> str:
        return self._prefix + secrets.token_hex(32) + (SEALED_SUFFIX if sealed else "")

    def _cipher(self, kept: Object, facts: Facts) -> FileCipher | None:
        """What an object was encrypted with, if it was."""
        if not kept.encryption_alg and not kept.encryption_key:
            return None
        _check_algorithm(kept.encryption_alg)
        return self._key().unwrap(kept.encryption_key, facts)

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
        else:
            yield await in_thread(
                lambda: Stretch.of(self._fd, offset, length, self._shown, self._whole)
            )

    def _sealed(self, spool: int, offset: int, length: int) -> Stretch:
        assert self.cipher is not None, "asked for when there is one"  # noqa: S101
        digests = Digests()
        position = 0
        sealed = self.cipher.encrypted(
            self._chunks(offset, length),
            first=offset // crypt.CHUNK,
            ends=offset + length == self._size,
        )
        for data in sealed:
            digests.update(data)
            write_at(spool, data, position)
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


async def _tried(
    attempt: Callable[[Count], Awaitable[T]], count: Count, undo: Callable[[], None] | None = None
) -> T:
    """What an attempt at a download returns, when a byte may have been changed on its way."""
    for tries_left in reversed(range(_TRIES)):
        counted = _Counted(count)
        try:
            return await attempt(counted)
        except (Corrupted, crypt.Undecipherable):
            if not tries_left:
                raise
            counted.take_back()
            if undo is not None:
                undo()
    raise AssertionError


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
