"""Users: members of a colony who submit and look."""

from typing import ClassVar

from msgspec import Struct

from broker import keys
from broker.access import (
    USER,
    Gate,
    checked_name,
    colony_owner,
    existing_colony,
    member,
    text_in,
)
from broker.decision import Decision, Event, absent, equals, lacks
from broker.errors import Invalid
from broker.identity import is_identity


class UserAdded(Event, frozen=True, kw_only=True):
    """A user joined; ``subject`` is its id."""

    TYPE: ClassVar[str] = "UserAdded"
    name: str
    email: str
    phone: str


class UserRemoved(Event, frozen=True, kw_only=True):
    """A user left; ``subject`` is its id."""

    TYPE: ClassVar[str] = "UserRemoved"
    name: str


class UserIdChanged(Event, frozen=True, kw_only=True):
    """A user moved to another key; ``subject`` is the new id."""

    TYPE: ClassVar[str] = "UserIdChanged"
    old_id: str
    name: str
    email: str
    phone: str


EVENTS = (UserAdded, UserRemoved, UserIdChanged)


class AddUser(Struct, frozen=True, kw_only=True):
    """Let an identity into the colony."""

    user_id: str
    name: str
    email: str
    phone: str


def name_field(name: str) -> str:
    """Field of a user in keys.NAMES."""
    return f"{USER}/{name}"


def add(gate: Gate, command: AddUser, now_ns: int, *, name_taken: bool, id_taken: bool) -> Decision:
    """Add a user.

    Raises:
        Denied, Invalid: not the owner; no such colony; a bad or taken name or id.
    """
    existing_colony(gate)
    expects = colony_owner(gate)
    checked_name(command.name, "User")
    if not is_identity(command.user_id):
        raise Invalid("Failed to add user, user Id is not 64 lower-case hex digits")
    if name_taken:
        raise Invalid(
            f"A user with name <{command.name}> already exists in Colony with name"
            f" <{gate.colony_name}>"
        )
    if id_taken:
        raise Invalid(
            f"A user with Id <{command.user_id}> already exists in Colony with name"
            f" <{gate.colony_name}>"
        )
    return Decision(
        expects=(
            *expects,
            lacks(keys.NAMES, name_field(command.name)),
            absent(keys.member(command.user_id)),
        ),
        events=(
            UserAdded(
                subject=command.user_id,
                actor=gate.caller,
                at_ns=now_ns,
                name=command.name,
                email=command.email,
                phone=command.phone,
            ),
        ),
    )


def remove(gate: Gate, name: str, user_id: str | None, now_ns: int) -> Decision:
    """Remove a user.

    Raises:
        Denied, Invalid: not the owner; no such colony or user.
    """
    existing_colony(gate)
    expects = colony_owner(gate)
    if user_id is None:
        raise Invalid(f"User with name <{name}> not found")
    return Decision(
        expects=(*expects, equals(keys.NAMES, name_field(name), user_id)),
        events=(UserRemoved(subject=user_id, actor=gate.caller, at_ns=now_ns, name=name),),
    )


def change_id(gate: Gate, new_id: str, now_ns: int, *, taken: bool) -> Decision:
    """Move the calling user to another key; the old one is dead at once.

    Raises:
        Denied, Invalid: not a user of the colony; not a free id.
    """
    if not new_id:
        raise Invalid("Failed to change user Id, user Id is empty")
    expects = member(gate, approved=False)
    row = gate.member
    if row is None or row.kind != USER:
        raise Invalid("Failed to change user Id, user not found")
    checked_new_id(new_id, "user", taken=taken and new_id != row.id)
    if new_id == row.id:
        return Decision(expects=expects)
    return Decision(
        expects=(*expects, absent(keys.member(new_id))),
        events=(
            UserIdChanged(
                subject=new_id,
                actor=gate.caller,
                at_ns=now_ns,
                old_id=row.id,
                name=row.name,
                email=text_in(row.row, b"email"),
                phone=text_in(row.row, b"phone"),
            ),
        ),
    )


def checked_new_id(new_id: str, what: str, *, taken: bool) -> None:
    """A free id that a member may move to.

    Raises:
        Invalid: not an id, or somebody's.
    """
    if len(new_id) != keys.ID_DIGITS:
        raise Invalid(f"Failed to change {what} Id, new {what} Id is not 64 characters")
    if not is_identity(new_id):
        raise Invalid(f"Failed to change {what} Id, new {what} Id is not lower-case hex")
    if taken:
        raise Invalid(f"Failed to change {what} Id, the new {what} Id is already in use")
