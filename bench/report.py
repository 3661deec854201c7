"""Results: what one measurement is, the file of a run, and the table."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.latency import Summary

FLOOR = "floor"
CPU = " cpu us"
"""How the names of values end that are processor time for each request, in microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One case, on one target, in one round."""

    scenario: str
    case: str
    target: str
    round: int
    count: int
    seconds: float
    rate: float | None = None
    latencies: dict[str, Summary] = field(default_factory=dict[str, Summary])
    values: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of some rounds, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of one value or more."""
        return cls(median=statistics.median(values), least=min(values), most=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """One kind of request over all rounds."""

    p50_us: Spread
    p99_us: Spread
    p999_us: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case on one target over all rounds, compared with the floor of the same rounds."""

    scenario: str
    case: str
    target: str
    rounds: int
    rate: Spread | None
    ratio: Spread | None
    cpu_ratio: Spread | None
    latencies: dict[str, LatencyRow]
    values: dict[str, Spread]


def rows_of(measurements: Sequence[Measurement]) -> list[Row]:
    """Fold rounds into rows, in the order in which the cases first appear."""
    groups: dict[tuple[str, str, str], list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.scenario, one.case, one.target), []).append(one)
    floors = {
        (one.scenario, one.case, one.round): one for one in measurements if one.target == FLOOR
    }
    return [_row(group, floors) for group in groups.values()]


def _row(group: list[Measurement], floors: dict[tuple[str, str, int], Measurement]) -> Row:
    first = group[0]
    pairs = [
        (one, floors[one.scenario, one.case, one.round])
        for one in group
        if one.target != FLOOR and (one.scenario, one.case, one.round) in floors
    ]
    return Row(
        scenario=first.scenario,
        case=first.case,
        target=first.target,
        rounds=len(group),
        rate=_spread([one.rate for one in group if one.rate]),
        ratio=_spread([one.rate / floor.rate for one, floor in pairs if one.rate and floor.rate]),
        cpu_ratio=_spread([_cpu(floor) / _cpu(one) for one, floor in pairs if _cpu(one)]),
        latencies={name: _latency(name, group) for name in first.latencies},
        values={name: spread for name in _names(group) if (spread := _value(name, group))},
    )


def _cpu(one: Measurement) -> float:
    """All processor time that one request took, whoever used it."""
    return sum(value for name, value in one.values.items() if name.endswith(CPU))


def _names(group: list[Measurement]) -> list[str]:
    return list(dict.fromkeys(name for one in group for name in one.values))


def _value(name: str, group: list[Measurement]) -> Spread | None:
    return _spread([one.values[name] for one in group if name in one.values])


def _latency(name: str, group: list[Measurement]) -> LatencyRow:
    known = [one.latencies[name] for one in group]
    return LatencyRow(
        p50_us=Spread.of([one.p50_us for one in known]),
        p99_us=Spread.of([one.p99_us for one in known]),
        p999_us=Spread.of([one.p999_us for one in known]),
    )


def _spread(values: Sequence[float]) -> Spread | None:
    return Spread.of(values) if values else None


def table_of(rows: Sequence[Row]) -> Table:
    """The rows as a table: medians, and for the rate and the ratio least and most as well."""
    table = Table(title="medians over the rounds (least … most); latencies in microseconds")
    for name in ("scenario", "case", "target"):
        table.add_column(name)
    for name in ("per second", "of the floor", "by cpu"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("request")
    for name in ("p50", "p99", "p99.9"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("also")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> list[str]:
    latencies = row.latencies.values()
    return [
        row.scenario,
        row.case,
        row.target,
        _spread_text(row.rate, "{:,.0f}"),
        _spread_text(row.ratio, "{:.3f}"),
        _spread_text(row.cpu_ratio, "{:.3f}"),
        "\n".join(row.latencies),
        "\n".join(f"{one.p50_us.median:,.0f}" for one in latencies),
        "\n".join(f"{one.p99_us.median:,.0f}" for one in latencies),
        "\n".join(f"{one.p999_us.median:,.0f}" for one in latencies),
        "\n".join(f"{name}: {_text(value.median)}" for name, value in row.values.items()),
    ]


def _spread_text(value: Spread | None, form: str) -> str:
    if value is None:
        return ""
    middle, least, most = (form.format(one) for one in (value.median, value.least, value.most))
    return middle if least == most else f"{middle}\n({least} … {most})"


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= _WHOLE_FROM else f"{value:.2f}"


_WHOLE_FROM = 10
_WIDTH_IN_FILES = 160


def print_table(rows: Sequence[Row]) -> None:
    """Print the table; where the output is no terminal, as wide as it needs to be."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_IN_FILES)
    console.print(table_of(rows))


def write_json(folder: Path, about: dict[str, object], measurements: Sequence[Measurement]) -> Path:
    """Store a run with everything that is needed to compare it with another."""
    folder.mkdir(parents=True, exist_ok=True)
    at = datetime.now(UTC)
    path = folder / f"{at:%Y%m%dT%H%M%SZ}.json"
    run = {
        "at": at.isoformat(),
        **about,
        "rows": [asdict(row) for row in rows_of(measurements)],
        "measurements": [asdict(one) for one in measurements],
    }
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
