"""A colony: its owner, its settings, whether it gives out work, and its requirement classes."""

from typing import ClassVar, TypeVar

from msgspec import Struct

from broker import keys
from broker.access import Gate, colony_owner, known_colony
from broker.decision import Decision, Event, absent, has
from broker.errors import Invalid
from broker.identity import is_identity

T = TypeVar("T")
MOST_RETENTION = 2**53
"""Lua counts in doubles."""


class ColonyFounded(Event, frozen=True, kw_only=True):
    """The colony's own stream begins; ``subject`` is its name."""

    TYPE: ClassVar[str] = "ColonyFounded"
    suffix: str
    owner: str


class ColonyOwnerChanged(Event, frozen=True, kw_only=True):
    """The colony belongs to another key; ``subject`` is its name."""

    TYPE: ClassVar[str] = "ColonyOwnerChanged"
    owner: str


class ColonySettingsChanged(Event, frozen=True, kw_only=True):
    """Settings of the colony, all of them; ``subject`` is its name.

    Retention of log lines in seconds and bytes, and of finished processes and workflows in seconds
    by their state; how many revisions of a file stay, and for how many seconds after they were
    replaced: 0 is without limit, -1 as the server has it.
    """

    TYPE: ClassVar[str] = "ColonySettingsChanged"
    require_nonce: bool
    log_retention_s: int = -1
    log_retention_bytes: int = -1
    success_retention_s: int = -1
    failed_retention_s: int = -1
    cancelled_retention_s: int = -1
    file_revisions: int = -1
    file_revision_s: int = -1


class AssignmentsPaused(Event, frozen=True, kw_only=True):
    """The colony gives out no work until resumed; ``subject`` is its name."""

    TYPE: ClassVar[str] = "AssignmentsPaused"


class AssignmentsResumed(Event, frozen=True, kw_only=True):
    """The colony gives out work again; ``subject`` is its name."""

    TYPE: ClassVar[str] = "AssignmentsResumed"


class ColonyDissolved(Event, frozen=True, kw_only=True):
    """Nothing may be written to the colony any more; ``subject`` is its name."""

    TYPE: ClassVar[str] = "ColonyDissolved"


class RequirementClassAdded(Event, frozen=True, kw_only=True):
    """The first process with these requirements; ``subject`` is the class."""

    TYPE: ClassVar[str] = "RequirementClassAdded"
    requires: bytes


class RequirementClassRetired(Event, frozen=True, kw_only=True):
    """No process waits in the class any more; ``subject`` is the class."""

    TYPE: ClassVar[str] = "RequirementClassRetired"


EVENTS = (
    ColonyFounded,
    ColonyOwnerChanged,
    ColonySettingsChanged,
    AssignmentsPaused,
    AssignmentsResumed,
    ColonyDissolved,
    RequirementClassAdded,
    RequirementClassRetired,
)

RESUMED = "resumed"
"""Notice that every waiting executor of a colony should try again: something changed for it."""


def establish(name: str, suffix: str, owner: str, actor: str, now_ns: int) -> Decision:
    """Begin the stream of a colony that the server's directory already names."""
    return Decision(
        expects=(absent(keys.COLONY),),
        events=(
            ColonyFounded(subject=name, actor=actor, at_ns=now_ns, suffix=suffix, owner=owner),
        ),
    )


def checked_new_owner(owner: str) -> str:
    """The id a colony shall belong to.

    Raises:
        Invalid: empty, or not an id.
    """
    if not owner:
        raise Invalid("Failed to change colony Id, colony Id is empty")
    return owner


def change_owner(gate: Gate, owner: str, now_ns: int) -> Decision:
    """Hand the colony to another key.

    Raises:
        Denied, Invalid: not the owner; not an id.
    """
    expects = colony_owner(gate)
    if len(owner) != keys.ID_DIGITS:
        raise Invalid("Failed to change colony Id, new colony Id is not 64 characters")
    if not is_identity(owner):
        raise Invalid("Failed to change colony Id, new colony Id is not lower-case hex")
    return Decision(
        expects=expects,
        events=(
            ColonyOwnerChanged(
                subject=gate.colony_name, actor=gate.caller, at_ns=now_ns, owner=owner
            ),
        ),
    )


