"""A log as a file that anybody can check: an event a line, sealed in blocks.

Each line of an event has the SHA3-256 of what the log holds about it. After every BLOCK events
stands the seal of their block: SHA3-256 over the seal before it and the hashes of the block. So a
seal that somebody noted vouches for everything before it; and because blocks are counted from the
beginning of the log, every export of it has the same ones.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from broker.envelope import DIGEST_BYTES, FIELDS, PROOF_BYTES, RawEntry, position_of
from broker.position import Position

FORMAT = "colonies-history/1"
BLOCK = 1_000
FIRST = "0" * 64
"""What the first block names as the one before it."""
SIGNED = FIELDS.index("signed")


def fingerprint(position: str, values: Sequence[bytes]) -> bytes:
    """SHA3-256 of the position and the values of envelope.FIELDS, each behind its length."""
    hashed = hashlib.sha3_256()
    for value in (position.encode(), *values):
        hashed.update(len(value).to_bytes(8, "big"))
        hashed.update(value)
    return hashed.digest()


def seal_of(previous: str, fingerprints: Sequence[bytes]) -> str:
    """The seal of a block, in hex."""
    return hashlib.sha3_256(bytes.fromhex(previous) + b"".join(fingerprints)).hexdigest()


def event_line(number: int, raw: RawEntry) -> tuple[dict[str, object], bytes]:
    """An event as a line has it, and its fingerprint.

    The text of a request stands as it was signed, so that anybody can compute its digest.
    """
    flat: Sequence[bytes] = raw[1]
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    values = [fields.get(name.encode(), b"") for name in FIELDS]
    position = str(position_of(raw))
    kind, version, subject, actor, at_ns, cause, signed, body = values
    hashed = fingerprint(position, values)
    line: dict[str, object] = {
        "n": number,
        "position": position,
        "type": kind.decode(),
        "v": version.decode(),
        "subject": subject.decode(),
        "actor": actor.decode(),
        "at": at_ns.decode(),
        "cause": cause.decode(),
        "digest": signed[:DIGEST_BYTES].hex(),
        "signature": signed[DIGEST_BYTES:PROOF_BYTES].hex(),
        "body": base64.b64encode(body).decode(),
        "hash": hashed.hex(),
    }
    if request := signed[PROOF_BYTES:]:
        line["request"] = request.decode("ascii", "replace")
    return line, hashed


def values_of(line: dict[str, Any]) -> list[bytes]:
    """The values of envelope.FIELDS that a line says.

    Raises:
        KeyError, ValueError, AttributeError: it is no line of an event.
    """
    signed = bytes.fromhex(line["digest"]) + bytes.fromhex(line["signature"])
    signed += line.get("request", "").encode()
    texts = [line[name].encode() for name in ("type", "v", "subject", "actor", "at", "cause")]
    return [*texts, signed, base64.b64decode(line["body"], validate=True)]


class Sealer:
    """Writes the lines of a file, one event after the other."""

    def __init__(self, colony: str) -> None:
        self.events = 0
        self.blocks = 0
        self.seal = FIRST
        self._colony = colony
        self._block: list[bytes] = []
        self._first = self._last = Position(0, 0)

    def head(self) -> str:
        """The first line."""
        return _line({"format": FORMAT, "colony": self._colony, "block": BLOCK})

    def lines(self, raw: RawEntry) -> Iterator[str]:
        """The line of an event, and that of a seal when it fills a block."""
        self.events += 1
        line, hashed = event_line(self.events, raw)
        self._last = position_of(raw)
        self._first = self._last if not self._block else self._first
        self._block.append(hashed)
        yield _line(line)
        if len(self._block) == BLOCK:
            yield self._sealed()

    def end(self) -> Iterator[str]:
        """The seal of the last block, which is not full, and the last line."""
        if self._block:
            yield self._sealed()
        yield _line({"end": self.events, "seal": self.seal})

    def _sealed(self) -> str:
        previous, self.seal = self.seal, seal_of(self.seal, self._block)
        self.blocks += 1
        line: dict[str, object] = {
            "block": self.blocks,
            "events": len(self._block),
            "first": str(self._first),
            "last": str(self._last),
            "previous": previous,
            "seal": self.seal,
        }
        self._block = []
        return _line(line)


def _line(data: dict[str, object]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
