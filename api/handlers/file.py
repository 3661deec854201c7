"""Files and labels: add, look, list, remove."""

import asyncio
from collections.abc import Sequence
from itertools import zip_longest

from api import wire
from api import wire_file as files
from api.context import Call, Context
from api.listing import Listing
from broker import access, keys, labels, shelf
from broker.access import Gate, Hash, number_in
from broker.aggregates import file as aggregate
from broker.aggregates.file import AddFile, Era, FileAdded, FileRow, Removal, Site
from broker.decision import Decision, Event
from broker.directory import Colony
from broker.errors import Corrupt, Invalid, Missing, NotFound, Unavailable
from broker.packing import unpacked
from broker.removing import removal
from broker.revisions import Listed

_Removing = tuple[Gate, Removal | None]
_Wish = tuple[AddFile, Site]
ATTEMPTS = 64
"""Of what adds to a file or makes a snapshot, since many may do so at a time."""
MOST_ADDED = 100
"""Files at once: the store does nothing else meanwhile."""
_MOST_LOOKS = 8
_STEP = 100
"""Revisions of a file that are removed in one step."""
_S3 = "s3"
_NOTHING = b"[]"


# -------------------------------------------------------------------- add


async def add(ctx: Context, call: Call, msg: files.AddFileMsg) -> files.File:
    """Add a revision of a file."""
    if msg.file is None:
        raise Invalid("Failed to add file, msg.File is nil")
    given = msg.file
    event = await _add(ctx, call, given.colonyname, [given])
    if not isinstance(event, FileAdded):
        raise Corrupt("a file that is not in the log")
    return _of_event(event, given.colonyname)


async def add_many(ctx: Context, call: Call, msg: files.AddFilesMsg) -> wire.Empty:
    """Add revisions of different files: all of them or none."""
    given = msg.files or []
    if not 0 < len(given) <= MOST_ADDED:
        raise Invalid(f"Failed to add files, from 1 to {MOST_ADDED} may be added at once")
    for each in given:
        if each.colonyname not in {"", msg.colonyname}:
            raise Invalid("Failed to add files, one is of another colony")
    await _add(ctx, call, msg.colonyname, given)
    return wire.Empty()


async def _add(
    ctx: Context, call: Call, colony_name: str, given: Sequence[files.File]
) -> Event | None:
    for each in given:
        each.ref.protocol = each.ref.protocol or _S3
        _check_port(each.ref.s3object.port)

    async def read(fresh: bool) -> tuple[Colony, tuple[Gate, list[_Wish]]]:  # noqa: FBT001
        gate, colony = await admitted(ctx, call, colony_name, fresh=fresh)
        sites = await _sites(ctx, colony, given)
        wished = (_wished(each, colony) for each in given)
        return colony, (gate, list(zip(wished, sites, strict=True)))

    def decide(rows: tuple[Gate, list[_Wish]], now_ns: int) -> Decision:
        return aggregate.add_many(*rows, now_ns)

    return await ctx.write(call, read, decide, attempts=ATTEMPTS)


def _wished(given: files.File, colony: Colony) -> AddFile:
    return AddFile(
        file_id=keys.new_id(colony.suffix),
        label=given.label,
        name=given.name,
        size=given.size,
        checksum=given.checksum,
        checksum_alg=given.checksumalg,
        reference=wire.encode(given.ref),
        object=given.ref.s3object.object,
    )


def _check_port(port: int) -> None:
    if not -(2**31) <= port < 2**31:
        raise Invalid(f"Failed to add file, port {port} is not a number of 32 bits")


async def admitted(
    ctx: Context, call: Call, name: str, *, fresh: bool = True
) -> tuple[Gate, Colony]:
    """A member and its colony: nothing is looked at for others."""
    colony, gate = await ctx.gate(call, name, fresh=fresh)
    access.member(gate)
    if colony is None:
        raise Corrupt("a member of no colony")
    return gate, colony


async def _sites(ctx: Context, colony: Colony, given: Sequence[files.File]) -> list[Site]:
    """Where each is added, all read together."""
    number = ("ZSCORE", colony.tag.key(keys.FILE_NUMBER), keys.LAST)
    places = (keys.file(each.label, each.name) for each in given)
    (era, *rows), highest = await asyncio.gather(
        ctx.rows(colony, keys.FILES, *places), ctx.store.send(*number)
    )
    return [
        Site(file=FileRow.read(row), highest=int(float(highest or 0)), era=Era.read(era))
        for row in rows
    ]


def _of_event(event: FileAdded, colony_name: str) -> files.File:
    return files.File(
        fileid=event.subject,
        colonyname=colony_name,
        label=event.label,
        name=event.name,
        size=event.size,
        sequencenr=event.number,
        checksum=event.checksum,
        checksumalg=event.checksum_alg,
        ref=wire.decode(event.reference, files.Reference),
        added=wire.rfc3339(event.at_ns),
    )


def _shown(file_id: str, row: Hash, colony_name: str) -> files.File:
    given = unpacked(row[b"given"])
    return files.File(
        fileid=file_id,
        colonyname=colony_name,
        label=given["label"],
        name=given["name"],
        size=given["size"],
        sequencenr=given["number"],
        checksum=given["checksum"],
        checksumalg=given["checksum_alg"],
        ref=wire.decode(given["reference"], files.Reference),
        added=wire.rfc3339(number_in(row, b"at")),
    )


# -------------------------------------------------------------------- look


