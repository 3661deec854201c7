"""One command's surroundings: its settings, its output, and clients for the roles it signs for."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from cli import hints
from cli.client import Client, Timeouts
from cli.config import Config, Role, resolve
from cli.errors import RpcError, UsageError
from cli.options import ONCE, Options, Watch
from cli.output import Output
from cli.profile import ProfileStore
from cli.render import Detail, Listing

_REPLY_S = 30.0


class Session:
    """Opened by a command around everything it asks a server; connections are shared."""

    def __init__(self, options: Options) -> None:
        self.out = Output.of(options, os.environ)
        self.config = settle(options)
        self._timeouts = Timeouts(reply_s=options.timeout or _REPLY_S)
        self._shared: Client | None = None
        self._signed_by: Role | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._shared is not None:
            await self._shared.__aexit__(kind, error, at)
        if isinstance(error, RpcError) and not error.hint:
            error.hint = hints.after(error, self.config, self._signed_by)

    @property
    def colony(self) -> str:
        """The colony to act on."""
        return self.config.colony

    def client(self, role: Role | None = Role.MEMBER) -> Client:
        """A client that signs for a role; None for the unsigned messages.

        Raises:
            UsageError: the key of that role is missing or is no key.
        """
        identity = self.config.identity(role) if role else None
        self._signed_by = role
        if self._shared is None:
            self._shared = Client(self.config.address, timeouts=self._timeouts)
        return self._shared.as_identity(identity)

    async def show(
        self, ask: Callable[[], Awaitable[Listing | Detail]], watch: Watch = ONCE
    ) -> None:
        """Show what is asked for once, or again and again until Ctrl-C."""
        while True:
            found = await ask()
            if watch.watch:
                self.out.clear()
            self.out.show(found)
            if not watch.watch:
                return
            await asyncio.sleep(watch.interval)


def settle(options: Options) -> Config:
    """The settings that follow from the options, the environment and the profiles."""
    flags = {
        "host": options.host,
        "port": options.port,
        "tls": None if options.insecure is None else str(not options.insecure).lower(),
        "colony": options.colony,
        "prvkey": key_text(options.prvkey),
        "colony_prvkey": key_text(options.colonyprvkey),
        "server_prvkey": key_text(options.serverprvkey),
    }
    return resolve(
        flags,
        os.environ,
        ProfileStore(os.environ).read(),
        profile=options.profile,
        verify_tls=not options.skip_tls_verify,
    )


def key_text(given: str | None) -> str | None:
    """A private key as an option gives it: itself, ``-`` for standard input, or ``@FILE``.

    The last two keep it out of the list of processes and of the history of the shell.
    """
    if given == "-":
        return sys.stdin.readline().strip()
    if given is None or not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"cannot read the private key in {path}: {reason}") from error
