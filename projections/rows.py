"""Rows in memory: what Redis would hold after the same writes. For replay, never for serving."""

from collections.abc import Callable

from broker.decision import Arg, Write
from broker.errors import Corrupt
from broker.keys import Key

_WHICH: dict[bytes, Callable[[float, float], float]] = {
    b"": lambda _, new: new,
    b"LT": min,
    b"GT": max,
}
"""What ZADD keeps of an old and a new score."""
Hash = dict[bytes, bytes]
SortedSet = dict[bytes, float]
Value = Hash | SortedSet | set[bytes] | list[bytes]


class Rows:
    """Keys and their values; an emptied value ceases to exist, as in Redis."""

    def __init__(self) -> None:
        self._hashes: dict[Key, Hash] = {}
        self._sorted_sets: dict[Key, SortedSet] = {}
        self._sets: dict[Key, set[bytes]] = {}
        self._lists: dict[Key, list[bytes]] = {}
        self._changes = {
            "HSET": self._hset,
            "HSETNX": self._hsetnx,
            "HDEL": self._hdel,
            "HINCRBY": self._hincrby,
            "ZADD": self._zadd,
            "ZREM": self._zrem,
            "ZREMRANGEBYRANK": self._zremrangebyrank,
            "ZREMRANGEBYLEX": self._zremrangebylex,
            "SADD": self._sadd,
            "SREM": self._srem,
            "RPUSH": self._rpush,
            "UNLINK": self._unlink,
        }

    def apply(self, write: Write) -> None:
        """Make one change.

        Raises:
            Corrupt: a command that no fold uses.
        """
        command, key, args = write
        change = self._changes.get(command)
        if change is None:
            raise Corrupt(f"a fold wrote {command}, which replay does not know")
        change(key, [encoded(arg) for arg in args])

    def values(self) -> dict[Key, Value]:
        """Every key that exists."""
        return {**self._hashes, **self._sorted_sets, **self._sets, **self._lists}

    def _hset(self, key: Key, args: list[bytes]) -> None:
        self._hashes.setdefault(key, {}).update(zip(args[::2], args[1::2], strict=True))

    def _hsetnx(self, key: Key, args: list[bytes]) -> None:
        self._hashes.setdefault(key, {}).setdefault(args[0], args[1])

    def _hdel(self, key: Key, args: list[bytes]) -> None:
        row = self._hashes.get(key, {})
        for name in args:
            row.pop(name, None)
        if not row:
            self._hashes.pop(key, None)

    def _hincrby(self, key: Key, args: list[bytes]) -> None:
        row = self._hashes.setdefault(key, {})
        row[args[0]] = b"%d" % (int(row.get(args[0], b"0")) + int(args[1]))

    def _zadd(self, key: Key, args: list[bytes]) -> None:
        *when, score, member = args
        members, new = self._sorted_sets.setdefault(key, {}), float(score)
        old = members.get(member, new)
        members[member] = _WHICH[bytes(*when)](old, new)

    def _zrem(self, key: Key, args: list[bytes]) -> None:
        members = self._sorted_sets.get(key, {})
        for member in args:
            members.pop(member, None)
        if not members:
            self._sorted_sets.pop(key, None)

    def _zremrangebyrank(self, key: Key, args: list[bytes]) -> None:
        """From the first to one that is counted from the end, as ``decision.zkeep`` writes it."""
        members = self._sorted_sets.get(key, {})
        ranked = sorted(members, key=lambda member: (members[member], member))
        first, last = int(args[0]), int(args[1]) + 1
        self._zrem(key, ranked[first : last or None])

    def _zremrangebylex(self, key: Key, args: list[bytes]) -> None:
        """Between a bound that belongs to it and one that does not, as ``decision.zcut`` has it."""
        low, high = (bound[1:] for bound in args)
        members = self._sorted_sets.get(key, {})
        self._zrem(key, [member for member in members if low <= member < high])

    def _sadd(self, key: Key, args: list[bytes]) -> None:
        self._sets.setdefault(key, set()).update(args)

    def _srem(self, key: Key, args: list[bytes]) -> None:
        members = self._sets.get(key, set())
        members.difference_update(args)
        if not members:
            self._sets.pop(key, None)

    def _rpush(self, key: Key, args: list[bytes]) -> None:
        self._lists.setdefault(key, []).extend(args)

    def _unlink(self, key: Key, _args: list[bytes]) -> None:
        self._hashes.pop(key, None)
        self._sorted_sets.pop(key, None)
        self._sets.pop(key, None)
        self._lists.pop(key, None)


def encoded(arg: Arg) -> bytes:
    """An argument as Redis keeps it."""
    return arg if isinstance(arg, bytes) else str(arg).encode()
