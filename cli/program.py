"""What this program is called, and what it was built from."""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

NAME = "colonies"


def program() -> str:
    """What to type for this program: its name, or where it is when a shell does not find it."""
    typed = Path(sys.argv[0])
    found = shutil.which(NAME)
    known = typed.name != NAME or (found is not None and typed.resolve() == Path(found).resolve())
    return NAME if known else str(typed)


def version() -> str:
    """Version of the installed distribution; ``dev`` when it is run from its sources."""
    try:
        return installed_version("colonies-broker")
    except PackageNotFoundError:
        return "dev"


def build_time() -> str:
    """When it was built, as the one who built it said; empty if nobody did."""
    return os.environ.get("BUILD_TIME", "")
