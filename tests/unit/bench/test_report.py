"""Rounds become medians with their spread, and ratios are taken within one round."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.latency import Latencies
from bench.report import Measurement, Spread, rows_of, table_of, write_json


def _measured(target: str, number: int, rate: float, **values: float) -> Measurement:
    return Measurement(
        scenario="lifecycle",
        case="submit",
        target=target,
        round=number,
        count=100,
        seconds=100 / rate,
        rate=rate,
        latencies={"submit": Latencies([0.001 * number]).summary()},
        values=values,
    )


_RUN = [
    _measured("floor", 1, 1000),
    _measured("ours", 1, 300, bytes=7),
    _measured("floor", 2, 2000),
    _measured("ours", 2, 400),
    _measured("floor", 3, 1000),
    _measured("ours", 3, 250, bytes=9),
]


def test_a_ratio_compares_with_the_floor_of_its_own_round() -> None:
    floor, ours = rows_of(_RUN)
    assert floor.ratio is None
    assert ours.ratio == Spread(median=0.25, least=0.2, most=0.3)


def test_a_ratio_by_cpu_adds_up_everybody() -> None:
    floor = _measured("floor", 1, 1000, **{"server cpu us": 60.0, "generator cpu us": 40.0})
    more = {"server cpu us": 300.0, "redis cpu us": 100.0, "generator cpu us": 100.0, "bytes": 9.0}
    _, ours = rows_of([floor, _measured("ours", 1, 300, **more)])
    assert ours.cpu_ratio == Spread(median=0.2, least=0.2, most=0.2)


def test_rates_and_latencies_are_medians_with_their_spread() -> None:
    _, ours = rows_of(_RUN)
    assert ours.rate == Spread(median=300, least=250, most=400)
    assert ours.latencies["submit"].p50_us.median == pytest.approx(2000)
    assert ours.rounds == 3


def test_values_of_some_rounds_only_are_kept() -> None:
    _, ours = rows_of(_RUN)
    assert ours.values == {"bytes": Spread(median=8, least=7, most=9)}


def test_without_a_floor_there_is_no_ratio() -> None:
    (row,) = rows_of(_RUN[1:2])
    assert (row.ratio, row.cpu_ratio) == (None, None)


def test_the_table_shows_medians_and_spread() -> None:
    output = StringIO()
    Console(file=output, width=160).print(table_of(rows_of(_RUN)))
    text = output.getvalue()
    assert "(250 … 400)" in text
    assert "0.250" in text
    assert "bytes: 8.00" in text


def test_a_stored_run_holds_every_round_and_what_it_ran_on(tmp_path: Path) -> None:
    path = write_json(tmp_path / "results", {"commit": "abc"}, _RUN)
    stored = json.loads(path.read_text())
    assert stored["commit"] == "abc"
    assert len(stored["measurements"]) == 6
    assert stored["rows"][1]["ratio"]["median"] == pytest.approx(0.25)
