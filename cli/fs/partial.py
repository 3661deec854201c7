"""A file that is not complete yet, beside the place that it will have."""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cli.errors import CliError
from cli.fs.pieces import write_at

_FILE_MODE = 0o666


class InTheWay(CliError):
    """Something here cannot be what it has to be."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file was changed or exchanged."""

    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        """Of what the system says."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


class Partial:
    """A file that is not complete yet."""

    def __init__(self, directory: int, name: str, instead_of: Stamp | None, shown: str) -> None:
        self._directory = directory
        self._name = name
        self._instead_of = instead_of
        self._shown = shown
        self._check()
        self._temporary, self.fd = self._made()
        self._kept = False

    def _made(self) -> tuple[str, int]:
        """A new file beside the one to be."""
        temporary = f".cfs-{secrets.token_hex(8)}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            made = os.open(temporary, flags, _FILE_MODE, dir_fd=self._directory)
        except OSError as error:
            raise InTheWay(f"{self._shown}: {reason(error)}") from error
        # Held as long as we live: what nobody holds was left behind.
        fcntl.flock(made, fcntl.LOCK_EX)
        return temporary, made

    @contextmanager
    def spool(self) -> Generator[int]:
        """Room on the same disk for what is not the file yet; gone at the end."""
        temporary, made = self._made()
        os.unlink(temporary, dir_fd=self._directory)
        try:
            yield made
        finally:
            os.close(made)

    def write(self, data: bytes, at: int) -> None:
        """Write all of the bytes at a place of the file."""
        self.write_all([data], at)

    def write_all(self, pieces: Sequence[bytes], at: int) -> None:
        """Write pieces to a place of the file, one after the other."""
        try:
            for data in pieces:
                write_at(self.fd, data, at)
                at += len(data)
        except OSError as error:
            raise InTheWay(f"{self._shown}: {reason(error)}") from error

    def truncate(self) -> None:
        """Begin anew."""
        os.ftruncate(self.fd, 0)

    def keep(self) -> None:
        """Give the file its name, once all of it is on the disk.

        Raises:
            InTheWay: the place is not as it was when the file was begun.
        """
        if self._instead_of is not None:
            mode = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False).st_mode
            os.fchmod(self.fd, stat.S_IMODE(mode))
        os.fsync(self.fd)
        self._check()
        os.rename(
            self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory
        )
        self._kept = True

    def end(self) -> None:
        """Remove it, unless it was kept."""
        if not self._kept:
            os.unlink(self._temporary, dir_fd=self._directory)
        os.close(self.fd)

    def _check(self) -> None:
        """That what is to be replaced is there, and nothing else."""
        try:
            status = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode):
            raise InTheWay(f"{self._shown} is not replaced: {kind(status.st_mode)} is there")
        if Stamp.of(status) != self._instead_of:
            raise InTheWay(
                f"{self._shown} was changed meanwhile, and is kept", hint="synchronise again"
            )


def reason(error: OSError) -> str:
    """Why the system refused, as a user reads it."""
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return "a symbolic link, or no directory, is in the way"
    return error.strerror or str(error)


def kind(mode: int) -> str:
    """What something is that is no file."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(mode) else "neither a file nor a directory"
