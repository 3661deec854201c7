"""Where the microseconds of one request go: every step of the API process, measured alone.

``python -m bench.steps`` runs the broker's own code in one process with nothing else to do: no
HTTP, no Redis, constant replies. So the numbers are the budget of DESIGN.md's section 9 line by
line, without the noise of a loaded machine; what a request costs besides is HTTP and the loop.
"""

import asyncio
import gc
import json
from base64 import b64encode
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import cycle
from time import perf_counter
from typing import Any

import hiredis
from rich.console import Console
from rich.table import Table

from api import wire
from api.present import process_of_event, shown_process
from api.specs import command_of, json_list
from bench.connection import Endpoint
from bench.wire import Colony
from broker import keys
from broker.access import EXECUTOR, ColonyRow, Gate, MemberRow, MemberState
from broker.aggregates import process as aggregate
from broker.aggregates.process import CloseProcess, ProcessRow, ProcessSubmitted, State
from broker.clock import StoreClock
from broker.decision import Decision
from broker.identity import digest, recover
from broker.registry import pack
from broker.store import Claim, EventStore, Signed
from projections.core import fold

_ROUNDS = 9
_TIMES = 400
_SUFFIX = "0badcafe"
_POSITION = b"1795418121281-0"
_hiredis: Any = hiredis  # its stub types pack_command for tuples of one


