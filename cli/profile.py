"""Profiles: named sets of settings for a client, in one TOML file that only its owner can read.

The file is ``config.toml`` in ``$COLONIES_HOME``, else in the XDG configuration directory. It
holds private keys, so it is made with mode 0600 and replaced in one step.
"""

import json
import os
import tomllib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from cli.errors import UsageError

_PRIVATE_DIRECTORY = 0o700


def config_dir(environ: Mapping[str, str]) -> Path:
    """Where the profiles are."""
    return _directory(environ, "XDG_CONFIG_HOME", ".config")


def data_dir(environ: Mapping[str, str]) -> Path:
    """Where an embedded store keeps its data."""
    return _directory(environ, "XDG_DATA_HOME", ".local/share")


def _directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    own = environ.get("COLONIES_HOME", "")
    if own:
        return Path(own).expanduser().absolute()
    base = environ.get(variable, "")
    # The XDG specification tells to ignore relative paths.
    return (Path(base) if Path(base).is_absolute() else Path.home() / below_home) / "colonies"


class Profiles(Struct, frozen=True, kw_only=True):
    """All profiles by name, and which one is used when none is named."""

    current: str = ""
    profiles: Mapping[str, Mapping[str, str]] = {}

    def with_profile(self, name: str, values: Mapping[str, str]) -> "Profiles":
        """The same with one profile replaced; the first one becomes the current one."""
        return replace(
            self,
            current=self.current or name,
            profiles={**self.profiles, name: {k: v for k, v in values.items() if v}},
        )

    def without(self, name: str) -> "Profiles":
        """The same without one profile."""
        rest = {k: v for k, v in self.profiles.items() if k != name}
        return replace(self, current="" if self.current == name else self.current, profiles=rest)

    def to_toml(self) -> str:
        """The text of the file. JSON strings are TOML strings too."""
        lines = [f"current = {_quoted(self.current)}"]
        for name, values in sorted(self.profiles.items()):
            lines += ["", f"[profiles.{_quoted(name)}]"]
            lines += [f"{key} = {_quoted(value)}" for key, value in values.items()]
        return "\n".join(lines) + "\n"


class ProfileStore:
    """Reads and replaces the file of profiles."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.path = config_dir(environ) / "config.toml"

    def read(self) -> Profiles:
        """All profiles; none when there is no file yet.

        Raises:
            UsageError: the file cannot be read, or somebody else can.
        """
        try:
            with self.path.open("rb") as file:
                _check_private(self.path, os.fstat(file.fileno()).st_mode)
                return _profiles(tomllib.load(file))
        except FileNotFoundError:
            return Profiles()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
            raise UsageError(
                f"{self.path} cannot be read: {error}", hint="repair it, or move it away"
            ) from error

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One writer at a time, so that two commands do not undo each other's change."""
        import fcntl  # noqa: PLC0415 - only there on POSIX, and only writing needs it

        self.path.parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        with (self.path.parent / ".config.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def set(self, name: str, values: Mapping[str, str], *, use: bool = False) -> None:
        """Replace one profile, and make it the current one on request."""
        with self._locked():
            profiles = self.read().with_profile(name, values)
            self._write(replace(profiles, current=name) if use else profiles)

    def use(self, name: str) -> None:
        """Make a profile the current one.

        Raises:
            UsageError: there is no such profile.
        """
        with self._locked():
            profiles = self.read()
            check_known(profiles, name)
            self._write(replace(profiles, current=name))

    def remove(self, name: str) -> None:
        """Forget a profile.

        Raises:
            UsageError: there is no such profile.
        """
        with self._locked():
            profiles = self.read()
            check_known(profiles, name)
            self._write(profiles.without(name))

    def _write(self, profiles: Profiles) -> None:
        write_private(self.path, profiles.to_toml())


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it, before and after."""
    import tempfile  # noqa: PLC0415 - only writing needs it, and it loads all kinds of compression

    path.parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # interrupted, too: keys must not lie about under another name
        temporary.unlink(missing_ok=True)
        raise


def check_known(profiles: Profiles, name: str) -> None:
    """Raise UsageError when there is no profile of that name."""
    if name in profiles.profiles:
        return
    known = ", ".join(sorted(profiles.profiles)) or "none"
    raise UsageError(f"there is no profile {name!r}", hint=f"known profiles: {known}")


def _check_private(path: Path, mode: int) -> None:
    if mode & 0o077:
        raise UsageError(
            f"{path} holds private keys and can be read by others",
            hint=f"chmod 600 {path}",
        )


def _profiles(document: dict[str, object]) -> Profiles:
    tables = document.get("profiles", {})
    current = document.get("current", "")
    if not isinstance(tables, dict) or not isinstance(current, str):
        raise TypeError("`current` must be a text and `profiles` a table")
    named = cast("dict[str, object]", tables)
    return Profiles(current=current, profiles={k: _values(k, v) for k, v in named.items()})


def _values(name: str, table: object) -> dict[str, str]:
    if not isinstance(table, dict):
        raise TypeError(f"profile {name} is not a table")
    pairs = cast("dict[str, object]", table).items()
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in pairs
    }


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
