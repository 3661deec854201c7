"""Snapshots of files: make, look, list, remove."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import NoReturn

from api import wire
from api import wire_file as files
from api.context import Call, Context
from api.handlers.file import ATTEMPTS, admitted, room
from api.listing import Listing
from broker import keys, shelf
from broker.access import Gate, text_in
from broker.aggregates import snapshot as aggregate
from broker.aggregates.file import Era
from broker.aggregates.snapshot import CreateSnapshot, SnapshotCreated, SnapshotRow
from broker.decision import Decision
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Missing

_Creating = tuple[Gate, CreateSnapshot, str | None, Era]
_Removing = tuple[Gate, Sequence[SnapshotRow], bool]
_Ids = Callable[[], Awaitable[list[str]]]
_PAGE = 100


async def create(ctx: Context, call: Call, msg: files.CreateSnapshotMsg) -> bytes:
    """Make a snapshot of a label and those below it."""

    async def read(fresh: bool) -> tuple[Colony, _Creating]:  # noqa: FBT001 - run's own shape
        gate, colony = await admitted(ctx, call, msg.colonyname, fresh=fresh)
        command = CreateSnapshot(
            snapshot_id=keys.new_id(colony.suffix), label=msg.label, name=msg.name
        )
        named, era = await ctx.rows(colony, keys.snapshot_named(msg.name), keys.FILES)
        return colony, (gate, command, text_in(named, b"id") or None, Era.read(era))

    def decide(rows: _Creating, now_ns: int) -> Decision:
        return aggregate.create(*rows, now_ns)

    event = await ctx.write(call, read, decide, attempts=ATTEMPTS)
    if not isinstance(event, SnapshotCreated):
        raise Corrupt("a snapshot that is not in the log")
    _, colony = await admitted(ctx, call, msg.colonyname)
    return await _shown(ctx, colony, event.subject) or _refuse(colony, event.subject)


async def _shown(ctx: Context, colony: Colony, snapshot_id: str) -> bytes | None:
    """A snapshot with all that it names, None when it is not there.

    It is looked for again behind that, because with it goes what it alone named.
    """
    row = await _row(ctx, colony, snapshot_id)
    if row is None:
        return None
    ids: list[str] = []
    async for page in shelf.named_by(ctx.store, colony.tag, row.label, row.number):
        ids += page
    if await _row(ctx, colony, snapshot_id) is None:
        return None
    return wire.encode(
        files.Snapshot(
            snapshotid=row.id,
            colonyname=colony.name,
            label=row.label,
            name=row.name,
            fileids=ids,
            added=wire.rfc3339(row.at_ns),
        )
    )


async def _row(ctx: Context, colony: Colony, snapshot_id: str) -> SnapshotRow | None:
    return SnapshotRow.read(snapshot_id, (await ctx.rows(colony, keys.snapshot(snapshot_id)))[0])


def _refuse(colony: Colony, snapshot_id: str = "", name: str = "") -> NoReturn:
    what = f"Id {snapshot_id}" if snapshot_id else f"name {name}"
    raise Missing(f"Snapshot not found with {what} in Colony {colony.name} does not exists")


async def get(ctx: Context, call: Call, msg: files.GetSnapshotMsg) -> bytes:
    """Read a snapshot by its id or its name."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    if not msg.snapshotid and not msg.name:
        raise Missing("Failed to get snapshot, malformatted msg")
    found = await _id_of(ctx, colony, msg)
    shown = await _shown(ctx, colony, found) if found else None
    return shown or _refuse(colony, msg.snapshotid, msg.name)


async def _id_of(ctx: Context, colony: Colony, msg: files.OfSnapshot) -> str:
    """The id that a message names, "" when there is no snapshot of its name."""
    if msg.snapshotid:
        return msg.snapshotid
    return text_in((await ctx.rows(colony, keys.snapshot_named(msg.name)))[0], b"id")


async def get_many(ctx: Context, call: Call, msg: files.GetSnapshotsMsg) -> bytes:
    """List snapshots, newest first."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    if msg.offset < 0:
        raise Invalid("Failed to get snapshots, offset must not be negative")
    found = Listing(room(msg.count, "snapshots"))
    async for page in _pages(ctx, colony, msg.offset):
        for snapshot_id in page:
            shown = await _shown(ctx, colony, snapshot_id)
            if shown is not None and not found.add([shown]):
                return found.text()
    return found.text()


async def _pages(ctx: Context, colony: Colony, skip: int = 0) -> AsyncIterator[list[str]]:
    """The ids of all snapshots, newest first, without the first so many."""
    index, high = colony.tag.key(keys.SNAPSHOTS), "+inf"
    while page := await ctx.store.send(
        "ZREVRANGEBYSCORE", index, high, "-inf", "WITHSCORES", "LIMIT", skip, _PAGE
    ):
        yield [snapshot_id.decode() for snapshot_id in page[::2]]
        high, skip = f"({int(float(page[-1]))}", 0


async def remove(ctx: Context, call: Call, msg: files.RemoveSnapshotMsg) -> wire.Empty:
    """Remove a snapshot by its id or its name, if there is one."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    if not msg.snapshotid and not msg.name:
        raise Missing("Failed to remove snapsnot, malformatted msg")

    async def ids() -> list[str]:
        found = await _id_of(ctx, colony, msg)
        return [found] if found else []

    await _remove(ctx, call, colony, ids)
    return wire.Empty()


async def remove_all(ctx: Context, call: Call, msg: files.RemoveAllSnapshotMsg) -> wire.Empty:
    """Remove the snapshots that there are, in bounded steps."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    if await ctx.took_effect(call, colony.tag):
        return wire.Empty()
    async for page in _pages(ctx, colony):
        await _remove(ctx, call.unmarked(), colony, partial(_same, page))
    await _remove(ctx, call, colony, partial(_same, []))
    return wire.Empty()


async def _same(page: list[str]) -> list[str]:
    return page


async def _remove(ctx: Context, call: Call, colony: Colony, ids: _Ids) -> None:
    """Remove those of some snapshots that are there; without any, the request counts as done."""

    async def read(fresh: bool) -> tuple[Colony, _Removing]:  # noqa: FBT001 - run's own shape
        gate, _ = await admitted(ctx, call, colony.name, fresh=fresh)
        found = await ids()
        names = (keys.snapshot(each) for each in found)
        kept = bool(await ctx.store.send("EXISTS", colony.tag.key(keys.KEPT_LABELS)))
        hashes = await ctx.rows(colony, *names) if found else []
        rows = (SnapshotRow.read(i, row) for i, row in zip(found, hashes, strict=True))
        return colony, (gate, [row for row in rows if row is not None], kept)

    def decide(rows: _Removing, now_ns: int) -> Decision:
        gate, there, kept = rows
        return aggregate.remove(gate, there, keeps=kept, now_ns=now_ns)

    await ctx.write(call, read, decide, attempts=ATTEMPTS)
