"""Replay a recording against a server and say where it answers otherwise.

Lines are sent one after the other. Two things are taken from how a recording was made:

- A long poll was written down when it ended. One that waited and then got a process was under way
  while the line before it released the process, so it is started before that line.
- Between two lines the recorder may have let time pass (a deadline, a sweep). Nothing says how
  long, so a question whose answer differs is asked again whenever something has happened.
"""

import asyncio
import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from broker.identity import Identity
from tests.contract.answer import Answer, Envelope, read_body
from tests.contract.compare import compare, matches
from tests.contract.differences import Difference, Undo, expected
from tests.contract.happening import Happening
from tests.contract.names import Names
from tests.contract.recording import NOBODY, Line, Recording

# Where the reference server listened; it appears in the headers of recorded raw requests.
RECORDED_AUTHORITY = "localhost:50081"
# A poll that took less than this did not wait for anything.
WAITED_S = 0.25
LATE_S = 30
RELEASING = frozenset({
    "submitfuncspecmsg",
    "submitworkflowspecmsg",
    "resumeassignmentsmsg",
    "closesuccessfulmsg",
    "removeexecutormsg",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that was answered otherwise than promised."""

    recording: str
    line: Line
    details: tuple[str, ...]

    def __str__(self) -> str:
        request = self.line.request
        head = f"{self.recording}/{self.line.name}: {self.line.messagetype} by {request.signer}"
        sent = str(request.http) if request.http else request.payload_b64 or request.text()
        return "\n    ".join([head, f"sent {sent[:400]}", *self.details])


@dataclass(frozen=True, slots=True)
class _Timed:
    answer: Answer
    seconds: float


@dataclass(slots=True, kw_only=True)
class Replay:
    """One recording on one server that is empty.

    ``happening`` tells what happens on it; without that no question is asked again. ``patience_s``
    is shared by the whole recording.
    """

    client: httpx.AsyncClient
    identities: Mapping[str, Identity]
    recording: Recording
    differences: Sequence[Difference] = ()
    happening: Happening | None = None
    patience_s: float = 20.0
    _names: Names = field(default_factory=Names)
    _under_way: dict[str, asyncio.Task[_Timed]] = field(
        default_factory=dict[str, asyncio.Task[_Timed]]
    )

    async def run(self) -> list[Problem]:
        """Send every line; the ones that were answered otherwise than promised."""
        bound = (value for line in self.recording.lines for value in line.bind.values())
        self._names = Names(declared=frozenset(map(str, bound)))
        self._names.sent.update(identity.id for identity in self.identities.values())
        starts = _early_starts(self.recording.lines)
        problems: list[Problem] = []
        for line in self.recording.lines:
            early = [await self._start(poll) for poll in starts.get(line.name, ())]
            details = [*early, *await self._replay(line)]
            if details:
                problems.append(Problem(self.recording.name, line, tuple(filter(None, details))))
        return [problem for problem in problems if problem.details]

    async def _start(self, poll: Line) -> str:
        """Start a long poll; the problem if it ends before what it waits for has happened."""
        task = asyncio.create_task(self._send(poll))
        self._under_way[poll.name] = task
        done, _ = await asyncio.wait({task}, timeout=WAITED_S)
        return f"{poll.name} was answered before this line released it" if done else ""

    async def _replay(self, line: Line) -> list[str]:
        timed = await self._answered(line)
        concerning = [each for each in self.differences if each.concerns(self.recording.name, line)]
        promised = expected(line.answer(), line.messagetype, concerning)
        for each in concerning:
            if each.undo is not None:
                await self._take_back(line.request.signer, each.undo, timed.answer)
        if _is_question(line):
            timed = await self._patiently(line, promised, timed)
        stale = self._stale(line, concerning, timed.answer)
        details = compare(promised, timed.answer, self._names)
        if details and concerning:
            details += [f"promised as: {each.title}" for each in concerning]
        if not concerning:
            details += _duration(line, timed.seconds)
        return details + stale

    async def _answered(self, line: Line) -> _Timed:
        if line.name in self._under_way:
            return await self._under_way.pop(line.name)
        return await self._send(line)

    async def _patiently(self, line: Line, promised: Answer, timed: _Timed) -> _Timed:
        """Ask again when something has happened, while the answer differs."""
        while self.happening and not matches(promised, timed.answer, self._names):
            happened = self.happening.so_far
            timed = await self._send(line)
            if matches(promised, timed.answer, self._names):
                break
            began = time.monotonic()
            if not await self.happening.more_than(happened, self.patience_s):
                break
            self.patience_s -= time.monotonic() - began
        return timed

    def _stale(self, line: Line, concerning: Sequence[Difference], answer: Answer) -> list[str]:
        """The listed differences without which the answer would be as promised too."""
        return [
            f"no longer different, take it off the list: {each.title}"
            for each in concerning
            if each.has_to_differ
            and matches(
                expected(line.answer(), line.messagetype, [x for x in concerning if x is not each]),
                answer,
                self._names,
            )
        ]

    async def _send(self, line: Line) -> _Timed:
        began = time.monotonic()
        response = await (self._send_http(line) if line.request.http else self._send_rpc(line))
        answer = Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body=read_body(response.content),
        )
        return _Timed(answer, time.monotonic() - began)

    async def _send_rpc(self, line: Line) -> httpx.Response:
        request = line.request
        text = self._names.translate(request.text())
        self._names.note_sent(request.text())
        payload = request.payload_b64 or base64.b64encode(text.encode()).decode()
        signature = request.signature
        if signature is None:
            signature = self._sign(request.signer, payload)
        envelope = {"payloadtype": request.payloadtype, "payload": payload, "signature": signature}
        return await self.client.post("/api", content=json.dumps(envelope))

    async def _take_back(self, signer: str, undo: Undo, answer: Answer) -> None:
        """Let the next lines find what they found when they were recorded."""
        if not isinstance(answer.body, Envelope) or answer.body.error:
            return
        given = answer.body.payload
        if not isinstance(given, dict):
            raise TypeError(f"there is no {undo.key} in the answer {given!r}")
        named = {undo.key: given[undo.key]}
        text = json.dumps({"msgtype": undo.message, **named})
        payload = base64.b64encode(text.encode()).decode()
        signature = self._sign(signer, payload)
        envelope = {"payloadtype": undo.message, "payload": payload, "signature": signature}
        (await self.client.post("/api", content=json.dumps(envelope))).raise_for_status()

    def _sign(self, role: str, payload: str) -> str:
        return "" if role == NOBODY else self.identities[role].sign(payload.encode())

    async def _send_http(self, line: Line) -> httpx.Response:
        request = line.request.http
        assert request is not None
        authority = self.client.base_url.netloc.decode()
        headers = {
            name: value.replace(RECORDED_AUTHORITY, authority)
            for name, value in request.headers.items()
        }
        return await self.client.request(
            request.method, request.path, headers=headers, content=request.body
        )


def _is_question(line: Line) -> bool:
    """Whether a line changes nothing, so that it may be sent again."""
    return line.messagetype.startswith(("get", "search"))


def _early_starts(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Which long polls have to be under way before which line is sent."""
    starts: dict[str, list[Line]] = {}
    before: Line | None = None
    for line in lines:
        waited = line.messagetype == "assignprocessmsg" and (line.elapsed_s or 0) >= WAITED_S
        if waited and not line.refused and before and before.messagetype in RELEASING:
            starts.setdefault(before.name, []).append(line)
        else:
            before = line
    return starts


def _duration(line: Line, seconds: float) -> list[str]:
    """The problem with how long a refused long poll took: the client asks for whole seconds."""
    if line.elapsed_s is None or not line.refused:
        return []
    if not line.elapsed_s * 0.8 <= seconds <= line.elapsed_s + LATE_S:
        return [f"recorded after {line.elapsed_s} s, answered after {seconds:.2f} s"]
    return []
