"""Which colonies there are, and what this process remembers of their rows.

Remembering is safe because whatever mattered to a decision is expected again at the append: a
stale row costs one conflict. Reads do not look here; they read the rows they are about to trust.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from broker import keys
from broker.access import ColonyRow, Gate, Hash, MemberRow, ServerRow
from broker.keys import SERVER, Tag
from broker.matching import Offer, Requirement, satisfies
from broker.store import Done, EventStore

_MOST_MEMBERS = 100_000


@dataclass(frozen=True, slots=True)
class Classes:
    """The requirement classes of a colony at one epoch of the set."""

    epoch: str
    by_key: Mapping[str, Requirement]

    @classmethod
    def read(cls, row: Hash) -> "Classes":
        """From their hash."""
        epoch = row.get(keys.EPOCH.encode(), b"0").decode()
        by_key = {
            name.decode(): Requirement.unpack(packed)
            for name, packed in row.items()
            if name != keys.EPOCH.encode()
        }
        return cls(epoch, by_key)


@dataclass(frozen=True, slots=True)
class Matching:
    """The classes an offer satisfies, of one epoch of the set, and their queues."""

    of: Classes
    classes: tuple[str, ...]
    queues: tuple[str, ...]


@dataclass(slots=True)
class Colony:
    """One colony as this process knows it."""

    name: str
    suffix: str
    tag: Tag
    row: ColonyRow | None = None
    classes: Classes | None = None
    members: dict[str, MemberRow] = field(default_factory=dict[str, MemberRow])
    matchings: dict[Offer, Matching] = field(default_factory=dict[Offer, Matching])
    waiting: int = 0
    """How many processes waited when they were last counted."""
    counted_ns: int = 0

    def matching(self, offer: Offer, classes: Classes) -> Matching:
        """What an offer satisfies; worked out once for each epoch of the class set."""
        known = self.matchings.get(offer)
        if known is not None and known.of is classes:
            return known
        names = tuple(n for n, asked in classes.by_key.items() if satisfies(offer, asked))
        queues = tuple(self.tag.key(keys.queue(name)) for name in names)
        if len(self.matchings) >= _MOST_MEMBERS:
            self.matchings.clear()
        found = self.matchings[offer] = Matching(classes, names, queues)
        return found

    def forget(self) -> None:
        """Trust nothing that was remembered."""
        self.row = None
        self.classes = None
        self.members.clear()


Happened = Callable[[Colony | None, Done], None]
"""Told what was done in a colony, or (None) to the server."""


class Directory:
    """Finds colonies by name or by the suffix of an id, and remembers them."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._by_name: dict[str, Colony] = {}
        self._by_suffix: dict[str, Colony] = {}
        self._by_channel: dict[str, Colony] = {}

    async def server(self) -> ServerRow | None:
        """The server's own row, read now."""
        return ServerRow.read((await self._store.hashes(SERVER, keys.SERVER_ROW))[0])

    def remembered(self, name: str) -> Colony | None:
        """The colony with this name, if it is remembered."""
        return self._by_name.get(name)

    async def named(self, name: str, *, fresh: bool = False) -> Colony | None:
        """The colony with this name."""
        known = self._by_name.get(name)
        if known is not None and not fresh:
            return known
        suffix = await self._store.send("HGET", SERVER.key(keys.COLONIES), name)
        return self._remember(name, suffix.decode() if suffix else None)

    async def of_id(self, identifier: str, *, fresh: bool = False) -> Colony | None:
        """The colony in which an id was made."""
        suffix = keys.suffix_of(identifier)
        known = self._by_suffix.get(suffix)
        if known is not None and not fresh:
            return known
        name = await self._store.send("HGET", SERVER.key(keys.SUFFIXES), suffix)
        return self._remember(name.decode(), suffix) if name else None

    def on_channel(self, channel: str) -> Colony | None:
        """The colony, if remembered, whose notices arrive on a channel."""
        return self._by_channel.get(channel)

    async def every(self) -> list[Colony]:
        """All colonies, by name."""
        flat = await self._store.hashes(SERVER, keys.COLONIES)
        pairs = sorted((name.decode(), suffix.decode()) for name, suffix in flat[0].items())
        found = (self._remember(name, suffix) for name, suffix in pairs)
        return [colony for colony in found if colony is not None]

    def _remember(self, name: str, suffix: str | None) -> Colony | None:
        known = self._by_name.get(name)
        if known is not None and known.suffix == suffix:
            return known
        if known is not None:
            del self._by_name[name]
            self._by_suffix.pop(known.suffix, None)
            self._by_channel.pop(keys.wake_channel(known.tag), None)
        if suffix is None:
            return None
        colony = Colony(name, suffix, keys.colony_tag(name, suffix))
        self._by_name[name] = self._by_suffix[suffix] = colony
        self._by_channel[keys.wake_channel(colony.tag)] = colony
        return colony

    def remembered_gate(self, caller: str, colony: Colony) -> Gate | None:
        """What authorisation looks at, if all of it is remembered."""
        row, member = colony.row, colony.members.get(caller)
        if row is None or member is None:
            return None
        return Gate(caller=caller, colony_name=colony.name, colony=row, member=member)

    async def gate(self, caller: str, colony: Colony, *, fresh: bool) -> Gate:
        """What authorisation looks at; unless ``fresh``, as far as it is remembered."""
        remembered = None if fresh else self.remembered_gate(caller, colony)
        if remembered is not None:
            return remembered
        rows = await self._store.hashes(colony.tag, keys.COLONY, keys.member(caller))
        row, member = self.learn(colony, caller, rows[0], rows[1])
        return Gate(caller=caller, colony_name=colony.name, colony=row, member=member)

    def learn(
        self, colony: Colony, caller: str, colony_hash: Hash, member_hash: Hash
    ) -> tuple[ColonyRow | None, MemberRow | None]:
        """Remember rows that were just read."""
        colony.row = ColonyRow.read(colony_hash)
        member = MemberRow.read(caller, member_hash)
        if member is None:
            colony.members.pop(caller, None)
        else:
            if len(colony.members) >= _MOST_MEMBERS:
                colony.members.clear()
            colony.members[caller] = member
        return colony.row, member

    async def classes(self, colony: Colony, *, fresh: bool) -> Classes:
        """The requirement classes of a colony."""
        if fresh or colony.classes is None:
            row = (await self._store.hashes(colony.tag, keys.CLASSES))[0]
            colony.classes = Classes.read(row)
        return colony.classes
