"""The bytes of an object on their way into a file: segments side by side, verified behind them.

A follower goes over what has arrived, in order, while the rest is on its way: it makes the digest
and has the disk write, so that little is left to be done after the last byte.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from cli.errors import CliError, first
from cli.fs import crypt
from cli.fs.crypt import FileCipher
from cli.fs.partial import Partial
from cli.fs.pieces import read, write_at
from cli.fs.store import SLICE, Count, ObjectStore
from cli.fs.threads import in_thread

_SEGMENT = 16 * 1024 * 1024
_AT_ONCE = 4 * SLICE
"""Bytes that are handed to the disk together."""
_SEALED = crypt.CHUNK + crypt.TAG

Write = Callable[[Sequence[bytes], int], None]
"""Puts pieces, one after the other, to a place of a file."""


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


class Receiver:
    """Objects of one bucket as they come, once."""

    def __init__(self, store: ObjectStore, *, parts: int) -> None:
        """``parts`` of one object travel side by side."""
        self._store = store
        self._parts = parts

    async def contents(self, kept: Object, count: Count, cipher: FileCipher | None) -> bytes:
        """All of a small object.

        Raises:
            Corrupted, Undecipherable: not the bytes that were kept.
        """
        size = crypt.sealed_size(kept.size) if cipher else kept.size
        chunks: list[bytes] = []
        source = self._store.get(kept.key, 0, size, total=size, bucket=kept.bucket)
        async with aclosing(source):
            async for chunk in source:
                chunks.append(chunk)
                count(len(chunk))
        data = b"".join(chunks)
        if cipher is not None:
            data = b"".join(cipher.decrypted([data], size=kept.size))
        _check(hashlib.sha256(data).hexdigest(), kept)
        return data

    async def fetch(
        self, kept: Object, file: Partial, count: Count, cipher: FileCipher | None
    ) -> None:
        """Write an object into a file that is not complete yet.

        Raises:
            Corrupted, Undecipherable: not the bytes that were kept.
        """
        if cipher is None:
            digest = await self._followed(kept, file, count)
        else:
            with file.spool() as spool:
                size = crypt.sealed_size(kept.size)
                job = _Job(kept, size, _writer(spool), count)
                await self._receive(job, lambda _start, _end: None)
                digest = await in_thread(lambda: _decrypt(spool, file, cipher, kept.size))
        _check(digest, kept)

    async def _followed(self, kept: Object, file: Partial, count: Count) -> str:
        follower = _Follower(file.fd, kept.size)
        job = _Job(kept, kept.size, file.write_all, count)
        try:
            async with asyncio.TaskGroup() as group:
                digest = group.create_task(follower.digest())
                await self._receive(job, follower.arrived)
        except* CliError as errors:
            raise first(errors) from errors
        return digest.result()

    async def _receive(self, job: "_Job", arrived: Callable[[int, int], None]) -> None:
        room = asyncio.Semaphore(self._parts)
        answered = asyncio.Event()

        async def one(start: int) -> None:
            if start:
                # A store may have to digest all of an object before it answers for the first time,
                # and would do so for each of the first requests.
                await answered.wait()
            async with room:
                await self._segment(job, start, answered)
            arrived(start, min(start + _SEGMENT, job.size))

        try:
            async with asyncio.TaskGroup() as receiving:
                for start in range(0, max(job.size, 1), _SEGMENT):
                    receiving.create_task(one(start))
        except* CliError as group:
            raise first(group) from group

    async def _segment(self, job: "_Job", start: int, answered: asyncio.Event) -> None:
        kept, length = job.kept, min(_SEGMENT, job.size - start)
        source = self._store.get(kept.key, start, length, total=job.size, bucket=kept.bucket)
        position, held = start, list[bytes]()
        async with aclosing(source):
            async for chunk in source:
                answered.set()
                held.append(chunk)
                job.count(len(chunk))
                arrived = sum(map(len, held))
                if arrived >= _AT_ONCE or position + arrived == start + length:
                    await in_thread(partial(job.write, held, position))
                    position, held = position + arrived, []


@dataclass(frozen=True, slots=True)
class _Job:
    """What is received, how many bytes that is, and what becomes of them."""

    kept: Object
    size: int
    write: Write
    count: Count


class _Follower:
    """Goes over a file behind those who write it."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size
        self._digest = hashlib.sha256()
        self._waiting: dict[int, int] = {}
        self._end = 0
        self._grown = asyncio.Event()

    def arrived(self, start: int, end: int) -> None:
        """All bytes from one place to another are in the file."""
        self._waiting[start] = end
        while self._end in self._waiting:
            self._end = self._waiting.pop(self._end)
        self._grown.set()

    async def digest(self) -> str:
        """The digest of the file, once all of it has arrived."""
        position = 0
        while position < self._size:
            await self._grown.wait()
            self._grown.clear()
            start, end = position, self._end
            await in_thread(partial(self._go_over, start, end))
            position = end
        return self._digest.hexdigest()

    def _go_over(self, start: int, end: int) -> None:
        for data in read(self._fd, start, end - start, "the download"):
            self._digest.update(data)
        if self._size > _SEGMENT:
            # Now, while more arrives, and not all of it at the end.
            os.fdatasync(self._fd)


def _check(digest: str, kept: Object) -> None:
    if digest != kept.checksum:
        raise Corrupted(
            "the bytes that arrived are not those of the file (checksum)",
            hint="nothing was written; the object may have been overwritten",
        )


def _writer(fd: int) -> Write:
    def write(pieces: Sequence[bytes], at: int) -> None:
        for data in pieces:
            write_at(fd, data, at)
            at += len(data)

    return write


def _decrypt(spool: int, file: Partial, cipher: FileCipher, size: int) -> str:
    """Decrypt a spooled object into the file; the digest of the file."""
    digest = hashlib.sha256()
    sealed_size = crypt.sealed_size(size)
    sealed = (
        b"".join(read(spool, start, min(_SEALED, sealed_size - start), "the download"))
        for start in range(0, sealed_size, _SEALED)
    )
    position = 0
    for chunk in cipher.decrypted(sealed, size=size):
        file.write(chunk, position)
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()
