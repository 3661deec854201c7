"""On what a number was measured: without it a result cannot be compared with anything."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

_PACKAGES = (
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "msgspec",
    "coincurve",
    "hiredis",
    "redis",
)


def describe(store: str) -> dict[str, object]:
    """Processor, cores, memory, versions and commit; ``store`` is what the store says of itself."""
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": platform.platform(),
        },
        "versions": {
            "python": platform.python_version(),
            "store": store,
            **{name: version(name) for name in _PACKAGES},
        },
        "commit": commit(),
    }


def commit() -> str:
    """The commit of this checkout, marked when files differ from it; "unknown" outside of git."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    head = _output([git, "rev-parse", "HEAD"])
    changed = _output([git, "status", "--porcelain", "--untracked-files=no"])
    return f"{head}+changes" if changed else head or "unknown"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def store_version(program: str) -> str:
    """What a store's program says of itself."""
    return _output([program, "--version"])


def _output(command: list[str]) -> str:
    here = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=here)  # noqa: S603 - paths found above, no shell
    return done.stdout.strip()
