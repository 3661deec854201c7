"""Reading what crons and generators are judged by, and making up what a decision cannot."""

import secrets
from collections.abc import Mapping, Sequence

from broker import keys
from broker.access import MemberRow
from broker.aggregates.cron import CronRow, Draft, Occasion
from broker.aggregates.generator import Batch, GeneratorRow
from broker.aggregates.graph import depth_first
from broker.aggregates.process_row import ProcessRow
from broker.aggregates.succession import joined
from broker.aggregates.template import nodes_of
from broker.aggregates.workflow import Node, WorkflowRow
from broker.directory import Colony, Directory
from broker.keys import Tag
from broker.store import EventStore


async def cron_row(store: EventStore, tag: Tag, cron_id: str) -> CronRow | None:
    """One cron."""
    return CronRow.read(cron_id, (await store.hashes(tag, keys.cron(cron_id)))[0])


async def occasion_of(
    store: EventStore, directory: Directory, colony: Colony, cron_id: str, *, fresh: bool
) -> tuple[Occasion, Draft | None]:
    """What the firing of a cron is judged by; no draft when there is no such cron."""
    cron = await cron_row(store, colony.tag, cron_id)
    if cron is None:
        return Occasion(cron=None), None
    creator = await creator_of(store, colony.tag, cron.initiator_id, cron.given)
    previous = await _workflow(store, colony.tag, cron.previous)
    occasion = Occasion(
        cron=cron,
        creator=creator,
        previous=previous,
        output=await _output(store, colony.tag, previous),
        known=(await directory.classes(colony, fresh=fresh)).by_key,
    )
    return occasion, _draft(cron, colony.suffix)


def _draft(cron: CronRow, suffix: str) -> Draft:
    chance = secrets.randbelow(max(cron.given["interval"], 1)) + 1
    nodes = drawn_nodes(cron.given["template"], suffix)
    return Draft(workflow_id=keys.new_id(suffix), nodes=nodes, chance=chance)


def drawn_nodes(template: bytes, suffix: str) -> list[Node]:
    """The processes of a template with ids of a colony."""
    return nodes_of(template, lambda: keys.new_id(suffix))


async def creator_of(
    store: EventStore, tag: Tag, creator_id: str, given: Mapping[str, str]
) -> MemberRow | None:
    """Who added something; after a change of key, who has the name now."""
    row = MemberRow.read(creator_id, (await store.hashes(tag, keys.member(creator_id)))[0])
    if row is not None:
        return row
    name = f"{given['initiator_kind']}/{given['initiator_name']}"
    found = await store.send("HGET", tag.key(keys.NAMES), name)
    if found is None:
        return None
    member_id = found.decode()
    return MemberRow.read(member_id, (await store.hashes(tag, keys.member(member_id)))[0])


async def _workflow(store: EventStore, tag: Tag, workflow_id: str) -> WorkflowRow | None:
    if not workflow_id:
        return None
    row = (await store.hashes(tag, keys.workflow(workflow_id)))[0]
    return WorkflowRow.read(workflow_id, row)


async def _output(store: EventStore, tag: Tag, workflow: WorkflowRow | None) -> bytes:
    """What the processes without children have put out, depth first."""
    if workflow is None:
        return b"[]"
    ids = [i.decode() for i in await store.send("ZRANGE", tag.key(keys.nodes(workflow.id)), 0, -1)]
    hashes = await store.hashes(tag, *(keys.process(i) for i in ids))
    rows = {i: ProcessRow(id=i, row=row) for i, row in zip(ids, hashes, strict=True) if row}
    children: dict[str, Sequence[str]] = {i: row.children for i, row in rows.items()}
    walk = [rows[i] for i in depth_first(workflow.roots, children) if i in rows]
    return joined(row.row.get(b"out", b"[]") for row in walk if not children[row.id])


async def generator_row(store: EventStore, tag: Tag, generator_id: str) -> GeneratorRow | None:
    """One generator."""
    found = (await store.hashes(tag, keys.generator(generator_id)))[0]
    return GeneratorRow.read(generator_id, found)


async def batch_of(
    store: EventStore, directory: Directory, colony: Colony, row: GeneratorRow, *, full: bool
) -> Batch:
    """What a workflow of a generator would be started with now."""
    key = colony.tag.key(keys.packed_arguments(row.id))
    arguments: list[bytes] = await store.send("LRANGE", key, 0, -1)
    return Batch(
        workflow_id=keys.new_id(colony.suffix),
        nodes=drawn_nodes(row.given["template"], colony.suffix),
        arguments=[argument.decode() for argument in arguments],
        creator=await creator_of(store, colony.tag, row.initiator_id, row.given),
        known=(await directory.classes(colony, fresh=True)).by_key,
        full=full,
    )
