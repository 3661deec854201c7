"""The composition root: what a server process consists of, and which path leads where."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from api.archiving import archiving, reading_through
from api.context import Context, narrate
from api.cors import Cors, origin_in
from api.events import Events
from api.handlers.server import ensure_founded
from api.health import answering, live, ready
from api.lines import Lines
from api.metrics import Metrics
from api.pubsub import PubSub
from api.routes import ROUTES, UNSIGNED
from api.rpc import Rpc
from api.said import Said
from api.signals import Signals
from api.tally import Tally
from api.tracing import tracing
from broker import keys
from broker.clock import StoreClock
from broker.cluster import Cluster, way_to, way_to_wait
from broker.directory import Directory
from broker.durability import check_durability
from broker.errors import Unavailable
from broker.feed import Feed
from broker.keys import SERVER
from broker.logs import Retention
from broker.notices import RedisNotices
from broker.pace import Leisure
from broker.pipeline import Pipeline
from broker.presence import Presence
from broker.reactors.forget import Forgetter
from broker.reactors.log_retention import LogRetention
from broker.reactors.old_revisions import KeepRevisions, OldRevisions
from broker.reactors.periodic import Periodic
from broker.reactors.retention import Keep, Retirement
from broker.reactors.stale import StaleExecutors
from broker.reactors.timer import Timer
from broker.settings import Role, Settings
from broker.store import EventStore
from broker.waiting import WaitingRoom
from projections import ASYNC
from projections.core import fold
from projections.landmarks import Surveyor
from projections.progress import Progress
from projections.projector import Projector

_log = structlog.get_logger(__name__)
_CLOCK_S = 10
_PRESENCE_S = 1
_COUNTS_S = 1
_LANDMARKS_S = 1
_LOADING_S = 120.0


@dataclass(slots=True, kw_only=True)
class Server:
    """One server process: an ASGI application with what it needs while it runs."""

    settings: Settings
    share: Path | None = None
    """Where this worker leaves its counts for others, None when it has no others."""
    context: Context = field(init=False)
    endpoint: Rpc = field(init=False)
    feed: Feed = field(init=False)
    signals: Signals = field(init=False)
    lines: Lines = field(init=False)
    metrics: Metrics = field(init=False)
    stopping: bool = field(init=False, default=False)
    _http: Starlette = field(init=False)

    def __post_init__(self) -> None:
        routes = [
            HttpRoute("/health", self._health, methods=["GET"]),
            HttpRoute("/health/live", live, methods=["GET"]),
            HttpRoute("/health/ready", self._ready, methods=["GET"]),
            HttpRoute("/metrics", self._metrics, methods=["GET"]),
        ]
        if Role.API in self.settings.roles:
            routes += [
                HttpRoute("/api/", _to_api, methods=["POST"]),
                HttpRoute("/pubsub", _no_upgrade, methods=["GET"]),
                HttpRoute("/events", self._events, methods=["GET", "POST"]),
            ]
        handlers = {404: _not_found, 405: _not_found}
        self._http = Starlette(routes=routes, exception_handlers=handlers)
        self._http.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what is asked or held open often takes no detour through a router."""
        is_api = Role.API in self.settings.roles
        if scope["type"] == "websocket" and scope["path"] == "/pubsub" and is_api:
            # Each call on the way here would take memory for as long as the socket is open.
            await self._pubsub(WebSocket(scope, receive, send))
            return
        if scope["type"] != "http":
            await self._http(scope, receive, send)
            return
        app: ASGIApp = self._http
        if scope["path"] == "/api" and scope["method"] == "POST" and is_api:
            app = self.endpoint
        if origin_in(scope["headers"]) is not None:
            app = Cors(app)
        await app(scope, receive, send)

    def stop_waiting(self) -> None:
        """Send waiting executors home, and who follows events, so that connections can end."""
        self.stopping = True
        self.context.waiting.close()
        self.feed.close()

    async def _health(self, _request: Request) -> Response:
        return await answering(self.context.store)

    async def _ready(self, _request: Request) -> Response:
        return await ready(self.context, stopping=self.stopping)

    async def _metrics(self, request: Request) -> Response:
        return await self.metrics.answer(request)

    async def _events(self, request: Request) -> Response:
        return await Events(self.context, self.feed).answer(request)

    async def _pubsub(self, websocket: WebSocket) -> None:
        await PubSub(self.context, self.signals, self.lines).serve(websocket)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Everything with a start has its end here.

        Raises:
            Unavailable, Malformed: the store is away, or promises less than the settings.
        """
        async with AsyncExitStack() as stack:
            await self._start(stack)
            yield
            self.stop_waiting()
            await asyncio.gather(*self.context.tasks, return_exceptions=True)

    async def _start(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        patience_s = settings.limits.store_timeout_ms / 1_000
        notices = RedisNotices(settings.redis_url, self._heard, self._missed, patience_s=patience_s)
        waiting = WaitingRoom(on_last=notices.leave)
        # What was done while an answer was lost is told to others only, and not to who waits here.
        pipeline = way_to(
            settings.redis_url,
            settings.limits.max_in_flight,
            on_connected=waiting.wake_all,
            patience_s=patience_s,
            replicas=settings.replicas,
        )
        await pipeline.start()
        stack.push_async_callback(pipeline.close)
        store = EventStore(pipeline, fold, StoreClock(), origin=f"{os.getpid()}-{id(self):x}")
        if settings.archive_url:
            stack.push_async_callback(reading_through(settings, store))
        await _until_loaded(store)
        await check_durability(store, settings.durability)
        await _refuse_half_restored(store)
        await notices.start()
        stack.push_async_callback(notices.close)
        self.context = Context(
            settings=settings,
            store=store,
            directory=Directory(store),
            waiting=waiting,
            presence=Presence(store),
            progress=Progress(store, notices.listen, notices.leave),
            listen=notices.listen,
            said=Said(notices.listen, notices.leave),
        )
        if settings.verbose:
            self.context.observers.append(narrate)
        self.endpoint = Rpc(self.context, ROUTES, UNSIGNED)
        await ensure_founded(self.context)
        stack.push_async_callback(self.context.presence.write)
        self._schedule(stack)
        await self._follow(stack)
        self._count(stack)
        if Role.PROJECTOR in settings.roles:
            await self._project(stack)
        if Role.ARCHIVER in settings.roles and settings.archive_url:
            stack.push_async_callback(await archiving(settings, store))

    async def _follow(self, stack: AsyncExitStack) -> None:
        """Read along with the streams that subscribers follow, on a connection of its own."""
        store, limits = self.context.store, self.settings.limits
        waits = self._way_to_wait()
        await waits.start()
        reads = EventStore(waits, fold, store.clock)
        feed = self.feed = Feed(store, reads, limits.max_subscription_backlog)
        self.signals = Signals(store, feed)
        self.lines = Lines(feed, limits.max_subscription_backlog)
        task = asyncio.get_running_loop().create_task(feed.run())

        async def stop() -> None:
            feed.close()
            await waits.close()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(stop)

    def _way_to_wait(self) -> Pipeline | Cluster:
        limits = self.settings.limits
        patience_s = limits.store_timeout_ms / 1_000
        return way_to_wait(self.settings.redis_url, limits.max_in_flight, patience_s)

    async def _project(self, stack: AsyncExitStack) -> None:
        """Drive the async projections on a connection of their own for blocking reads."""
        store = self.context.store
        waits = self._way_to_wait()
        await waits.start()
        projector = Projector(store, EventStore(waits, fold, store.clock), ASYNC)
        task = asyncio.get_running_loop().create_task(projector.run())
        task.add_done_callback(_stopped_projecting)

        async def stop() -> None:
            projector.stop()
            await waits.close()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(stop)
        surveyor, periodic = Surveyor(store, fold, leisure=Leisure()), Periodic()
        periodic.every(_LANDMARKS_S, surveyor.survey)
        periodic.start()
        stack.push_async_callback(periodic.stop)
        stack.callback(surveyor.stop)

    def _count(self, stack: AsyncExitStack) -> None:
        """Count what is answered, and show it."""
        context = self.context
        tally = Tally(
            counters=lambda: {"store_conflicts": context.store.conflicts},
            gauges=lambda: {"long_polls": len(context.waiting), "subscriptions": len(self.feed)},
            share=self.share,
        )
        self.endpoint.watchers.append(tally.count)
        self.metrics = Metrics(context=context, tally=tally)
        if self.settings.traces:
            watcher, flush = tracing()
            self.endpoint.watchers.append(watcher)
            stack.callback(flush)
        periodic = Periodic()
        periodic.every(_COUNTS_S, tally.leave)
        periodic.start()
        stack.push_async_callback(periodic.stop)

    def _schedule(self, stack: AsyncExitStack) -> None:
        context = self.context
        periodic = Periodic()
        periodic.every(_CLOCK_S, context.store.look_at_clock)
        periodic.every(_PRESENCE_S, context.presence.write)
        if Role.TIMER in self.settings.roles:
            timer = self._timer()
            timer.schedule(periodic)
        periodic.start()
        stack.push_async_callback(periodic.stop)

    def _timer(self) -> Timer:
        context, settings = self.context, self.settings
        return Timer(
            store=context.store,
            directory=context.directory,
            requeuer=context.requeuer,
            due=context.due(),
            stale=StaleExecutors(
                store=context.store,
                presence=context.presence,
                happened=context.happened,
                silent_s=settings.stale_executor_s,
                listening_since_ns=context.store.clock.now_ns(),
            ),
            stale_every_s=settings.cleanup_interval_s,
            log_retention=LogRetention(
                store=context.store,
                default=Retention(
                    age_s=settings.log_retention_s, size=settings.log_retention_bytes
                ),
                has_archive=bool(settings.archive_url),
            ),
            retirement=Retirement(
                store=context.store,
                sweeper=context.sweeper,
                happened=context.happened,
                default=Keep(
                    success_s=settings.success_retention_s,
                    failed_s=settings.failed_retention_s,
                    cancelled_s=settings.cancelled_retention_s,
                ),
            ),
            crons=context.crons,
            crons_every_s=settings.cron_checker_ms / 1_000,
            forgetter=Forgetter(store=context.store, happened=context.happened),
            old_revisions=OldRevisions(
                store=context.store,
                happened=context.happened,
                default=KeepRevisions(
                    count=settings.file_revisions, age_s=settings.file_revision_s
                ),
            ),
            has_archive=bool(settings.archive_url),
        )

    def _heard(self, channel: str, message: str) -> None:
        """A notice from another process; our own we acted upon already."""
        if self.context.progress.heard(channel) or self.context.said.hear(channel, message):
            return
        colony = self.context.directory.on_channel(channel)
        if colony is None:
            return  # a channel that was left a moment ago, or is of a colony nobody asked about
        text, count, origin = message.rsplit("|", 2)
        if origin != self.context.store.origin:
            self.context.notice(colony, text, int(count))

    def _missed(self) -> None:
        """The connection that hears notices came back."""
        self.context.waiting.wake_all()
        self.context.said.wake_all()


def _stopped_projecting(task: asyncio.Task[None]) -> None:
    """A projector that meets what it cannot read stops, loudly; requests are still answered."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("projector_stopped", error=str(error), kind=type(error).__name__)


