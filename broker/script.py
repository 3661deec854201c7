"""Lua scripts: loaded from the package, called by hash, sent whole where they are not known."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """The text of a script and the hash Redis knows it by."""

    name: str
    text: str
    sha: str

    def completed(self, parts: Mapping[str, str]) -> "Script":
        """The script with Lua source where its text has a mark, such as ``--[[writes]]``."""
        text = self.text
        for mark, source in parts.items():
            text = text.replace(f"--[[{mark}]]", source)
        return of_text(self.name, text)


def of_text(name: str, text: str) -> Script:
    """A script from its text."""
    # Redis names scripts by SHA-1; it is an address here, not a protection.
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _load(name: str) -> Script:
    """Read ``lua/<name>.lua``."""
    return of_text(name, files("broker").joinpath("lua", f"{name}.lua").read_text("utf-8"))


APPEND = _load("append")
PROJECT = _load("project")
LOG = _load("log")
TRIM_LOGS = _load("trim_logs")
CHANNEL = _load("channel")
GLANCE = _load("glance")
CUT = _load("cut")
PART = _load("part")
ARCHIVED = _load("archived")
TRIM_EVENTS = _load("trim_events")
BEGIN_BUILD = _load("begin_build")
SWITCH_BUILD = _load("switch_build")
BEGIN_RESTORE = _load("begin_restore")
RESTORE = _load("restore")
RESTORE_LINES = _load("restore_lines")
CLAIM = _load("claim")
"""Not complete: ``broker/claiming.py`` fills in what the fold writes."""
PREPARED = _load("prepared")
"""Not complete: ``broker/prepared.py`` makes one of it for each form an event comes in."""
