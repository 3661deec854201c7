"""Messages about users, as the protocol spells them (core.md, section 6.3)."""

from api import wire


class User(wire.Wire):
    """A person or program that submits; a member of one colony."""

    colonyname: str = ""
    userid: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""


class AddUserMsg(wire.Message):
    """Add a user."""

    user: User | None = None


class GetUsersMsg(wire.OfColony):
    """List the users of a colony."""


class GetUserMsg(wire.OfColony):
    """Read a user by name."""

    name: str = ""


class GetUserByIdMsg(wire.OfColony):
    """Read a user by id."""

    userid: str = ""


class RemoveUserMsg(wire.OfColony):
    """Remove a user."""

    name: str = ""


class ChangeUserIdMsg(wire.OfColony):
    """Move the calling user to another key."""

    userid: str = ""
