"""Wall clocks of processes, stepped while they run."""

import struct
from dataclasses import dataclass
from pathlib import Path

from tests.storms.stepped.sitecustomize import VARIABLE

STEPPED = Path(__file__).parent / "stepped"
HOUR_S = 3_600


@dataclass
class Clock:
    """The wall clock of a process that is started with ``environ``."""

    path: Path

    def __post_init__(self) -> None:
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        """What makes a process look at this clock."""
        return {VARIABLE: str(self.path), "PYTHONPATH": str(STEPPED)}

    def step(self, seconds: int) -> None:
        """From now on it is off by so much."""
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.write(struct.pack("<q", seconds * 1_000_000_000))
