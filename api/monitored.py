"""The ten gauges of the reference's monitor: on our own /metrics, and in ``colonies monitor``."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from api import wire_colony

_GAUGES = {
    "colonies": ("colonies", "Colonies."),
    "executors": ("executors", "Executors that are not unregistered."),
    "waitingprocesses": ("processes_waiting", "Waiting processes."),
    "runningprocesses": ("processes_running", "Running processes."),
    "successfulprocesses": ("processes_successful", "Successful processes."),
    "failedprocesses": ("processes_failed", "Failed processes."),
    "waitingworkflows": ("workflows_waiting", "Waiting workflows."),
    "runningworkflows": ("workflows_running", "Running workflows."),
    "successfulworkflows": ("workflows_successful", "Successful workflows."),
    "failedworkflows": ("workflows_failed", "Failed workflows."),
}
"""By the field of the statistics: the name behind ``colonies_server_``, and what it counts."""


def gauges(counts: wire_colony.Statistics) -> Iterator[GaugeMetricFamily]:
    """The statistics of a server, each under the reference's name."""
    for name, (called, meaning) in _GAUGES.items():
        yield GaugeMetricFamily(f"colonies_server_{called}", meaning, value=getattr(counts, name))
