"""The page with the figures of a run of storms."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.storms.storm import Outcome

TITLES = {
    "kills": "Everything is killed",
    "weather": "The store stops, is full, is slow",
    "clocks": "Clocks are stepped",
    "cluster": "A cluster loses primaries",
    "ages": "Processes come and go",
}
FIGURES = "## Figures"


def write(path: Path, outcomes: Sequence[Outcome], minutes: float) -> None:
    """Put figures into a page, behind what somebody wrote there."""
    before = path.read_text(encoding="utf-8").partition(FIGURES)[0] if path.exists() else ""
    path.write_text(before + figures(outcomes, minutes), encoding="utf-8")


def figures(outcomes: Sequence[Outcome], minutes: float) -> str:
    """All of a run."""
    now = datetime.now(UTC)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    about = (
        f"{minutes:g} minutes for each storm, on {machine}, shared with the load and with others."
    )
    parts = [f"{FIGURES} of {now:%Y-%m-%d}\n\n{about}\n", *map(_section, outcomes)]
    return "\n".join(parts)


def _section(outcome: Outcome) -> str:
    title = TITLES.get(outcome.name, outcome.name)
    lost = "nothing" if not outcome.wrong else f"{len(outcome.wrong)} things, see below"
    rows = [
        ("seed", outcome.seed),
        ("seconds under load", f"{outcome.seconds:.0f}"),
        *((what, times) for what, times in sorted(outcome.blows.items())),
        ("acknowledged mutations", f"{outcome.mutations:,}"),
        ("refused with 503", f"{outcome.refused:,}"),
        ("connections broken off", f"{outcome.broken:,}"),
        ("requests repeated with their nonce", f"{outcome.repeated:,}"),
        ("longest time without an acknowledgement", f"{outcome.longest_s:.1f} s"),
        ("processes given out again, with an event that says so", outcome.retries),
        *((f"looked at: {what}", f"{n:,}") for what, n in sorted(outcome.looked_at.items())),
        ("**lost, doubled or half-done**", f"**{lost}**"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    text = "".join(f"\n- {each}" for each in [*outcome.notes, *outcome.wrong])
    return f"### {title}\n\n| | |\n|---|--:|\n{table}\n{text}\n"
