"""What crons and generators keep of a workflow: its processes, to be queued again and again.

It was checked when it was given. What is stored is what the check made of it, so that starting a
workflow reads no messages and cannot fail for what is in them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import asdict

from broker.access import LONGEST_NAME, Gate, MemberRow, MemberState
from broker.aggregates.process_submit import SubmitProcess
from broker.aggregates.workflow import Initiator, Node
from broker.errors import Invalid
from broker.packing import packed, unpacked

_ENTITLED = {MemberState.APPROVED, MemberState.UNREGISTERED}


def template_of(nodes: Sequence[Node]) -> bytes:
    """The stored form of a workflow's processes; their ids are left out."""
    return packed([[node.name, node.depends, _fields(node.process)] for node in nodes])


def _fields(process: SubmitProcess) -> dict[str, Any]:
    return {name: value for name, value in asdict(process).items() if name != "process_id"}


def nodes_of(template: bytes, new_id: Callable[[], str]) -> list[Node]:
    """The processes of a workflow that is to be queued, with new ids."""
    stored: list[tuple[str, list[str], dict[str, Any]]] = unpacked(template)
    return [
        Node(name=name, depends=depends, process=SubmitProcess(process_id=new_id(), **fields))
        for name, depends, fields in stored
    ]


def checked_title(name: str, what: str) -> str:
    """The name of a cron or a generator.

    Raises:
        Invalid: empty, too long, or with a control character.
    """
    if not name:
        raise Invalid(f"{what} name is empty")
    if len(name) > LONGEST_NAME:
        raise Invalid(f"{what} name is longer than {LONGEST_NAME} characters")
    if any(ord(c) < ord(" ") for c in name):
        raise Invalid(f"{what} name {name!r} has a control character")
    return name


def creator_in(gate: Gate) -> tuple[str, str]:
    """Kind and name of a member that adds something; others are refused before."""
    return (gate.member.kind, gate.member.name) if gate.member else ("", "")


def is_entitled(creator: MemberRow | None) -> bool:
    """Whether workflows may still be started for who asked for them once.

    An executor that was merely not heard from for a while may: crons need nobody to be there.
    """
    return creator is not None and creator.state in _ENTITLED


def initiator(creator: MemberRow) -> Initiator:
    """The creator, as the initiator of a workflow."""
    return Initiator(id=creator.id, name=creator.name)
