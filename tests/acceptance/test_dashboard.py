"""The Grafana dashboard asks for metrics and labels that a server really shows."""

import json
import re
from pathlib import Path
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.asking import Api
from tests.acceptance.conftest import OWNER, settings_on
from tests.acceptance.processes import Store, started
from tests.acceptance.tenants import found

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "colonies.json"
# It does not answer, which metrics say.
NO_ARCHIVE = "postgresql://nobody@127.0.0.1:1/none"
_METRIC = re.compile(r"\b(colonies_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def expressions() -> list[str]:
    """Every query of the dashboard."""
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    panels = cast("list[dict[str, Any]]", dashboard["panels"])
    return [target["expr"] for panel in panels for target in panel["targets"]]


async def test_every_metric_and_label_of_the_dashboard_exists(store: Store) -> None:
    with started(settings_on(store.url, archive_url=NO_ARCHIVE)) as server:
        async with Api(server.url) as api:
            shown = await _shown(api)
    asked = expressions()
    assert asked
    for expression in asked:
        found_in = _METRIC.findall(expression)
        assert found_in, expression
        for name, matchers in found_in:
            assert name in shown, expression
            labels = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)
            labels += [g.strip() for by in _GROUPED.findall(expression) for g in by.split(",")]
            assert set(labels) <= shown[name], expression


async def _shown(api: Api) -> dict[str, set[str]]:
    """The labels of each metric, of a server on which a process has run."""
    tenant = await found(api, OWNER)
    executor = await tenant.executor(api)
    await tenant.submit(api)
    process = (await executor.assign(api)).ok
    (await executor.close(api, process["processid"])).ok  # noqa: B018 - asserts
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families((await api.get("/metrics")).text)
        for sample in family.samples
    }
