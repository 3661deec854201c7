"""Reading what the end of a process means for its workflow: its children, and their parents."""

import asyncio
from collections.abc import Sequence

from broker import keys
from broker.aggregates.process import State
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.succession import Child, Kin
from broker.keys import Tag
from broker.standing import workflow_at
from broker.store import EventStore


async def kin_of(store: EventStore, tag: Tag, row: ProcessRow, *, succeeds: bool) -> Kin:
    """What ``succession.follow`` looks at when a process ends.

    Success costs as much as the process has children, and the parents of a child are read only when
    the child waits for nobody else. Failure asks for no more than the workflow.
    """
    if not row.graph:
        return Kin(workflow=None)
    ids = row.children if succeeds else []
    asked = (("HMGET", tag.key(keys.process(i)), "state", "pending") for i in ids)
    workflow, found = await asyncio.gather(workflow_at(store, tag, row.graph), store.read(*asked))
    children = [
        Child(id=i, state=State(int(state)), pending=int(pending or 0))
        for i, (state, pending) in zip(ids, found, strict=True)
        if state is not None
    ]
    return Kin(workflow=workflow, children=await _with_outputs(store, tag, row, children))


async def _with_outputs(
    store: EventStore, tag: Tag, row: ProcessRow, children: Sequence[Child]
) -> list[Child]:
    """The children; those that wait for nobody else with their rows and their parents' outputs."""
    ready = [c.id for c in children if c.state is State.WAITING and c.pending == 1]
    hashes = await store.hashes(tag, *(keys.process(i) for i in ready)) if ready else []
    rows = {i: ProcessRow(id=i, row=found) for i, found in zip(ready, hashes, strict=True) if found}
    outputs = await _outputs(
        store, tag, {p for child in rows.values() for p in child.parents} - {row.id}
    )
    return [
        Child(
            id=child.id,
            state=child.state,
            pending=child.pending,
            row=rows[child.id],
            outputs=[outputs.get(parent) for parent in rows[child.id].parents],
        )
        if child.id in rows
        else child
        for child in children
    ]


async def _outputs(store: EventStore, tag: Tag, ids: set[str]) -> dict[str, bytes]:
    """What processes that succeeded have put out, a JSON list each."""
    if not ids:
        return {}
    wanted = sorted(ids)
    found = await store.read(*(("HGET", tag.key(keys.process(i)), "out") for i in wanted))
    return {i: out or b"[]" for i, out in zip(wanted, found, strict=True)}
