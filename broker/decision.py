"""The small algebra everything speaks: expectations, events, writes, decisions.

A *decision* is pure: from a command and the rows it read it names the facts (events) and what must
still be true when they are appended (expectations). A *fold* turns an event into *writes*. Only
``append.lua`` looks at expectations, and only it and its sisters apply writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from broker.keys import Key

Arg = str | bytes | int | float


class Expect(NamedTuple):
    """A condition on one row; ``kind`` is what ``append.lua`` compares."""

    kind: str
    key: Key
    field: str = ""
    value: Arg = ""


def equals(key: Key, field: str, value: Arg) -> Expect:
    """A hash field has exactly this value."""
    return Expect("equals", key, field, value)


def lacks(key: Key, field: str) -> Expect:
    """A hash has no such field, or does not exist."""
    return Expect("lacks", key, field)


def has(key: Key, field: str) -> Expect:
    """A hash has this field."""
    return Expect("has", key, field)


def absent(key: Key) -> Expect:
    """There is no such key."""
    return Expect("absent", key)


def counts(key: Key, members: int) -> Expect:
    """A set has so many members."""
    return Expect("counts", key, "", members)


class Write(NamedTuple):
    """A change of one key, spelled as the Redis command that makes it."""

    command: str
    key: Key
    args: tuple[Arg, ...]


def hset(key: Key, **fields: Arg) -> Write:
    """Set fields of a hash."""
    return Write("HSET", key, tuple(x for pair in fields.items() for x in pair))


def hput(key: Key, field: str, value: Arg) -> Write:
    """Set one field whose name is data."""
    return Write("HSET", key, (field, value))


def hdel(key: Key, *fields: str) -> Write:
    """Remove fields of a hash."""
    return Write("HDEL", key, fields)


def hincrby(key: Key, field: str, by: int = 1) -> Write:
    """Add to a counter."""
    return Write("HINCRBY", key, (field, by))


def zadd(key: Key, score: Arg, member: str) -> Write:
    """Put a member into a sorted set."""
    return Write("ZADD", key, (score, member))


def zlower(key: Key, score: Arg, member: str) -> Write:
    """Lower a member's score, if this is lower or the member is new."""
    return Write("ZADD", key, ("LT", score, member))


def zraise(key: Key, score: Arg, member: str) -> Write:
    """Raise a member's score, if this is higher or the member is new."""
    return Write("ZADD", key, ("GT", score, member))


def zrem(key: Key, member: str) -> Write:
    """Take a member out of a sorted set."""
    return Write("ZREM", key, (member,))


def sadd(key: Key, member: str) -> Write:
    """Put a member into a set."""
    return Write("SADD", key, (member,))


def srem(key: Key, member: str) -> Write:
    """Take a member out of a set."""
    return Write("SREM", key, (member,))


def delete(key: Key) -> Write:
    """Remove a key; memory is given back in the background."""
    return Write("UNLINK", key, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a command leads to. ``wakes`` names the requirement classes that got work."""

    expects: tuple[Expect, ...] = ()
    events: tuple[Event, ...] = ()
    wakes: tuple[str, ...] = ()
