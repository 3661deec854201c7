"""Transcripts of websockets: what went over each socket, and where ours says something else.

A line is one thing that happened on one socket: a frame in either direction, or what the recorder
noted. It is called ``file/transcript#n``, n counted from 1 within its transcript. What is listed in
docs/compatibility.md, in ``retold`` tables, replaces what the reference's server said there:

    item      which line
    frames    what comes instead, one table for each frame, none for nothing:
    like        a recorded frame; of several, which are lists, one with the items of all
    set, open   with these places changed, and these keys holding anything
    payload     this payload (JSON text), of the kind of the request before
    status, message   a refusal
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.contract.answer import Answer, Envelope, Json
from tests.contract.compare import compare, matches
from tests.contract.differences import DOCUMENT, Difference, sections
from tests.contract.names import Names

SENT, SAID = "client->server", "server->client"
CONNECTED = "connected to "
SILENCE = "nothing received "
CLOSED = "connection closed by server without a close frame"


class Item(msgspec.Struct):
    """One thing that happened on a socket; ``frame`` is a text when it is no frame."""

    transcript: str
    dir: str
    frame: dict[str, Any] | str
    opcode: str = "text"
    place: str = ""

    @property
    def is_binary(self) -> bool:
        """Whether it is a binary frame."""
        return self.opcode == "binary"

    def noted(self, what: str) -> bool:
        """Whether the recorder noted something that begins so."""
        return isinstance(self.frame, str) and self.frame.startswith(what)

    def answer(self) -> Answer:
        """The frame that was said."""
        if isinstance(self.frame, str):
            raise TypeError(f"{self.place} is no frame")
        frame = self.frame
        return _answer(Envelope(frame["payloadtype"], frame["error"], frame["payload"]))


def _answer(envelope: Envelope) -> Answer:
    return Answer(status=200, body=envelope)


class Frame(msgspec.Struct, forbid_unknown_fields=True):
    """A frame that comes instead of a recorded one."""

    like: list[str] = []
    set: dict[str, Any] = {}
    open: frozenset[str] = frozenset()
    payload: str | None = None
    status: int = 0
    message: str = ""

    def answer(self, kind: str, items: Mapping[str, Item]) -> Answer:
        """What has to be said, ``kind`` after a request of this type.

        Raises:
            ValueError: the table says nothing, or more than one thing.
        """
        if [bool(self.like), self.payload is not None, bool(self.status)].count(True) != 1:
            raise ValueError(f"a frame is like others, has a payload, or is a refusal: {self}")
        if self.status:
            told: Json = {"status": self.status, "message": self.message}
            return _answer(Envelope("error", error=True, payload=told))
        if self.payload is not None:
            return _answer(Envelope(kind, error=False, payload=json.loads(self.payload)))
        first, *others = (items[place].answer() for place in self.like)
        change = Difference(title="", reason="", set=self.set, open=self.open)
        return change.apply(_joined(first, others) if others else first, kind)


def _joined(first: Answer, others: Sequence[Answer]) -> Answer:
    """One frame with the items of several."""
    bodies = [each.body for each in (first, *others)]
    lists = [body.payload for body in bodies if isinstance(body, Envelope)]
    everything = [item for each in lists if isinstance(each, list) for item in each]
    return _answer(Envelope(_kind(first), error=False, payload=everything))


def _kind(answer: Answer) -> str:
    if isinstance(answer.body, str):
        raise TypeError(f"{answer.body!r} is no envelope")
    return answer.body.payloadtype


class Retelling(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One deliberate difference on a socket."""

    title: str
    reason: str
    item: str
    frames: list[Frame]


def read_transcripts(file: Path) -> list[Item]:
    """Everything that is recorded in a file, in the order in which it happened."""
    counts: Counter[str] = Counter()
    found: list[Item] = []
    for text in file.read_bytes().splitlines():
        if not text.startswith(b'{"transcript"'):
            continue
        item = msgspec.json.decode(text, type=Item)
        counts[item.transcript] += 1
        item.place = f"{file.stem}/{item.transcript}#{counts[item.transcript]}"
        found.append(item)
    return found


def read_retellings(document: Path = DOCUMENT) -> Mapping[str, Retelling]:
    """What our sockets say otherwise, by the line it is about."""
    return {each.item: each for each in _retellings(document)}


def _retellings(document: Path) -> Iterator[Retelling]:
    for section in sections(document):
        about = {"title": section.title, "reason": section.reason}
        for fields in section.block.retold:
            yield msgspec.convert(about | fields, Retelling)


def unheard(promised: Answer, said: Answer, recorded: Item, names: Names, told: str) -> list[str]:
    """What is wrong with a frame that was said; ``told`` is the listed difference, if there is one.

    A difference that is no longer one is wrong, too.
    """
    stale = (
        told != ""
        and isinstance(recorded.frame, dict)
        and matches(recorded.answer(), said, names)
        and not matches(promised, recorded.answer(), names)
    )
    wrong = [f"no longer different, take it off the list: {told}"] if stale else []
    wrong += compare(promised, said, names)
    return [f"{recorded.place}: {each}" for each in wrong]
