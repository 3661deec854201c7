"""What is sent in one request: a few bytes, or a stretch of a file that is read as it goes."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from cli.errors import CliError
from cli.fs.store import SLICE
from cli.fs.threads import in_thread


class Hash(Protocol):
    """A digest that is being made."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


class Changed(CliError):
    """A file was changed while it was read."""

    def __init__(self, shown: str) -> None:
        super().__init__(f"{shown} was changed while it was read", hint="synchronise again")


class Digests:
    """Both digests that go with a piece."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        # Not against anybody: the only digest of a body that every object store checks.
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Add bytes."""
        self._sha256.update(data)
        self._md5.update(data)

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """Base64, as the header wants it."""
        return base64.b64encode(self._md5.digest()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """A few bytes."""

    data: bytes
    sha256: str
    md5: str

    @classmethod
    def of(cls, data: bytes) -> "Bytes":
        """These."""
        digests = Digests()
        digests.update(data)
        return cls(data=data, sha256=digests.sha256, md5=digests.md5)

    @property
    def length(self) -> int:
        """How many."""
        return len(self.data)

    async def slices(self) -> AsyncIterator[bytes]:
        """All of them."""
        yield self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some bytes of an open file."""

    fd: int
    offset: int
    length: int
    sha256: str
    md5: str
    shown: str
    data: None = None

    @classmethod
    def of(cls, fd: int, offset: int, length: int, shown: str, whole: Hash) -> "Stretch":
        """These of the file, added to the digest of all of it.

        Raises:
            Changed: the file has no such bytes any more.
        """
        digests = Digests()
        for data in read(fd, offset, length, shown):
            digests.update(data)
            whole.update(data)
        return cls(
            fd=fd,
            offset=offset,
            length=length,
            sha256=digests.sha256,
            md5=digests.md5,
            shown=shown,
        )

    async def slices(self) -> AsyncIterator[bytes]:
        """The bytes, of which the last slice is held back until all are as they were.

        Raises:
            Changed: they are not.
        """
        again = hashlib.sha256()
        position, end = self.offset, self.offset + self.length
        while position < end:
            data = await in_thread(self._reader(position, min(SLICE, end - position)))
            again.update(data)
            position += len(data)
            if position == end and again.hexdigest() != self.sha256:
                raise Changed(self.shown)
            yield data

    def _reader(self, position: int, length: int) -> Callable[[], bytes]:
        return lambda: b"".join(read(self.fd, position, length, self.shown))


def read(fd: int, offset: int, length: int, shown: str) -> Iterator[bytes]:
    """A stretch of a file, slice by slice.

    Raises:
        Changed: the file has no such bytes any more.
    """
    position, end = offset, offset + length
    while position < end:
        try:
            data = os.pread(fd, min(SLICE, end - position), position)
        except OSError as error:
            raise CliError(f"{shown} cannot be read: {error.strerror}") from error
        if not data:
            raise Changed(shown)
        position += len(data)
        yield data


def write_at(fd: int, data: bytes, at: int) -> None:
    """Write all of the bytes at a place of a file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, at)
        view, at = view[written:], at + written
