"""One command's surroundings: its settings, its output, and clients for the roles it signs for."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from cli.client import Client, Timeouts
from cli.config import Config, Role, resolve
from cli.errors import RpcError
from cli.options import Options
from cli.output import Output
from cli.profile import ProfileStore
from cli.render import Listing

_DENIED = 403
_REPLY_S = 30.0


class Session:
    """Opened by a command around everything it asks a server; connections are shared."""

    def __init__(self, options: Options) -> None:
        self.out = Output.of(options, os.environ)
        self.config = settle(options)
        self._timeouts = Timeouts(reply_s=options.timeout or _REPLY_S)
        self._shared: Client | None = None

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
        if isinstance(error, RpcError) and error.status == _DENIED and not error.hint:
            error.hint = self._denied_hint()

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
        if self._shared is None:
            self._shared = Client(self.config.address, timeouts=self._timeouts)
        return self._shared.as_identity(identity)

    async def show(self, ask: Callable[[], Awaitable[Listing]], *, every_s: float | None) -> None:
        """Show a list once, or again and again every so many seconds until Ctrl-C."""
        while True:
            listing = await ask()
            if every_s is not None:
                self.out.clear()
            self.out.show(listing)
            if every_s is None:
                return
            await asyncio.sleep(every_s)

    def _denied_hint(self) -> str:
        used = {role: self.config.key(role) for role in Role}
        said = [f"{role.value}: {value.source}" for role, value in used.items() if value]
        return "keys in use: " + ", ".join(said) + "; `colonies doctor` checks them" if said else ""


def settle(options: Options) -> Config:
    """The settings that follow from the options, the environment and the profiles."""
    flags = {
        "host": options.host,
        "port": options.port,
        "tls": None if options.insecure is None else str(not options.insecure).lower(),
        "colony": options.colony,
        "prvkey": options.prvkey,
        "colony_prvkey": options.colonyprvkey,
        "server_prvkey": options.serverprvkey,
    }
    return resolve(
        flags,
        os.environ,
        ProfileStore(os.environ).read(),
        profile=options.profile,
        verify_tls=not options.skip_tls_verify,
    )
