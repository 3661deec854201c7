"""What store tests share: appending facts, and looking at everything the store holds."""

from typing import Any

from broker import keys
from broker.decision import Decision, Event
from broker.keys import Tag
from broker.matching import Requirement
from broker.reading import Link
from broker.store import BY_SERVER, Claim, Done, EventStore
from tests.facts import CLI, EXECUTOR, T0, TAG


async def append(store: EventStore, *events: Event, tag: Tag = TAG) -> Done:
    """Facts, just like that."""
    outcome = await store.append(tag, Decision(events=events), BY_SERVER)
    assert isinstance(outcome, Done)
    return outcome


async def everything(link: Link) -> dict[bytes, Any]:
    """All keys with their values, as the store keeps them.

    Without what follows the log at its own pace: servers of other tests live on the same store.
    """
    every: list[bytes] = await link.call("KEYS", "*")
    names = [name for name in every if b"}:" + keys.ASYNC_ROWS.encode() not in name]
    reads = {
        b"hash": ("HGETALL",),
        b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
        b"set": ("SMEMBERS",),
        b"stream": ("XRANGE", "-", "+"),
        b"list": ("LRANGE", 0, -1),
        b"string": ("GET",),
    }
    found: dict[bytes, Any] = {}
    for name in sorted(names):
        kind = await link.call("TYPE", name)
        if kind == b"none":
            continue  # a nonce that expired just now
        command, *rest = reads[kind]
        value = await link.call(command, name, *rest)
        found[name] = sorted(value) if command == "SMEMBERS" else value
    return found


async def types(store: EventStore, tag: Tag = TAG) -> list[str]:
    """The types of the events of a stream, in order."""
    return [recorded.event.TYPE async for recorded in store.events(tag)]


def claim(
    *requirements: Requirement,
    epoch: int,
    executor_id: str = EXECUTOR,
    guard: int = 1,
    member_guard: int = T0 + 1,
    now_ns: int = T0 + 7,
) -> Claim:
    """An executor asks for work of some classes."""
    names = tuple(each.class_key for each in requirements or (CLI,))
    return Claim(
        executor_id=executor_id,
        guard=guard,
        member_guard=member_guard,
        epoch=str(epoch),
        classes=names,
        queues=tuple(TAG.key(keys.queue(name)) for name in names),
        now_ns=now_ns,
    )