class ChangeSettings(Struct, frozen=True, kw_only=True):
    """Change the settings that are given; None leaves one as it is."""

    require_nonce: bool | None = None
    log_retention_s: int | None = None
    log_retention_bytes: int | None = None
    success_retention_s: int | None = None
    failed_retention_s: int | None = None
    cancelled_retention_s: int | None = None
    file_revisions: int | None = None
    file_revision_s: int | None = None


def change_settings(gate: Gate, command: ChangeSettings, now_ns: int) -> Decision:
    """Change settings of the colony.

    Raises:
        Denied, Invalid: not the owner; a retention that is none.
    """
    expects, row = colony_owner(gate), known_colony(gate)
    for what, limit in (
        ("log lines, in seconds,", command.log_retention_s),
        ("the log, in bytes,", command.log_retention_bytes),
        ("successful processes, in seconds,", command.success_retention_s),
        ("failed processes, in seconds,", command.failed_retention_s),
        ("cancelled processes, in seconds,", command.cancelled_retention_s),
        ("revisions of a file", command.file_revisions),
        ("replaced revisions, in seconds,", command.file_revision_s),
    ):
        if limit is not None and not -1 <= limit <= MOST_RETENTION:
            raise Invalid(
                f"Failed to set colony settings, the retention of {what} is -1 (as the server has"
                f" it), 0 (without limit) or up to {MOST_RETENTION}, not {limit}"
            )
    return Decision(
        expects=expects,
        events=(
            ColonySettingsChanged(
                subject=gate.colony_name,
                actor=gate.caller,
                at_ns=now_ns,
                require_nonce=_given(command.require_nonce, row.require_nonce),
                log_retention_s=_given(command.log_retention_s, row.log_retention_s),
                log_retention_bytes=_given(command.log_retention_bytes, row.log_retention_bytes),
                success_retention_s=_given(command.success_retention_s, row.success_retention_s),
                failed_retention_s=_given(command.failed_retention_s, row.failed_retention_s),
                cancelled_retention_s=_given(
                    command.cancelled_retention_s, row.cancelled_retention_s
                ),
                file_revisions=_given(command.file_revisions, row.file_revisions),
                file_revision_s=_given(command.file_revision_s, row.file_revision_s),
            ),
        ),
    )


def _given(wished: T | None, before: T) -> T:
    return before if wished is None else wished


def pause(gate: Gate, now_ns: int) -> Decision:
    """Stop giving out work; nothing happens when it is stopped already.

    Raises:
        Denied: not the owner.
    """
    expects = colony_owner(gate)
    if gate.colony and gate.colony.paused:
        return Decision(expects=expects)
    event = AssignmentsPaused(subject=gate.colony_name, actor=gate.caller, at_ns=now_ns)
    return Decision(expects=expects, events=(event,))


def resume(gate: Gate, now_ns: int) -> Decision:
    """Give out work again and tell everybody who waits.

    Raises:
        Denied: not the owner.
    """
    expects = colony_owner(gate)
    if gate.colony and not gate.colony.paused:
        return Decision(expects=expects)
    event = AssignmentsResumed(subject=gate.colony_name, actor=gate.caller, at_ns=now_ns)
    return Decision(expects=expects, events=(event,), wakes=(RESUMED,))


def dissolve(name: str, actor: str, now_ns: int) -> Decision:
    """Close the colony for every further write."""
    return Decision(
        expects=(has(keys.COLONY, "guard"),),
        events=(ColonyDissolved(subject=name, actor=actor, at_ns=now_ns),),
        wakes=(RESUMED,),
    )


def retire_class(requirement_class: str, now_ns: int) -> Decision:
    """Forget a requirement class in which nothing waits."""
    return Decision(
        expects=(
            has(keys.CLASSES, requirement_class),
            absent(keys.queue(requirement_class)),
        ),
        events=(RequirementClassRetired(subject=requirement_class, actor="", at_ns=now_ns),),
    )
