"""The servers of a storm, each a process or a tree of them, to be killed and started again."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

from broker.settings import Role
from tests.acceptance.asking import Api
from tests.acceptance.conftest import settings_on
from tests.acceptance.processes import Server, read_entry, started

WORKERS = 2
ARCHIVER = "an archiver"


@dataclass
class Post:
    """A place for one server after another."""

    name: str
    settings: Mapping[str, str]
    api: Api | None = None
    """How it is asked, None for one that answers no requests, or none now."""
    server: Server | None = None
    bugs: list[str] = field(default_factory=list[str])
    _stack: ExitStack = field(default_factory=ExitStack)

    async def fill(self) -> None:
        """Start a server; returns when it is ready."""
        self.server = await asyncio.to_thread(self._stack.enter_context, started(self.settings))
        if Role.API in self.settings["COLONIES_ROLES"].split(","):
            self.api = Api(self.server.url)

    async def empty(self) -> None:
        """Kill -9 of the server."""
        api, self.api = self.api, None
        await asyncio.to_thread(self._stack.close)
        if api is not None:
            await api.__aexit__()
        if self.server is not None:
            self.bugs += bugs_in(self.server)
            self.server = None

    @property
    def said(self) -> str:
        """What its server has said at last."""
        return "".join(self.server.log.lines[-20:]) if self.server is not None else ""

    @property
    def supervises(self) -> bool:
        """Whether one of its processes may be killed, to be replaced by the others."""
        return int(self.settings["COLONIES_WORKERS"]) > 1

    async def fall(self, chance: random.Random) -> None:
        """Kill -9 of the server, or of one of its workers."""
        if not self.supervises:
            await self.empty()
            return
        assert self.server is not None
        os.kill(chance.choice(sorted(self.server.workers)), signal.SIGKILL)

    async def rise(self) -> None:
        """It serves again; a worker is replaced by its supervisor."""
        if not self.supervises:
            await self.fill()
            return
        assert self.server is not None
        await asyncio.to_thread(self.server.log.entry, "worker_ready")


def bugs_in(server: Server) -> list[str]:
    """What a server wrote of requests that met a bug, and of what it had to give up."""
    return [line for line in server.log.lines if _is_bug(line)]


def _is_bug(line: str) -> bool:
    return read_entry(line).event == "bug" or '"level":"critical"' in line.replace(" ", "")


@dataclass
class Fleet:
    """Every server on one store."""

    posts: list[Post]

    @property
    def apis(self) -> list[Api]:
        """Whom clients may ask now."""
        return [post.api for post in self.posts if post.api is not None]

    def victim(self, name: str, chance: random.Random) -> Post:
        """One of a kind, about to be killed."""
        return chance.choice([post for post in self.posts if post.name == name])

    @property
    def bugs(self) -> list[str]:
        """What servers wrote about requests that met a bug."""
        running = [post.server for post in self.posts if post.server is not None]
        found = [bug for server in running for bug in bugs_in(server)]
        return [bug for post in self.posts for bug in post.bugs] + found


def plan(store_url: str, **changes: object) -> list[Post]:
    """Two APIs, one of them with workers, and two of each of the others that are wanted."""

    def post(name: str, role: Role, workers: int = 1) -> Post:
        settings = settings_on(store_url, roles=frozenset({role}), workers=workers, **changes)
        return Post(name, settings)

    posts = [
        post("an API worker", Role.API, WORKERS),
        post("an API server", Role.API),
        *(post(name, role) for name, role in _HELPERS for _ in range(2)),
    ]
    if "archive_url" in changes:
        posts += [post(ARCHIVER, Role.ARCHIVER) for _ in range(2)]
    return posts


_HELPERS = (("a timer", Role.TIMER), ("a projector", Role.PROJECTOR))


@asynccontextmanager
async def sailing(posts: list[Post]) -> AsyncGenerator[Fleet]:
    """Started servers, all of them ended at the end."""
    try:
        for post in posts:
            await post.fill()
        yield Fleet(posts)
    finally:
        for post in posts:
            with contextlib.suppress(AssertionError):
                await post.empty()
