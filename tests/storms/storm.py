"""What all storms have in common: colonies under load, something that goes wrong, the checks."""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.asking import Api
from tests.acceptance.conftest import OWNER
from tests.acceptance.tenants import found
from tests.storms.check import Verdict, check, prove
from tests.storms.client import Client
from tests.storms.load import Load
from tests.storms.witness import Witness

COLONIES, EXECUTORS = 2, 4


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How long a storm is to last, and with which luck."""

    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))
    seconds: float
    """Nothing new is begun after so long."""
    rounds: int
    """At least so often something goes wrong, however long that takes."""
    directory: Path
    """Where witnesses write."""
    lives: int = 0
    """In the storm that is about that, at least so many processes come and go."""

    def chance(self) -> random.Random:
        """What is to be the same with the same seed."""
        return random.Random(self.seed)  # noqa: S311 - to be repeated, not to be secret


@dataclass(kw_only=True)
class Outcome:
    """The figures of a storm."""

    name: str
    seed: int
    seconds: float = 0.0
    blows: Counter[str] = field(default_factory=Counter[str])
    """What went wrong, and how often."""
    mutations: int = 0
    repeated: int = 0
    refused: int = 0
    broken: int = 0
    longest_s: float = 0.0
    looked_at: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    wrong: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    """Sentences for the report that are not figures of every storm."""

    def take(self, verdict: Verdict) -> None:
        """Count in what a look has found."""
        self.looked_at += verdict.looked_at
        self.retries += verdict.retries
        self.wrong += verdict.wrong


@dataclass(kw_only=True)
class Storm:
    """A storm that goes on."""

    wish: Wish
    outcome: Outcome
    witness: Witness
    loads: Sequence[Load] = ()
    _began: float = field(default_factory=time.monotonic)

    def goes_on(self, rounds: int) -> bool:
        """Whether another round is wanted after so many."""
        young = time.monotonic() - self._began < self.wish.seconds
        return young or rounds < self.wish.rounds

    def strike(self, what: str) -> None:
        """Count something that goes wrong, and say so."""
        self.outcome.blows[what] += 1
        at = time.monotonic() - self._began
        print(f"{at:7.1f} s  {self.witness.mutations:7} acknowledged  {what}", flush=True)

    def weigh(self) -> None:
        """Take over the figures."""
        witness, outcome = self.witness, self.outcome
        outcome.seconds = time.monotonic() - self._began
        outcome.mutations, outcome.repeated = witness.mutations, witness.repeated
        outcome.refused, outcome.broken = witness.refused.total(), witness.broken
        outcome.longest_s = witness.longest_s
        outcome.wrong += witness.odd


@asynccontextmanager
async def storming(
    name: str,
    wish: Wish,
    servers: Callable[[], Sequence[Api]],
    *,
    colonies: int = COLONIES,
) -> AsyncGenerator[Storm]:
    """Colonies under load while the body lets things go wrong; drained at its end."""
    print(f"{name}: seed {wish.seed}", flush=True)
    witness = Witness(wish.directory / f"{name.replace(' ', '-')}-{wish.seed}.jsonl")
    storm = Storm(wish=wish, outcome=Outcome(name=name, seed=wish.seed), witness=witness)
    try:
        storm.loads = [await _load(servers()[0], Client(servers, witness)) for _ in range(colonies)]
        async with asyncio.TaskGroup() as group:
            for load in storm.loads:
                group.create_task(load.run())
            yield storm
            async with asyncio.TaskGroup() as ending:
                for load in storm.loads:
                    ending.create_task(load.finish())
        storm.weigh()
    finally:
        witness.close()


async def _load(api: Api, client: Client) -> Load:
    tenant = await found(api, OWNER)
    executors = [await tenant.executor(api) for _ in range(EXECUTORS)]
    load = Load(tenant, executors, client)
    await load.prepare()
    return load


async def judge(storm: Storm, url: str) -> Outcome:
    """Everything that was acknowledged is there, nothing happened twice, the logs are proven."""
    outcome = storm.outcome
    for load in storm.loads:
        outcome.take(await check(url, load))
    proven = await asyncio.to_thread(prove, url)
    outcome.wrong += [f"{command}: {text}" for command, texts in proven.items() for text in texts]
    return outcome
