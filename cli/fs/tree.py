"""A directory on this machine: what is in it, and how files get into it whole.

Every step below the directory is taken without following a symbolic link, from one open directory
to the next, so nothing that somebody puts in the way leads out of it. A file appears under its
name only when all of it is on the disk.
"""

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cli.fs import safe
from cli.fs.partial import InTheWay, Partial, Stamp, kind, reason
from cli.fs.pieces import Changed, read

Parts = tuple[str, ...]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW = _DIRECTORY | os.O_NOFOLLOW
_MODE = 0o777
_LONGEST_CONFIG = 64 * 1024


@dataclass(slots=True)
class Scan:
    """What is in a directory and below it."""

    files: dict[Parts, dict[str, Stamp]] = field(default_factory=dict[Parts, dict[str, Stamp]])
    """By directory; a directory without files is there, too."""

    skipped: list[str] = field(default_factory=list[str])
    """What is not synchronised, and why."""


class Directory:
    """An open directory, and everything below it; close it at the end."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open it; the path itself may lead over symbolic links, its user typed it.

        Raises:
            InTheWay: it is not there, or is no directory.
        """
        self.path = path
        try:
            if create:
                path.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, _DIRECTORY)
        except OSError as error:
            raise InTheWay(f"{path}: {error.strerror}") from error

    def close(self) -> None:
        """Let it go."""
        os.close(self._fd)

    @contextmanager
    def below(self, parts: Parts) -> Generator["Directory"]:
        """A directory below it, made if it is not there, as one of its own.

        Raises:
            InTheWay: a step on the way is no directory.
        """
        with self.opened(parts, create=True) as directory:
            inner = object.__new__(Directory)
            inner.path = self.path.joinpath(*parts)
            inner._fd = directory
            yield inner

    def remove_below(self, parts: Parts) -> None:
        """Remove a directory below it with everything in it, following nothing.

        Raises:
            InTheWay: it cannot be removed, or a step on the way is no directory.
        """
        with self.opened(parts[:-1]) as directory:
            try:
                shutil.rmtree(parts[-1], dir_fd=directory)
            except FileNotFoundError:
                return
            except OSError as error:
                raise InTheWay(f"{self.shown(parts)}: {reason(error)}") from error

    def shown(self, parts: Parts, name: str = "") -> str:
        """A path as a user reads it."""
        return str(self.path.joinpath(*parts, name))

    @contextmanager
    def opened(self, parts: Parts, *, create: bool = False) -> Generator[int]:
        """A directory below it.

        Raises:
            InTheWay: it is not there, or a step on the way is no directory.
        """
        current = os.dup(self._fd)
        try:
            for number, part in enumerate(parts, start=1):
                try:
                    below = _step(current, part, create=create)
                except OSError as error:
                    shown = self.shown(parts[:number])
                    raise InTheWay(f"{shown}: {reason(error)}") from error
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    def scan(self) -> Scan:
        """Everything in it, in the order of names, as it is now."""
        found = Scan()
        waiting: list[Parts] = [()]
        while waiting:
            parts = waiting.pop()
            files = found.files.setdefault(parts, {})
            with self.opened(parts) as directory:
                for name, status in self._entries(directory, parts, found):
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append((*parts, name))
                    else:
                        files[name] = Stamp.of(status)
        return found

    def _entries(
        self, directory: int, parts: Parts, found: Scan
    ) -> Iterator[tuple[str, os.stat_result]]:
        """Files and directories whose names may travel; the rest is noted."""
        for name in _names(directory):
            if safe.is_ours(name):
                continue
            shown = self.shown(parts, name)
            problem = safe.objection(name)
            if problem:
                found.skipped.append(f"{shown!r} is skipped: its name {problem}")
                continue
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since the listing
            if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                yield name, status
            else:
                found.skipped.append(f"{shown} is skipped: {kind(status.st_mode)}")

    @contextmanager
    def reading(self, parts: Parts, name: str) -> Generator[int]:
        """A file to read.

        Raises:
            InTheWay: it is no file, or cannot be read.
        """
        # A pipe that somebody put there meanwhile must not stop us.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with self.opened(parts) as directory:
            try:
                file = os.open(name, flags, dir_fd=directory)
            except OSError as error:
                raise InTheWay(f"{self.shown(parts, name)}: {reason(error)}") from error
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise InTheWay(f"{self.shown(parts, name)}: is no file any more")
            yield file
        finally:
            os.close(file)

    @contextmanager
    def writing(self, parts: Parts, name: str, *, instead_of: Stamp | None) -> Generator[Partial]:
        """A file to write under another name; nothing is left of one that is not kept.

        Args:
            parts: its directory, which is made if it is not there.
            name: what it is called once it is complete.
            instead_of: the file that it replaces; None when there should be none.

        Raises:
            InTheWay: something is in its place that must not be replaced.
        """
        with self.opened(parts, create=True) as directory:
            partial = Partial(directory, name, instead_of, self.shown(parts, name))
            try:
                yield partial
            finally:
                partial.end()

    def contents(self, parts: Parts, name: str, *, most: int) -> bytes | None:
        """All of a file at one moment; None when it has more bytes than ``most``.

        Raises:
            InTheWay, Changed: it is no file; it was written to meanwhile.
        """
        with self.reading(parts, name) as file:
            before = Stamp.of(os.fstat(file))
            if before.size > most:
                return None
            data = b"".join(read(file, 0, before.size, self.shown(parts, name)))
            if Stamp.of(os.fstat(file)) != before:
                raise Changed(self.shown(parts, name))
            return data

    def put(self, parts: Parts, name: str, data: bytes, *, instead_of: Stamp | None) -> None:
        """A file that has all its bytes from the first moment; as ``writing``."""
        with self.writing(parts, name, instead_of=instead_of) as partial:
            partial.write(data, 0)
            partial.keep()

    def config(self) -> Mapping[str, object]:
        """What the note in it says; nothing when there is none.

        Raises:
            InTheWay: it cannot be read.
        """
        if not os.path.lexists(self.path / safe.CONFIG):
            return {}
        with self.reading((), safe.CONFIG) as file:
            text = os.read(file, _LONGEST_CONFIG)
        try:
            said: object = json.loads(text)
            return {**said} if isinstance(said, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON
        except ValueError as error:
            raise InTheWay(f"{self.path / safe.CONFIG} is no JSON: {error}") from error

    def note_label(self, parts: Parts, label: str) -> None:
        """Write down to which label a directory belongs, unless it says so already."""
        text = json.dumps({"label": label}, ensure_ascii=False).encode("utf-8") + b"\n"
        with self.opened(parts, create=True) as directory:
            present: Stamp | None = None
            with suppress(FileNotFoundError):
                status = os.stat(safe.CONFIG, dir_fd=directory, follow_symlinks=False)
                present = Stamp.of(status)
        if present is not None and present.size == len(text):
            with self.reading(parts, safe.CONFIG) as file:
                if os.read(file, len(text)) == text:
                    return
        self.put(parts, safe.CONFIG, text, instead_of=present)

    def remove_leftovers(self, parts: Parts) -> int:
        """Remove what killed programs left behind incomplete; how much that was."""
        count = 0
        with self.opened(parts) as directory:
            for name in filter(safe.is_partial, _names(directory)):
                count += _remove_if_nobodys(directory, name)
        return count

    def remove(self, parts: Parts, name: str) -> None:
        """Remove a file."""
        with self.opened(parts) as directory:
            try:
                os.unlink(name, dir_fd=directory)
            except OSError as error:
                raise InTheWay(f"{self.shown(parts, name)}: {reason(error)}") from error

    def exists(self, parts: Parts) -> bool:
        """Whether there is such a directory, without a symbolic link on the way."""
        try:
            with self.opened(parts):
                return True
        except InTheWay:
            return False

    def stamp(self, parts: Parts, name: str) -> Stamp | None:
        """What is called so, without following it; None when nothing is."""
        try:
            with self.opened(parts) as directory:
                return Stamp.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
        except (FileNotFoundError, InTheWay):
            return None

    def sync(self, parts: Parts) -> None:
        """Put on the disk which names a directory has."""
        with self.opened(parts) as directory:
            os.fsync(directory)


def _names(directory: int) -> list[str]:
    return sorted(os.listdir(directory))


def _step(current: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _BELOW, dir_fd=current)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, _MODE, dir_fd=current)
    return os.open(part, _BELOW, dir_fd=current)


def _remove_if_nobodys(directory: int, name: str) -> bool:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False  # its owner was quicker, or it is no file of ours
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=directory)
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(file)
    return True
