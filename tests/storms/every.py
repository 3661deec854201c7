"""All storms by name."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tests.storms.ages import ages
from tests.storms.clocks import clocks
from tests.storms.cluster import cluster
from tests.storms.kills import kills
from tests.storms.storm import Outcome, Wish
from tests.storms.weather import weather

STORMS: Mapping[str, Callable[[Wish], Coroutine[Any, Any, Outcome]]] = {
    "kills": kills,
    "weather": weather,
    "clocks": clocks,
    "cluster": cluster,
    "ages": ages,
}
