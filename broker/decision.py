"""The small algebra everything speaks: expectations, events, writes, decisions.

A *decision* is pure: from a command and the rows it read it names the facts (events) and what must
still be true when they are appended (expectations). A *fold* turns an event into *writes*. Only
``append.lua`` and what is prepared from it look at expectations, and only they and their sisters
apply writes.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain
from typing import ClassVar, Protocol

from msgspec import Struct

from broker.keys import Key

Arg = str | bytes | int | float


Test = tuple[str | int, ...]
"""What ``append.lua`` looks at: the kind of a condition, then the names it needs."""
Expect = tuple[Test, Key, tuple[Arg, ...]]
"""A condition on one row: the test, the key, and the values it is to have."""


def equals(key: Key, field: str, value: Arg) -> Expect:
    """A hash field has exactly this value."""
    return (("equals", field), key, (value,))


def matches(key: Key, **fields: Arg) -> Expect:
    """Fields of a hash have exactly these values; all are read at once."""
    return (("matches", len(fields), *fields), key, tuple(fields.values()))


def above(key: Key, field: str, value: int) -> Expect:
    """A counter in a hash is there and greater than this."""
    return (("above", field), key, (value,))


def below(key: Key, field: str, value: int) -> Expect:
    """A counter in a hash is there and less than this."""
    return (("below", field), key, (value,))


def lacks(key: Key, field: str) -> Expect:
    """A hash has no such field, or does not exist."""
    return (("lacks",), key, (field,))


def has(key: Key, field: str) -> Expect:
    """A hash has this field."""
    return (("has",), key, (field,))


def absent(key: Key) -> Expect:
    """There is no such key."""
    return (("absent",), key, ())


def listed(key: Key, member: str) -> Expect:
    """A sorted set has this member."""
    return (("listed",), key, (member,))


def counts(key: Key, members: int) -> Expect:
    """A set has so many members."""
    return (("counts",), key, (members,))


Write = tuple[str, Key, tuple[Arg, ...]]
"""A change of one key, spelled as the Redis command that makes it: command, key, arguments."""


def hset(key: Key, **fields: Arg) -> Write:
    """Set fields of a hash."""
    return ("HSET", key, tuple(chain.from_iterable(fields.items())))


def hput(key: Key, field: str, value: Arg) -> Write:
    """Set one field whose name is data."""
    return ("HSET", key, (field, value))


def hfirst(key: Key, field: str, value: Arg) -> Write:
    """Set a field that is not there yet."""
    return ("HSETNX", key, (field, value))


def hdel(key: Key, *fields: str) -> Write:
    """Remove fields of a hash."""
    return ("HDEL", key, fields)


def hincrby(key: Key, field: str, by: int = 1) -> Write:
    """Add to a counter."""
    return ("HINCRBY", key, (field, by))


def zadd(key: Key, score: Arg, member: str | bytes) -> Write:
    """Put a member into a sorted set."""
    return ("ZADD", key, (score, member))


def zlower(key: Key, score: Arg, member: str) -> Write:
    """Lower a member's score, if this is lower or the member is new."""
    return ("ZADD", key, ("LT", score, member))


def zraise(key: Key, score: Arg, member: str) -> Write:
    """Raise a member's score, if this is higher or the member is new."""
    return ("ZADD", key, ("GT", score, member))


def zrem(key: Key, member: str | bytes) -> Write:
    """Take a member out of a sorted set."""
    return ("ZREM", key, (member,))


def zcut(key: Key, prefix: bytes) -> Write:
    """Take out the members that begin like this, all of score 0; none goes on with 0xff."""
    return ("ZREMRANGEBYLEX", key, (b"[" + prefix, b"(" + prefix + b"\xff"))


def rpush(key: Key, value: Arg) -> Write:
    """Put a value at the end of a list."""
    return ("RPUSH", key, (value,))


def zkeep(key: Key, most: int) -> Write:
    """Take out members with the lowest scores until at most so many are left."""
    return ("ZREMRANGEBYRANK", key, (0, -most - 1))


def sadd(key: Key, member: str) -> Write:
    """Put a member into a set."""
    return ("SADD", key, (member,))


def srem(key: Key, member: str) -> Write:
    """Take a member out of a set."""
    return ("SREM", key, (member,))


def delete(key: Key) -> Write:
    """Remove a key; memory is given back in the background."""
    return ("UNLINK", key, ())


def tallied(wakes: tuple[str, ...]) -> Collection[tuple[str, int]]:
    """Each class that got work, with how many processes it got; mostly there is at most one."""
    if len(wakes) > 1:
        return Counter(wakes).items()
    return ((wakes[0], 1),) if wakes else ()


class Event(Struct, frozen=True, kw_only=True):
    """A fact about ``subject``, caused by the identity ``actor`` ("" is the server itself)."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1

    subject: str
    actor: str
    at_ns: int
    cause: str = ""


class Fold(Protocol):
    """A pure function from one event to the writes it means."""

    def __call__(self, event: Event, /) -> Iterable[Write]:
        """The writes of one event; the same event always gives the same writes."""
        ...


class Decision(Struct, frozen=True, kw_only=True):
    """What a command leads to.

    ``wakes`` names the requirement classes that got work, each once for every process it got.
    """

    expects: tuple[Expect, ...] = ()
    events: tuple[Event, ...] = ()
    wakes: tuple[str, ...] = ()
