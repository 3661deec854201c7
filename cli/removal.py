"""Removing everything, or everything in one state, and saying how much that was."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

import msgspec
from cyclopts import Parameter

from api import wire, wire_colony
from cli import render
from cli.client import Client
from cli.config import Role
from cli.errors import RpcError, UsageError
from cli.session import Session

_ALL = -1
_DENIED = 403
_LEFT = {
    "processes": "Left are processes that run, belong to a workflow, or are newer;"
    " `colonies workflow removeall` removes those of workflows",
    "workflows": "Left are workflows that are newer",
}

Switch = Annotated[bool, Parameter(negative="")]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """The one state to remove; all of them when none is named."""

    waiting: Switch = False
    """Only waiting ones."""

    successful: Switch = False
    """Only successful ones."""

    failed: Switch = False
    """Only failed ones."""

    cancelled: Switch = False
    """Only cancelled ones."""

    @property
    def name(self) -> str:
        """The name of the state; empty for all.

        Raises:
            UsageError: several are named.
        """
        said = {
            "waiting": self.waiting,
            "successful": self.successful,
            "failed": self.failed,
            "cancelled": self.cancelled,
        }
        names = [name for name, wanted in said.items() if wanted]
        if len(names) > 1:
            raise UsageError(f"only one of --{' and --'.join(names)} can be given")
        return names[0] if names else ""

    @property
    def number(self) -> int:
        """The state as the protocol spells it."""
        names = [state.value.lower() for state in render.PROCESS_STATES]
        return names.index(self.name) if self.name else _ALL


ALL = Which()


async def remove_all(
    session: Session, things: str, which: Which, message: Callable[[str, int], wire.Message]
) -> None:
    """Ask, remove, and say how many there were before and are left.

    The reply to the message holds no number, so both are counted; what others do meanwhile is in
    the difference.

    Args:
        session: where it happens; the colony owner signs.
        things: "processes" or "workflows".
        which: those in one state, or all.
        message: makes the message from a colony and a state.
    """
    name, client = which.name, session.client(Role.OWNER)
    where = "from" if things == "processes" else "in the"
    session.out.confirm(
        f"Are you sure you want to remove {name or 'all'} {things} {where} Colony "
        f"<{session.colony}>."
    )
    before = await _count(client, session.colony, things, name)
    await client.tell(message(session.colony, which.number))
    after = await _count(client, session.colony, things, name)
    counts = (
        {}
        if before is None or after is None
        else {"Removed": max(0, before - after), "Left": after}
    )
    text = f"Deleting all {name} {things}" if name else f"Deleting all {things}"
    session.out.done(
        f"{text} in Colony",
        ids=session.colony,
        data={"colonyname": session.colony, **{key.lower(): n for key, n in counts.items()}},
        ColonyName=session.colony,
        **{key: str(n) for key, n in counts.items()},
    )
    if counts.get("Left"):
        session.out.say(_LEFT[things])


async def _count(client: Client, colony: str, things: str, name: str) -> int | None:
    """How many there are; None where the colony owner may not count them (the reference)."""
    try:
        found = await client.ask(
            wire_colony.GetColonyStatsMsg(colonyname=colony), wire_colony.Statistics
        )
    except RpcError as error:
        if error.status == _DENIED:
            return None
        raise
    counts = cast("dict[str, int]", msgspec.structs.asdict(found))
    states = [name] if name else [state.value.lower() for state in render.PROCESS_STATES]
    return sum(counts[f"{state}{things}"] for state in states)
