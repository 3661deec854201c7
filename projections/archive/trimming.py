"""What is archived need not stay in the streams: events are trimmed when they are old enough.

Never one that is not archived, and none that a projection, also one that is just being built, or
the next landmark has yet to read. A server that dies between any two steps leaves events in both
places, or in one.
"""

import time
from collections.abc import Sequence

from broker import keys
from broker.clock import MS_NS
from broker.keys import SERVER, Tag
from broker.pace import rest
from broker.position import START, Position
from broker.script import TRIM_EVENTS
from broker.store import EventStore
from projections import builds, checkpoint, landmarks
from projections.projection import Projection

_STEP = 500


async def trim(
    store: EventStore,
    tag: Tag,
    archived_to: Position,
    keep_ms: int,
    projections: Sequence[Projection],
) -> int:
    """Remove what is archived, applied, and older than it is to be kept; how many events."""
    until = min(archived_to, Position(max(0, store.clock.now_ns() // MS_NS - keep_ms), 0))
    if tag != SERVER:
        until = min(until, await _applied(store, tag, projections))
    count = 0
    while until > START:
        began = time.monotonic()
        names = [tag.key(keys.EVENTS), tag.key(keys.ARCHIVED)]
        removed = int(await store.call(TRIM_EVENTS, names, [str(until), _STEP]))
        count += removed
        if not removed:
            break
        await rest(began)
    return count


async def _applied(store: EventStore, tag: Tag, projections: Sequence[Projection]) -> Position:
    """Up to where everything is applied by whatever follows the log of a colony.

    These are the landmarks and, of each projection, the build that is served and one in the making.
    All of them move on only, and a build that begins now reads the archive.
    """
    found = [await landmarks.reached(store, tag)]
    for projection in projections:
        found.append(await checkpoint.load(store, tag, projection))
        build = await builds.coming(store, tag, projection)
        if build:
            found.append(await checkpoint.of_build(store, tag, projection, build))
    return min(position or START for position in found)