@dataclass(slots=True)
class ConstantLink:
    """Redis that answers everything with one reply at once, and remembers what it was told."""

    reply: object = None
    told: tuple[Any, ...] = ()

    def call(self, *args: Any) -> "asyncio.Future[Any]":  # noqa: ANN401 - what Redis takes
        """Answer."""
        self.told = args
        future = asyncio.get_running_loop().create_future()
        future.set_result(self.reply)
        return future


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the budget."""

    message: str
    step: str
    microseconds: float


class Steps:
    """Measures one step after the other."""

    def __init__(self) -> None:
        self.found: list[Step] = []
        self._colony = Colony.imagine(Endpoint(host="localhost", port=1), "lifecycle", 1)
        self._id = keys.new_id(_SUFFIX)
        self._tag = keys.colony_tag("lifecycle", _SUFFIX)
        self._link = ConstantLink([b"done", _POSITION])
        self._store = EventStore(self._link, fold, StoreClock())

    def run(self, message: str, step: str, work: Callable[[], object]) -> None:
        """Time some work, the least of several rounds: that one was disturbed least."""
        rounds = list[float]()
        for _ in range(_ROUNDS):
            begun = perf_counter()
            for _ in range(_TIMES):
                work()
            rounds.append((perf_counter() - begun) / _TIMES)
        self.found.append(Step(message, step, min(rounds) * 1e6))

    async def run_async(
        self, message: str, step: str, work: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        """The same for a coroutine that never really waits."""
        rounds = list[float]()
        for _ in range(_ROUNDS):
            begun = perf_counter()
            for _ in range(_TIMES):
                await work()
            rounds.append((perf_counter() - begun) / _TIMES)
        self.found.append(Step(message, step, min(rounds) * 1e6))

    async def measure(self) -> None:
        """Every step of a submit, an assign and a close."""
        self._signer()
        submitted = await self._submit()
        row = await self._assign(submitted)
        await self._close(row)

    def _signer(self) -> None:
        identity = self._colony.user.identity
        payloads = [b64encode(b"payload %d" % n) for n in range(_ROUNDS * _TIMES)]
        signed = cycle([(payload, identity.sign(payload)) for payload in payloads])
        self.run("any", "recover a signer", lambda: recover(*next(signed)))
        payload, signature = next(signed)
        self.run("any", "recover a signer seen before", lambda: recover(payload, signature))
        self.run("any", "digest", lambda: digest(payload))

    def _read(self, request: bytes, kind: type[wire.Message]) -> None:
        body = request.partition(b"\r\n\r\n")[2]

        def read() -> object:
            return wire.decode(wire.unwrap(wire.decode(body, wire.Request).payload), kind)

        self.run(kind.__name__, "decode envelope and message", read)

    def _gate(self, caller: str, kind: str) -> Gate:
        colony = ColonyRow(
            name="lifecycle",
            suffix=_SUFFIX,
            owner="c" * 64,
            guard=1,
            paused=False,
            require_nonce=False,
        )
        member = MemberRow(
            id=caller,
            kind=kind,
            name="somebody",
            state=MemberState.APPROVED,
            executor_type="bench",
            location="",
            row={},
        )
        return Gate(caller=caller, colony_name="lifecycle", colony=colony, member=member)

    async def _append(self, name: str, decision: Decision) -> None:
        signed = Signed(caller="c" * 64, proof=b"s" * 97)
        self._link.reply = [b"done", _POSITION]
        await self.run_async(
            name,
            "append: entry, fold, arguments",
            lambda: self._store.append(self._tag, decision, signed),
        )
        self._pack(name)

    def _pack(self, name: str) -> None:
        told = self._link.told
        self.run(name, f"pack {len(told)} arguments", lambda: _hiredis.pack_command(told))

    async def _submit(self) -> ProcessSubmitted:
        name = "SubmitFuncSpecMsg"
        self._read(self._colony.submit("0000001"), wire.SubmitFuncSpecMsg)
        text = json.dumps(self._colony.spec("0000001")).encode()
        specs = iter([wire.decode(text, wire.FunctionSpec) for _ in range(_ROUNDS * _TIMES + 1)])
        self.run(name, "command from spec", lambda: command_of(next(specs), self._id))
        command = command_of(next(specs), self._id)
        gate = self._gate(self._colony.user.identity.id, "user")
        now = self._store.clock.now_ns()

        def decide() -> Decision:
            return aggregate.submit(gate, command, now, class_known=True)

        self.run(name, "decide", decide)
        await self._append(name, decide())
        (event,) = decide().events
        if not isinstance(event, ProcessSubmitted):
            raise TypeError("a submit that submits nothing")
        submitted = event
        self.run(
            name,
            "encode reply",
            lambda: wire.in_base64(wire.encode(process_of_event(submitted, "lifecycle"))),
        )
        return submitted

    async def _assign(self, submitted: ProcessSubmitted) -> ProcessRow:
        name, executor = "AssignProcessMsg", self._colony.executors[0]
        self._read(self._colony.assign(executor, timeout_s=10), wire.AssignProcessMsg)
        row = self._row(submitted, executor.identity.id)
        flat = [part for pair in row.row.items() for part in pair]
        self._link.reply = [b"done", _POSITION, row.id.encode(), flat]
        claim = Claim(
            executor_id=executor.identity.id,
            guard=1,
            epoch="1",
            classes=("0123456789abcdef",),
            queues=(self._tag.key(keys.queue("0123456789abcdef")),),
            now_ns=self._store.clock.now_ns(),
        )
        signed = Signed(caller=executor.identity.id, proof=b"s" * 97)
        await self.run_async(
            name, "claim: arguments, row", lambda: self._store.claim(self._tag, claim, signed)
        )
        self._pack(name)
        self.run(
            name,
            "encode reply",
            lambda: wire.in_base64(
                wire.encode(shown_process(ProcessRow(id=row.id, row=row.row), "lifecycle"))
            ),
        )
        return row

    def _row(self, submitted: ProcessSubmitted, holder: str) -> ProcessRow:
        """The row of a submitted process after it was assigned."""
        at = b"%d" % submitted.at_ns
        stored = {
            b"given": pack(submitted),
            b"by": submitted.actor.encode(),
            b"at": at,
            b"state": b"1",
            b"holder": holder.encode(),
            b"started": at,
        }
        return ProcessRow(id=submitted.subject, row=stored)

    async def _close(self, row: ProcessRow) -> None:
        name, executor = "CloseSuccessfulMsg", self._colony.executors[0]
        self._read(executor.close(self._id), wire.CloseSuccessfulMsg)
        out = json_list(wire.Raw(b'["done"]'), "close")
        command = CloseProcess(process_id=row.id, outcome=State.SUCCESS, out=out, errors=[])
        gate = self._gate(executor.identity.id, EXECUTOR)
        now = self._store.clock.now_ns()

        def decide() -> Decision:
            return aggregate.close(gate, command, ProcessRow(id=row.id, row=row.row), now)

        self.run(name, "decide, with the row unpacked", decide)
        await self._append(name, decide())
        self.run(name, "encode reply", lambda: wire.in_base64(wire.encode(wire.Empty())))


def _print(steps: list[Step]) -> None:
    table = Table(title="microseconds of one step alone")
    table.add_column("message")
    table.add_column("step")
    table.add_column("us", justify="right")
    last = ""
    for one in steps:
        table.add_row(
            "" if one.message == last else one.message, one.step, f"{one.microseconds:.1f}"
        )
        last = one.message
    Console(width=100).print(table)


def main() -> None:
    """Measure and print."""
    gc.freeze()
    steps = Steps()
    asyncio.run(steps.measure())
    _print(steps.found)


if __name__ == "__main__":
    main()
