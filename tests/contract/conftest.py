"""Which directories of recordings to replay."""

from pathlib import Path

import pytest

RECORDINGS = Path(__file__).parent / "recordings"
# What the reference server said of its messages; each directory is complete in itself.
DIRECTORIES = (RECORDINGS / "core", RECORDINGS / "extended")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--recordings``; without it all recordings of this tree are replayed."""
    parser.addoption("--recordings", type=Path, help="the only directory of recordings to replay")


def recordings_directories(config: pytest.Config) -> tuple[Path, ...]:
    """Where the recordings are."""
    # Without a path on the command line this file is read after the options are.
    only: Path | None = config.getoption("recordings", None)
    return (only,) if only else DIRECTORIES
