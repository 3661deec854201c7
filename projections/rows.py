"""Rows in memory: what Redis would hold after the same writes. For replay, never for serving."""

from collections.abc import Callable, Sequence

from broker.decision import Arg, Write
from broker.errors import Corrupt
from broker.keys import Key

KEPT: dict[Arg, Callable[[float, float], float]] = {"LT": min, "GT": max}
"""What ZADD keeps of an old and a new score."""
_MOST_FIELDS = 1_000
_fields: dict[Arg, bytes] = {}
"""Names of fields as they are kept; most rows have the same ones."""
Args = Sequence[Arg]
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
        change(key, args)

    def values(self) -> dict[Key, Value]:
        """Every key that exists."""
        return {**self._hashes, **self._sorted_sets, **self._sets, **self._lists}

    def get(self, key: Key) -> Value | None:
        """One key, if it exists."""
        return (
            self._hashes.get(key)
            or self._sorted_sets.get(key)
            or self._sets.get(key)
            or self._lists.get(key)
        )

    def hash(self, key: Key) -> Hash:
        """A hash; empty when there is none."""
        return self._hashes.get(key, {})

    def members(self, key: Key) -> SortedSet:
        """A sorted set; empty when there is none."""
        return self._sorted_sets.get(key, {})

    def _hset(self, key: Key, args: Args) -> None:
        row = self._hashes.get(key)
        if row is None:
            row = self._hashes[key] = {}
        parts = iter(args)
        for name, value in zip(parts, parts, strict=True):
            row[_field(name)] = encoded(value)

    def _hsetnx(self, key: Key, args: Args) -> None:
        self._hashes.setdefault(key, {}).setdefault(_field(args[0]), encoded(args[1]))

    def _hdel(self, key: Key, args: Args) -> None:
        row = self._hashes.get(key, {})
        for name in args:
            row.pop(encoded(name), None)
        if not row:
            self._hashes.pop(key, None)

    def _hincrby(self, key: Key, args: Args) -> None:
        row, name = self._hashes.setdefault(key, {}), _field(args[0])
        row[name] = b"%d" % (int(row.get(name, b"0")) + int(args[1]))

    def _zadd(self, key: Key, args: Args) -> None:
        *when, score, member = args
        members, new, name = self._sorted_sets.setdefault(key, {}), float(score), encoded(member)
        members[name] = KEPT[when[0]](members.get(name, new), new) if when else new

    def _zrem(self, key: Key, args: Args) -> None:
        members = self._sorted_sets.get(key)
        if members is None:
            return
        for member in args:
            members.pop(encoded(member), None)
        if not members:
            del self._sorted_sets[key]

    def _zremrangebyrank(self, key: Key, args: Args) -> None:
        """From the first to one that is counted from the end, as ``decision.zkeep`` writes it."""
        members = self._sorted_sets.get(key, {})
        ranked = sorted(members, key=lambda member: (members[member], member))
        first, last = int(args[0]), int(args[1]) + 1
        self._zrem(key, ranked[first : last or None])

    def _zremrangebylex(self, key: Key, args: Args) -> None:
        """Between a bound that belongs to it and one that does not, as ``decision.zcut`` has it."""
        low, high = (encoded(bound)[1:] for bound in args)
        members = self._sorted_sets.get(key, {})
        self._zrem(key, [member for member in members if low <= member < high])

    def _sadd(self, key: Key, args: Args) -> None:
        self._sets.setdefault(key, set()).update(map(encoded, args))

    def _srem(self, key: Key, args: Args) -> None:
        members = self._sets.get(key, set())
        members.difference_update(map(encoded, args))
        if not members:
            self._sets.pop(key, None)

    def _rpush(self, key: Key, args: Args) -> None:
        self._lists.setdefault(key, []).extend(map(encoded, args))

    def _unlink(self, key: Key, _args: Args) -> None:
        self._hashes.pop(key, None)
        self._sorted_sets.pop(key, None)
        self._sets.pop(key, None)
        self._lists.pop(key, None)


def encoded(arg: Arg) -> bytes:
    """An argument as Redis keeps it."""
    if isinstance(arg, str):
        return arg.encode()
    return arg if isinstance(arg, bytes) else str(arg).encode()


def _field(name: Arg) -> bytes:
    """The same for the name of a field; one that many rows have is kept once."""
    known = _fields.get(name)
    if known is None:
        known = encoded(name)
        if len(_fields) < _MOST_FIELDS:
            _fields[name] = known
    return known
