"""Imports point one way, and nothing happens on import."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("broker", "projections", "api")
STARTS = {"api/serve.py", "api/supervise.py"}
MODULES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if str(path.relative_to(ROOT)) not in STARTS
)


def test_imports_point_one_way() -> None:
    told = subprocess.run(  # noqa: S603 - a tool of this very environment
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_where_a_server_starts_its_environment_is_read(path: Path) -> None:
    reads = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("os", "environ"), ("os", "getenv")}
    ]

    assert reads == []


def test_broker_and_projections_load_no_web_server() -> None:
    code = (
        "import sys, broker.store, broker.reactors.timer, projections.core, projections.replay;"
        "print(sorted({'starlette', 'uvicorn', 'cyclopts', 'httpx'} & set(sys.modules)))"
    )
    told = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == "[]"
