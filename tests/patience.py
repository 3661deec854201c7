"""Waiting for something that comes by itself, and not for longer than it may take."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from broker.errors import Unavailable
from broker.pipeline import Reply

PATIENCE_S = 60
"""More than a busy machine, a slow disk and a process that was stopped for a while need."""


async def until(holds: Callable[[], bool]) -> None:
    """Let everybody else go on until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is looked at knows of no event
            await asyncio.sleep(0)


async def until_answer(ask: Callable[[], Awaitable[Reply]], wanted: Reply) -> None:
    """Ask the store until it gives this answer; while it is away it gives none."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(Unavailable):
                if await ask() == wanted:
                    return
            await asyncio.sleep(0)
