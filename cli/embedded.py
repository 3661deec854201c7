"""The embedded store: a real Redis-compatible server beside us, durable, on a unix socket.

It lives exactly as long as the process that started it, even when that one is killed, and the lock
on its directory is held by both, so two of them can never write the same append-only file.
"""

import fcntl
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cli.keeper import Keeper, Program
from cli.store_program import MANIFEST, StoreError, base_in, find_program

_LONGEST_SOCKET_PATH = 100
# Redis before 7.2 says "The server is now ready ..." of a unix socket, later ones "Ready ...".
READY = re.compile("[Rr]eady to accept connections")
_STOP_S = 30.0
_LOCK_S = 10.0
# The wheel's program has no allocator of its own; glibc's keeps only seven free pieces of a size at
# hand, and a step of ours takes more. Other programs and other C libraries do not look at it.
_ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=256"}

DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    # The file is written anew when it has doubled, but not while it is read in a second or two.
    "auto-aof-rewrite-min-size": "268435456",
    "hash-max-listpack-value": "4096",
    "hash-max-listpack-entries": "512",
}


class InUse(StoreError):
    """Another live process uses the same data directory."""


@dataclass(frozen=True, slots=True)
class Store:
    """A running embedded store."""

    socket: Path
    program: str

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"unix://{self.socket}"

    def is_empty(self) -> bool:
        """Whether nothing was ever kept in it."""
        return _command_over(self.socket, b"DBSIZE\r\n") == b":0\r\n"


@contextmanager
def running(directory: Path, on_restart: Callable[[str], None] = print) -> Generator[Store]:
    """Run a store on a data directory; stopped cleanly, with its data safe, at the end.

    One that ends by itself is started again; once it answers, ``on_restart`` is told so from
    another thread.

    Raises:
        InUse: another process holds the directory.
        StoreError: no program, or it did not start; the text has its last words.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        lock = stack.enter_context(_lock(directory))
        socket_path = stack.enter_context(_socket_path(directory))
        log = stack.enter_context((directory / "store.log").open("w", encoding="utf-8"))
        _refuse_without_manifest(directory)
        _refuse_empty_base(directory)
        _remove_left_rewrites(directory)
        program = find_program(directory)
        store = Program(
            name="store",
            command=_command(program, directory, socket_path),
            ready=READY,
            environ={**_ALLOCATOR, **os.environ},
            # With it the store inherits the lock.
            inherits=(lock.fileno(),),
        )
        keeper = Keeper(store, log=log, on_restart=on_restart)
        keeper.start()
        stack.callback(keeper.stop, lambda: _send_shutdown(socket_path))
        if keeper.ready() is None:
            raise StoreError(f"{program} did not start:\n{keeper.last_words}")
        yield Store(socket_path, program)


def _refuse_without_manifest(directory: Path) -> None:
    """A server that finds no manifest begins anew, and writes over the other files in time.

    Raises:
        StoreError: it is missing, and there is more than a server leaves that is killed when it
            begins: a first base, which is empty, and an empty file behind it.
    """
    manifest = directory / MANIFEST
    if manifest.exists():
        return
    files = sorted(path for path in manifest.parent.glob("appendonly.aof.*") if path.is_file())
    begun = {"appendonly.aof.1.base.rdb", "appendonly.aof.1.base.aof"}
    written = [path for path in files if path.name not in begun and path.stat().st_size]
    if written:
        raise StoreError(
            f"{manifest} is missing, without which {written[0].name} beside it would not be read",
            hint="restore it, or move the directory away to begin anew",
        )


def _refuse_empty_base(directory: Path) -> None:
    """A server takes a base without a byte for one without a row, and says nothing.

    Raises:
        StoreError: the base is a snapshot, which begins with its format even of an empty store.
    """
    base = base_in(directory)
    if base and base.suffix == ".rdb" and base.is_file() and not base.stat().st_size:
        raise StoreError(
            f"{base} is empty, and what was kept in it is missing",
            hint="restore it, or move the directory away to begin anew",
        )


def _remove_left_rewrites(directory: Path) -> None:
    """Delete what a server left that was killed while it wrote its file anew; it never does."""
    for path in directory.glob("temp-rewriteaof-*.aof"):
        path.unlink()


@contextmanager
def _lock(directory: Path) -> Generator[TextIO]:
    """Hold the directory. The store inherits the lock: it lasts until both of us are gone."""
    with (directory / "lock").open("a+", encoding="utf-8") as file:
        if not _acquired(file, fcntl.LOCK_EX | fcntl.LOCK_NB):
            holder = _holder(file)
            if holder and _alive(holder):
                raise InUse(
                    f"{directory} is used by another process ({holder})",
                    hint="use the server that is running, stop it, or give this one its own "
                    "COLONIES_HOME and --port",
                )
            _wait_for_orphan(file, directory)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield file


def _acquired(file: TextIO, how: int) -> bool:
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    return True


def _holder(file: TextIO) -> int:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdigit() else 0


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _wait_for_orphan(file: TextIO, directory: Path) -> None:
    """The process before us is dead and its store is about to be; ask it to hurry and wait."""
    _send_shutdown(socket_of(directory))
    taken = threading.Event()

    def take() -> None:
        if _acquired(file, fcntl.LOCK_EX):
            taken.set()

    threading.Thread(target=take, daemon=True).start()
    if not taken.wait(_LOCK_S):
        raise InUse(
            f"a store that lost its server still uses {directory}",
            hint=f"find it with `fuser {directory / 'lock'}` and end it",
        )


@contextmanager
def _socket_path(directory: Path) -> Generator[Path]:
    """A path short enough for a unix socket, where nobody else can put one."""
    path = directory / "store.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        path.unlink(missing_ok=True)
        yield path
        return
    note = directory / "socket"
    if note.exists():  # left by one that was killed
        _remove_leftover(Path(note.read_text(encoding="utf-8")).parent)
    with tempfile.TemporaryDirectory(prefix="colonies-", dir=_short_directory()) as short:
        path = Path(short) / "store.sock"
        note.write_text(str(path), encoding="utf-8")
        yield path


def _remove_leftover(directory: Path) -> None:
    if directory.name.startswith("colonies-"):
        shutil.rmtree(directory, ignore_errors=True)


def _short_directory() -> str:
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < _LONGEST_SOCKET_PATH // 2 else "/tmp"  # noqa: S108 - private directory below it


def socket_of(directory: Path) -> Path:
    """Where a store on this directory listens, or did."""
    note = directory / "socket"
    path = directory / "store.sock"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH and note.exists():
        return Path(note.read_text(encoding="utf-8"))
    return path


def _command(program: str, directory: Path, socket_path: Path) -> list[str]:
    options = {
        **DURABLE,
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(directory),
        "daemonize": "no",
        "logfile": "",
        "loglevel": "notice",
    }
    return [program, *(part for key, value in options.items() for part in (f"--{key}", value))]


def _send_shutdown(socket_path: Path) -> bool:
    """Whether the store took the command; it hangs up instead of answering."""
    try:
        return _command_over(socket_path, b"SHUTDOWN\r\n") == b""
    except OSError:
        return False


def _command_over(socket_path: Path, command: bytes) -> bytes:
    """The raw reply to one short command."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_STOP_S)
        connection.connect(str(socket_path))
        connection.sendall(command)
        return connection.recv(1024)
