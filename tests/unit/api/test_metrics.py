"""Who may see metrics, and that their labels stay bounded."""

import pytest
from starlette.requests import Request

from api.census import Census
from api.gauges import ColonyGauges, Queue
from api.metrics import OTHER, families, may_ask
from broker.access import MemberState
from broker.aggregates.process import State


def asked_from(host: str | None, **headers: str) -> Request:
    """A request from an address."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = (host, 1) if host is not None else None
    return Request({"type": "http", "headers": raw, "client": client})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_ask(host: str) -> None:
    assert may_ask(asked_from(host), "")


@pytest.mark.parametrize("host", ["10.0.0.1", "::2", "::ffff:10.0.0.1", "testclient", None])
def test_nobody_else_may(host: str | None) -> None:
    assert not may_ask(asked_from(host), "")


@pytest.mark.parametrize("header", ["forwarded", "x_forwarded_for", "x_real_ip", "via", "origin"])
def test_what_a_proxy_or_a_page_asks_is_not_from_this_machine(header: str) -> None:
    assert not may_ask(asked_from("127.0.0.1", **{header: "1.2.3.4"}), "")


@pytest.mark.parametrize(
    ("authorization", "allowed"),
    [("Bearer s3cret", True), ("bearer s3cret", True), ("Bearer other", False), ("s3cret", False)],
)
def test_a_token_decides_alone(authorization: str, allowed: bool) -> None:  # noqa: FBT001 - a table
    assert may_ask(asked_from("10.0.0.1", authorization=authorization), "s3cret") is allowed
    assert not may_ask(asked_from("127.0.0.1"), "s3cret")


def colony(number: int, *, depth: int = 1, classes: int = 1) -> ColonyGauges:
    """A colony with so many processes waiting in each class."""
    counts = dict.fromkeys(State, 0) | {State.WAITING: depth * classes}
    return ColonyGauges(
        name=f"c{number}",
        counted=Census(members=[MemberState.APPROVED], processes=counts, workflows=counts),
        queues=[
            Queue(requirement_class=f"k{i}", executor_type="t", depth=depth, head_age_s=number)
            for i in range(classes)
        ],
        events=10,
        lag_s={"functions": number / 10},
        archive_lag_s=number / 5,
    )


def samples(colonies: list[ColonyGauges], most: int) -> dict[tuple[str, ...], float]:
    """Every sample by its name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families(colonies, most)
        for sample in family.samples
    }


def test_colonies_beyond_the_limit_are_one_sum() -> None:
    seen = samples([colony(i) for i in range(5)], 2)
    assert {labels[1] for labels in seen} == {"c0", "c1", OTHER}
    assert seen["colonies_processes", "c0", "waiting"] == 1
    assert seen["colonies_processes", OTHER, "waiting"] == 3
    assert seen["colonies_executors", OTHER] == 3
    assert seen["colonies_events_total", OTHER] == 30
    assert seen["colonies_queue_depth", OTHER, OTHER, ""] == 3
    assert seen["colonies_oldest_waiting_seconds", OTHER] == 4
    assert seen["colonies_projection_lag_seconds", OTHER, "functions"] == 0.4


def test_classes_beyond_the_limit_are_one_sum() -> None:
    seen = samples([colony(0, depth=2, classes=500)], 2)
    depths = {labels[2]: v for labels, v in seen.items() if labels[0] == "colonies_queue_depth"}
    assert len(depths) == 21
    assert depths[OTHER] == 2 * 480


def test_without_a_rest_nothing_stands_for_it() -> None:
    assert OTHER not in {labels[1] for labels in samples([colony(0), colony(1)], 2)}
