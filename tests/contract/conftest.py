"""The directory of recordings to replay."""

from pathlib import Path

import pytest

CORE = Path(__file__).parent / "recordings" / "core"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--recordings``; without it the core recordings of this tree are replayed."""
    parser.addoption(
        "--recordings", type=Path, default=CORE, help="directory of recordings to replay"
    )


def recordings_directory(config: pytest.Config) -> Path:
    """Where the recordings are."""
    # Without a path on the command line this file is read after the options are.
    return config.getoption("recordings", CORE) or CORE