async def _until_loaded(store: EventStore) -> None:
    """A store that was killed reads its log before it answers; wait for that, within reason.

    Raises:
        Unavailable: it does not come up.
    """
    async with asyncio.timeout(_LOADING_S):
        while True:
            try:
                await store.look_at_clock()
            except Unavailable as error:
                if "LOADING" not in str(error):
                    raise
                _log.info("store_loading")
                await asyncio.sleep(0.1)
            else:
                return


async def _refuse_half_restored(store: EventStore) -> None:
    """Colonies that are not whole are not served, and no server is founded in their place.

    Raises:
        Unavailable: the store is being restored.
    """
    if await store.send("EXISTS", SERVER.key(keys.RESTORING)):
        raise Unavailable(
            "the store is being restored, or that was left: `colonies history restore` ends it"
        )


async def _to_api(_request: Request) -> Response:
    """POST /api/ leads to /api, on whatever host the client knows us by."""
    return Response(status_code=307, headers={"location": "/api"})


async def _no_upgrade(_request: Request) -> Response:
    """GET /pubsub without an upgrade, as the reference answers it."""
    headers = {"sec-websocket-version": "13", "x-content-type-options": "nosniff"}
    return PlainTextResponse("Bad Request\n", 400, headers)


async def _not_found(_request: Request, _error: Exception) -> Response:
    return Response(b"404 page not found", 404, {"content-type": "text/plain"})
