"""Delete the keys of colonies that were removed, a page of the keyspace at a time.

The server's stream says which colonies are removed; that outlives a crash at any point here. The
colony is dissolved first, so that nothing can be written to it any more, and it is only forgotten
when a whole walk over the keyspace has found nothing of it. With an archive, nothing is deleted
that is not in it yet.
"""

from broker import archived, keys
from broker.aggregates import colony, server
from broker.keys import SERVER, Tag
from broker.store import BY_SERVER, EventStore

_STEP = 1_000


async def purge_removed(store: EventStore, *, has_archive: bool = False) -> int:
    """Finish every removal that is archived, if that is to be; the number of keys deleted."""
    removed = (await store.hashes(SERVER, keys.REMOVED))[0]
    deleted = 0
    for text, name in removed.items():
        tag = Tag(text.decode())
        now_ns = store.clock.now_ns()
        await store.append(tag, colony.dissolve(name.decode(), "", now_ns), BY_SERVER)
        if has_archive and not await archived.is_whole(store, tag):
            continue
        while found := await _walk(store, tag):
            deleted += found
        await store.append(SERVER, server.purged(tag.text, store.clock.now_ns()), BY_SERVER)
    return deleted


async def _walk(store: EventStore, tag: Tag) -> int:
    """Delete what one walk over the keyspace finds."""
    cursor, found = b"0", 0
    while True:
        cursor, page = await store.send("SCAN", cursor, "MATCH", tag.key("*"), "COUNT", _STEP)
        if page:
            await store.send("UNLINK", *page)
            found += len(page)
        if int(cursor) == 0:
            return found
