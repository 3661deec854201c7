"""Where processes and workflows stand: of their rows only what is as small for all.

A row also says what a process was given and who its relatives are, a workflow's which roots it has.
These lists are as long as a workflow is wide; what has no use for them does not read them.
"""

from collections.abc import Sequence

from broker import keys
from broker.access import Hash
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.workflow import WorkflowRow
from broker.keys import Key, Tag
from broker.store import EventStore

_PAGE = 200
_OF_A_PROCESS = ("state", "holder", "started", "ended", "graph", "pending", "wait", "ready")
_OF_A_WORKFLOW = ("state", "left", "size", "sweeps", "at", "started", "ended", "by", "by_name")


async def processes_at(store: EventStore, tag: Tag, ids: Sequence[str]) -> list[ProcessRow | None]:
    """Where processes stand; None for one that does not exist."""
    rows = await _fields(store, tag, [keys.process(i) for i in ids], _OF_A_PROCESS)
    return [ProcessRow.read(i, row) for i, row in zip(ids, rows, strict=True)]


async def workflow_at(store: EventStore, tag: Tag, workflow_id: str) -> WorkflowRow | None:
    """Where a workflow stands; None when there is no such workflow (any more)."""
    return (await workflows_at(store, tag, [workflow_id]))[0]


async def workflows_at(store: EventStore, tag: Tag, ids: Sequence[str]) -> list[WorkflowRow | None]:
    """Where workflows stand; None for one that does not exist (any more)."""
    rows = await _fields(store, tag, [keys.workflow(i) for i in ids], _OF_A_WORKFLOW)
    return [WorkflowRow.read(i, row) for i, row in zip(ids, rows, strict=True)]


async def workflow_fields(store: EventStore, tag: Tag, workflow_id: str) -> Hash:
    """The same as it is stored, also of one that is being removed."""
    return (await _fields(store, tag, [keys.workflow(workflow_id)], _OF_A_WORKFLOW))[0]


async def unfinished_of(store: EventStore, tag: Tag, workflow_id: str) -> ProcessRow | None:
    """A process of a workflow that waits or runs; None when all have ended."""
    nodes, first = tag.key(keys.nodes(workflow_id)), 0
    while page := await store.send("ZRANGE", nodes, first, first + _PAGE - 1):
        for row in await processes_at(store, tag, [i.decode() for i in page]):
            if row is not None and row.state in {State.WAITING, State.RUNNING}:
                return row
        first += _PAGE
    return None


async def _fields(
    store: EventStore, tag: Tag, names: Sequence[Key], fields: Sequence[str]
) -> list[Hash]:
    if not names:
        return []
    found = await store.read(*(("HMGET", tag.key(name), *fields) for name in names))
    return [
        {
            field.encode(): value
            for field, value in zip(fields, values, strict=True)
            if value is not None
        }
        for values in found
    ]
