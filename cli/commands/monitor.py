"""``colonies monitor``: a server's counts for Prometheus, with nothing but the protocol."""

import asyncio
import os
from collections.abc import Iterator

from cyclopts import App
from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, Metric
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector

from api import monitored, wire_colony, wire_server
from cli.config import Role
from cli.errors import CliError, RpcError, Unreachable, UsageError
from cli.options import NONE, Options
from cli.session import Session

app = App(name="monitor", help="Manage Prometheus monitoring.", help_format="plaintext")

_PORT = 21_120
_INTERVAL_S = 1
_LARGEST_PORT = 65_535


class _Seen(Collector):
    """What the server said last; nothing of it while it says nothing."""

    def __init__(self) -> None:
        self.counts: wire_colony.Statistics | None = None

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        counts = self.counts
        up = float(counts is not None)
        yield GaugeMetricFamily("colonies_server_up", "Whether the server answers.", value=up)
        if counts is not None:
            yield from monitored.gauges(counts)


@app.command
async def start(
    *,
    port: int | None = None,
    interval: int | None = None,
    listen: str = "0.0.0.0",  # noqa: S104 - Prometheus is elsewhere, as with the reference
    options: Options = NONE,
) -> None:
    """Serve the counts of a server at /metrics until Ctrl-C; signed by the server owner.

    Our own servers say more at their own /metrics. This works with every server.

    Args:
        port: where to serve; COLONIES_MONITOR_PORT, or 21120. 0 takes a free port.
        interval: seconds between two questions; COLONIES_MONITOR_INTERVAL, or 1.
        listen: address to listen on.
        options: global options.
    """
    wanted = _number("--port", port, "COLONIES_MONITOR_PORT", _PORT, least=0, most=_LARGEST_PORT)
    pause_s = _number(
        "--interval", interval, "COLONIES_MONITOR_INTERVAL", _INTERVAL_S, least=1, most=86_400
    )
    async with Session(options) as session:
        client, seen = session.client(Role.SERVER), _Seen()
        seen.counts = await client.ask(wire_server.GetStatisticsMsg(), wire_colony.Statistics)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(seen)
        try:
            server, _ = start_http_server(wanted, listen, registry)
        except OSError as error:
            raise CliError(
                f"cannot listen on {listen}:{wanted}: {error.strerror or error}",
                hint="--port takes another one, 0 any that is free",
            ) from error
        try:
            session.out.done("Serving metrics", Port=str(server.server_port), Path="/metrics")
            while True:
                await asyncio.sleep(pause_s)
                try:
                    seen.counts = await client.ask(
                        wire_server.GetStatisticsMsg(), wire_colony.Statistics
                    )
                except (RpcError, Unreachable) as error:
                    if seen.counts is not None:
                        session.out.say(f"no counts: {error.message}", level="WARN")
                    seen.counts = None
        finally:
            server.shutdown()
            server.server_close()


def _number(
    flag: str, given: int | None, variable: str, default: int, *, least: int, most: int
) -> int:
    """What an option says, or else a variable, or else the default.

    Raises:
        UsageError: no number, or out of range.
    """
    said = str(given) if given is not None else os.environ.get(variable, "") or str(default)
    name = flag if given is not None else variable
    if not said.isascii() or not said.isdigit() or not least <= int(said) <= most:
        raise UsageError(f"{name} takes a whole number from {least} to {most}, got {said!r}")
    return int(said)
