"""What a command of ``colonies fs`` works with, opened from its settings."""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from cli.config import Config, resolve
from cli.errors import UsageError
from cli.fs import safe
from cli.fs.crypt import ColonyKey
from cli.fs.progress import Silent, Watching, watched
from cli.fs.remote import Shelf
from cli.fs.settings import S3Settings
from cli.fs.store import ObjectStore
from cli.fs.sync import PARALLEL
from cli.fs.transfer import Transfer
from cli.fs.tree import Directory
from cli.options import Format
from cli.output import Output
from cli.profile import ProfileStore
from cli.session import Session

PARTS = 4


def shelf_of(session: Session) -> Shelf:
    """The files of the colony that commands act on."""
    return Shelf(session.client(), session.colony)


def colony_key(config: Config, *, needed: bool = False) -> ColonyKey | None:
    """What files are encrypted with.

    Raises:
        UsageError: it is needed and not set, or no key.
    """
    text = config.get("fs_key")
    if text:
        return ColonyKey.from_hex(text)
    if needed:
        raise UsageError(
            "COLONIES_FS_KEY is not set",
            hint="`colonies fs key generate` makes a key; all who share the files need the same",
        )
    return None


def configured(environ: Mapping[str, str]) -> Config:
    """The settings of a program that is no command: the environment's and the profile's."""
    return resolve({}, environ, ProfileStore(environ).read())


@asynccontextmanager
async def transfer_of(
    config: Config, *, parallel: int = PARALLEL, encrypt: bool = False
) -> AsyncGenerator[Transfer]:
    """A way to the object store, which is not asked anything yet.

    Raises:
        UsageError: it, or the key to encrypt with, is not set.
    """
    settings = S3Settings.of(config)
    key = colony_key(config, needed=encrypt)
    async with ObjectStore(settings, connections=parallel + PARTS) as store:
        yield Transfer(store, parts=PARTS, colony_key=key)


@contextmanager
def directory_of(path: Path, *, create: bool) -> Generator[Directory]:
    """A directory, closed at the end."""
    directory = Directory(path, create=create)
    try:
        yield directory
    finally:
        directory.close()


@contextmanager
def present_directory(path: Path) -> Generator[Directory | None]:
    """A directory, closed at the end; None where there is nothing yet."""
    if not path.exists():
        yield None
        return
    with directory_of(path, create=False) as directory:
        yield directory


@contextmanager
def seen(output: Output, total: int, *, quiet: bool = False) -> Generator[Watching]:
    """How much of so many bytes has travelled, where somebody wants to see it."""
    if quiet:
        yield Silent()
        return
    terminal = output.stderr.isatty() and output.format is Format.TABLE
    with watched(output.stderr, total, terminal=terminal) as watching:
        yield watching


def label_of(given: str | None, path: Path) -> str:
    """The label that was given, else the one that the directory says it belongs to.

    Raises:
        UsageError: neither.
    """
    if given is not None:
        return safe.normalised(given)
    said: object = None
    if path.is_dir():
        with directory_of(path, create=False) as directory:
            said = directory.config().get("label")
    if not isinstance(said, str) or not said:
        raise UsageError("which label?", hint=f"give --label; {path / safe.CONFIG} names none")
    return safe.normalised(said)
