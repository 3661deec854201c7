"""What the checkout promises to somebody who has just cloned it."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TARGETS = ("install", "dev", "test", "check", "bench", "format")


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"].values()
    return [Requirement(text) for texts in [project["dependencies"], *optional] for text in texts]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda each: each.name)
def test_requirement_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    version = pinned()[canonicalize_name(requirement.name)]

    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("requirement", requirements(), ids=lambda each: each.name)
def test_requirement_is_bounded_on_both_sides(requirement: Requirement) -> None:
    operators = {each.operator for each in requirement.specifier}

    assert operators == {">=", "<"}


def test_constraints_hold_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]

    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_what_is_documented(target: str) -> None:
    told = subprocess.run(  # noqa: S603 - our own Makefile, and nothing is carried out
        ["make", "--dry-run", target],  # noqa: S607 - whichever make the developer has
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr


def test_ci_runs_check_and_test() -> None:
    script = ROOT / ".ci" / "run"
    commands = script.read_text("utf-8").splitlines()

    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in commands
    assert commands[-2:] == ["make check", "make test"]
