"""The deliberate differences from the reference, read from ``docs/compatibility.md``.

There every difference is a heading, a reason in prose, and a fenced ``toml`` block. Each of its
``differs`` tables says for which recorded lines we answer what instead:

    lines               the lines it is about, as ``file/name``; or
    messages            the message types it is about, optionally only where
    recorded            the recorded payload is this (JSON text)

    status, message     we refuse with this status and text; ``{payloadtype}`` is the message type
    status              alone: only the status and whether it is an error are promised
    payload             we answer this instead (JSON text)
    set, remove         we answer the recorded payload, with these places changed or left out
    open                we answer the recorded payload, but these keys may hold anything
    more                we answer the recorded list with so many items more
    headers             we send these headers instead
    undo                what we accept and the reference refused is taken back before the next line,
                        by a message of type ``message`` that names ``key`` of our answer

What sockets say otherwise are ``retold`` tables, see ``tests/contract/transcripts.py``.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from tests.contract.answer import Answer, Envelope, Json, Unchecked
from tests.contract.recording import Line

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
_SECTION = re.compile(
    r"^### (?P<title>.+)\n(?P<reason>(?:(?!#).*\n)*?)```toml\n(?P<toml>(?:.*\n)*?)```$",
    re.MULTILINE,
)


class Undo(msgspec.Struct, forbid_unknown_fields=True):
    """How something that was accepted is taken back."""

    message: str
    key: str


class Difference(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One deliberate difference."""

    title: str
    reason: str
    lines: frozenset[str] = frozenset()
    messages: frozenset[str] = frozenset()
    recorded: str | None = None
    status: int | None = None
    message: str | None = None
    payload: str | None = None
    set: dict[str, Any] = {}
    remove: list[str] = []
    open: frozenset[str] = frozenset()
    more: int = 0
    headers: dict[str, str] = {}
    undo: Undo | None = None

    def concerns(self, recording: str, line: Line) -> bool:
        """Whether this difference is about a recorded line."""
        if f"{recording}/{line.name}" in self.lines:
            return True
        if line.messagetype not in self.messages:
            return False
        body = line.answer().body
        if self.recorded is not None:
            return isinstance(body, Envelope) and json.loads(self.recorded) == body.payload
        # A change is about a payload; without one there is only a refusal to promise.
        return self.status is not None or (isinstance(body, Envelope) and not body.error)

    @property
    def has_to_differ(self) -> bool:
        """Whether it is a defect of the list when there is no difference."""
        return not self.open

    def apply(self, answer: Answer, messagetype: str) -> Answer:
        """The answer we give where the reference gives ``answer``."""
        if self.headers:
            answer = replace(answer, headers={**answer.headers, **self.headers})
        if self.status is not None or self.payload is not None:
            status = self.status or answer.status
            answer = replace(answer, status=status, body=self._body(status, messagetype))
        edits = self.set or self.remove or self.open or self.more
        return self._edited(answer) if edits else answer

    def _body(self, status: int, messagetype: str) -> Envelope:
        if self.message is not None:
            text = self.message.replace("{payloadtype}", messagetype)
            return Envelope("error", error=True, payload={"status": status, "message": text})
        payload = Unchecked() if self.payload is None else json.loads(self.payload)
        error = status >= 400
        return Envelope("error" if error else messagetype, error=error, payload=payload)

    def _edited(self, answer: Answer) -> Answer:
        if isinstance(answer.body, str) or isinstance(answer.body.payload, Unchecked):
            raise TypeError(f"{self.title}: there is no recorded payload to change")
        payload = deepcopy(answer.body.payload)
        for path in self.remove:
            parent, step = _place(payload, path)
            del parent[step]
        for path, value in self.set.items():
            parent, step = _place(payload, path)
            parent[step] = value
        if isinstance(payload, list):
            payload += [Unchecked()] * self.more
        _leave_open(payload, self.open)
        return replace(answer, body=replace(answer.body, payload=payload))


def _leave_open(payload: Json, names: frozenset[str]) -> None:
    """Let these keys hold anything, wherever they are."""
    if isinstance(payload, dict):
        payload.update(dict.fromkeys(payload.keys() & names, Unchecked()))
    if isinstance(payload, dict | list):
        for value in payload.values() if isinstance(payload, dict) else payload:
            _leave_open(value, names)


def _place(payload: Json, path: str) -> tuple[dict[Any, Json], Any]:
    """Where a dotted path ends: the object (or list) that holds it, and the last step."""
    place: Any = payload
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in steps:
        place = place[step]
    return place, last


class Block(msgspec.Struct, forbid_unknown_fields=True):
    """The tables of a section."""

    differs: list[dict[str, Any]] = []
    retold: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading of the document that has tables."""

    title: str
    reason: str
    block: Block


def sections(document: Path = DOCUMENT) -> tuple[Section, ...]:
    """All sections with tables.

    Raises:
        ValueError: one without a reason, or a block that is not read because of its place.
    """
    text = document.read_text("utf-8")
    if len(_SECTION.findall(text)) != text.count("```toml\n"):
        raise ValueError(f"{document.name}: a toml block does not follow a heading and its reason")
    return tuple(_sections(text))


def _sections(text: str) -> Iterator[Section]:
    for section in _SECTION.finditer(text):
        reason = section["reason"].strip()
        if not reason:
            raise ValueError(f"{section['title']}: no reason is given")
        block = msgspec.toml.decode(section["toml"], type=Block)
        yield Section(title=section["title"], reason=reason, block=block)


def read_differences(document: Path = DOCUMENT) -> tuple[Difference, ...]:
    """All differences of recorded replies in a document.

    Raises:
        ValueError: see ``sections``.
    """
    return tuple(
        msgspec.convert({"title": each.title, "reason": each.reason} | fields, Difference)
        for each in sections(document)
        for fields in each.block.differs
    )


def expected(answer: Answer, messagetype: str, differences: Sequence[Difference]) -> Answer:
    """The answer we promise, where the reference gave ``answer``."""
    for difference in differences:
        answer = difference.apply(answer, messagetype)
    return answer


def unknown_lines(
    differences: Sequence[Difference], recorded: Mapping[str, Sequence[Line]]
) -> list[str]:
    """What differences say of recordings that are there, but have no such line."""
    known = {f"{name}/{line.name}" for name, lines in recorded.items() for line in lines}
    named = {line: each.title for each in differences for line in each.lines}
    return [
        f"{title}: {line}"
        for line, title in sorted(named.items())
        if line.split("/")[0] in recorded and line not in known
    ]
