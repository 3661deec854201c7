"""The witness: remembers what was acknowledged, in memory and in a file, and what came instead."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 120.0


@dataclass
class Ledger:
    """What was acknowledged in one colony; ids in the order of the acknowledgements."""

    submitted: dict[str, str] = field(default_factory=dict[str, str])
    """Process id -> the argument it was submitted with."""
    assigned: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Process id and executor id of each time somebody was given a process."""
    closed: dict[str, str] = field(default_factory=dict[str, str])
    """Process id -> its output."""
    too_late: list[str] = field(default_factory=list[str])
    """Processes that somebody was not allowed to close any more."""
    workflows: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Workflow id -> its processes, in the order of their specs."""
    crons: list[str] = field(default_factory=list[str])
    generator: str = ""
    packed: list[str] = field(default_factory=list[str])
    lines: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list[str]))
    """Process id -> the lines said about it."""

    @property
    def open(self) -> int:
        """How many acknowledged submits were not seen closed."""
        return len(self.submitted) - len(self.closed.keys() & self.submitted.keys())


@dataclass
class Witness:
    """Counts and keeps what servers said, and lets others wait for more of it."""

    journal: Path
    """Where each acknowledgement is written, too: for whoever looks into a failure."""
    acknowledged: Counter[str] = field(default_factory=Counter[str])
    """Mutations by the type of their message."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """503, by their texts."""
    broken: int = 0
    """Requests whose connection ended before an answer."""
    repeated: int = 0
    """Requests that were sent again with their nonce."""
    odd: list[str] = field(default_factory=list[str])
    """Answers that nobody should get."""
    longest_s: float = 0.0
    """The longest time between two acknowledgements."""
    _last: float = field(default_factory=time.monotonic)
    _waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = field(
        default_factory=list[tuple[Callable[[], bool], asyncio.Future[None]]]
    )

    def __post_init__(self) -> None:
        self._file = self.journal.open("a", encoding="utf-8")

    def close(self) -> None:
        """Write nothing more."""
        self._file.close()

    @property
    def mutations(self) -> int:
        """How many were acknowledged."""
        return self.acknowledged.total()

    def heard_yes(self, kind: str, **what: object) -> None:
        """A mutation was acknowledged."""
        now = time.monotonic()
        self.longest_s, self._last = max(self.longest_s, now - self._last), now
        self.acknowledged[kind] += 1
        self._file.write(json.dumps({"at": time.time_ns(), "kind": kind, **what}) + "\n")
        self.look()

    def heard_no(self, text: str, *, retry_after: str) -> None:
        """A server could not serve now; it must say when to come again."""
        self.refused[text] += 1
        if not retry_after:
            self.odd.append(f"503 without Retry-After: {text}")
        self.look()

    def heard_nothing(self) -> None:
        """A connection ended without an answer."""
        self.broken += 1
        self.look()

    def look(self) -> None:
        """See whether something is so that somebody waits for."""
        for holds, future in self._waiting:
            if not future.done() and holds():
                future.set_result(None)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something is so; it is looked at whenever something was heard.

        Raises:
            AssertionError: it was not in time.
        """
        if holds():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (holds, future)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await future
        except TimeoutError as error:
            said = f"{self.mutations} acknowledged, refused {dict(self.refused)}, {self.odd[:3]}"
            raise AssertionError(f"{what}: not within {PATIENCE_S} s; {said}") from error
        finally:
            self._waiting.remove(entry)

    async def more(self, mutations: int) -> None:
        """Wait until so many more mutations were acknowledged."""
        goal = self.mutations + mutations
        await self.until(lambda: self.mutations >= goal, f"{mutations} more acknowledgements")

    async def trouble(self, times: int) -> None:
        """Wait until so many more requests were refused or broken off."""

        def count() -> int:
            return self.refused.total() + self.broken

        goal = count() + times
        await self.until(lambda: count() >= goal, f"{times} more refusals")
