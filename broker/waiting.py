"""Executors that wait for work: a future each, no connection, no poll.

A notice says which requirement class of which colony got work. It goes to exactly one waiter: the
first, in order of arrival, that can take such work and is idle, or else one that is just trying to
claim, which then owes another try. What a waiter owes when it leaves goes to others, so a notice is
never lost and never multiplied. Registration comes before the first try, so nothing falls between.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from broker.aggregates.colony import RESUMED
from broker.matching import Offer, Requirement, satisfies


@dataclass(slots=True)
class Debt:
    """So many processes of one class were announced and not dealt with yet.

    ``asked`` is None when the class is not known here: then everybody was told.
    """

    asked: Requirement | None
    count: int


@dataclass(slots=True, eq=False)
class Waiter:
    """One executor waiting. It is busy, trying to claim, while it has no future to be woken by.

    ``owed`` is what was announced to it since its last try began, ``tried`` what was before and is
    not settled yet; both by class.
    """

    offer: Offer
    woken: asyncio.Future[None] | None = None
    owed: dict[str, Debt] = field(default_factory=dict[str, Debt])
    tried: dict[str, Debt] = field(default_factory=dict[str, Debt])
    gone: bool = False

    @property
    def idle(self) -> bool:
        """Whether it can be woken now."""
        return self.woken is not None and not self.woken.done()

    @property
    def debts(self) -> int:
        """How much it has been told of and not dealt with."""
        return sum(debt.count for debt in (*self.owed.values(), *self.tried.values()))

    def wake(self, text: str, asked: Requirement | None, count: int = 1) -> None:
        """Let it try, now or once more after the try that is under way."""
        _add(self.owed, text, asked, count)
        self._resume()

    def begin_try(self) -> None:
        """A claim is about to be sent: what was announced so far will be settled by its answer."""
        for text, debt in self.owed.items():
            _add(self.tried, text, debt.asked, debt.count)
        self.owed.clear()

    def end_try(self, claimed: str | None) -> None:
        """The claim has answered: with one process of a class, or (None) in vain.

        In vain means that nothing waited in any class the waiter can take, so nothing is owed for
        what was announced before.
        """
        if claimed is not None:
            for debts in (self.tried, self.owed):
                if claimed in debts:
                    debts[claimed].count -= 1
                    break
            for text, debt in self.tried.items():
                if debt.count:
                    _add(self.owed, text, debt.asked, debt.count)
        self.tried.clear()

    def unsettled(self) -> list[tuple[str, Debt]]:
        """All that it owes."""
        return [(t, d) for t, d in (*self.owed.items(), *self.tried.items()) if d.count]

    def abandon(self) -> None:
        """The client has gone; stop waiting."""
        self.gone = True
        self._resume()

    def _resume(self) -> None:
        if self.woken is not None and not self.woken.done():
            self.woken.set_result(None)


def _add(debts: dict[str, Debt], text: str, asked: Requirement | None, count: int) -> None:
    known = debts.get(text)
    if known is None:
        debts[text] = Debt(asked, count)
    else:
        known.count += count


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
        for text, debt in waiter.unsettled():
            if debt.asked is not None:
                self.notice(channel, text, debt.asked, debt.count)
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

    def notice(self, channel: str, text: str, asked: Requirement | None, count: int = 1) -> None:
        """So many processes of a class wait: tell as many who can take them.

        When the colony resumes, or the class is not known here (yet), everybody tries.
        """
        room = self._rooms.get(channel)
        if room is None:
            return
        if text == RESUMED or asked is None:
            for waiter in list(room.all()):
                waiter.wake(text, None)
            return
        busy: list[Waiter] = []
        for waiter in room.by_type.get(asked.executor_type, ()):
            if satisfies(waiter.offer, asked):
                if not waiter.idle:
                    busy.append(waiter)
                    continue
                waiter.wake(text, asked)
                count -= 1
                if not count:
                    return
        if busy:
            min(busy, key=lambda waiter: waiter.debts).wake(text, asked, count)

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


def _expire(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_exception(TimeoutError())