async def get(ctx: Context, call: Call, msg: files.GetFileMsg) -> bytes:
    """Read a revision by its id, or the newest or all of a file, newest first."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    if msg.fileid:
        row = (await ctx.rows(colony, keys.revision(msg.fileid)))[0]
        if not row:
            raise Invalid("Failed to get file")
        return wire.encode([_shown(msg.fileid, row, colony.name)])
    if not msg.label or not msg.name:
        raise Missing("malformatted get file msg")
    if msg.latest:
        found = await _newest(ctx, colony, msg.label, msg.name)
    else:
        found = await _all(ctx, colony, msg.label, msg.name)
    if found == _NOTHING:
        raise NotFound("Failed to get file")
    return found


async def _newest(ctx: Context, colony: Colony, label: str, name: str) -> bytes:
    """The newest revision in a list; one that is removed while it is looked at is none."""
    for _ in range(_MOST_LOOKS):
        found = await shelf.newest_of_file(ctx.store, colony.tag, label, name)
        if found is None:
            return _NOTHING
        shown = await _shown_page(ctx, colony, [found])
        if shown:
            return b"[" + shown[0] + b"]"
    raise Unavailable("the file changed every time it was read, try again")


async def _all(ctx: Context, colony: Colony, label: str, name: str) -> bytes:
    found = Listing()
    async for page in shelf.of_file(ctx.store, colony.tag, label, name):
        found.add(await _shown_page(ctx, colony, page))
    return found.text()


async def _shown_page(ctx: Context, colony: Colony, page: Sequence[Listed]) -> list[bytes]:
    rows = await ctx.rows(colony, *(keys.revision(each.file_id) for each in page))
    pairs = zip(page, rows, strict=True)
    return [wire.encode(_shown(each.file_id, row, colony.name)) for each, row in pairs if row]


async def get_many(ctx: Context, call: Call, msg: files.GetFilesMsg) -> bytes:
    """List the files of exactly one label, by name."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    found = Listing(room(msg.count, "files"))
    async for page in shelf.newest(ctx.store, colony.tag, msg.label, after=msg.after):
        if not found.add(wire.encode(_summary(each)) for each in page):
            break
    return found.text()


def room(count: int, what: str) -> int | None:
    """How many items a list may have; None for any number.

    Raises:
        Invalid: a negative number.
    """
    if count < 0:
        raise Invalid(f"Failed to get {what}, count must not be negative")
    return count or None


def _summary(revision: Listed) -> files.FileData:
    return files.FileData(
        name=revision.name,
        checksum=revision.checksum,
        size=revision.size,
        s3filename=revision.object,
    )


async def get_labels(ctx: Context, call: Call, msg: files.GetFileLabelsMsg) -> bytes:
    """List labels that begin with a text, or one and those below it."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    found = Listing(room(msg.count, "files"))
    ranges = labels.tree(msg.name) if msg.exact else labels.beginning(msg.name)
    field = "names" if msg.distinct else "files"
    pages = shelf.walked(ctx.store, colony.tag, keys.LABELS, ranges, after=msg.after)
    async for page in pages:
        commands = (("HGET", colony.tag.key(keys.label(name)), field) for name in page)
        counts = zip(page, await ctx.store.read(*commands), strict=True)
        shown = (files.Label(name=name, files=int(count)) for name, count in counts if count)
        if not found.add(map(wire.encode, shown)):
            break
    return found.text()


# -------------------------------------------------------------------- remove


async def remove(ctx: Context, call: Call, msg: files.RemoveFileMsg) -> wire.Empty:
    """Remove a revision by its id, or all of a file; what is not there is removed already."""
    _, colony = await admitted(ctx, call, msg.colonyname)
    if msg.fileid:
        await _remove_one(ctx, call, colony, msg.fileid)
    elif msg.label and msg.name:
        await _remove_all(ctx, call, colony, msg)
    else:
        raise Invalid("malformatted remove file msg")
    return wire.Empty()


async def _remove_one(ctx: Context, call: Call, colony: Colony, file_id: str) -> None:
    async def read(fresh: bool) -> tuple[Colony, _Removing]:  # noqa: FBT001 - run's own shape
        gate, _ = await admitted(ctx, call, colony.name, fresh=fresh)
        row = (await ctx.rows(colony, keys.revision(file_id)))[0]
        if not row or b"until" in row:
            return colony, (gate, None)
        given = unpacked(row[b"given"])
        label, name = given["label"], given["name"]
        place = await shelf.around(ctx.store, colony.tag, label, name, given["number"])
        return colony, (gate, await removal(ctx.store, colony.tag, label, name, place))

    await ctx.write(call, read, _removed, attempts=ATTEMPTS)


async def _remove_all(ctx: Context, call: Call, colony: Colony, msg: files.RemoveFileMsg) -> None:
    """Oldest first, in bounded steps, whatever was there when it was asked for."""
    if await ctx.took_effect(call, colony.tag):
        return
    label, name = msg.label, msg.name
    newest = await shelf.newest_of_file(ctx.store, colony.tag, label, name)
    last = newest.number if newest else 0

    async def read(fresh: bool) -> tuple[Colony, _Removing]:  # noqa: FBT001 - run's own shape
        gate, _ = await admitted(ctx, call, colony.name, fresh=fresh)
        page = await shelf.oldest(ctx.store, colony.tag, label, name, _STEP + 1)
        pairs = [pair for pair in zip_longest(page, page[1:]) if pair[0].number <= last]
        return colony, (gate, await removal(ctx.store, colony.tag, label, name, pairs[:_STEP]))

    while True:
        page = await shelf.oldest(ctx.store, colony.tag, label, name, _STEP + 1)
        goes_on = len(page) > _STEP and page[-1].number <= last
        by = call.unmarked() if goes_on else call
        await ctx.write(by, read, _removed, attempts=ATTEMPTS)
        if not goes_on:
            return


def _removed(rows: _Removing, now_ns: int) -> Decision:
    return aggregate.remove(*rows, now_ns)
