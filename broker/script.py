"""Lua scripts: loaded from the package, called by hash, sent whole where they are not known."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """The text of a script and the hash Redis knows it by."""

    name: str
    text: str
    sha: str


def load(name: str) -> Script:
    """Read ``lua/<name>.lua``."""
    text = files("broker").joinpath("lua", f"{name}.lua").read_text("utf-8")
    # Redis names scripts by SHA-1; it is an address here, not a protection.
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


APPEND = load("append")
CLAIM = load("claim")
PROJECT = load("project")
