"""GET /metrics: what the workers of this server counted, and what the store says, for Prometheus.

Labels stay bounded: types of messages are those of the protocol, and beyond so many colonies (and
classes of one colony) the rest is one sum under the label "".
"""

import asyncio
import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import accumulate
from typing import TypeVar

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from api import census, gauges, monitored
from api.context import Context
from api.gauges import ColonyGauges, Memory, Queue
from api.tally import BOUNDS_S, Snapshot, Tally
from broker import archived
from broker.aggregates.process import State
from broker.errors import BrokerError

OTHER = ""
"""The label of what is summed up because there is too much of it; no colony and no class has it."""
_MOST_CLASSES = 20
_FRESH_S = 1.0
_ELSEWHERE = ("forwarded", "x-forwarded-for", "x-real-ip", "via", "origin")
"""What this machine sends on behalf of another: as a proxy, or as a browser that shows a page."""
_STATES = {state: state.name.lower() for state in State}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that is shown once: the counts of the workers, and the store's."""

    counted: Snapshot
    colonies: Sequence[ColonyGauges]
    memory: Memory
    archive_up: bool | None
    """Whether the archive goes on; None without one."""


@dataclass(slots=True, kw_only=True)
class Metrics:
    """The endpoint of one worker.

    What the store says is asked at most once a second, however many ask here.
    """

    context: Context
    tally: Tally
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asked_at: float = float("-inf")
    _colonies: Sequence[ColonyGauges] = ()
    _memory: Memory = field(default_factory=lambda: Memory(used=0, limit=0))
    _archive_up: bool | None = None

    async def answer(self, request: Request) -> Response:
        """The exposition, in the format that was asked for; 503 while the store is away."""
        settings = self.context.settings
        if not may_ask(request, settings.metrics_token):
            return PlainTextResponse(
                "metrics are for this machine, or for whoever has COLONIES_METRICS_TOKEN"
                " (Authorization: Bearer)\n",
                403,
            )
        try:
            await self._ask_store()
        except BrokerError as error:
            return PlainTextResponse(f"{error}\n", 503)
        reading = Reading(
            counted=self.tally.total(),
            colonies=self._colonies,
            memory=self._memory,
            archive_up=self._archive_up,
        )
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families(reading, settings.metrics_colonies))
        return Response(encode(registry), headers={"content-type": content_type})

    async def _ask_store(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._asking:
            if loop.time() - self._asked_at < _FRESH_S:
                return
            context = self.context
            self._memory = await gauges.memory(context.store)
            has_archive = bool(context.settings.archive_url)
            self._colonies = await gauges.every_colony(
                context.store, context.directory, has_archive=has_archive
            )
            if has_archive:
                said = await archived.state(context.store)
                self._archive_up = not archived.trouble(said, context.store.clock.now_ns())
            self._asked_at = loop.time()


def may_ask(request: Request, token: str) -> bool:
    """Whether a request has the token; without one, whether it comes from this very machine."""
    if token:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
    if any(name in request.headers for name in _ELSEWHERE) or request.client is None:
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class _Families(Collector):
    """One reading as Prometheus' metric families."""

    def __init__(self, reading: Reading, most_colonies: int) -> None:
        self._reading = reading
        self._most = most_colonies

    def collect(self) -> Iterator[Metric]:
        """Everything."""
        yield from _of_requests(self._reading.counted)
        yield from _of_server(self._reading)
        yield from families(self._reading.colonies, self._most)


def families(colonies: Sequence[ColonyGauges], most: int) -> Iterator[Metric]:
    """What is told of colonies: of the first ``most`` by name, and of the others together."""
    shown, rest = colonies[:most], colonies[most:]
    yield from _of_processes(shown, rest)
    yield from _of_queues(shown, rest)
    yield from _of_logs(shown, rest)


def _of_requests(counted: Snapshot) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "colonies_requests",
        "Requests answered on POST /api, by type of message and HTTP status.",
        labels=["type", "status"],
    )
    latency = HistogramMetricFamily(
        "colonies_request_duration_seconds",
        "From the last byte of a request to its reply; an assign waits for work in it.",
        labels=["type", "status"],
    )
    for one in counted.requests:
        labels = [one.asked or "unknown", str(one.status)]
        sums = list(accumulate(one.buckets))
        requests.add_metric(labels, sums[-1])
        bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
        latency.add_metric(labels, list(zip(bounds, sums, strict=True)), one.seconds)
    yield from (requests, latency)
    for name, count in counted.counters.items():
        yield CounterMetricFamily(f"colonies_{name}", _HELP[name], value=count)
    for name, count in counted.gauges.items():
        yield GaugeMetricFamily(f"colonies_{name}", _HELP[name], value=count)


_HELP = {
    "store_conflicts": "Decisions that met changed rows and were made again, or given up.",
    "long_polls": "Assigns that wait for work.",
    "subscriptions": "Websockets and event feeds that follow a colony.",
}


