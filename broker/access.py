"""Who may do what: rules that either refuse or name what must still be true at the append.

A rule looks at rows (perhaps cached ones) and returns expectations about the same rows, so the
check and the write cannot be separated by a concurrent removal. The texts are core.md's section 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from msgspec import Struct

from broker import keys
from broker.decision import Expect, equals
from broker.errors import Denied, Invalid

LONGEST_NAME = 256
Hash = Mapping[bytes, bytes]
"""A Redis hash as it is read."""


def text_in(row: Hash, field: bytes) -> str:
    """A text field of a hash, "" when it is not there."""
    return row.get(field, b"").decode()


def number_in(row: Hash, field: bytes) -> int:
    """A number in a hash, 0 when it is not there."""
    return int(row.get(field, b"0"))


EXECUTOR = "executor"
USER = "user"


class MemberState(IntEnum):
    """State of a member; users are always approved."""

    PENDING = 0
    APPROVED = 1
    REJECTED = 2
    UNREGISTERED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """The server itself: the identity that owns it."""

    id: str
    guard: int

    @classmethod
    def read(cls, row: Hash) -> "ServerRow | None":
        """From its hash; None when the server was never started on this store."""
        return cls(id=row[b"id"].decode(), guard=int(row[b"guard"])) if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColonyRow:
    """A colony. ``guard`` grows with every change of the row.

    Its log keeps lines for ``log_retention_s`` seconds and up to ``log_retention_bytes``, finished
    processes and workflows stay for so many seconds as their state's retention says, and of each
    file ``file_revisions`` revisions, up to ``file_revision_s`` seconds after they were replaced; 0
    is without limit, -1 what the server's settings say.
    """

    name: str
    suffix: str
    owner: str
    guard: int
    paused: bool
    require_nonce: bool
    log_retention_s: int
    log_retention_bytes: int
    success_retention_s: int
    failed_retention_s: int
    cancelled_retention_s: int
    file_revisions: int
    file_revision_s: int

    @classmethod
    def read(cls, row: Hash) -> "ColonyRow | None":
        """From its hash; None when there is no such colony (any more)."""
        if not row:
            return None
        return cls(
            name=row[b"name"].decode(),
            suffix=row[b"suffix"].decode(),
            owner=row[b"owner"].decode(),
            guard=int(row[b"guard"]),
            paused=row.get(b"paused") == b"1",
            require_nonce=row.get(b"require_nonce") == b"1",
            log_retention_s=int(row.get(b"log_retention_s", b"-1")),
            log_retention_bytes=int(row.get(b"log_retention_bytes", b"-1")),
            success_retention_s=int(row.get(b"success_retention_s", b"-1")),
            failed_retention_s=int(row.get(b"failed_retention_s", b"-1")),
            cancelled_retention_s=int(row.get(b"cancelled_retention_s", b"-1")),
            file_revisions=int(row.get(b"file_revisions", b"-1")),
            file_revision_s=int(row.get(b"file_revision_s", b"-1")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """An executor or a user of one colony. ``guard`` differs after every change of the row."""

    id: str
    kind: str
    name: str
    state: MemberState
    guard: int
    executor_type: str
    location: str
    row: Hash

    @classmethod
    def read(cls, member_id: str, row: Hash) -> "MemberRow | None":
        """From its hash; None when the id belongs to nobody."""
        if not row:
            return None
        return cls(
            id=member_id,
            kind=row[b"kind"].decode(),
            name=row[b"name"].decode(),
            state=MemberState(int(row[b"state"])),
            guard=int(row[b"guard"]),
            executor_type=text_in(row, b"type"),
            location=text_in(row, b"location"),
            row=row,
        )


class Gate(Struct, frozen=True, kw_only=True):
    """What authorisation looks at: who calls, which colony is named, and their rows."""

    caller: str
    colony_name: str
    colony: ColonyRow | None
    member: MemberRow | None


def server_owner(caller: str, row: ServerRow | None) -> tuple[Expect, ...]:
    """The caller owns the server.

    Raises:
        Denied: it does not.
    """
    if row is None or row.id != caller:
        raise Denied("Access denied, not server owner")
    return (equals(keys.SERVER_ROW, "guard", row.guard),)


def known_colony(gate: Gate) -> ColonyRow:
    """The colony named.

    Raises:
        Denied: there is none; the reference says so with 403 unless a message has its own text.
    """
    if gate.colony is None:
        raise Denied(f"Colony with name <{gate.colony_name}> does not exists")
    return gate.colony


def existing_colony(gate: Gate, text: str = "Colony with name <{}> does not exists") -> ColonyRow:
    """The colony named, for messages that look it up before they authorise.

    Raises:
        Invalid: there is none.
    """
    if gate.colony is None:
        raise Invalid(text.format(gate.colony_name))
    return gate.colony


def colony_owner(gate: Gate) -> tuple[Expect, ...]:
    """The caller owns the colony.

    Raises:
        Denied: it does not, or there is no such colony.
    """
    if not gate.colony_name:
        raise Denied("Empty Colony name")
    colony = known_colony(gate)
    if colony.owner != gate.caller:
        raise Denied("Access denied, not colony owner")
    return (equals(keys.COLONY, "guard", colony.guard),)


def member(gate: Gate, *, approved: bool = True) -> tuple[Expect, ...]:
    """The caller is a user of the colony or an executor of it, approved or in any state.

    Raises:
        Denied: it is not, or there is no such colony.
    """
    colony = known_colony(gate)
    row = gate.member
    if row is None or (approved and row.state is not MemberState.APPROVED):
        text = f"Access denied, not a member of Colony with name <{gate.colony_name}>"
        raise Denied(text)
    return _unchanged(colony.guard, row.id, row.guard)


@lru_cache(maxsize=4_096)
def _unchanged(colony_guard: int, member_id: str, member_guard: int) -> tuple[Expect, ...]:
    return (
        equals(keys.COLONY, "guard", colony_guard),
        equals(keys.member(member_id), "guard", member_guard),
    )


def member_or_owner(gate: Gate) -> tuple[Expect, ...]:
    """The caller is an approved member of the colony, or owns it.

    Raises:
        Denied: neither, in the words for who is no owner; or there is no such colony.
    """
    row = gate.member
    if gate.colony is not None and row is not None and row.state is MemberState.APPROVED:
        return member(gate)
    return colony_owner(gate)


def reader(gate: Gate, *, approved: bool = True) -> None:
    """The caller may read what v1.7 showed to members and to the owner of the colony.

    That is executors, processes, history and statistics; v1.9 refuses the owner there.

    Raises:
        Denied: neither.
    """
    if gate.colony is not None and gate.colony.owner == gate.caller:
        return
    member(gate, approved=approved)


def checked_name(name: str, what: str) -> str:
    """A name that can be stored and listed.

    Raises:
        Invalid: empty, or with a colon or a control character.
    """
    if not name:
        raise Invalid(f"{what} name is empty")
    if len(name) > LONGEST_NAME:
        raise Invalid(f"{what} name is longer than {LONGEST_NAME} characters")
    if ":" in name or any(ord(c) < ord(" ") for c in name):
        raise Invalid(
            f"{what} name <{name}> has a character that is not allowed (colon or control)"
        )
    return name
