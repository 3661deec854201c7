"""Storms: real processes, real signals, and a witness that remembers every acknowledgement.

python -m tests.storms                     each storm, short
python -m tests.storms kills --minutes 5   one storm, long
python -m tests.storms ages --lives 1000000
python -m tests.storms --report docs/storms.md
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.storms.every import STORMS
from tests.storms.report import write
from tests.storms.storm import Outcome, Wish

ROUNDS = 6


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(1)


def main(arguments: Sequence[str]) -> int:
    """Run storms; the exit code is 1 when one of them found something wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description=__doc__)
    parser.add_argument("storms", nargs="*", help=f"of {', '.join(STORMS)}; all by default")
    parser.add_argument("--minutes", type=float, default=0.5, help="for each storm")
    parser.add_argument("--lives", type=int, default=0, help="of processes in ages, at least")
    parser.add_argument("--seed", type=int, help="as an earlier run has printed it")
    parser.add_argument(
        "--report", type=Path, help="the page that is to show the figures, such as docs/storms.md"
    )
    told = parser.parse_args(arguments)
    if unknown := set(told.storms) - set(STORMS):
        parser.error(f"no such storm: {', '.join(sorted(unknown))}")
    # Whoever stops this ends what it has started, too.
    signal.signal(signal.SIGTERM, _stop)
    directory = Path(tempfile.mkdtemp(prefix="storms-"))
    seed = {} if told.seed is None else {"seed": told.seed}
    outcomes: list[Outcome] = []
    for name in told.storms or STORMS:
        wish = Wish(
            seconds=told.minutes * 60,
            rounds=ROUNDS,
            directory=directory,
            lives=told.lives,
            **seed,
        )
        outcomes.append(asyncio.run(STORMS[name](wish)))
        print(outcomes[-1], flush=True)
    wrong = [text for outcome in outcomes for text in outcome.wrong]
    for text in wrong:
        print(text, file=sys.stderr)
    if told.report:
        write(told.report, outcomes, told.minutes)
    if wrong:
        print(f"what was acknowledged is in {directory}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