def _of_server(reading: Reading) -> Iterator[Metric]:
    total = census.statistics(colony.counted for colony in reading.colonies)
    yield from monitored.gauges(total)
    if reading.archive_up is not None:
        yield GaugeMetricFamily(
            "colonies_archive_up", "Whether archiving goes on.", float(reading.archive_up)
        )
    memory = reading.memory
    yield GaugeMetricFamily("colonies_store_memory_bytes", "The store's own count.", memory.used)
    yield GaugeMetricFamily(
        "colonies_store_memory_limit_bytes", "The store's maxmemory, 0 without one.", memory.limit
    )


def _of_processes(shown: Iterable[ColonyGauges], rest: Iterable[ColonyGauges]) -> Iterator[Metric]:
    processes = GaugeMetricFamily(
        "colonies_processes", "Processes in the store, by state.", labels=["colony", "state"]
    )
    workflows = GaugeMetricFamily(
        "colonies_workflows", "Workflows in the store, by state.", labels=["colony", "state"]
    )
    for state, name in _STATES.items():
        for colony, count in _bounded(shown, rest, lambda c, s=state: c.counted.processes[s], sum):
            processes.add_metric([colony, name], count)
        for colony, count in _bounded(shown, rest, lambda c, s=state: c.counted.workflows[s], sum):
            workflows.add_metric([colony, name], count)
    executors = GaugeMetricFamily(
        "colonies_executors", "Executors that are not unregistered.", labels=["colony"]
    )
    for colony, count in _bounded(shown, rest, lambda c: c.counted.registered, sum):
        executors.add_metric([colony], count)
    yield from (processes, workflows, executors)


def _of_queues(shown: Iterable[ColonyGauges], rest: Iterable[ColonyGauges]) -> Iterator[Metric]:
    depth = GaugeMetricFamily(
        "colonies_queue_depth",
        "Waiting processes by what they ask for: a requirement class and its executor type.",
        labels=["colony", "class", "executor_type"],
    )
    oldest = GaugeMetricFamily(
        "colonies_oldest_waiting_seconds",
        "Since the submission of the process that is next in line, the oldest of all classes.",
        labels=["colony"],
    )
    for colony in shown:
        for queue in _bounded_queues(colony.queues):
            labels = [colony.name, queue.requirement_class, queue.executor_type]
            depth.add_metric(labels, queue.depth)
    waiting_elsewhere = sum(queue.depth for colony in rest for queue in colony.queues)
    if waiting_elsewhere:
        depth.add_metric([OTHER, OTHER, ""], waiting_elsewhere)
    for name, age_s in _bounded(shown, rest, _oldest_s, max):
        oldest.add_metric([name], age_s)
    yield from (depth, oldest)


def _of_logs(shown: Iterable[ColonyGauges], rest: Iterable[ColonyGauges]) -> Iterator[Metric]:
    events = CounterMetricFamily(
        "colonies_events", "Events of a colony since it was added.", labels=["colony"]
    )
    for name, count in _bounded(shown, rest, lambda c: c.events, sum):
        events.add_metric([name], count)
    lag = GaugeMetricFamily(
        "colonies_projection_lag_seconds",
        "Age of the oldest event that an async projection has not applied yet.",
        labels=["colony", "projection"],
    )
    for projection in sorted({name for c in (*shown, *rest) for name in c.lag_s}):
        for name, age_s in _bounded(shown, rest, lambda c, p=projection: c.lag_s[p], max):
            lag.add_metric([name, projection], age_s)
    archive = GaugeMetricFamily(
        "colonies_archive_lag_seconds",
        "Age of the oldest event or log line that is not archived yet.",
        labels=["colony"],
    )
    for name, age_s in _bounded(shown, rest, lambda c: c.archive_lag_s, _most):
        if age_s is not None:
            archive.add_metric([name], age_s)
    yield from (events, lag, archive)


def _bounded(
    shown: Iterable[ColonyGauges],
    rest: Iterable[ColonyGauges],
    value: Callable[[ColonyGauges], T],
    together: Callable[[list[T]], T],
) -> Iterator[tuple[str, T]]:
    """A value by colony; those of the rest put together under one name."""
    for colony in shown:
        yield colony.name, value(colony)
    others = [value(colony) for colony in rest]
    if others:
        yield OTHER, together(others)


def _most(ages: Sequence[float | None]) -> float | None:
    return max((age for age in ages if age is not None), default=None)


def _oldest_s(colony: ColonyGauges) -> float:
    return max((queue.head_age_s for queue in colony.queues), default=0.0)


def _bounded_queues(queues: Sequence[Queue]) -> Iterator[Queue]:
    """The deepest queues, and the sum of the others under one name."""
    deepest = sorted(queues, key=lambda queue: -queue.depth)
    yield from deepest[:_MOST_CLASSES]
    others = sum(queue.depth for queue in deepest[_MOST_CLASSES:])
    if others:
        yield Queue(requirement_class=OTHER, executor_type="", depth=others, head_age_s=0.0)
