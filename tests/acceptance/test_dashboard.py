"""The Grafana dashboard asks for metrics and labels that a server really shows."""

import json
import re
from pathlib import Path
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.asking import Api
from tests.acceptance.tenants import Tenant

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "colonies.json"
_METRIC = re.compile(r"\b(colonies_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def expressions() -> list[str]:
    """Every query of the dashboard."""
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    panels = cast("list[dict[str, Any]]", dashboard["panels"])
    return [target["expr"] for panel in panels for target in panel["targets"]]


async def test_every_metric_and_label_of_the_dashboard_exists(tenant: Tenant, api: Api) -> None:
    executor = await tenant.executor(api)
    await tenant.submit(api)
    process = (await executor.assign(api)).ok
    (await executor.close(api, process["processid"])).ok  # noqa: B018 - asserts
    shown = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families((await api.get("/metrics")).text)
        for sample in family.samples
    }
    asked = expressions()
    assert asked
    for expression in asked:
        found = _METRIC.findall(expression)
        assert found, expression
        for name, matchers in found:
            assert name in shown, expression
            labels = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)
            labels += [g.strip() for by in _GROUPED.findall(expression) for g in by.split(",")]
            assert set(labels) <= shown[name], expression
