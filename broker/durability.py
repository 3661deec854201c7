"""Does the store keep what we acknowledge? Asked at the start, before anything is promised."""

import structlog

from broker.errors import Corrupt, Malformed
from broker.pipeline import Reply
from broker.settings import Durability
from broker.store import EventStore

_log = structlog.get_logger(__name__)
_REMEDY = (
    "start the store with `appendonly yes` and `appendfsync always`, or say with"
    " COLONIES_DURABILITY=everysec or =none what may be lost"
)


async def check_durability(store: EventStore, wanted: Durability) -> None:
    """Refuse a store that promises less than the settings do.

    Raises:
        Malformed: the settings and the store disagree; the text says what to do.
    """
    found = await _configuration(store)
    if found is None:
        _log.warning("durability_unknown", why="the store does not show its configuration")
        return
    if found.get("maxmemory-policy", "noeviction") != "noeviction":
        raise Malformed(
            f"the store evicts keys when its memory is full ({found['maxmemory-policy']}), which"
            " loses work; start it with `maxmemory-policy noeviction`"
        )
    if wanted is Durability.NONE:
        return
    if found.get("appendonly") != "yes":
        raise Malformed(f"the store keeps no append-only file; {_REMEDY}")
    if wanted is Durability.ALWAYS and found.get("appendfsync") != "always":
        raise Malformed(f"the store has appendfsync {found.get('appendfsync')}; {_REMEDY}")


async def _configuration(store: EventStore) -> dict[str, str] | None:
    """What CONFIG GET says; None where a managed store does not allow it."""
    names = ("appendonly", "appendfsync", "maxmemory-policy")
    try:
        flat: Reply = await store.send("CONFIG", "GET", *names)
    except Corrupt as error:
        if "unknown" in str(error) or "NOPERM" in str(error):
            return None
        raise
    texts = [part.decode() for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))
