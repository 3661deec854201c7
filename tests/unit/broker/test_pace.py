"""Work that can wait rests for long while others need the processor."""

import pytest

from broker import pace
from broker.pace import Leisure, pause_s


@pytest.mark.parametrize(
    ("others", "share"), [(0.0, 1 / 2), (0.25, 1 / 2), (0.3, 1 / 50), (1.0, 1 / 50)]
)
def test_share_of_the_processor_depends_on_others(others: float, share: float) -> None:
    took_s = 0.002

    assert took_s / (took_s + pause_s(took_s, others)) == pytest.approx(share)


class Watch:
    """The clocks of a process on which time passes by being told so."""

    def __init__(self) -> None:
        self.now = self.used = 0.0

    def monotonic(self) -> float:
        """Seconds that passed."""
        return self.now

    def process_time(self) -> float:
        """Seconds that this process had the processor."""
        return self.used

    def passes(self, seconds: float, used: float) -> None:
        """Time goes on."""
        self.now += seconds
        self.used += used


async def test_what_others_do_between_two_steps_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []

    def pause(took_s: float, others: float) -> float:
        seen.append((took_s, others))
        return 0.0

    watch = Watch()
    monkeypatch.setattr(pace, "time", watch)
    monkeypatch.setattr(pace, "pause_s", pause)
    leisure = Leisure()
    for others, hurry in ((0.0, False), (0.5, False), (0.5, True)):
        watch.passes(1.0, used=others)
        leisure.begin()
        watch.passes(3.0, used=2.0)
        await leisure.rest(hurry=hurry)

    assert seen == [(2.0, 0.0), (2.0, 0.5), (2.0, 0.0)]


async def test_others_who_wait_for_a_moment_are_not_taken_for_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []

    def pause(_took_s: float, others: float) -> float:
        seen.append(others)
        return 0.0

    watch = Watch()
    monkeypatch.setattr(pace, "time", watch)
    monkeypatch.setattr(pace, "pause_s", pause)
    leisure = Leisure()
    for _ in range(30):
        for used in (0.006, 0.0):
            watch.passes(0.006, used=used)
            leisure.begin()
            watch.passes(0.001, used=0.001)
            await leisure.rest()

    assert seen[0] == 1.0
    assert min(seen) > 0.4
