"""Executors that wait for work: a future each, no connection, no poll.

A notice says which requirement class of which colony got work. It wakes the first waiter, in order
of arrival, that can take such work, and nobody else. A waiter that is woken tries to claim; while
it tries it is busy, and a notice that finds only busy waiters is remembered by them, so that an
empty-handed try is repeated. Registration comes before the first try, so nothing falls between.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from broker.aggregates.colony import RESUMED
from broker.matching import Offer, Requirement, satisfies

Owed = tuple[str, Requirement | None]
"""The text of a notice, and the requirement it names if it is known."""


@dataclass(slots=True, eq=False)
class Waiter:
    """One executor waiting. It is busy, trying to claim, while it has no future to be woken by.

    ``owed`` is what it was woken for and has not dealt with yet: requirement classes, None for
    "whatever there is". What is left when it leaves is passed on to others.
    """

    offer: Offer
    woken: asyncio.Future[None] | None = None
    owed: list[Owed] = field(default_factory=list[Owed])
    gone: bool = False

    @property
    def idle(self) -> bool:
        """Whether it can be woken now."""
        return self.woken is not None and not self.woken.done()

    def wake(self, owed: Owed) -> None:
        """Let it try, now or once more after the try that is under way."""
        self.owed.append(owed)
        self._resume()

    def tried(self, owed: int, claimed: str | None) -> None:
        """A claim has answered, sent when the first ``owed`` were: a class, or None in vain.

        In vain means that nothing waits in any class the waiter can take, so nothing is owed for
        what was announced before. A claim takes one process of one class.
        """
        if claimed is None:
            del self.owed[:owed]
            return
        for index, (text, _) in enumerate(self.owed):
            if text == claimed:
                del self.owed[index]
                return

    def abandon(self) -> None:
        """The client has gone; stop waiting."""
        self.gone = True
        self._resume()

    def _resume(self) -> None:
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)


@dataclass(slots=True)
class _Room:
    """The waiters of one colony, by executor type, in order of arrival."""

    by_type: defaultdict[str, dict[Waiter, None]] = field(
        default_factory=lambda: defaultdict[str, dict[Waiter, None]](dict)
    )

    def all(self) -> Iterator[Waiter]:
        """Everybody."""
        for waiters in self.by_type.values():
            yield from waiters


class WaitingRoom:
    """Every waiter of this process."""

    def __init__(
        self,
        on_first: Callable[[str], None] = lambda _: None,
        on_last: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``on_first`` and ``on_last`` hear of channels that begin and cease to matter."""
        self._rooms: dict[str, _Room] = {}
        self._on_first = on_first
        self._on_last = on_last
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def __contains__(self, channel: str) -> bool:
        return channel in self._rooms

    def enter(self, channel: str, offer: Offer) -> Waiter:
        """Register a waiter; it counts as trying until it waits."""
        room = self._rooms.get(channel)
        if room is None:
            room = self._rooms[channel] = _Room()
            self._on_first(channel)
        waiter = Waiter(offer, gone=self._closed)
        room.by_type[offer.executor_type][waiter] = None
        self._count += 1
        return waiter

    def leave(self, channel: str, waiter: Waiter) -> None:
        """Forget a waiter. What it was woken for and did not take goes to others."""
        room = self._rooms[channel]
        waiters = room.by_type[waiter.offer.executor_type]
        del waiters[waiter]
        self._count -= 1
        if not waiters:
            del room.by_type[waiter.offer.executor_type]
        for text, asked in waiter.owed:
            if asked is not None:
                self.notice(channel, text, asked)
        if not room.by_type:
            del self._rooms[channel]
            self._on_last(channel)

    async def wait(self, waiter: Waiter, until: float) -> bool:
        """Wait to be woken, until a moment of the loop's clock; False when that has come.

        After True the waiter has to try, or to leave.
        """
        if waiter.owed or waiter.gone:
            return True
        loop = asyncio.get_running_loop()
        waiter.woken = loop.create_future()
        timer = loop.call_at(until, _expire, waiter.woken)
        try:
            await waiter.woken
        except TimeoutError:
            return bool(waiter.owed)
        finally:
            timer.cancel()
            waiter.woken = None
        return True

    def notice(self, channel: str, text: str, asked: Requirement | None) -> None:
        """There is work of a class for the first who can take it.

        When the colony resumes, or the class is not known here (yet), everybody tries.
        """
        room = self._rooms.get(channel)
        if room is None:
            return
        if text == RESUMED or asked is None:
            for waiter in list(room.all()):
                waiter.wake((text, asked))
            return
        waiters = room.by_type.get(asked.executor_type, {})
        for waiter in _first_idle(waiters, asked):
            waiter.wake((text, asked))

    def wake_all(self) -> None:
        """Let everybody try once more: notices may have been missed."""
        for channel in list(self._rooms):
            self.notice(channel, RESUMED, None)

    def close(self) -> None:
        """Send everybody home, now and from now on: the server stops."""
        self._closed = True
        for room in self._rooms.values():
            for waiter in list(room.all()):
                waiter.abandon()


def _first_idle(waiters: dict[Waiter, None], asked: Requirement) -> list[Waiter]:
    """The first idle waiter able to take such work; if all are trying, all of them (once more)."""
    busy: list[Waiter] = []
    for waiter in waiters:
        if satisfies(waiter.offer, asked):
            if waiter.idle:
                return [waiter]
            busy.append(waiter)
    return busy


def _expire(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_exception(TimeoutError())
