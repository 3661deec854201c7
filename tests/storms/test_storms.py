"""Each storm in its short form; `python -m tests.storms` has the long one."""

from pathlib import Path

import pytest

from tests.storms.every import STORMS
from tests.storms.storm import Wish

SHORT_S = 15
# A connection that is reset while httpx still opens it is left to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]


@pytest.mark.parametrize("name", STORMS)
async def test_nothing_acknowledged_is_lost_in_a_storm(name: str, tmp_path: Path) -> None:
    storm = STORMS[name]

    outcome = await storm(Wish(seconds=SHORT_S, rounds=1, directory=tmp_path))

    assert outcome.wrong == [], f"seed {outcome.seed}"
    assert outcome.mutations > 0
