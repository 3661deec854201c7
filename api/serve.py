"""Run a server: one process, or a supervisor over several that share one port.

``python -m api.serve`` reads its settings from the environment. Every process logs a line "ready"
with its port once it answers; it ends on SIGINT and SIGTERM with what it has begun finished.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import structlog
import uvicorn
import uvloop

from api.app import Server
from api.http import BoundedProtocol, bounded
from api.socket import socket_protocol
from api.supervise import (
    COUNTS,
    SOCKET,
    clean_up_after_parent,
    follow_parent,
    supervise,
    tell_parent_ready,
)
from broker.errors import BrokerError
from broker.settings import Limits, Role, Settings

_log = structlog.get_logger(__name__)
_GRACE_S = 10
_BACKLOG = 4096

OnReady = Callable[[], None]


def run(settings: Settings, *, on_ready: OnReady | None = None) -> int:
    """Run a complete server in the foreground until it is told to stop; the exit code.

    A caller that is told when the server is ready speaks for it: then the log does not.
    ``on_ready`` is called once requests are answered, on the thread that called ``run``.
    """
    configure_logging(verbose=settings.verbose)
    try:
        sockets = _listen(settings)
    except OSError as error:
        reason = error.strerror or str(error)
        _log.error("cannot_listen", host=settings.host, port=settings.port, error=reason)
        return 1
    bound = replace(settings, port=sockets[0].getsockname()[1])
    try:
        if settings.workers > 1:
            return asyncio.run(supervise(bound, sockets, on_ready))
        return uvloop.run(_serve(bound, sockets[0], on_ready or _no_news))
    finally:
        for listening in sockets:
            listening.close()


def _listen(settings: Settings) -> list[socket.socket]:
    """A listening socket for each worker, or the one that a supervisor handed down.

    One each, because the kernel then spreads connections over workers; on a shared one the first
    worker to wake takes them all.
    """
    inherited = os.environ.get(SOCKET)
    if inherited:
        return [socket.socket(fileno=int(inherited))]
    if settings.workers > 1:
        _refuse_taken_port(settings)
    sockets: list[socket.socket] = []
    port = settings.port
    try:
        for _ in range(settings.workers):
            sockets.append(_bound(settings, port, shared=settings.workers > 1))
            port = sockets[0].getsockname()[1]
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets


def _refuse_taken_port(settings: Settings) -> None:
    """A shared port could be shared with another server by mistake.

    Raises:
        OSError: somebody listens there.
    """
    _bound(settings, settings.port, shared=False).close()


def _bound(settings: Settings, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((settings.host, port))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


async def _serve(settings: Settings, listening: socket.socket, on_ready: OnReady) -> int:
    """Serve in this process until it is told to stop; the exit code."""
    share = os.environ.get(COUNTS)
    app = Server(settings=settings, share=Path(share) if share else None)
    async with AsyncExitStack() as stack:
        stack.callback(clean_up_after_parent)
        try:
            await stack.enter_async_context(app.running())
        except (BrokerError, TimeoutError) as error:
            _log.error("cannot_start", error=str(error) or "the store did not load in time")
            return 1
        protocol = bounded(app.endpoint if Role.API in settings.roles else None, settings.limits)
        try:
            config = _config(settings, app, protocol)
            config.load()
        except OSError as error:  # SSLError is one
            files = settings.tls and f"{settings.tls.cert} and {settings.tls.key}"
            _log.error("cannot_start", error=f"TLS with {files}: {error}")
            return 1
        server = _Uvicorn(config, app, protocol, on_ready)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        stack.callback(follow_parent(server.stop))
        stack.callback(_sweep(protocol, settings.limits))
        _settle_memory()
        await server.serve(sockets=[listening])
    say = _log.info if on_ready is _no_news else _log.debug
    say("stopped", pid=os.getpid())
    return 0


def _sweep(protocol: type[BoundedProtocol], limits: Limits) -> Callable[[], None]:
    """Look for overdue clients four times within the shortest patience; the result ends that.

    Two looks have to find one, so each has up to half of that patience more, at most two seconds.
    """
    loop = asyncio.get_running_loop()
    shortest_s = min(limits.header_timeout_ms, limits.idle_timeout_ms) / 1000
    timer: asyncio.TimerHandle | None = None

    def look() -> None:
        nonlocal timer
        protocol.close_overdue(loop.time())
        timer = loop.call_later(min(1.0, shortest_s / 4), look)

    look()
    return lambda: timer.cancel() if timer else None


def _settle_memory() -> None:
    """What exists now stays; do not walk over it at every collection (it made pauses of 50 ms)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _no_news() -> None:
    """Nobody asked to be told."""


def _config(settings: Settings, app: Server, protocol: type[BoundedProtocol]) -> uvicorn.Config:
    tls = settings.tls
    return uvicorn.Config(
        app,
        http=protocol,
        loop="none",
        ws=socket_protocol(settings.limits),
        ws_max_size=settings.limits.max_frame_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
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

    def __init__(
        self,
        config: uvicorn.Config,
        app: Server,
        protocol: type[BoundedProtocol],
        on_ready: OnReady,
    ) -> None:
        super().__init__(config)
        self._app = app
        self._protocol = protocol
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the loop; uvicorn would raise them once more after it has stopped."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so. As uvicorn does it, and with a limit for the TLS handshake."""
        loop = asyncio.get_running_loop()
        handshake_s = self._protocol.limits.header_timeout_ms / 1000
        self.servers = [
            await loop.create_server(
                self._connection,
                sock=listening,
                ssl=self.config.ssl,
                backlog=_BACKLOG,
                ssl_handshake_timeout=handshake_s if self.config.ssl else None,
            )
            for listening in sockets or ()
        ]
        self.started = True
        if sockets:
            port = sockets[0].getsockname()[1]
            say = _log.info if self._on_ready is _no_news else _log.debug
            say(tell_parent_ready(), port=port, pid=os.getpid())
            self._on_ready()

    def _connection(self) -> asyncio.Protocol:
        return self._protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

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
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = plain if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
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
