"""The server: who owns it, and which colonies there are. Its stream is ``{server}:events``."""

from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import ServerRow, checked_name, server_owner
from broker.decision import Decision, Event, Expect, absent, equals, has, lacks
from broker.errors import Invalid
from broker.identity import is_identity


class ServerFounded(Event, frozen=True, kw_only=True):
    """The first start on an empty store; ``subject`` is the server id."""

    TYPE: ClassVar[str] = "ServerFounded"


class ServerIdChanged(Event, frozen=True, kw_only=True):
    """The server belongs to another key; ``subject`` is the new id."""

    TYPE: ClassVar[str] = "ServerIdChanged"


class ColonyRegistered(Event, frozen=True, kw_only=True):
    """A colony got a name and a suffix; ``subject`` is the name."""

    TYPE: ClassVar[str] = "ColonyRegistered"
    suffix: str
    colony_id: str


class ColonyIdReserved(Event, frozen=True, kw_only=True):
    """An identity is taken by a colony; ``subject`` is the colony's name."""

    TYPE: ClassVar[str] = "ColonyIdReserved"
    colony_id: str


class ColonyIdReleased(Event, frozen=True, kw_only=True):
    """An identity is free again; ``subject`` is the name of the colony that had it."""

    TYPE: ClassVar[str] = "ColonyIdReleased"
    colony_id: str


class ColonyUnregistered(Event, frozen=True, kw_only=True):
    """A colony is gone and its keys are to be deleted; ``subject`` is its name.

    ``colony_ids`` is every identity it had or had reserved.
    """

    TYPE: ClassVar[str] = "ColonyUnregistered"
    suffix: str
    colony_ids: list[str]


class ColonyPurged(Event, frozen=True, kw_only=True):
    """The last key of a removed colony is deleted; ``subject`` is the hash tag it had."""

    TYPE: ClassVar[str] = "ColonyPurged"


EVENTS = (
    ServerFounded,
    ServerIdChanged,
    ColonyRegistered,
    ColonyIdReserved,
    ColonyIdReleased,
    ColonyUnregistered,
    ColonyPurged,
)


class Entry(Struct, frozen=True, kw_only=True):
    """What the directory says of a colony."""

    suffix: str
    colony_ids: tuple[str, ...]


def found(server_id: str, now_ns: int) -> Decision:
    """Make the key that starts an empty store the owner of the server."""
    return Decision(
        expects=(absent(keys.SERVER_ROW),),
        events=(ServerFounded(subject=server_id, actor=server_id, at_ns=now_ns),),
    )


def change_id(caller: str, row: ServerRow | None, server_id: str, now_ns: int) -> Decision:
    """Hand the server to another key.

    Raises:
        Invalid: not an id; a wrong one would lock everybody out.
        Denied: the caller does not own the server.
    """
    if not server_id:
        raise Invalid("Failed to change colony Id, colony Id is empty")
    expects = server_owner(caller, row)
    if not is_identity(server_id):
        raise Invalid("Failed to change server Id, new server Id is not 64 hex digits")
    return Decision(
        expects=expects,
        events=(ServerIdChanged(subject=server_id, actor=caller, at_ns=now_ns),),
    )


def register(  # noqa: PLR0917 - caller, rows, wish, now
    caller: str,
    row: ServerRow | None,
    name: str,
    colony_id: str,
    suffix: str,
    now_ns: int,
    *,
    name_taken: bool,
    id_taken: bool,
) -> Decision:
    """Give a new colony its name and suffix.

    Raises:
        Denied, Invalid: not the server owner; a bad or taken name or id.
    """
    expects = server_owner(caller, row)
    if len(colony_id) != keys.ID_DIGITS:
        raise Invalid("Failed to add colony, invalid colony Id length")
    if not is_identity(colony_id):
        raise Invalid("Failed to add colony, colony Id is not 64 lower-case hex digits")
    checked_name(name, "Colony")
    if name_taken:
        raise Invalid(f"A Colony with name <{name}> already exists")
    if id_taken:
        raise Invalid(f"A Colony with Id <{colony_id}> already exists")
    return Decision(
        expects=(
            *expects,
            lacks(keys.COLONIES, name),
            lacks(keys.COLONY_IDS, colony_id),
            lacks(keys.SUFFIXES, suffix),
        ),
        events=(
            ColonyRegistered(
                subject=name, actor=caller, at_ns=now_ns, suffix=suffix, colony_id=colony_id
            ),
        ),
    )


def unregister(
    caller: str, row: ServerRow | None, entry: Entry | None, name: str, now_ns: int
) -> Decision:
    """Take a colony out of the directory; its keys are deleted afterwards.

    Raises:
        Denied, Invalid: not the server owner; no such colony.
    """
    expects = server_owner(caller, row)
    if entry is None:
        raise Invalid(f"Colony with name <{name}> not found")
    event = ColonyUnregistered(
        subject=name,
        actor=caller,
        at_ns=now_ns,
        suffix=entry.suffix,
        colony_ids=list(entry.colony_ids),
    )
    ids = (equals(keys.COLONY_IDS, colony_id, name) for colony_id in entry.colony_ids)
    return Decision(
        expects=(*expects, equals(keys.COLONIES, name, entry.suffix), *ids), events=(event,)
    )


def reserve_id(
    caller: str, name: str, colony_id: str, taken_by: str | None, now_ns: int
) -> Decision:
    """Keep an identity for a colony that is about to change to it.

    Raises:
        Invalid: another colony has it.
    """
    if taken_by == name:
        return Decision()
    if taken_by is not None:
        raise Invalid(f"A Colony with Id <{colony_id}> already exists")
    return Decision(
        expects=(lacks(keys.COLONY_IDS, colony_id),),
        events=(ColonyIdReserved(subject=name, actor=caller, at_ns=now_ns, colony_id=colony_id),),
    )


def release_id(caller: str, name: str, colony_id: str, now_ns: int) -> Decision:
    """Free the identity a colony no longer has."""
    still: Expect = equals(keys.COLONY_IDS, colony_id, name)
    return Decision(
        expects=(still,),
        events=(ColonyIdReleased(subject=name, actor=caller, at_ns=now_ns, colony_id=colony_id),),
    )


def purged(tag: str, now_ns: int) -> Decision:
    """Forget a removed colony of which nothing is left."""
    event = ColonyPurged(subject=tag, actor="", at_ns=now_ns)
    return Decision(expects=(has(keys.REMOVED, tag),), events=(event,))
