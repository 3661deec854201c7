"""Retire requirement classes in which nothing waits, when a colony has gathered many.

A retired class comes back with the next process that needs it, so this is only an economy: every
claim looks at the classes an executor satisfies.
"""

from broker import keys
from broker.aggregates.colony import retire_class
from broker.directory import Colony, Directory
from broker.store import BY_SERVER, Done, EventStore

KEPT = 64
_STEP = 256


async def retire_empty(store: EventStore, directory: Directory, colony: Colony) -> int:
    """Retire empty classes beyond the number that is kept anyway; how many were retired."""
    classes = await directory.classes(colony, fresh=True)
    surplus = len(classes.by_key) - KEPT
    if surplus <= 0:
        return 0
    names = list(classes.by_key)
    sizes = await store.read(*(("EXISTS", colony.tag.key(keys.queue(name))) for name in names))
    empty = [name for name, size in zip(names, sizes, strict=True) if not size]
    retired = 0
    for name in empty[: min(surplus, _STEP)]:
        outcome = await store.append(
            colony.tag, retire_class(name, store.clock.now_ns()), BY_SERVER
        )
        retired += isinstance(outcome, Done)
    colony.classes = None
    return retired
