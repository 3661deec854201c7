"""Recordings of the reference server: a directory of exchanges, and the keys they were made with.

One line of a ``.jsonl`` file is one request and its reply. There are two spellings: that of the
core recordings, where each file begins with nothing, and that of the extended ones, where each
begins after ``00_setup``. Transcripts of websockets are something else and are not read here.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from broker.identity import Identity
from tests.contract.answer import Answer, Envelope

# The two names the key of the server's owner has had in recordings.
SERVER_ROLES = ("server", "server_owner")
IDENTITY_FILES = ("identities.json", "roles.json")
SETUP = "00_setup.jsonl"
COMMENT = b'{"name": "_note"'
NOBODY = "none"
NO_STATUS = 0


class HttpRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request below the level of envelopes."""

    method: str
    path: str
    headers: dict[str, str]
    body: str | None


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What was sent; exactly one of payload, payload_text, payload_b64 and http is there."""

    payloadtype: str | None
    signer: str
    payload: msgspec.Raw = msgspec.Raw(b"")
    payload_text: str | None = None
    payload_b64: str | None = None
    signature: str | None = None
    http: HttpRequest | None = None

    def text(self) -> str:
        """The payload before base64, exactly as it was recorded."""
        if self.payload_text is not None:
            return self.payload_text
        if (unread := _Verbatim.of(self.payload)) is not None:
            return unread
        return bytes(self.payload).decode()


class _Verbatim(msgspec.Struct, forbid_unknown_fields=True):
    """How the extended recordings write a payload that is no JSON."""

    text: str = msgspec.field(name="_raw")

    @classmethod
    def of(cls, payload: msgspec.Raw) -> str | None:
        try:
            return msgspec.json.decode(payload, type=cls).text
        except msgspec.DecodeError:
            return None


class _Reply(msgspec.Struct, forbid_unknown_fields=True):
    payloadtype: str = ""
    error: bool = False
    payload: Any = None
    raw: str | None = None
    rawbody: str | None = msgspec.field(default=None, name="_rawbody")
    event: str | None = msgspec.field(default=None, name="_event")

    def body(self) -> Envelope | str:
        for text in (self.raw, self.rawbody, self.event):
            if text is not None:
                return text
        return Envelope(self.payloadtype, self.error, self.payload)


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One exchange; without a status one that the recorded server did not survive."""

    name: str
    request: Request
    status: int | None
    reply: _Reply
    headers: dict[str, str] = {}
    bind: dict[str, Any] = {}
    elapsed_s: float | None = None
    note: str = ""
    seq: int = 0

    def answer(self) -> Answer:
        """The recorded answer."""
        return Answer(status=self.status or NO_STATUS, body=self.reply.body(), headers=self.headers)

    @property
    def messagetype(self) -> str:
        """The message the line is about, empty below the level of envelopes."""
        return self.request.payloadtype or ""

    @property
    def refused(self) -> bool:
        """Whether the reference answered with an error."""
        return self.status is None or self.status >= 400


@dataclass(frozen=True, slots=True)
class Recording:
    """The exchanges of one file, in order, with a server that was empty before the first."""

    name: str
    lines: tuple[Line, ...]

    @property
    def environment(self) -> dict[str, str]:
        """How the reference server was set up, in its own variables (core.md section 11)."""
        return dict(VARIANT if self.name.startswith("variant_") else MAIN)


MAIN = {
    "COLONIES_EXCLUSIVE_ASSIGN": "true",
    "COLONIES_ALLOW_EXECUTOR_REREGISTER": "true",
}
VARIANT = {
    "COLONIES_EXCLUSIVE_ASSIGN": "false",
    "COLONIES_ALLOW_EXECUTOR_REREGISTER": "false",
    "COLONIES_STALE_EXECUTOR_DURATION": "6",
    "COLONIES_CLEANUP_INTERVAL": "2",
    "COLONIES_RETENTION": "true",
    "COLONIES_RETENTION_POLICY": "5",
}


def recordings_in(directory: Path) -> list[Path]:
    """The recordings of a directory, in order of their names.

    Raises:
        FileNotFoundError: there is none, so that a wrong path cannot pass as success.
    """
    files = sorted(directory.glob("*.jsonl"))
    if not files:
        raise FileNotFoundError(f"no recordings (*.jsonl) in {directory}")
    return files


def read_recording(file: Path) -> Recording:
    """Read one file, after the set-up of its directory where there is one.

    Raises:
        ValueError: a line is no exchange; with the name of the file and the number of the line.
    """
    setup = file.with_name(SETUP)
    before = _lines(setup) if setup.exists() and setup != file else ()
    return Recording(file.stem, (*before, *_lines(file)))


def _lines(file: Path) -> Iterator[Line]:
    names: Counter[str] = Counter()
    for number, text in enumerate(file.read_bytes().splitlines(), start=1):
        if text.startswith(COMMENT):
            continue
        try:
            line = msgspec.json.decode(text, type=Line)
        except msgspec.DecodeError as error:
            raise ValueError(f"{file.name}, line {number}: {error}") from error
        names[line.name] += 1
        if names[line.name] > 1:
            line.name += f"#{names[line.name]}"
        yield line


def read_identities(directory: Path) -> Mapping[str, Identity]:
    """The identity of each role that signs in the recordings of a directory."""
    file = next(path for name in IDENTITY_FILES if (path := directory / name).exists())
    document: dict[str, dict[str, dict[str, str]]] = json.loads(file.read_text("utf-8"))
    roles = document.get("identities") or document["roles"]
    return {role: Identity.from_hex(keys["prvkey"]) for role, keys in roles.items()}


def server_identity(identities: Mapping[str, Identity]) -> Identity:
    """The identity the server has to be started with."""
    return next(identities[role] for role in SERVER_ROLES if role in identities)
