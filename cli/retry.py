"""Pauses between tries that may succeed later."""

import asyncio
import random
import time

from cli.errors import RpcError, Unreachable

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Retry:
    """Ever longer pauses, until the patience has ended."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        """Something succeeded: be as patient as in the beginning."""
        self._give_up = time.monotonic() + self._patience_s
        self._pause_s = _FIRST_PAUSE_S

    async def pause(self, failure: RpcError | Unreachable) -> None:
        """Wait before the next try, or raise the failure of the last one."""
        if time.monotonic() + self._pause_s > self._give_up:
            raise failure
        await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
