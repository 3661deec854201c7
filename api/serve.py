"""Run a server: one process, or a supervisor over several that share one port.

``python -m api.serve`` reads its settings from the environment. Every process logs a line "ready"
with its port once it answers; it ends on SIGINT and SIGTERM with what it has begun finished.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace

import structlog
import uvicorn
import uvloop

from api.app import Server
from api.http import BoundedProtocol
from api.supervise import SOCKET, follow_parent, supervise, tell_parent_ready
from broker.errors import BrokerError
from broker.settings import Settings

_log = structlog.get_logger(__name__)
_GRACE_S = 10
_BACKLOG = 4096

OnReady = Callable[[], None]


def run(settings: Settings, *, on_ready: OnReady | None = None) -> int:
    """Run a complete server in the foreground until it is told to stop; the exit code.

    ``on_ready`` is called once requests are answered, on the thread that called ``run``.
    """
    configure_logging(verbose=settings.verbose)
    try:
        listening = _listen(settings)
    except OSError as error:
        reason = error.strerror or str(error)
        _log.error("cannot_listen", host=settings.host, port=settings.port, error=reason)
        return 1
    with listening:
        bound = replace(settings, port=listening.getsockname()[1])
        if settings.workers > 1:
            return asyncio.run(supervise(bound, listening, on_ready))
        return uvloop.run(_serve(bound, listening, on_ready or _no_news))


def _listen(settings: Settings) -> socket.socket:
    """The listening socket: a new one, or the one a supervisor handed down."""
    inherited = os.environ.get(SOCKET)
    if inherited:
        return socket.socket(fileno=int(inherited))
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


async def _serve(settings: Settings, listening: socket.socket, on_ready: OnReady) -> int:
    """Serve in this process until it is told to stop; the exit code."""
    app = Server(settings=settings)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(app.running())
        except (BrokerError, TimeoutError) as error:
            _log.error("cannot_start", error=str(error) or "the store did not load in time")
            return 1
        server = _Uvicorn(_config(settings, app), app, on_ready)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        stack.callback(follow_parent(server.stop))
        await server.serve(sockets=[listening])
    _log.info("stopped", pid=os.getpid())
    return 0


def _no_news() -> None:
    """Nobody asked to be told."""


def _config(settings: Settings, app: Server) -> uvicorn.Config:
    BoundedProtocol.limits = settings.limits
    tls = settings.tls
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        loop="none",
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        backlog=_BACKLOG,
        timeout_keep_alive=max(1, settings.limits.idle_timeout_ms // 1000),
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )


class _Uvicorn(uvicorn.Server):
    """uvicorn, told when to be ready and when to stop by us."""

    def __init__(self, config: uvicorn.Config, app: Server, on_ready: OnReady) -> None:
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the loop; uvicorn would raise them once more after it has stopped."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            _log.info(tell_parent_ready(), port=port, pid=os.getpid())
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send waiting executors home first; their connections would outlast our patience."""
        self._app.stop_waiting()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Stop taking requests, finish those begun, end. A second time: end now."""
        self.force_exit = self.should_exit
        self.should_exit = True


def configure_logging(*, verbose: bool) -> None:
    """Lines for people on a terminal, JSON elsewhere; both on stderr."""
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(name)s: %(message)s")


def main() -> int:
    """Run with the settings of the environment."""
    try:
        settings = Settings.from_env(os.environ)
    except BrokerError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before logging is set up
        return 2
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
