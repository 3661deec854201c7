"""What this program was built from."""

import os
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """Version of the installed distribution; ``dev`` when it is run from its sources."""
    try:
        return installed_version("colonies-broker")
    except PackageNotFoundError:
        return "dev"


def build_time() -> str:
    """When it was built, as the one who built it said; empty if nobody did."""
    return os.environ.get("BUILD_TIME", "")
