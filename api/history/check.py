"""Checking a file of a sealed log, without any server or store."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from api.history.asked import Asked
from api.history.proof import BY_SERVER, UNREADABLE, Proof
from api.history.seal import BLOCK, FIRST, FORMAT, SIGNED, fingerprint, seal_of, values_of
from broker.aggregates.colony import ColonyFounded
from broker.aggregates.server import ServerFounded
from broker.envelope import PROOF_BYTES
from broker.errors import Malformed
from broker.position import START, Position

MOST_FINDINGS = 100
_THE_SERVER = "the server"


@dataclass(slots=True)
class Report:
    """What a file holds and what is wrong with it.

    ``signers`` counts events by who signed them, ``requests`` those whose request is in the file,
    ``messages`` the requests by the type of their message.
    """

    colony: str = ""
    events: int = 0
    blocks: int = 0
    seal: str = FIRST
    unsigned: int = 0
    signers: Counter[str] = field(default_factory=Counter[str])
    requests: int = 0
    messages: Counter[str] = field(default_factory=Counter[str])
    seals: set[str] = field(default_factory=set[str])
    wrong: int = 0
    findings: list[str] = field(default_factory=list[str])
    """The first MOST_FINDINGS of what is wrong."""
    found: list[str] = field(default_factory=list[str])
    """Events that the request asked for which was looked for."""
    shown: list[str] = field(default_factory=list[str])
    """Who asked for what in each request of the file, if that is wanted."""


class Checker:
    """Reads a file line by line."""

    def __init__(self, request: bytes = b"", *, show: bool = False) -> None:
        """``request`` is the base64 text of a payload; its events are looked for.

        With ``show`` the report has what each request of the file asked for.
        """
        self.report = Report()
        self._show = show
        self._wanted = hashlib.sha3_256(request).hexdigest() if request else ""
        self._expected = 1
        self._position = START
        self._block: list[bytes] = []
        self._ended = False
        self._nothing = True
        self._request = b""
        self._kept = False
        self._doers: dict[str, str] = {}

    def run(self, lines: Iterable[bytes]) -> Report:
        """Check all of it.

        Raises:
            Malformed: it is no such file.
        """
        for number, text in enumerate(lines, 1):
            self._nothing = False
            data = self._read(number, text)
            if number == 1:
                self._begin(data)
            elif data is not None:
                self._line(number, data)
        if self._nothing:
            raise Malformed("this is no log: it is empty")
        self._judge_request()
        if not self._ended:
            self._say(f"the end is missing: nothing follows event {self._expected - 1}")
        return self.report

    def _line(self, number: int, data: dict[str, Any]) -> None:
        if self._ended:
            self._say(f"line {number} stands after the end")
        elif "n" in data:
            self._event(number, data)
        elif "block" in data:
            self._seal(number, data)
        elif "end" in data:
            self._end(data)
        else:
            self._say(f"line {number} is neither an event nor a seal")

    def _read(self, number: int, text: bytes) -> dict[str, Any] | None:
        try:
            data: object = json.loads(text)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            return cast("dict[str, Any]", data)
        if number > 1:
            self._say(f"line {number} cannot be read")
        return None

    def _begin(self, data: dict[str, Any] | None) -> None:
        if data is None or data.get("format") != FORMAT or data.get("block") != BLOCK:
            raise Malformed(f"this is no log in the format {FORMAT}")
        self.report.colony = str(data.get("colony", ""))

    def _event(self, at: int, data: dict[str, Any]) -> None:
        try:
            number, position = int(data["n"]), Position.parse(data["position"])
            values, stated = values_of(data), bytes.fromhex(data["hash"])
            name = f"event {number} at {position} ({data['type']})"
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, Malformed):
            self._say(f"line {at} is no event")
            return
        self._in_order(number, position, name)
        if fingerprint(str(position), values) != stated:
            self._say(f"{name} was changed")
        self._named(name, data["type"], data["subject"])
        self._block.append(stated)
        self.report.events += 1
        self._signed(name, data["actor"], values[SIGNED])

    def _named(self, name: str, kind: str, subject: str) -> None:
        """See that the log is whose the first line says; no seal vouches for that line."""
        if kind not in {ColonyFounded.TYPE, ServerFounded.TYPE}:
            return
        whose = subject if kind == ColonyFounded.TYPE else ""
        if whose != self.report.colony:
            named = self.report.colony or _THE_SERVER
            self._say(
                f"{name} begins the log of {whose or _THE_SERVER}, the file is named after {named}"
            )

    def _in_order(self, number: int, position: Position, name: str) -> None:
        if number == self._expected + 1:
            self._say(f"event {self._expected} is missing, before {name}")
        elif number > self._expected:
            self._say(f"events {self._expected} to {number - 1} are missing, before {name}")
        elif number < self._expected:
            self._say(f"{name} stands behind event {self._expected - 1}: moved, or repeated")
        elif position <= self._position:
            self._say(f"{name} is not later than the one before it")
        self._expected, self._position = max(number + 1, self._expected), position

    def _signed(self, name: str, actor: str, signed: bytes) -> None:
        """Remember who did the events of one request; they stand one behind the other."""
        if signed[:PROOF_BYTES] != self._request:
            self._judge_request()
            self._request, self._kept, self._doers = signed[:PROOF_BYTES], False, {}
        self._doers[actor] = name
        proof = Proof.read(signed)
        if proof.signer == BY_SERVER:
            self.report.unsigned += 1
        elif proof.signer == UNREADABLE:
            self._say(f"{name} has a signature that is none")
        else:
            self.report.signers[proof.signer] += 1
        if proof.request:
            self._kept = self._asked(name, proof)
        self.report.requests += self._kept
        if self._wanted and proof.digest.hex() == self._wanted:
            self.report.found.append(name)

    def _asked(self, name: str, proof: Proof) -> bool:
        """Whether an event has the very text that was signed, which its others then have, too."""
        try:
            asked = Asked.read(proof.request, proof.digest)
        except Malformed as error:
            self._say(f"{name} has a request that {error}")
            return False
        self.report.messages[asked.kind] += 1
        if self._show:
            self.report.shown.append(f"{name}: {proof.signer} asked for {asked.text}")
        return True

    def _judge_request(self) -> None:
        """Who signed a request did at least one of its events.

        The others may be done in the name of whoever added the cron or generator that it started.
        """
        signer = Proof.read(self._request).signer
        if signer not in {BY_SERVER, UNREADABLE, *self._doers}:
            actor, name = next(iter(self._doers.items()))
            self._say(f"{name} names {actor or _THE_SERVER}, but was signed by {signer}")

    def _seal(self, at: int, data: dict[str, Any]) -> None:
        try:
            number, events = int(data["block"]), int(data["events"])
            previous, seal = str(data["previous"]), str(data["seal"])
            right = seal_of(previous, self._block)
        except (KeyError, TypeError, ValueError, OverflowError):
            self._say(f"line {at} is no seal")
            return
        name = f"block {number} ({data.get('first')} to {data.get('last')})"
        if number != self.report.blocks + 1 or previous != self.report.seal:
            self._say(f"{name} does not follow block {self.report.blocks}")
        if events != len(self._block):
            self._say(f"{name} was sealed with {events} events and has {len(self._block)}")
        elif seal != right:
            self._say(f"{name} is not what was sealed")
        self.report.blocks, self.report.seal = number, seal
        self.report.seals.add(seal)
        self._block = []

    def _end(self, data: dict[str, Any]) -> None:
        self._ended = True
        if self._block:
            self._say(f"the last {len(self._block)} events are not sealed")
        if data["end"] != self._expected - 1 or data.get("seal") != self.report.seal:
            self._say(f"the end says {data['end']} events, there are {self.report.events}")

    def _say(self, finding: str) -> None:
        self.report.wrong += 1
        if len(self.report.findings) < MOST_FINDINGS:
            self.report.findings.append(finding)
